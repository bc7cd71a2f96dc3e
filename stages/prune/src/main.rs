//! `lifeboat-prune`: removes what the retention policy no longer wants.
//!
//! Owns: reading the catalogues, printing the plan with a reason for every backup, and applying
//! it. What to keep is decided by the `retention` crate, whose guards come before the policy.
//! A plan is made for every destination before anything is removed from any of them.

mod apply;
mod args;
mod check;
mod doubts;
mod error;
mod page;
mod plans;
mod stage;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("prune", &args.common, || stage::run(&args))
}
