//! Ids, capabilities, securebits, no_new_privs and keyrings of the calling thread.
