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
    /// Nobody reads that much to keep it.
    #[error("{key} in {destination} has {bytes} bytes, far more than belong there, and stays")]
    TooLarge {
        /// Where.
        destination: String,
        /// What.
        key: String,
        /// How long it is.
        bytes: u64,
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
    /// The bytes are right, and nobody who asks for the whole object gets them.
    #[error("{key} in {destination} has the right bytes, but its store does not give them whole")]
    NotGiven {
        /// Where.
        destination: String,
        /// What.
        key: String,
        /// What the store said.
        source: StoreError,
    },
    /// It was another object each time that somebody looked.
    #[error("{key} in {destination} changes again and again, and is left alone")]
    Unsteady {
        /// Where.
        destination: String,
        /// What.
        key: String,
    },
    /// It was not encrypted, and the destination is not on this machine.
    #[error("{backup} is not brought to {destination}: nobody encrypted it")]
    Plaintext {
        /// Where.
        destination: String,
        /// What.
        backup: String,
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
            Error::NotKept { .. }
            | Error::TooLarge { .. }
            | Error::Held { .. }
            | Error::SetAside { .. } => Exit::Partial,
            Error::NotGiven { .. } => Exit::Corrupt,
            Error::OtherManifest { .. } | Error::Plaintext { .. } => Exit::Refused,
            Error::Stopped | Error::Unsteady { .. } => Exit::Transient,
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
            Error::NotKept { .. } | Error::TooLarge { .. } => {
                Some("move it away by hand; the next sync copies it anew".into())
            }
            Error::NoSource(_) => Some("`lifeboat list` shows the state of every copy".into()),
            Error::OtherManifest { .. } => {
                Some("look at both with `lifeboat show`, and remove the wrong one by hand".into())
            }
            Error::NotGiven { .. } => Some(
                "read it in two ranges, which no checksum of the whole object covers, store it anew, \
                 or move it away: the next sync copies it"
                    .into(),
            ),
            Error::Plaintext { .. } => {
                Some("set replicate.allow_plaintext = true if that is meant".into())
            }
            Error::Record(_)
            | Error::SetAside { .. }
            | Error::Stopped
            | Error::Unsteady { .. } => None,
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

    /// What a store said, if it all rests on that.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        match self {
            Error::Destination(destinations::Error::Store(e)) => Some(e),
            Error::NotKept { source, .. } => source.store_error(),
            Error::Held { source, .. } | Error::NotGiven { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the destination itself makes no progress, so that nothing else will succeed there.
    pub(crate) fn is_stall(&self) -> bool {
        self.store_error().is_some_and(|e| matches!(e.kind(), ErrorKind::Stalled { .. }))
    }

    /// Whether it is about this one object, and says nothing of the next one in the same destination.
    fn is_of_one_object(&self) -> bool {
        matches!(
            self,
            Error::Held { .. }
                | Error::NotKept { .. }
                | Error::TooLarge { .. }
                | Error::NotGiven { .. }
                | Error::Unsteady { .. }
                | Error::OtherManifest { .. }
                | Error::Plaintext { .. }
        ) || self.is_archived()
    }

    /// Whether another destination, or whoever stops this process, is to blame for it.
    fn is_of_others(&self) -> bool {
        matches!(self, Error::NoSource(_) | Error::SetAside { .. } | Error::Stopped)
    }

    /// Whether it counts towards setting its destination aside.
    pub(crate) fn is_of_destination(&self) -> bool {
        !self.is_of_others() && (self.is_stall() || !self.is_of_one_object())
    }

    /// Whether the object lies in an archive, where nobody reads it without asking for it first.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.store_error().is_some_and(|e| matches!(e.kind(), ErrorKind::Archived { .. }))
    }
}

/// What the stores call a read that was taken up again and found another object.
const CHANGED: &str = "object while it was read";

/// Whether the object was replaced while it was read: that says nothing of the bytes of either one.
pub(crate) fn has_changed(e: &StoreError) -> bool {
    matches!(e.kind(), ErrorKind::Corrupt { check, .. } if *check == CHANGED)
}

/// Whether it is the object that is wrong, and not the way to it.
pub(crate) fn is_of_bytes(e: &StoreError) -> bool {
    match e.kind() {
        ErrorKind::Corrupt { .. } => !has_changed(e),
        ErrorKind::TooLarge { .. } => true,
        ErrorKind::Local(e) => is_bad_sector(e),
        _ => false,
    }
}

/// What the system says of a file that its disk cannot give any more, or whose file system finds its
/// own checksums wrong: EIO, EBADMSG, EUCLEAN.
const BAD_SECTOR: [i32; 3] = [5, 74, 117];

fn is_bad_sector(e: &durable::Error) -> bool {
    let durable::Error::Io { source, .. } = e else { return false };
    source.raw_os_error().is_some_and(|code| BAD_SECTOR.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use store::{Answer, Operation};

    fn of(kind: ErrorKind) -> StoreError {
        StoreError::new("near", Operation::Read, "k", kind)
    }

    fn corrupt(check: &'static str) -> StoreError {
        of(ErrorKind::Corrupt { check, expected: "a".into(), found: "b".into() })
    }

    fn local(code: i32) -> StoreError {
        let source = io::Error::from_raw_os_error(code);
        of(ErrorKind::Local(durable::Error::Io { verb: "read", path: "/b".into(), source }))
    }

    #[test]
    fn f45_a_sector_that_cannot_be_read_is_damage_and_what_the_machine_lacks_is_not() {
        for code in BAD_SECTOR {
            assert!(is_of_bytes(&local(code)), "{code}");
        }
        // EPERM, ENOMEM, EACCES, EMFILE, ESTALE: the machine's, and no bytes'.
        for code in [1, 12, 13, 24, 116] {
            assert!(!is_of_bytes(&local(code)), "{code}");
        }
    }

    #[test]
    fn f45_an_object_that_was_replaced_while_it_was_read_is_not_damaged() {
        assert!(is_of_bytes(&corrupt("checksum of the object")));
        assert!(!is_of_bytes(&corrupt(CHANGED)));
        assert!(has_changed(&corrupt(CHANGED)));
    }

    /// What is said of one object says nothing of the next one; that nothing goes on does.
    #[test]
    fn f38_what_cannot_be_removed_does_not_set_its_destination_aside() {
        let name = || ("near".to_owned(), "k".to_owned());
        let held = |source| {
            let (destination, key) = name();
            Error::Held { destination, key, source }
        };
        let not_kept = |source: StoreError| {
            let (destination, key) = name();
            Error::NotKept { destination, key, source: Box::new(source.into()) }
        };
        let denied = || of(ErrorKind::Denied { verb: "delete", answer: Answer::default() });
        let archived = || of(ErrorKind::Archived { answer: Answer::default() });
        let (destination, key) = name();
        let one = [
            held(denied()),
            held(of(ErrorKind::Locked { until: None })),
            not_kept(denied()),
            Error::OtherManifest { destination, key },
            archived().into(),
        ];
        assert!(one.iter().all(|e| !e.is_of_destination()), "{one:?}");
        let stalled = || of(ErrorKind::Stalled { after: std::time::Duration::ZERO });
        let all = [
            denied().into(),
            stalled().into(),
            held(stalled()),
            not_kept(stalled()),
            of(ErrorKind::Transient { said: "503".into() }).into(),
        ];
        assert!(all.iter().all(Error::is_of_destination), "{all:?}");
    }
}
