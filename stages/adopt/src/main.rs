//! Reads snapshots that other tools made. Parses the command line, runs the stage, ends with its
//! code.

mod args;
mod error;
mod layers;
mod look;
mod peek;
mod stage;
mod zip;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("adopt", &args.stage, || stage::run(&args))
}
