//! What can go wrong.

use crate::layers::{LAYERS_MAX, Wrap};
use contract::{Blame, Exit, Failure};
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error("the input is {found}, not an etcd database")]
    SomethingElse { found: String, next: &'static str },
    #[error("the input is wrapped more than {LAYERS_MAX} times")]
    TooDeep,
    #[error("the {wrap} data are damaged: {problem}")]
    Damaged { wrap: Wrap, problem: String },
    #[error("the {wrap} data end too early")]
    Truncated { wrap: Wrap },
    #[error("{found} comes after the end of the {wrap} data")]
    Trailing { wrap: Wrap, found: String },
    #[error("the {wrap} data unpack to more than {bytes_max} bytes")]
    TooLarge { wrap: Wrap, bytes_max: u64 },
    #[error("the zstd frame needs a larger window than this program allows ({bytes_max} bytes)")]
    Window { bytes_max: u64 },
    #[error("the zip file holds {found}; it must hold one file and nothing else")]
    NotOneFile { found: &'static str },
    #[error("the {wrap} data have a form that cannot be read here: {what}")]
    Unsupported { wrap: Wrap, what: String },
    #[error("it has {bytes} bytes, which is no length of a database, with its SHA-256 or without")]
    OddLength { bytes: u64 },
    #[error("these bytes are backup {backup} already")]
    Known { backup: String },
    #[error("cannot read {}: {problem}", path.display())]
    KnownFile { path: PathBuf, problem: String },
    #[error("the plan of this run does not say which file is read")]
    NotPlanned,
    #[error("cannot print the answer")]
    Print(#[source] io::Error),
}

impl Error {
    /// Whether the bytes that came may be the cause: then the receipts know better.
    pub(crate) fn may_come_from_upstream(&self) -> bool {
        !matches!(
            self,
            Error::Contract(_)
                | Error::Known { .. }
                | Error::KnownFile { .. }
                | Error::NotPlanned
                | Error::Print(_)
        )
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Contract(e) => e.exit(),
            Error::SomethingElse { .. }
            | Error::TooDeep
            | Error::Damaged { .. }
            | Error::Truncated { .. }
            | Error::Trailing { .. }
            | Error::TooLarge { .. }
            | Error::Window { .. }
            | Error::NotOneFile { .. }
            | Error::OddLength { .. } => Exit::Corrupt,
            Error::Unsupported { .. } => Exit::Unsupported,
            Error::Known { .. } => Exit::Refused,
            Error::KnownFile { .. } | Error::NotPlanned => Exit::Usage,
            Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Contract(e) => return e.hint(),
            Error::SomethingElse { next, .. } => next,
            Error::TooDeep => "unpack it by hand first",
            Error::Damaged { .. } | Error::Truncated { .. } => "look for another copy of the file",
            Error::Trailing { wrap: Wrap::Zip, .. } => "take out the file in it with `unzip -p`",
            Error::Trailing { .. } => {
                "files were joined, or the file was cut and written anew; unpack it by hand first"
            }
            Error::TooLarge { .. } => "if a snapshot of that size is expected, raise --bytes-max",
            Error::Window { .. } => "if you trust the bytes, `zstd -d --long=31` unpacks them",
            Error::NotOneFile { .. } | Error::Unsupported { wrap: Wrap::Zip, .. } => {
                "take out the snapshot with `unzip -p FILE.zip NAME > snapshot.db`"
            }
            Error::Unsupported { .. } => "unpack it by hand first",
            Error::OddLength { .. } => {
                "it was cut, or something was appended; look for another copy of the file"
            }
            Error::Known { .. } => {
                "there is nothing to do; `lifeboat show` tells about that backup"
            }
            Error::KnownFile { .. } => "name a JSON object: names of backups by SHA-256",
            Error::NotPlanned => "use `lifeboat adopt`, or leave --run-dir away",
            Error::Print(_) => return None,
        };
        Some((*hint).to_owned())
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}

/// A reader can only fail with an [`io::Error`]; ours travels inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}
