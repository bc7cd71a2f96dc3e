//! `lifeboat-adopt` as the program that people start: bytes, files, exit codes, receipts.
//!
//! Nothing here looks inside; the sweeps over every form and every cut are beside the layers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot prepare its ground must fail, and its files are throw-away"
)]

mod common;
mod filter;
mod in_a_run;
