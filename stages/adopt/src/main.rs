//! `lifeboat-adopt`.

fn main() {}
