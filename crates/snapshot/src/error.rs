//! Why a snapshot is refused. One variant per kind of evidence; each message names the object, what
//! was expected and what was found.

use std::io;

use bbolt::{BboltError, Problem};

use crate::report::MemberComparison;
use crate::revision::Revision;
use crate::row::RecordProblem;

/// What a caller does about an error; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The bytes are no sound snapshot: take another one, and look at the source.
    Corrupt,
    /// The bytes are sound but older than they have to be: take the snapshot from another member.
    Stale,
    /// The snapshot is beyond a limit of this program, or of a format that it does not know.
    Unsupported,
    /// The machine that verifies is at fault (scratch space).
    Local,
    /// The caller went on after an error.
    Misuse,
}

/// Why a snapshot is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The stream ended early.
    #[error("the snapshot ends after {found} bytes, expected {expected}")]
    Truncated {
        /// Bytes that had to come.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The database is whole, but the digest behind it is missing.
    #[error("the snapshot of {bytes} bytes has no SHA-256 trailer")]
    NoTrailer {
        /// Bytes that came.
        bytes: u64,
    },
    /// There is a digest although a bare database file was expected.
    #[error("the database of {bytes} bytes has a SHA-256 trailer, expected none")]
    UnexpectedTrailer {
        /// Bytes that came.
        bytes: u64,
    },
    /// The bytes are not those that the server hashed.
    #[error("the SHA-256 trailer is {expected}, but the bytes before it hash to {found}")]
    DigestMismatch {
        /// The trailer, in hex.
        expected: String,
        /// The digest of the bytes before it, in hex.
        found: String,
    },
    /// The bytes are something else.
    #[error("not a bbolt database: page 0: {problem}")]
    NotADatabase {
        /// What is wrong with the first meta page.
        problem: Problem,
    },
    /// A page of the database is damaged.
    #[error("page {page}: {problem}")]
    Structure {
        /// The page's number.
        page: u64,
        /// The failed check.
        problem: Problem,
    },
    /// The database is not etcd's.
    #[error("the database has no bucket `{bucket}`, so it is not etcd's")]
    MissingBucket {
        /// The bucket's name.
        bucket: &'static str,
    },
    /// A value outside the key space has not the form that etcd gives it.
    #[error("`{key}` in bucket `{bucket}` is {bytes} bytes that do not decode")]
    Fact {
        /// The bucket's name.
        bucket: &'static str,
        /// The key.
        key: &'static str,
        /// Length of the value.
        bytes: usize,
    },
    /// A row of the key space is damaged or missing.
    #[error("page {page}, revision {revision}: {problem}")]
    Record {
        /// The page that holds the row.
        page: u64,
        /// The row's revision; 0.0 when the key is not a revision.
        revision: Revision,
        /// The failed check.
        problem: RecordProblem,
    },
    /// The snapshot lacks writes that the cluster had acknowledged before it was taken.
    #[error("the snapshot ends at revision {found}, but the cluster was at {barrier} before it")]
    RevisionBelowBarrier {
        /// Revision that the cluster reported before the snapshot was taken.
        barrier: i64,
        /// Revision of the snapshot.
        found: i64,
    },
    /// A live member holds other data than the snapshot.
    #[error(
        "HashKV at revision {revision} (compacted at {compact_revision}) is {found} in the snapshot, \
         but member {member} answered {expected}"
    )]
    HashKvMismatch {
        /// The member.
        member: String,
        /// Revision of the comparison.
        revision: i64,
        /// Compact revision of the comparison.
        compact_revision: i64,
        /// The member's answer.
        expected: u32,
        /// The snapshot's value.
        found: u32,
    },
    /// The snapshot is beyond a limit of this program.
    #[error("beyond the limit {limit}: {detail}")]
    Unsupported {
        /// Name of the limit.
        limit: &'static str,
        /// What exceeds it.
        detail: String,
    },
    /// The scratch file could not be written or read.
    #[error("scratch file: {source}")]
    Scratch {
        /// The system's error.
        source: io::Error,
    },
    /// The verifier was used after it had refused the snapshot.
    #[error("the snapshot was refused before; the verifier cannot go on")]
    Refused,
}

impl VerifyError {
    /// The refusal because of a member that disagrees.
    pub(crate) fn mismatch(compared: &MemberComparison) -> Self {
        VerifyError::HashKvMismatch {
            member: compared.member.clone(),
            revision: compared.revision,
            compact_revision: compared.compact_revision,
            expected: compared.hash,
            found: compared.computed.unwrap_or_default(),
        }
    }

    /// What kind of error this is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Truncated { .. }
            | Self::NoTrailer { .. }
            | Self::UnexpectedTrailer { .. }
            | Self::DigestMismatch { .. }
            | Self::NotADatabase { .. }
            | Self::Structure { .. }
            | Self::MissingBucket { .. }
            | Self::Fact { .. }
            | Self::Record { .. }
            | Self::HashKvMismatch { .. } => ErrorClass::Corrupt,
            Self::RevisionBelowBarrier { .. } => ErrorClass::Stale,
            Self::Unsupported { .. } => ErrorClass::Unsupported,
            Self::Scratch { .. } => ErrorClass::Local,
            Self::Refused => ErrorClass::Misuse,
        }
    }

    /// Whether the bytes themselves are bad.
    pub fn is_corrupt(&self) -> bool {
        self.class() == ErrorClass::Corrupt
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Truncated { .. } | Self::DigestMismatch { .. } => {
                Some("the copy is incomplete or was altered; take the snapshot again")
            }
            Self::NoTrailer { .. } => Some(
                "it may have been cut off just there; a database copied from a data directory has no \
                 trailer and is proved with `lifeboat-verify FILE`",
            ),
            Self::UnexpectedTrailer { .. } => {
                Some("this is a snapshot, not a database file; verify it as one")
            }
            Self::NotADatabase { .. } | Self::MissingBucket { .. } => {
                Some("check that this is an etcd snapshot, decrypted and decompressed")
            }
            Self::Structure { .. } | Self::Record { .. } | Self::Fact { .. } => Some(
                "the member's own database may be damaged; take the snapshot from another member, and \
                 compare the members with `etcdctl endpoint hashkv --cluster`",
            ),
            Self::RevisionBelowBarrier { .. } => {
                Some("the member lags behind; take the snapshot from another member")
            }
            Self::HashKvMismatch { .. } => Some(
                "the members disagree or the copy is damaged; compare the members with \
                 `etcdctl endpoint hashkv --cluster` before trusting any of them",
            ),
            Self::Unsupported { .. } => Some("please report this with the limit's name"),
            Self::Scratch { .. } => {
                Some("free space in the scratch directory, or choose another one")
            }
            Self::Refused => None,
        }
    }
}

impl From<BboltError> for VerifyError {
    fn from(error: BboltError) -> Self {
        match error {
            BboltError::NotADatabase { problem } => match problem.limit() {
                Some(limit) => Self::Unsupported { limit, detail: format!("page 0: {problem}") },
                None => Self::NotADatabase { problem },
            },
            BboltError::Truncated { expected, found } => Self::Truncated { expected, found },
            BboltError::TooManyPages { .. } => {
                Self::Unsupported { limit: "PAGES_MAX", detail: error.to_string() }
            }
            BboltError::Structure { page, problem } => match problem.limit() {
                Some(limit) => Self::Unsupported { limit, detail: error.to_string() },
                None => Self::Structure { page, problem },
            },
            _ => Self::Unsupported { limit: "bbolt", detail: error.to_string() },
        }
    }
}
