//! Configuration and host facts turned into a finished plan of a start.
