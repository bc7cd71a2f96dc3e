//! `lifeboat-scrub`: reads copies back, compares every byte with what the manifests say, and repairs
//! what is damaged.
//!
//! Owns: which copies are read today, the verdict on each, and the records of it. It is no step of a
//! run: people and schedules start `lifeboat scrub`. It holds the stores' credentials and no key;
//! what only a key opens is looked at by `lifeboat` itself, through the stages of the way back.

mod args;
mod choice;
mod error;
mod read;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("scrub", &args.common, || stage::run(&args))
}
