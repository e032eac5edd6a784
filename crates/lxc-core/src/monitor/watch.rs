//! Descriptors of the event loop.

use std::os::fd::{AsFd, AsRawFd};

use tokio::io::unix::AsyncFd;

/// Registers a descriptor that its owner keeps open for as long as it is registered.
///
/// - Errors: `EPERM` for what cannot be watched, such as a regular file.
pub(super) fn watch<T: AsFd + AsRawFd>(fd: T) -> std::io::Result<AsyncFd<T>> {
    // `AsFd` types hold their descriptor, which is what the constructor's replacement makes the caller promise in an
    // unsafe block; this crate has none.
    #[expect(deprecated, reason = "the replacement is an unsafe function")]
    AsyncFd::new(fd)
}
