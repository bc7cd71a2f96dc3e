//! The command lines of `lifeboat sync` and `lifeboat scrub`.

use clap::Args;
use std::path::PathBuf;

pub(crate) const SYNC_AFTER: &str = "\
Each backup is copied from the nearest destination whose copy is healthy, ciphertext to
ciphertext: no key is needed. What is copied counts only after it was read back and has the
SHA-256 that the manifest says. A deletion is never copied. Damaged bytes are replaced, and kept
below quarantine/. See docs/replication.md.

Examples:
  lifeboat sync --dry-run
  lifeboat sync
  lifeboat sync --destination eu_central --budget 2h

Exit codes: 0 all are level, 22 something was forged, also where it was made good, 40 something is
still lacking somewhere, 12 a run or another sync is at work. A destination that could not be read
has a code of its own: 10, 11, 30, 3.";

pub(crate) const SCRUB_AFTER: &str = "\
Every byte of a copy is read and compared with what its manifest says; no key is needed for that.
With an identity one copy of each backup is also decrypted, decompressed and verified. What was
found is stored beside the manifest. A damaged copy is replaced by a good one from another
destination, and its bytes are kept below quarantine/. See docs/replication.md.

Examples:
  lifeboat scrub --sample 1/7                every day: each copy is read once a week
  lifeboat scrub --destination region_b
  lifeboat scrub --backup latest --identity /media/usb/identity.txt

Exit codes: 0 every copy that was read is whole, be it after a repair, 20 one is damaged, 21 no
identity opens one, 22 one is forged, also where it was made good, 40 some were not read for lack of
time, 12 a run or another scrub is at work. A destination that could not be read has a code of its
own: 10, 11, 30, 3.";

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Bring only this destination level; can be given several times [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Vec<String>,
    /// Also what the retention policy would not keep
    #[arg(long)]
    pub(crate) all: bool,
    /// Begin no further copy after so long, such as 2h
    #[arg(long, value_name = "DURATION")]
    pub(crate) budget: Option<config::Duration>,
    /// Say what would be copied from where, and why, and copy nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

const WHICH: &str = "Which copies";

#[derive(Debug, Args)]
pub(crate) struct ScrubArgs {
    /// Only K of N parts of all backups, other ones each day: with 1/7 each is read once a week
    #[arg(long, value_name = "K/N", help_heading = WHICH)]
    pub(crate) sample: Option<String>,
    /// Only in this destination; can be given several times [default: in all of them]
    #[arg(long, value_name = "NAME", help_heading = WHICH)]
    pub(crate) destination: Vec<String>,
    /// Only this backup: `latest`, its name, or how its name begins
    #[arg(long, value_name = "NAME", help_heading = WHICH)]
    pub(crate) backup: Option<String>,
    /// Only the newest so many backups
    #[arg(long, value_name = "N", help_heading = WHICH)]
    pub(crate) newest: Option<usize>,
    /// Begin to read no further copy after so long, such as 2h
    #[arg(long, value_name = "DURATION", help_heading = WHICH)]
    pub(crate) budget: Option<config::Duration>,

    /// Also decrypt, decompress and verify, with the identities of [decrypt]
    #[arg(long)]
    pub(crate) content: bool,
    /// The same with this identity; can be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Leave damaged copies as they are
    #[arg(long)]
    pub(crate) no_repair: bool,
    /// Store no records beside the manifests, not of repairs either
    #[arg(long)]
    pub(crate) no_record: bool,
    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}
