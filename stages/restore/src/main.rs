//! `lifeboat-restore`: writes an etcd member's data directory from a snapshot, or that of every member.
//!
//! Owns: the last step of the way back. It proves the snapshot before it writes anything, builds the
//! directory beside its place, reads all of it again, and publishes it with one rename. No etcd
//! binary, no network and no configuration are needed.

mod args;
mod error;
mod input;
mod members;
mod stage;
mod told;
mod undo;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("restore", &args.common, || stage::run(&args))
}
