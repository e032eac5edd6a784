//! The handle of one container: a name in an lxcpath, and the verbs on it.
