//! The command line.

use crate::choice::Sample;
use contract::StageArgs;

/// Reads copies back, and prints as JSON what was found.
///
/// Most people want `lifeboat scrub`, which shows the same to people and, with an identity, looks
/// inside.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-scrub", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("input", |input| input.hide(true)))]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(mut_arg("run_dir", |dir| dir.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// Only K of N parts of all backups, other ones each day: with 1/7 each is read once a week
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    pub(crate) sample: Sample,

    /// Only in this destination; can be given several times [default: in all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Vec<String>,

    /// Only this backup: `latest`, its name, or how its name begins
    #[arg(long, value_name = "NAME")]
    pub(crate) backup: Option<String>,

    /// Only the newest so many backups
    #[arg(long, value_name = "N")]
    pub(crate) newest: Option<usize>,

    /// Begin to read no further copy after so long, such as 2h
    #[arg(long, value_name = "DURATION")]
    pub(crate) budget: Option<config::Duration>,

    /// Leave damaged copies as they are
    #[arg(long)]
    pub(crate) no_repair: bool,

    /// Store no records beside the manifests, not of repairs either
    #[arg(long)]
    pub(crate) no_record: bool,

    /// How long one destination may take to be listed
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: config::Duration,
}

const AFTER: &str = "\
Exit codes: 0 every copy that was read is whole, be it after a repair, 20 one is damaged, 22 one is
forged, also where it was made good, 40 some were not read for lack of time. A destination that
could not be read has a code of its own: 10, 11, 30, 3.";
