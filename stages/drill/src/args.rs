//! The command line.

use contract::StageArgs;
use std::path::PathBuf;

/// Proves a restored directory: reads it again, starts a real etcd on it, and compares.
///
/// The directory must be a scratch copy, restored for members on loopback and with authentication
/// off; it is written to. etcd listens on 127.0.0.1 only and sees none of this machine's settings.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-drill", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("output", |output| output.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// The restored directory; for three members, the one that holds theirs
    #[arg(long, value_name = "DIR", required_unless_present = "find")]
    pub(crate) data_dir: Option<PathBuf>,

    /// What it has to hold, as `lifeboat drill` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "find")]
    pub(crate) expect: Option<PathBuf>,

    /// The etcd to start [default: the one on the PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) etcd: Option<PathBuf>,

    /// Start no etcd: only read the directory again
    #[arg(long, conflicts_with = "etcd")]
    pub(crate) native_only: bool,

    /// How many members there must be
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) members: usize,

    /// How long etcd may take until it serves
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) start_timeout: config::Duration,

    /// Write everything that was compared to this new file, also when the drill fails
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Only say which etcd would be started, as JSON
    #[arg(long)]
    pub(crate) find: bool,
}

const AFTER: &str = "\
Most people want `lifeboat drill`, which does all of it, from the fetch to the record.

Exit codes: 0 everything is as it has to be, 20 something is not, 3 the etcd that was named is none,
10 it did not serve in time, 50 the directory is no scratch copy.";
