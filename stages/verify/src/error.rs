//! What can go wrong.

use contract::{Blame, Exit, Failure, Tally};
use snapshot::{ErrorClass, VerifyError};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: VerifyError },
    #[error("{input} is {what}, not an etcd snapshot")]
    SomethingElse { input: String, what: &'static str, next: &'static str },
    #[error("the snapshot is not sound: {0}")]
    Unsound(#[from] VerifyError),
    #[error("the snapshot has SHA-256 {found}, expected {expected}")]
    AnotherSnapshot { expected: String, found: String },
    #[error("{read} were proved, but {wrote} were passed on")]
    Altered { read: Tally, wrote: Tally },
    #[error("member {member} was not compared with the snapshot: {why}")]
    NotCompared { member: String, why: String },
    #[error("cannot print the result")]
    Print(#[source] std::io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Contract(e) => e.exit(),
            Error::File { source: e, .. } | Error::Unsound(e) => match e.class() {
                ErrorClass::Corrupt => Exit::Corrupt,
                ErrorClass::Stale => Exit::Transient,
                ErrorClass::Unsupported => Exit::Unsupported,
                ErrorClass::Local => Exit::LocalDisk,
                ErrorClass::Misuse => Exit::Bug,
            },
            Error::SomethingElse { .. } | Error::AnotherSnapshot { .. } | Error::Altered { .. } => {
                Exit::Corrupt
            }
            Error::NotCompared { .. } => Exit::Transient,
            Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::File { source: e, .. } | Error::Unsound(e) => e.hint().map(str::to_owned),
            Error::SomethingElse { next, .. } => Some((*next).to_owned()),
            Error::AnotherSnapshot { .. } => Some("take another copy of the backup".into()),
            Error::Altered { .. } => Some("test the memory of this machine".into()),
            Error::NotCompared { .. } => Some(
                "run again, or set verify.hashkv = \"when-comparable\" in pipeline.toml".into(),
            ),
            Error::Print(_) => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}
