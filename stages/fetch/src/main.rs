//! `lifeboat-fetch`: reads one artifact back, and proves that it is the one of its manifest.
//!
//! Owns: the first step of the way back. It sees ciphertext only, needs no key, and reads from
//! one destination; choosing another one is the caller's business.

mod args;
mod error;
mod ranges;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("fetch", &args.common, || stage::run(&args))
}
