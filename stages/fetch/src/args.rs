//! The command line.

use contract::StageArgs;

/// Reads one artifact back from one destination, as it is stored.
///
/// Its bytes are compared with length and SHA-256 of the manifest. An --output file appears only
/// when they match; whoever reads the standard output must look at the exit code.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-fetch", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("input", |input| input.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// The destination's name
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: String,

    /// The key of the backup's manifest, as `lifeboat show --json` prints it
    #[arg(long, value_name = "KEY")]
    pub(crate) manifest: String,
}

const AFTER: &str = "\
Most people want `lifeboat fetch latest -o snapshot.db`, which does the whole way back.

Exit codes: 0 the artifact is whole, 20 it is damaged or missing, 10 the store did not answer.";
