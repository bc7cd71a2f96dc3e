//! `lifeboat-doctor`: looks at a sick cluster from outside, says which case it is and what to type,
//! and replaces a broken member when it is asked to.

mod args;
mod backup;
mod commands;
mod diagnose;
mod error;
mod look;
mod observation;
mod page;
mod replace;
mod report;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    etcd::install_crypto();
    contract::stage_main("doctor", &args.stage, || stage::run(&args))
}
