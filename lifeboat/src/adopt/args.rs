//! The command line of `lifeboat adopt`.

use clap::Args;
use jiff::Timestamp;
use std::path::PathBuf;

pub(crate) const AFTER: &str = "\
It goes by how a file begins, not by its name: snapshots of etcdctl and etcdutl, the same packed
with gzip, zstd or zip (k3s, RKE2) or encrypted with age, one in the other, and a copied
member/snap/db. Each is proved as far as its bytes go, then compressed, encrypted and stored as any
other backup, under its own time. No cluster was asked about it. A copied member/snap/db lacks what
was only in the WAL beside it.

Examples:
  lifeboat adopt --dry-run /backup/*.db.gz
  lifeboat adopt /backup/*.db.gz
  lifeboat adopt --taken-at 2026-11-20T02:14:00Z old-member/snap/db
  lifeboat adopt --identity old-key.txt *.db.zst.age

Exit codes: 0 each is a backup now, or was one before; otherwise that of the failure that most needs
a person: 20 damaged or no snapshot, 21 no identity opens it, 2 no such file or no believable time,
60 a form that is not read, 40 stored with fewer copies than wanted. The others are still adopted.";

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// Snapshots that other tools made
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// When it was taken, such as 2026-11-20T02:14:00Z; for one FILE [default: the time of the
    /// entry in a zip file, else the file's time of modification]
    #[arg(long, value_name = "TIME")]
    pub(crate) taken_at: Option<Timestamp>,
    /// What it is called in its manifest; for one FILE [default: the file's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// An identity that opens age files; can be given several times [default: those of [decrypt]]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Read and prove everything, and store nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
}
