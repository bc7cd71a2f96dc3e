//! `lifeboat-verify`: proves a snapshot as it passes, or a snapshot in a file.
//!
//! Owns: the stage around the `snapshot` crate, which does the proving, and the page that people
//! see of a file. No etcd binary is called, and no byte of the snapshot is written anywhere but
//! to the next stage.

mod args;
mod error;
mod facts;
mod looks;
mod page;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("verify", &args.common, || stage::run(&args))
}
