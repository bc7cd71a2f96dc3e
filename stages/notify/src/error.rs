//! What can go wrong. A URL is a secret: of it, only the host is ever shown.

use contract::{Exit, Failure, StreamError};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Input(#[from] StreamError),
    #[error("the report on standard input cannot be read")]
    Read(#[source] std::io::Error),
    #[error("the report on standard input is none: {0}")]
    NoReport(String),
    #[error("cannot read {key} {}", path.display())]
    UrlFile { key: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{key} {} holds no http or https URL in its first line", path.display())]
    NoUrl { key: &'static str, path: PathBuf },
    #[error("{host} could not be told: {why}")]
    NotTold { host: String, why: String },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Input(e) => e.exit(),
            Error::Read(_) => Exit::LocalDisk,
            Error::NoReport(_) => Exit::Usage,
            Error::UrlFile { .. } | Error::NoUrl { .. } => Exit::Config,
            Error::NotTold { .. } => Exit::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Input(e) => e.hint(),
            Error::Read(_) | Error::NotTold { .. } => None,
            Error::NoReport(_) => Some("give it the report.json of a run".into()),
            Error::UrlFile { .. } | Error::NoUrl { .. } => {
                Some("put the URL, and nothing else, into that file".into())
            }
        }
    }
}
