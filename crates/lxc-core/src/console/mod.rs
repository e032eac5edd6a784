//! The console and the ttys of a container.

pub mod holders;
pub mod proxy;
