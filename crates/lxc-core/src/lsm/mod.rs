//! Linux security modules: which is active, what label init gets.
