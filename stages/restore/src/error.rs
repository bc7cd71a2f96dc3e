//! What can go wrong.

use contract::{Blame, Exit, Failure};
use datadir::place::{PlaceClass, PlaceError};
use datadir::{BuildError, ErrorClass, MembershipError, ProofError};
use snapshot::VerifyError;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("the members of the new cluster: {0}")]
    Membership(#[from] MembershipError),
    #[error("there is no snapshot: standard input is a terminal")]
    NoInput,
    #[error("the snapshot lists no member that has a name and votes")]
    NoMembers,
    #[error("the member {0:?} in the snapshot cannot be read")]
    Member(String),
    #[error("{0:?} cannot be the name of a directory")]
    NoDirectoryName(String),
    #[error("the snapshot is not sound: {0}")]
    Unsound(#[from] VerifyError),
    #[error("the snapshot has SHA-256 {found}, expected {expected}")]
    AnotherSnapshot { expected: String, found: String },
    #[error("cannot keep the snapshot in {}", path.display())]
    Spool { path: PathBuf, source: io::Error },
    #[error("cannot make a scratch file")]
    NoSpool(#[source] durable::Error),
    #[error("cannot read the snapshot again: {0}")]
    Again(#[from] bbolt::ReadError),
    #[error("cannot build the database: {0}")]
    Build(#[from] BuildError),
    #[error("what was written is not what it has to be: {0}")]
    Proof(#[from] ProofError),
    #[error("the history of the snapshot cannot be altered so")]
    NoView,
    #[error("the restore is complete, but this could not be said")]
    Unsaid(#[source] Box<Error>),
    #[error("cannot print the result")]
    Print(#[source] io::Error),
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Contract(e) => e.exit(),
            Error::Place(e) => match e.class() {
                PlaceClass::Refused => Exit::Refused,
                PlaceClass::Local => Exit::LocalDisk,
            },
            Error::Membership(_)
            | Error::NoInput
            | Error::NoMembers
            | Error::NoDirectoryName(_)
            | Error::NoView => Exit::Usage,
            Error::Unsound(e) => of_verify(e.class()),
            Error::Member(_) | Error::AnotherSnapshot { .. } => Exit::Corrupt,
            Error::Build(e) => of_datadir(e.class()),
            Error::Proof(e) => of_datadir(e.class()),
            Error::Again(bbolt::ReadError::Io { .. }) => Exit::LocalDisk,
            Error::Again(_) => Exit::Corrupt,
            Error::Unsaid(e) => e.exit(),
            Error::Spool { .. } | Error::NoSpool(_) | Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::Place(e) => e.hint(),
            Error::NoInput => Some("give it as --input FILE, or as `< FILE`".into()),
            Error::Membership(e) => Some(e.hint().to_owned()),
            Error::NoMembers | Error::Member(_) | Error::NoDirectoryName(_) => {
                Some("say who they are: --initial-cluster name=http://host:2380,…".into())
            }
            Error::Unsound(VerifyError::NoTrailer { .. }) => Some(
                "it may have been cut off just there; for a database that was copied out of a data \
                 directory, add --skip-hash-check"
                    .into(),
            ),
            Error::Unsound(e) => e.hint().map(str::to_owned),
            Error::AnotherSnapshot { .. } => Some("take another copy of the backup".into()),
            Error::Spool { .. } => Some(
                "make room, or give the snapshot as a file with --input: then it is not kept twice"
                    .into(),
            ),
            Error::NoSpool(e) => e.hint().map(str::to_owned),
            Error::Again(_) => Some("look at the disk of the snapshot".into()),
            Error::Build(e) => Some(e.hint().to_owned()),
            Error::Proof(e) => Some(e.hint().to_owned()),
            Error::NoView => Some("choose another --revision or --bump-revision".into()),
            Error::Unsaid(e) => e.hint(),
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

fn of_verify(class: snapshot::ErrorClass) -> Exit {
    match class {
        snapshot::ErrorClass::Corrupt => Exit::Corrupt,
        snapshot::ErrorClass::Stale => Exit::Transient,
        snapshot::ErrorClass::Unsupported => Exit::Unsupported,
        snapshot::ErrorClass::Local => Exit::LocalDisk,
        snapshot::ErrorClass::Misuse => Exit::Bug,
    }
}

fn of_datadir(class: ErrorClass) -> Exit {
    match class {
        ErrorClass::Usage => Exit::Usage,
        ErrorClass::Corrupt => Exit::Corrupt,
        ErrorClass::Unsupported => Exit::Unsupported,
        ErrorClass::Local => Exit::LocalDisk,
    }
}
