//! Unix sockets: abstract names, SCM_RIGHTS, SCM_CREDENTIALS.
