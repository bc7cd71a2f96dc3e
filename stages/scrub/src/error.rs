//! What can go wrong before anything is read.

use contract::{Exit, Failure};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("no destination that could be read has a backup {0:?}")]
    NoBackup(String),
    #[error("signals cannot be listened to")]
    Signals(#[source] std::io::Error),
    #[error("cannot print what was found")]
    Print(#[source] std::io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::NoBackup(_) => Exit::Stale,
            Error::Signals(_) | Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Destination(e) => e.hint(),
            Error::NoBackup(_) => Some("`lifeboat list` shows what there is".into()),
            Error::Signals(_) | Error::Print(_) => None,
        }
    }
}
