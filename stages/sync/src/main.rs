//! `lifeboat-sync`: brings every destination level with the others.
//!
//! Owns: what is lacking where, and the order in which it is copied. It is no step of a run: people
//! type `lifeboat sync`, and each run starts it at its end when something lags behind. It holds the
//! stores' credentials and no key: ciphertext goes from store to store.

mod args;
mod error;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("sync", &args.common, || stage::run(&args))
}
