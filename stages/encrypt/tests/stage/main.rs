//! `lifeboat-encrypt` as the program that people start: bytes, files, exit codes, receipts.
//!
//! Keys are made anew for each test; the ones in `keys.rs` belong to nobody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot prepare its ground must fail, and its files are throw-away"
)]

mod common;
mod damage;
mod identities;
mod in_a_run;
mod keys;
mod plugins;
mod recipients;
mod round_trip;
mod secrets;
