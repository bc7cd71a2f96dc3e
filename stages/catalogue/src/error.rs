//! What can go wrong.

use contract::{Exit, Failure};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("cannot print the catalogue")]
    Print(#[source] std::io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Destination(e) => e.hint(),
            Error::Print(_) => None,
        }
    }
}
