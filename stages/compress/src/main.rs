//! Compresses with zstd, or back. Parses the command line, runs the stage, ends with its code.

mod args;
mod check;
mod decode;
mod encode;
mod error;
mod frame;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main(args.stage_name(), &args.stage, || stage::run(&args))
}
