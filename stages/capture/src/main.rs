//! `lifeboat-capture`: streams a snapshot from a live etcd to its output.

mod args;
mod barrier;
mod check;
mod choice;
mod error;
mod flaw;
mod hashkv;
mod order;
mod settings;
mod stage;
mod stream;
mod survey;
mod writer;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    etcd::install_crypto();
    contract::stage_main("capture", &args.stage, || stage::run(&args))
}
