//! The command line.

use contract::StageArgs;
use std::path::PathBuf;

/// Prints what every destination holds of the cluster, as JSON (docs/json.md).
///
/// A destination that cannot be read is in the output, with its problem; the exit code is 0 all
/// the same, because the answer is complete.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-catalogue", version, max_term_width = 100)]
#[command(mut_arg("input", |input| input.hide(true)))]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(mut_arg("run_dir", |dir| dir.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// How long one destination may take, such as 20s
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) timeout: config::Duration,

    /// Instead, store this record of a drill beside the manifest that it is about, and read it back
    #[arg(long, value_name = "FILE", requires_all = ["destination", "manifest"])]
    pub(crate) record: Option<PathBuf>,

    /// The destination that the record is for
    #[arg(long, value_name = "NAME", requires = "record")]
    pub(crate) destination: Option<String>,

    /// The key of that manifest, as `lifeboat show --json` prints it
    #[arg(long, value_name = "KEY", requires = "record")]
    pub(crate) manifest: Option<String>,
}
