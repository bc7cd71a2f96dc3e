//! `lifeboat-compress` as the program that people start: bytes, files, exit codes, receipts.
//!
//! Nothing here looks inside; the sweeps over every bit are beside the decoder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot prepare its ground must fail, and its files are throw-away"
)]

mod common;
mod damage;
mod in_a_run;
mod round_trip;
