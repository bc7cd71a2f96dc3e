//! `lifeboat-catalogue`: prints what every destination holds of the cluster, as JSON.
//!
//! It is no step of a run: `lifeboat list`, `show`, `status` and `fetch` ask it, because it has
//! the stores' credentials and they have none. For the same reason `lifeboat drill` has it store
//! what a drill found out.

mod args;
mod error;
mod record;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("catalogue", &args.common, || stage::run(&args))
}
