//! The command line of `lifeboat drill`.

use clap::Args;
use std::path::PathBuf;

const WHICH: &str = "Which backup";
const HOW: &str = "How deep";

pub(crate) const AFTER: &str = "\
A drill fetches, decrypts and decompresses a backup, restores it into a scratch directory that is
removed afterwards, reads it again, and starts etcd on it: on 127.0.0.1 only, with an empty
environment. It compares HashKV, revision, members, counts and a sample of keys with what the
manifest says, and writes a key. What it found out is stored beside the manifest: only a backup from
which etcd was started is called proven, and one that failed is called suspect.

Examples:
  lifeboat drill
  lifeboat drill 20261120T02 --from region_b --etcd /usr/local/bin/etcd
  lifeboat drill --each-destination --three-members
  lifeboat drill --sample 3 --evidence /var/lib/audit

Exit codes: 0 everything is as it has to be (proven, where etcd was started), 20 a drill failed and
its backup is suspect, 10, 11, 21, 30 it could not be tried, which says nothing of the backup.";

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// The backup: `latest`, its name, or how its name begins
    #[arg(default_value = "latest", help_heading = WHICH)]
    pub(crate) backup: String,
    /// Drill the copy in every destination, one after the other
    #[arg(long, help_heading = WHICH, conflicts_with = "from")]
    pub(crate) each_destination: bool,
    /// Instead of one backup so many, those first that were never proven or longest ago
    #[arg(long, value_name = "N", help_heading = WHICH, conflicts_with = "backup")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sample: Option<u16>,
    /// Take it from this destination [default: the first with a copy that is not suspect]
    #[arg(long, value_name = "DESTINATION", help_heading = WHICH)]
    pub(crate) from: Option<String>,

    /// The etcd to start [default: drill.etcd, else the one on the PATH]
    #[arg(long, value_name = "PATH", help_heading = HOW)]
    pub(crate) etcd: Option<PathBuf>,
    /// Start no etcd; the backup is not called proven then
    #[arg(long, help_heading = HOW, conflicts_with_all = ["etcd", "three_members"])]
    pub(crate) native_only: bool,
    /// Start three members that form a cluster
    #[arg(long, help_heading = HOW)]
    pub(crate) three_members: bool,

    /// Where to restore to: a directory with room for the database [default: drill.scratch_dir,
    /// else below run.state_dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Write the evidence (JSON, Markdown, JUnit) into this directory [default: below
    /// run.state_dir, of the last run.keep_runs drills]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,
    /// Store no record beside the manifest
    #[arg(long)]
    pub(crate) no_record: bool,
    /// An identity that opens it; can be given several times [default: those of [decrypt]]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Draw no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}
