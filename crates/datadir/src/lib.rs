//! An etcd member's data directory, written and proved.
