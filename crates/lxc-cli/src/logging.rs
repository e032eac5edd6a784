//! The logging options of a command line (`-o`, `-l`, `-q`), as the log wants them.
//!
//! Not here: writing log lines (`lxc_core::log`).
