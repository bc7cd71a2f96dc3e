//! `lifeboat-replicate`: writes one artifact to every destination at once, and commits.
//!
//! Owns: the commit of a run. The artifact is uploaded while it arrives; it is completed only
//! after every stage before left a matching receipt, counts as a copy only after it was read
//! back, and becomes a backup only when enough destinations have it and its manifest.
//!
//! Does not: see plaintext, hold a key, or delete anything but what this very run wrote.

mod args;
mod carry;
mod check;
mod commit;
mod error;
mod lineage;
mod pump;
mod record;
mod stage;
mod sweep;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = args::Args::parse();
    contract::stage_main("replicate", &args.common, || stage::run(&args))
}
