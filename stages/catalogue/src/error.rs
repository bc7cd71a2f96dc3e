//! What can go wrong.

use catalogue::{ManifestError, RecordError};
use contract::{Exit, Failure};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("cannot print the catalogue")]
    Print(#[source] std::io::Error),
    #[error("cannot read the record {}", path.display())]
    ReadRecord { path: PathBuf, source: std::io::Error },
    #[error("{} is no record that can be stored", path.display())]
    Record { path: PathBuf, source: RecordError },
    #[error("the record is of cluster {found:?}; this configuration is of {expected:?}")]
    OtherCluster { expected: String, found: String },
    #[error("{key:?} is not the key of a manifest of backup {backup}")]
    NotTheManifest { key: String, backup: String },
    #[error("the manifest {key} is not in {destination} any more")]
    Gone { destination: String, key: String },
    #[error("the manifest {key} in {destination} is unusable")]
    Manifest { destination: String, key: String, source: ManifestError },
    #[error("the manifest {key} in {destination} is another one than the record is about")]
    Changed { destination: String, key: String, source: RecordError },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::Print(_) => Exit::LocalDisk,
            Error::ReadRecord { .. }
            | Error::Record { .. }
            | Error::OtherCluster { .. }
            | Error::NotTheManifest { .. } => Exit::Usage,
            Error::Manifest { source, .. } => source.exit(),
            Error::Gone { .. } | Error::Changed { .. } => Exit::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Destination(e) => e.hint(),
            Error::Gone { .. } | Error::Changed { .. } => {
                Some("`lifeboat list` shows what is there now; drill again".into())
            }
            Error::NotTheManifest { .. } => Some("`lifeboat show --json` prints the key".into()),
            Error::ReadRecord { .. } | Error::Record { .. } => {
                Some("`lifeboat drill` writes such records; it takes no others".into())
            }
            Error::OtherCluster { .. } => Some("use that cluster's pipeline.toml".into()),
            Error::Manifest { source, .. } => source.hint().map(str::to_owned),
            Error::Print(_) => None,
        }
    }
}
