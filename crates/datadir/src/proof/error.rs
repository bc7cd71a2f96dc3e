//! Why a directory is not proved.

use std::io;
use std::path::PathBuf;

use bbolt::ReadError;
use snapshot::VerifyError;

use crate::error::ErrorClass;
use crate::snap::SnapProblem;
use crate::wal::WalProblem;

/// Why a directory is not proved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A file or folder could not be read.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Something that has to be there is not.
    #[error("{} is missing", path.display())]
    Missing {
        /// What.
        path: PathBuf,
    },
    /// Something lies there that nobody wrote. etcd might read it.
    #[error("{} does not belong there", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
    },
    /// The log is not what it has to be.
    #[error("{}: {problem}", path.display())]
    Wal {
        /// The file.
        path: PathBuf,
        /// The failed check.
        problem: WalProblem,
    },
    /// The log means the right thing, but is not the bytes that were written.
    #[error("{}: the records are not the bytes that were written", path.display())]
    WalBytes {
        /// The file.
        path: PathBuf,
    },
    /// The `.snap` file is not what it has to be.
    #[error("{}: {problem}", path.display())]
    Snap {
        /// The file.
        path: PathBuf,
        /// The failed check.
        problem: SnapProblem,
    },
    /// The database is damaged.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The failed check.
        source: VerifyError,
    },
    /// The database is damaged.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed check.
        source: ReadError,
    },
    /// The database is sound, but not the one that was to be written.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What was compared.
        what: String,
        /// What it had to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The expectation names a member that its own cluster does not have.
    #[error("the cluster has no member {name}")]
    NoSuchMember {
        /// The name.
        name: String,
    },
    /// A copy can only be proved against the file that it is a copy of.
    #[error("there is nothing that the copy could be compared with")]
    NothingToCompare,
}

impl ProofError {
    /// What kind of error this is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } | Self::Read { source: ReadError::Io { .. }, .. } => ErrorClass::Local,
            Self::Database { source, .. } => match source.class() {
                snapshot::ErrorClass::Local => ErrorClass::Local,
                snapshot::ErrorClass::Unsupported => ErrorClass::Unsupported,
                _ => ErrorClass::Corrupt,
            },
            Self::NoSuchMember { .. } | Self::NothingToCompare => ErrorClass::Usage,
            _ => ErrorClass::Corrupt,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.class() {
            ErrorClass::Local => "look at the disk of the target",
            ErrorClass::Usage | ErrorClass::Unsupported => "please report this",
            ErrorClass::Corrupt => {
                "do not start etcd on this directory; restore again, on another disk if it happens twice"
            }
        }
    }
}
