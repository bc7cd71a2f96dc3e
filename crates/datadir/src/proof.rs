//! The proof that a written directory is what it has to be, by reading all of it again.
//!
//! The database goes through [`snapshot::Verifier`] as any snapshot does, and its small buckets are
//! read once more by page; every record of the log is decoded and its CRC followed; the `.snap` file
//! is decoded. Then everything is compared with what the snapshot's verification predicted
//! ([`snapshot::ServerView`]) and what the build wrote ([`Built`]). Because the CRC of the whole
//! database is among that, and log and `.snap` are compared byte for byte, a flipped bit anywhere is
//! found, whether any server would ever look at it or not.
//!
//! Does not: judge owner and mode, or start a server.

mod database;
mod error;
mod tree;

use std::path::Path;

use snapshot::{Report, ServerView};

use crate::database::Built;
use crate::membership::{Member, Membership};
use std::collections::BTreeMap;

pub use error::ProofError;

/// What a directory has to hold.
///
/// Always compared: the files that there are (nothing else may lie in `snap` and in the folder of
/// the log); ids, voters and peer URLs in all four places that hold them (log, `.snap`, `members`,
/// `confState`); consistent index, term and commit; that `members_removed` is empty and no downgrade
/// is pending; all ten buckets; revision, compact revision, live keys and HashKV.
/// Compared only where `file` is there: length, CRC-32C, status hash and rows of each bucket of the
/// database. Whoever has only a receipt of the restore leaves it out; a server may have
/// compacted since.
/// Never compared: alarms, leases, users, roles and versions by themselves (the status hash
/// covers them), page layout (the CRC covers it), owner and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The new cluster.
    pub membership: Membership,
    /// The member whose directory it is, by name.
    pub member: String,
    /// Revision of a server that is started from it.
    pub revision: i64,
    /// Compact revision of such a server.
    pub compact_revision: Option<i64>,
    /// Keys that its clients can read.
    pub keys_live: u64,
    /// HashKV at these; `None` where no key is live and history is compacted.
    pub hashkv: Option<u32>,
    /// The database as it was written.
    pub file: Option<ExpectedFile>,
}

/// The database file as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32C of all of it.
    pub crc32c: u32,
    /// What `etcdutl snapshot status` prints as hash.
    pub status_hash: u32,
    /// Rows of each bucket.
    pub rows: BTreeMap<String, u64>,
}

/// What the proof has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The database, as the verifier reports it.
    pub report: Report,
    /// What a server that is started from it answers.
    pub view: ServerView,
    /// CRC-32C of the database file.
    pub crc32c: u32,
}

// === impl Expected ===

impl Expected {
    /// What a restore has to have written: `view` is what the verification of the snapshot predicted
    /// ([`snapshot::Verifier::finish_altered`]), `built` what was written.
    #[must_use]
    pub fn new(membership: &Membership, member: &Member, view: &ServerView, built: &Built) -> Self {
        Self {
            membership: membership.clone(),
            member: member.name.clone(),
            revision: view.revision,
            compact_revision: view.compact_revision,
            keys_live: view.keys_live,
            hashkv: view.hashkv,
            file: Some(ExpectedFile {
                bytes: built.bytes,
                crc32c: built.crc32c,
                status_hash: built.status_hash,
                rows: built.rows.clone(),
            }),
        }
    }

    fn member(&self) -> Result<&Member, ProofError> {
        self.membership
            .member(&self.member)
            .ok_or_else(|| ProofError::NoSuchMember { name: self.member.clone() })
    }
}

/// Proves a member's directory: `member_dir` is the folder that holds `snap`, `wal_dir` that of the
/// log (`member_dir/wal`, or elsewhere).
///
/// # Errors
/// The first thing that is not as it has to be.
pub fn prove(member_dir: &Path, wal_dir: &Path, expected: &Expected) -> Result<Proved, ProofError> {
    let member = expected.member()?;
    tree::check_files(member_dir, wal_dir, &expected.membership)?;
    tree::check_wal(wal_dir, &expected.membership, member)?;
    tree::check_snap(member_dir, &expected.membership)?;
    database::check(member_dir, expected)
}

/// Proves a further member's directory whose database is a copy of one that [`prove`] has proved:
/// log and `.snap` in full, the database by its length and CRC-32C.
///
/// # Errors
/// As [`prove`]; [`ProofError::NothingToCompare`] without [`Expected::file`].
pub fn prove_copy(
    member_dir: &Path,
    wal_dir: &Path,
    expected: &Expected,
) -> Result<(), ProofError> {
    let member = expected.member()?;
    let file = expected.file.as_ref().ok_or(ProofError::NothingToCompare)?;
    tree::check_files(member_dir, wal_dir, &expected.membership)?;
    tree::check_wal(wal_dir, &expected.membership, member)?;
    tree::check_snap(member_dir, &expected.membership)?;
    database::check_copy(member_dir, file)
}

#[cfg(test)]
mod tests;
