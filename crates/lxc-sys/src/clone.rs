//! clone3(2) and fork(2) behind a proof of single-threadedness.
