//! Where the root file system comes from and how it is mounted.
