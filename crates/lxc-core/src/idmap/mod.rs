//! User-namespace id maps: planned from the configuration, written to /proc or through newuidmap.
