//! The command line.

use contract::StageArgs;

/// Writes one artifact to every destination at once, reads each copy back, and commits.
///
/// It needs the directory of a run (--run-dir): the backup's name comes from the plan, the
/// manifest from the receipts of the stages before. The destinations are those of the
/// configuration; credentials are those that it names, else those of the SDK's own chain
/// (environment, profile, role).
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-replicate", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// Try every destination out with one small object, and copy nothing. Prints one JSON object
    #[arg(long)]
    pub(crate) check: bool,
}

const AFTER: &str = "\
Example, as a job step after the others:
  lifeboat-replicate -c pipeline.toml --run-dir run --input snapshot.db.zst.age
Before it:
  lifeboat-replicate -c pipeline.toml --check     can every destination take a backup?

Exit codes: 0 every destination has a proved copy, 40 enough but not all of them, 10 too few, 11 a
credential was refused, 22 the signature does not hold, 50 the cluster is another one than before.";
