//! What can go wrong before anything is copied.

use contract::{Exit, Failure};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error(transparent)]
    Policy(#[from] level::BadPolicy),
    #[error("signals cannot be listened to")]
    Signals(#[source] std::io::Error),
    #[error("cannot print what was done")]
    Print(#[source] std::io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::Policy(_) => Exit::Config,
            Error::Signals(_) | Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Destination(e) => e.hint(),
            Error::Policy(_) | Error::Signals(_) | Error::Print(_) => None,
        }
    }
}
