//! What can go wrong.

use catalogue::ManifestError;
use contract::{Blame, Digest, Exit, Failure, Written};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("{0:?} is not the key of a manifest of this cluster")]
    NotAManifest(String),
    #[error("the manifest {key} in {destination} is unusable")]
    Manifest { destination: String, key: String, source: ManifestError },
    #[error("the artifact {key} in {destination} has {found}; its manifest says {expected}")]
    Damaged { destination: String, key: String, expected: Digest, found: Box<Written> },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Contract(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::NotAManifest(_) => Exit::Usage,
            Error::Manifest { source: ManifestError::Newer { .. }, .. } => Exit::Unsupported,
            Error::Manifest { .. } | Error::Damaged { .. } => Exit::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::Destination(e) if e.exit() != Exit::Corrupt => e.hint(),
            Error::NotAManifest(_) => Some("`lifeboat show --json` prints the key".into()),
            Error::Manifest { source: ManifestError::Newer { .. }, .. } => {
                Some("upgrade Lifeboat to the version that made it, or a later one".into())
            }
            Error::Destination(_) | Error::Manifest { .. } | Error::Damaged { .. } => {
                Some("fetch it from another destination with `lifeboat fetch --from NAME`".into())
            }
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}
