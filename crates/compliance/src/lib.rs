//! Nothing: this crate only gives the test programs below `tests/` a place to be built. It is not part of a product.
#![forbid(unsafe_code)]
