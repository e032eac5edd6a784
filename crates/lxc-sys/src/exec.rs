//! execve(2) of an image prepared before the clone.
