//! `lifeboat-drill`.

fn main() {}
