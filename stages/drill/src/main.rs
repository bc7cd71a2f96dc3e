//! `lifeboat-drill`: proves a restored directory.
//!
//! Owns: the last step of a drill. It reads the directory again by itself, then starts a real etcd on
//! it and compares what that answers with what the backup's manifest says. That etcd listens on
//! loopback only, gets no variable of this process, and no address but those that the scratch copy
//! was restored with.
//!
//! Does not: restore, choose a backup, or mark one; `lifeboat drill` does.

mod args;
mod ask;
mod checks;
mod compare;
mod directory;
mod error;
mod native;
mod ports;
mod program;
mod sample;
mod server;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("drill", &args.common, || stage::run(&args))
}
