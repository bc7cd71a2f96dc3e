//! `lifeboat-restore`.

fn main() {}
