//! What rustix::mount lacks: mount_setattr(2) and friends.
