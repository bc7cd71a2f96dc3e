//! The command line.

use contract::StageArgs;

/// Removes what the policy under [prune] no longer wants, in each destination by itself.
///
/// Only verified backups of this cluster compete, and only they are ever removed. Nothing is
/// removed while the newest of them is too old, while a destination cannot be read, or when
/// the policy would take away too much at once.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-prune", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// Print the plan, with a reason for every backup, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print the plan as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Remove more than prune.max_fraction for this once: you have read the plan
    #[arg(long)]
    pub(crate) allow_large_removal: bool,

    /// Say whether every destination can be read and pruned, and remove nothing. Prints one JSON
    /// object
    #[arg(long)]
    pub(crate) check: bool,
}

const AFTER: &str = "\
Example:
  lifeboat prune --dry-run

Exit codes: 0 done, 50 a guard refused and nothing was removed, 10 a store did not answer.";
