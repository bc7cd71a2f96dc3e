//! The command line of `lifeboat-compress`, and its help.

use clap::Parser;
use contract::StageArgs;

/// How large a decompressed snapshot may be. etcd recommends at most 8 GiB and no snapshot
/// comes near this, but a frame of a few megabytes can claim to hold petabytes.
pub(crate) const BYTES_MAX: u64 = 64 << 30;

const ABOUT: &str = "Compresses with zstd, or back.";

const LONG_ABOUT: &str = "\
Compresses its input with zstd, or with -d brings it back.

What it writes is exactly one zstd frame with a content checksum, so that damage is always \
noticed. What it reads back must be the same: a second frame, trailing bytes, a missing checksum \
or a frame that unpacks to more than --bytes-max is refused. Plain `zstd -d` reads what it wrote.";

const AFTER_HELP: &str = "\
Examples:
  lifeboat-compress < snapshot.db > snapshot.db.zst
  lifeboat-compress --level 9 -i snapshot.db -o snapshot.db.zst
  lifeboat-compress -d -i snapshot.db.zst -o snapshot.db
  lifeboat-encrypt -d --identity key.txt < b.db.zst.age | lifeboat-compress -d -o snapshot.db

An --output file gets its name only when all of it is written and every check held. A pipe gets
bytes before the checksum at the end of the frame was seen: a reader must wait for exit code 0,
or for the receipt, before it trusts them.

Exit codes: 0 done, 2 usage, 3 configuration, 10 the neighbour went away, 20 the input is damaged
or not one zstd frame, 30 the disk, 60 the frame needs a dictionary.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat-compress",
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

    /// Decompress. In a run this is the stage `decompress`.
    #[arg(long, short = 'd')]
    pub(crate) decompress: bool,

    /// How hard to try, 1 (fast) to 19 (small). 3 is the default; above 6 the time is not worth
    /// it for snapshots. Overrides `[compress] level`.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    #[arg(conflicts_with = "decompress")]
    pub(crate) level: Option<i32>,

    /// Worker threads; 0 compresses in the one thread that also reads and writes. 2 is the
    /// default. Overrides `[compress] threads`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    #[arg(conflicts_with = "decompress")]
    pub(crate) threads: Option<u32>,

    /// Refuse to unpack more than this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = BYTES_MAX, requires = "decompress")]
    pub(crate) bytes_max: u64,

    /// Say on standard output, as JSON, whether this stage's settings are good; read nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    /// The name that the stage has in a plan, in this direction.
    pub(crate) fn stage_name(&self) -> &'static str {
        if self.decompress { "decompress" } else { "compress" }
    }
}
