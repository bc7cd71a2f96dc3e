//! `lifeboat-capture`: streams a snapshot from a live etcd to its output.

mod args;
mod barrier;
mod check;
mod choice;
mod connection;
mod endpoint;
mod error;
mod flaw;
mod hashkv;
mod order;
mod probe;
mod settings;
mod stage;
mod stream;
mod survey;
mod trouble;
mod writer;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    // One provider for every TLS client in the tree. It can be there already only in a test.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    contract::stage_main("capture", &args.stage, || stage::run(&args))
}
