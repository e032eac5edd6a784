//! Locks that keep two tools from changing one container at the same time.
