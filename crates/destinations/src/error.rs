//! A store's error as an exit code.

use contract::{Exit, Failure};
use store::{ErrorKind, StoreError};

/// What can go wrong on the way to a destination.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, the network or the settings.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A destination that the configuration does not have.
    #[error("there is no destination {0:?} in the configuration")]
    Unknown(String),
    /// The asynchronous runtime could not be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Store(e) => exit_of(e.kind()),
            Error::Unknown(_) => Exit::Usage,
            Error::Runtime(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Store(e) => e.hint().map(str::to_owned),
            Error::Unknown(_) => Some("`lifeboat list` shows the names of all destinations".into()),
            Error::Runtime(_) => None,
        }
    }
}

/// The exit code of a program that a store failed.
#[must_use]
pub fn exit_of(kind: &ErrorKind) -> Exit {
    match kind {
        ErrorKind::BucketMissing { .. }
        | ErrorKind::Config { .. }
        | ErrorKind::BadKey(_)
        | ErrorKind::SilentDowngrade { .. } => Exit::Config,
        ErrorKind::Denied { .. } | ErrorKind::Credentials { .. } => Exit::Credentials,
        ErrorKind::Conflict { .. }
        | ErrorKind::Transient { .. }
        | ErrorKind::Stalled { .. }
        | ErrorKind::Lagging { .. }
        | ErrorKind::GivenUp { .. }
        | ErrorKind::Archived { .. }
        | ErrorKind::SourceBroke
        | ErrorKind::Listing { .. }
        | ErrorKind::Rejected { .. } => Exit::Transient,
        ErrorKind::AlreadyExists | ErrorKind::Locked { .. } => Exit::Refused,
        ErrorKind::NotFound | ErrorKind::Corrupt { .. } | ErrorKind::TooLarge { .. } => {
            Exit::Corrupt
        }
        ErrorKind::NotMounted { .. } | ErrorKind::Local(_) => Exit::LocalDisk,
    }
}
