//! pidfd_open(2), pidfd_send_signal(2) and waitid(2) on a pidfd.
