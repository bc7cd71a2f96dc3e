//! The connection to a live etcd, and what is asked of it.
