//! The command line.

use contract::StageArgs;
use std::path::PathBuf;

/// Proves an etcd snapshot: its SHA-256 trailer, every page of the database, every record.
///
/// As a step of a pipeline it passes the bytes through and compares HashKV, computed from them,
/// with what the live members answered when the snapshot was captured. With FILE it proves that
/// file and prints what `etcdutl snapshot status` prints, and more.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-verify", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// Prove this file, and pass nothing on
    pub(crate) file: Option<PathBuf>,

    /// With FILE: print JSON, as described in docs/json.md
    #[arg(long, requires = "file")]
    pub(crate) json: bool,

    /// The SHA-256 that the whole snapshot must have, in hex
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) expect_sha256: Option<String>,
}

fn sha256(text: &str) -> Result<String, String> {
    const DIGITS: usize = 64;
    match text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err(format!("a SHA-256 has {DIGITS} hex digits")),
    }
}

const AFTER: &str = "\
Examples:
  lifeboat-verify snapshot.db
  lifeboat-capture | lifeboat-verify | zstd > snapshot.db.zst

Exit codes: 0 proved, 20 damaged or in contradiction to a live member, 10 older than the cluster
was when it was asked for, 60 beyond what this version knows. As a filter it passes bytes on before
it has proved them: a reader must wait for exit code 0, or for the receipt.";
