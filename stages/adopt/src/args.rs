//! The command line of `lifeboat-adopt`, and its help.

use clap::Parser;
use contract::StageArgs;
use std::path::PathBuf;

/// How large an unpacked snapshot may be, as `lifeboat-compress -d` has it: no snapshot comes near,
/// but some megabytes can claim to hold petabytes.
const BYTES_MAX: u64 = 64 << 30;

const ABOUT: &str = "Makes an ordinary snapshot of what other tools wrote.";

const LONG_ABOUT: &str = "\
Makes an ordinary snapshot of what other tools wrote: takes away gzip, zstd and zip, one in the \
other too, and gives a copied member/snap/db the SHA-256 behind it that etcd's tools ask for.

It goes by how the bytes begin, never by a name. What it writes is not proved: `lifeboat-verify` \
does that. The SHA-256 that it appends is of what it read, and tells nothing of what etcd had \
written. For files encrypted with age, `lifeboat-encrypt -d` comes first.";

const AFTER_HELP: &str = "\
Examples:
  lifeboat-adopt < etcd-snapshot.db.gz | lifeboat-verify > snapshot.db
  lifeboat-adopt -i on-demand-node-1.zip -o snapshot.db
  lifeboat adopt *.db.gz               store them as backups, with their own times

Exit codes: 0 done, 2 usage, 10 the neighbour went away, 20 damaged or no snapshot, 30 the disk,
50 the bytes are a backup already (--known), 60 a form that this version does not read.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat-adopt",
    version,
    max_term_width = 100,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP
)]
pub(crate) struct Args {
    /// What every stage has.
    #[command(flatten)]
    pub(crate) stage: StageArgs,

    /// Refuse to unpack more than this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = BYTES_MAX)]
    pub(crate) bytes_max: u64,

    /// Refuse snapshots that are backups already: a JSON object, names by SHA-256 of the database
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,

    /// Say on standard output, as JSON, what the input begins like; read no more than that
    #[arg(long)]
    pub(crate) look: bool,
}
