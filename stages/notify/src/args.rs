//! The command line.

use clap::ValueEnum;
use contract::StageArgs;

const AFTER: &str = "\
Examples:
  lifeboat-notify --event start
  lifeboat-notify --event end < state/demo/runs/RUN/report.json

Exit codes: 0 everybody was told, or nobody is to be told, 10 somebody was not.";

/// Tells those that [notify] names that a run begins, or how it went.
///
/// `lifeboat run` calls it; by hand it is good for a test. The report, as report.json has it, is
/// read from standard input.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-notify", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(mut_arg("run_dir", |dir| dir.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// What has happened
    #[arg(long)]
    pub(crate) event: Event,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Event {
    /// A run begins.
    Start,
    /// A run has ended; its report is on standard input.
    End,
}
