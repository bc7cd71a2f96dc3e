//! The command line.

use contract::StageArgs;

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
}
