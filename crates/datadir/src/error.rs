//! Why a database is not built.

use bbolt::{ReadError, WriteError};
use snapshot::{RecordProblem, Revision};

use crate::version::Version;

/// What a caller does about an error; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The flags contradict each other or the snapshot.
    Usage,
    /// The snapshot, or what was written, is damaged.
    Corrupt,
    /// A version or a limit beyond what is known here.
    Unsupported,
    /// The local disk.
    Local,
}

/// Why a database is not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A bump alone lets clients read old history under new revisions.
    #[error("a bump of the revision needs --mark-compacted")]
    BumpWithoutMark,
    /// A mark alone would compact nothing that is not compacted.
    #[error("--mark-compacted needs a bump of the revision")]
    MarkWithoutBump,
    /// A bump that does not raise, or beyond 2^61.
    #[error("the revision {revision} cannot be raised by {bump}")]
    Bump {
        /// The revision.
        revision: i64,
        /// The bump.
        bump: i64,
    },
    /// A cut outside the history that the snapshot holds.
    #[error(
        "the snapshot holds revisions {first} to {last}, and so cannot be restored at revision {cut}"
    )]
    Cut {
        /// The revision that is wanted.
        cut: i64,
        /// Its compact revision, or 1.
        first: i64,
        /// Its revision.
        last: i64,
    },
    /// A version whose data directories are not known here.
    #[error("etcd {version} is not known; known are 3.4, 3.5, 3.6 and 3.7")]
    TargetVersion {
        /// The version.
        version: Version,
    },
    /// The snapshot is of such a version.
    #[error("the snapshot's {key} is {found}; known are 3.4, 3.5, 3.6 and 3.7")]
    SourceVersion {
        /// `storageVersion` or `clusterVersion`.
        key: &'static str,
        /// Its value.
        found: String,
    },
    /// A value outside the key space has not the form that etcd gives it.
    #[error("`{key}` in bucket `{bucket}` is {bytes} bytes that do not decode")]
    Fact {
        /// The bucket's name.
        bucket: &'static str,
        /// The key.
        key: String,
        /// Length of the value.
        bytes: usize,
    },
    /// A row of the key space is damaged.
    #[error("revision {revision}: {problem}")]
    Record {
        /// The row's revision; 0.0 when the key is not a revision.
        revision: Revision,
        /// The failed check.
        problem: RecordProblem,
    },
    /// What was read to build is not what was verified before.
    #[error(
        "the snapshot was verified with hash {verified:08x}, but what was built from has {read:08x}"
    )]
    SourceChanged {
        /// The status hash of the verified snapshot.
        verified: u32,
        /// That of the rows which the database was built from.
        read: u32,
    },
    /// A defect of this program, found before anything has its name.
    #[error(
        "bucket {bucket} has {found} rows as it was built; by the snapshot it needs {expected}"
    )]
    RowsLost {
        /// The bucket.
        bucket: String,
        /// Rows that it has to have.
        expected: u64,
        /// Rows that it has.
        found: u64,
    },
    /// More than memory is set aside for.
    #[error("beyond the limit {limit}: {detail}")]
    Limit {
        /// Name of the limit.
        limit: &'static str,
        /// What exceeds it.
        detail: String,
    },
    /// The snapshot could not be read.
    #[error("snapshot: {0}")]
    Read(#[from] ReadError),
    /// The database could not be written.
    #[error("database: {0}")]
    Write(#[from] WriteError),
    /// The database could not be written.
    #[error("database: {0}")]
    Io(#[from] std::io::Error),
}

impl BuildError {
    /// What kind of error this is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::BumpWithoutMark
            | Self::MarkWithoutBump
            | Self::Bump { .. }
            | Self::Cut { .. } => ErrorClass::Usage,
            Self::TargetVersion { .. } | Self::SourceVersion { .. } | Self::Limit { .. } => {
                ErrorClass::Unsupported
            }
            Self::Fact { .. }
            | Self::Record { .. }
            | Self::SourceChanged { .. }
            | Self::RowsLost { .. } => ErrorClass::Corrupt,
            Self::Read(ReadError::Io { .. }) | Self::Write(_) | Self::Io(_) => ErrorClass::Local,
            Self::Read(_) => ErrorClass::Corrupt,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::BumpWithoutMark | Self::MarkWithoutBump => {
                "give both --bump-revision and --mark-compacted, or neither"
            }
            Self::Bump { .. } => "choose a smaller, positive bump",
            Self::Cut { .. } => "choose a revision within, or a backup that holds the revision",
            Self::TargetVersion { .. } => "choose one of these with --target-version",
            Self::SourceVersion { .. } => "upgrade Lifeboat to a release that knows this version",
            Self::Limit { .. } => "please report this with the limit's name",
            Self::RowsLost { .. } => {
                "please report this; `etcdutl snapshot restore` reads the same file"
            }
            Self::SourceChanged { .. } => {
                "the file changed while it was read; restore from a copy that nobody writes to"
            }
            Self::Fact { .. } | Self::Record { .. } | Self::Read(_) => {
                "the snapshot is damaged; verify it with `lifeboat-verify`, or restore another backup"
            }
            Self::Write(_) | Self::Io(_) => "look at the disk of the target, and its free space",
        }
    }
}
