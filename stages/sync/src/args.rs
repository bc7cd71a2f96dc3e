//! The command line.

use contract::StageArgs;

/// Copies what one destination lacks from another one, and prints as JSON what became of it.
///
/// Most people want `lifeboat sync`, which shows the same to people.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-sync", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("input", |input| input.hide(true)))]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(mut_arg("run_dir", |dir| dir.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// Say what would be copied, and copy nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Also what the retention policy would not keep
    #[arg(long)]
    pub(crate) all: bool,

    /// Without [prune]: nothing older than the oldest backup of its tier that a destination holds
    #[arg(long, conflicts_with = "all")]
    pub(crate) no_history: bool,

    /// Bring only this destination level; can be given several times [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Vec<String>,

    /// Begin no further copy after so long, such as 10m
    #[arg(long, value_name = "DURATION")]
    pub(crate) budget: Option<config::Duration>,

    /// Break off what is under way after so long, such as 11m
    #[arg(long, value_name = "DURATION")]
    pub(crate) give_up_after: Option<config::Duration>,

    /// Do not ask the stores for the checksums that they keep
    #[arg(long)]
    pub(crate) quick: bool,

    /// How long one destination may take to be read
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: config::Duration,
}

const AFTER: &str = "\
Exit codes: 0 all are level, 22 something was forged, also where it was made good, 40 something is
still lacking somewhere. A destination that could not be read has a code of its own: 10, 11, 30, 3.";
