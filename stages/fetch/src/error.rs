//! What can go wrong.

use catalogue::ManifestError;
use contract::{Blame, Digest, Exit, Failure, Written};
use store::ErrorKind;

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
            Error::Destination(e) if is_of_disk(e) => Exit::Transient,
            Error::Destination(e) => e.exit(),
            Error::NotAManifest(_) => Exit::Usage,
            Error::Manifest { source, .. } => source.exit(),
            Error::Damaged { .. } => Exit::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::Destination(e) if e.exit() != Exit::Corrupt => e.hint(),
            Error::NotAManifest(_) => Some("`lifeboat show --json` prints the key".into()),
            Error::Manifest { source, .. } if source.hint().is_some() => {
                source.hint().map(str::to_owned)
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

/// Whether a directory could not give its copy: a bad sector, say. Of the disks here only that of the
/// output decides whether another copy is worth a try, and it has a code of its own.
fn is_of_disk(e: &destinations::Error) -> bool {
    let destinations::Error::Store(e) = e else { return false };
    matches!(e.kind(), ErrorKind::Local(_) | ErrorKind::NotMounted { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Operation, StoreError};

    #[test]
    fn f10_f45_a_copy_on_a_bad_sector_is_not_taken_for_a_full_output() {
        let source = std::io::Error::from_raw_os_error(5);
        let local = durable::Error::Io { verb: "read", path: "/backups/x".into(), source };
        let failed = StoreError::new("near", Operation::Read, "x", ErrorKind::Local(local));
        assert_eq!(Error::from(destinations::Error::from(failed)).exit(), Exit::Transient);
    }
}
