//! Open-file-description locks.
