//! `lifeboat-notify`: tells others that a run begins, and how it went.
//!
//! It is no step of a run: `lifeboat run` starts it before and after, and its failure changes
//! nothing about the run. It is a program of its own so that the front links no HTTP client, and
//! the URLs, which are secrets, are read by nobody else.
//!
//! Does not: see the snapshot, any credential of a store, or anything but the report.

mod args;
mod error;
mod post;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("notify", &args.common, || stage::run(&args))
}
