//! `lifeboat-doctor`.

fn main() {}
