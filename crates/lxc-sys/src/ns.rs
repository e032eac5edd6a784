//! setns(2), unshare(2) and namespace descriptors.
