//! Why a copy could not be made good.

use contract::{Exit, Failure};
use store::{ErrorKind, StoreError};

/// What can go wrong with one copy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, the network or the settings.
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    /// No other destination gave a whole copy.
    #[error("no other destination gives a whole copy: {0}")]
    NoSource(String),
    /// Damaged bytes may only go when they are kept.
    #[error("{key} in {destination} is damaged and stays: its bytes could not be kept")]
    NotKept {
        /// Where.
        destination: String,
        /// What.
        key: String,
        /// Why not.
        source: Box<Error>,
    },
    /// The store does not let it be removed.
    #[error("{key} in {destination} is damaged and stays: it may not be removed")]
    Held {
        /// Where.
        destination: String,
        /// What.
        key: String,
        /// What the store said.
        source: StoreError,
    },
    /// Two manifests of one backup that differ.
    #[error("{key} in {destination} tells another story of the backup, and stays")]
    OtherManifest {
        /// Where.
        destination: String,
        /// Its key.
        key: String,
    },
    /// A record is of no name that this program gives.
    #[error("the record cannot be named")]
    Record(#[source] catalogue::RecordError),
    /// The destination has failed before, and is not asked again.
    #[error("{destination} was set aside: {why}")]
    SetAside {
        /// Which.
        destination: String,
        /// Its failure.
        why: String,
    },
    /// Somebody asked this process to end.
    #[error("it was stopped before its end")]
    Stopped,
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        Error::Destination(e.into())
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Destination(e) => e.exit(),
            Error::NoSource(_) | Error::Record(_) => Exit::Corrupt,
            Error::NotKept { .. } | Error::Held { .. } | Error::SetAside { .. } => Exit::Partial,
            Error::OtherManifest { .. } => Exit::Refused,
            Error::Stopped => Exit::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Destination(e) => e.hint(),
            Error::Held { .. } => Some(
                "let somebody who may remove it do so, or wait for its lock; the next sync copies it \
                 anew"
                    .into(),
            ),
            Error::NotKept { .. } => {
                Some("move it away by hand; the next sync copies it anew".into())
            }
            Error::NoSource(_) => Some("`lifeboat list` shows the state of every copy".into()),
            Error::OtherManifest { .. } => {
                Some("look at both with `lifeboat show`, and remove the wrong one by hand".into())
            }
            Error::Record(_) | Error::SetAside { .. } | Error::Stopped => None,
        }
    }
}

impl Error {
    /// With everything that it rests on.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(e) = source {
            text += &format!(": {e}");
            source = e.source();
        }
        text
    }

    /// Whether the destination itself makes no progress, so that nothing else will succeed there.
    pub(crate) fn is_stall(&self) -> bool {
        match self {
            Error::Destination(destinations::Error::Store(e)) => {
                matches!(e.kind(), ErrorKind::Stalled { .. })
            }
            Error::NotKept { source, .. } => source.is_stall(),
            Error::Held { source, .. } => matches!(source.kind(), ErrorKind::Stalled { .. }),
            _ => false,
        }
    }
}
