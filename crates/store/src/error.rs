//! What can go wrong with a destination: one error, with the place and a kind to match on.
//!
//! Every message names the destination, the operation, the key, and the store's own code.
//! What a store says is shortened and stripped of control characters; requests, headers and
//! credentials never get into a message.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Results of this crate.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How much of a store's own words a message repeats.
const SAID_CHARS_MAX: usize = 300;
/// How deep a chain of causes is followed.
const CAUSES_MAX: usize = 16;

/// A failed operation on a destination.
#[derive(Debug)]
pub struct StoreError(Box<Details>);

#[derive(Debug)]
struct Details {
    destination: String,
    operation: Operation,
    key: String,
    kind: ErrorKind,
    hint: Option<&'static str>,
    left_behind: Option<String>,
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Operation {
    Open,
    Create,
    Write,
    Complete,
    Abort,
    Put,
    Head,
    Read,
    List,
    Delete,
    CleanUp,
    Copy,
    ReadBack,
}

/// The kinds of failure; a caller decides by these.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// There is no object under the key.
    #[error("there is no such object")]
    NotFound,
    /// There is no such bucket; none is ever created.
    #[error("there is no bucket {bucket:?} ({answer})")]
    BucketMissing {
        /// The bucket's name.
        bucket: String,
        /// What the store said.
        answer: Answer,
    },
    /// The key holds another object, which was left as it is.
    #[error("the key is taken by another object, which was left as it is")]
    AlreadyExists,
    /// Somebody else works on the same key at this moment.
    #[error("another writer is at work on the same key ({answer})")]
    Conflict {
        /// What the store said.
        answer: Answer,
    },
    /// The credentials are good but do not permit this.
    #[error("permission {verb} was refused ({answer})")]
    Denied {
        /// The permission, as the store's policies call it.
        verb: &'static str,
        /// What the store said.
        answer: Answer,
    },
    /// The store keeps the object until a time, against everybody.
    #[error("it is locked{}", until.map(|until| format!(" until {until}")).unwrap_or_default())]
    Locked {
        /// Until when, if the store says so.
        until: Option<jiff::Timestamp>,
    },
    /// There are no usable credentials.
    #[error("credentials {problem}: {said}")]
    Credentials {
        /// What is the matter with them.
        problem: CredentialsProblem,
        /// What the store or the SDK said.
        said: String,
    },
    /// The store could not be reached or could not answer; a later attempt may succeed.
    #[error("{said}")]
    Transient {
        /// What happened.
        said: String,
    },
    /// The store made no progress for so long that it was given up.
    #[error("no progress for {} s", after.as_secs_f32())]
    Stalled {
        /// The limit.
        after: Duration,
    },
    /// Bytes are not what they have to be.
    #[error("{check} differs: expected {expected}, found {found}")]
    Corrupt {
        /// What was compared.
        check: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The object is larger than its reader allows.
    #[error("the object is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// A listing that may be incomplete; it must not be relied on.
    #[error("the listing cannot be trusted: {problem}")]
    Listing {
        /// What is wrong with it.
        problem: String,
    },
    /// The settings do not fit the store, or each other.
    #[error("{said}")]
    Config {
        /// What does not fit.
        said: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The key cannot name an object.
    #[error("bad key: {0}")]
    BadKey(#[from] crate::KeyProblem),
    /// The object lies in an archive and cannot be read at once.
    #[error("the object is archived and cannot be read at once ({answer})")]
    Archived {
        /// What the store said.
        answer: Answer,
    },
    /// The store took the object but ignored a setting.
    #[error("the store ignored {setting}: asked for {asked}, found {found}")]
    SilentDowngrade {
        /// The key in the settings.
        setting: &'static str,
        /// What the settings ask for.
        asked: String,
        /// What the store reports.
        found: String,
    },
    /// The store refused for a reason that has no kind of its own.
    #[error("the store refused: {answer}")]
    Rejected {
        /// What the store said.
        answer: Answer,
    },
    /// The destination fell so far behind that no buffer could hold the difference.
    #[error(
        "it fell {behind_bytes} bytes behind the source; the buffer holds {buffer_bytes_max}{}",
        spool_error.as_ref().map(|e| format!(" (spool: {e})")).unwrap_or_default()
    )]
    Lagging {
        /// The distance when it was given up.
        behind_bytes: u64,
        /// Memory and spool together.
        buffer_bytes_max: u64,
        /// Why the spool file is smaller than configured, if it is.
        spool_error: Option<String>,
    },
    /// Enough other copies were proved, and this one took too long after them.
    #[error("it was given up {} s after enough other copies were proved", after.as_secs())]
    GivenUp {
        /// How long it was waited for.
        after: Duration,
    },
    /// The source broke off; the upload was aborted and nothing was completed.
    #[error("the source broke off before its end; nothing was completed")]
    SourceBroke,
    /// The directory lies where a volume should be mounted and is not: what is written there lies
    /// on another disk, and is hidden as soon as the volume is mounted.
    #[error("nothing is mounted on {}, which /etc/fstab names", point.display())]
    NotMounted {
        /// The mount point.
        point: PathBuf,
    },
    /// This machine's own disk refused.
    #[error("{}", with_cause(.0))]
    Local(durable::Error),
}

/// What is the matter with the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsProblem {
    /// None were found anywhere.
    Missing,
    /// They were good once.
    Expired,
    /// The store does not know them, or the signature does not fit.
    Invalid,
    /// This machine's clock and the store's differ too much for a signature.
    ClockSkew,
}

impl fmt::Display for CredentialsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "are missing",
            Self::Expired => "have expired",
            Self::Invalid => "are not valid",
            Self::ClockSkew => "cannot be used, because the clocks differ",
        })
    }
}

/// What a store said, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: Option<u16>,
    /// The store's error code, `NoSuchKey` for example.
    pub code: Option<String>,
    /// The store's sentence, shortened.
    pub message: Option<String>,
    /// What the store's support asks for.
    pub request_id: Option<String>,
}

impl Answer {
    /// Whether the store's sentence has this word.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.message.as_ref().is_some_and(|message| message.contains(word))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(|s| s.to_string());
        let head: Vec<&str> =
            [status.as_deref(), self.code.as_deref()].into_iter().flatten().collect();
        f.write_str(if head.is_empty() { "no code".into() } else { head.join(" ") }.as_str())?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match &self.request_id {
            Some(id) => write!(f, ", request {id}"),
            None => Ok(()),
        }
    }
}

impl StoreError {
    /// An error of `operation` on `key` (empty for the whole destination).
    #[must_use]
    pub fn new(
        destination: &str,
        operation: Operation,
        key: &str,
        kind: impl Into<ErrorKind>,
    ) -> Self {
        StoreError(Box::new(Details {
            destination: destination.to_owned(),
            operation,
            key: key.to_owned(),
            kind: kind.into(),
            hint: None,
            left_behind: None,
        }))
    }

    /// The same error with the words of its own store for what to do about credentials that are
    /// missing or not good.
    pub(crate) fn hinting(mut self, missing: &'static str, invalid: &'static str) -> Self {
        self.0.hint = match &self.0.kind {
            ErrorKind::Credentials { problem: CredentialsProblem::Missing, .. } => Some(missing),
            ErrorKind::Credentials { problem: CredentialsProblem::Invalid, .. } => Some(invalid),
            _ => None,
        };
        self
    }

    /// The same error, which also tells what could not be cleaned up after it.
    pub(crate) fn leaving_behind(mut self, what: String) -> Self {
        self.0.left_behind = Some(what);
        self
    }

    /// The same error, as part of another operation.
    pub(crate) fn during(mut self, operation: Operation) -> Self {
        self.0.operation = operation;
        self
    }

    /// What to decide by.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    #[cfg(feature = "conformance")]
    pub(crate) fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// The destination's name in `pipeline.toml`.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.0.destination
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// On which key (or prefix, for a listing); empty when it concerns the whole destination.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// What the failure left in the store, for `abort_stale_uploads` to remove later.
    #[must_use]
    pub fn left_behind(&self) -> Option<&str> {
        self.0.left_behind.as_deref()
    }

    /// The next thing to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.0.hint.or_else(|| self.0.kind.hint())
    }
}

impl ErrorKind {
    /// The next thing to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::BucketMissing { .. } => "create the bucket, or correct its name or endpoint",
            Self::AlreadyExists => "keys are never reused; let the next run choose a new one",
            Self::Conflict { .. } | Self::Transient { .. } => "try again later",
            Self::Denied { .. } => "grant the permission named above to this role",
            Self::Locked { .. } => "it can be removed when the lock has ended",
            Self::Credentials { problem, .. } => problem.hint(),
            Self::Stalled { .. } => "check the network to this destination, or raise the timeout",
            Self::Listing { .. } => "do not prune from it; ask the store's operator",
            Self::Config { hint, .. } => hint,
            Self::Archived { .. } => "use checksum read-back, or a storage class without restore",
            Self::SilentDowngrade { .. } => {
                "the store does not support it: remove the setting, or use another store"
            }
            Self::Lagging { .. } => "raise the spool limit, or give this destination its own run",
            Self::GivenUp { .. } => "`lifeboat sync` brings it level; or raise replicate.patience",
            Self::NotMounted { .. } => "mount it, or take its line out of /etc/fstab",
            Self::Local(e) => return e.hint(),
            Self::Corrupt { .. } => "the copy does not count; let the next run write a new one",
            Self::NotFound
            | Self::TooLarge { .. }
            | Self::BadKey(_)
            | Self::Rejected { .. }
            | Self::SourceBroke => return None,
        })
    }
}

impl CredentialsProblem {
    fn hint(self) -> &'static str {
        match self {
            Self::Missing => "name a profile or credentials, or attach a role to this machine",
            Self::Expired => "renew the credentials and start again",
            Self::Invalid => "correct the access key and its secret",
            Self::ClockSkew => "set this machine's clock",
        }
    }
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "begin",
            Self::Write => "write",
            Self::Complete => "complete",
            Self::Abort => "abort",
            Self::Put => "put",
            Self::Head => "look at",
            Self::Read => "read",
            Self::List => "list",
            Self::Delete => "delete",
            Self::CleanUp => "clean up",
            Self::Copy => "copy",
            Self::ReadBack => "read back",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { destination, operation, key, kind, left_behind, .. } = &*self.0;
        write!(f, "destination {destination:?}: cannot {operation}")?;
        if !key.is_empty() {
            write!(f, " {key:?}")?;
        }
        write!(f, ": {kind}")?;
        match left_behind {
            Some(what) => write!(f, "; left behind: {what}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.kind.source()
    }
}

/// What somebody else said, fit for one line of a message.
pub(crate) fn one_line(said: &str) -> String {
    let flat: String =
        said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARS_MAX).collect();
    flat.trim().to_owned()
}

/// An error, and what lies beneath it.
pub(crate) fn causes<'a>(
    e: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let mut next = Some(e);
    let step = move || {
        let e = next?;
        next = e.source();
        Some(e)
    };
    std::iter::from_fn(step).take(CAUSES_MAX)
}

/// The last cause says what happened; those above it only that something did.
pub(crate) fn innermost(e: &(dyn std::error::Error + 'static)) -> String {
    causes(e).last().map(|e| one_line(&e.to_string())).unwrap_or_default()
}

/// The system's refusal, in the words of the crate that owns files.
pub(crate) fn local(verb: &'static str, path: impl Into<PathBuf>, source: io::Error) -> ErrorKind {
    let path = path.into();
    ErrorKind::Local(match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            durable::Error::NoSpace { path, source }
        }
        _ => durable::Error::Io { verb, path, source },
    })
}

/// With the system's own words, which an error of `durable` keeps apart.
fn with_cause(e: &durable::Error) -> String {
    match std::error::Error::source(e) {
        Some(cause) => format!("{e}: {cause}"),
        None => e.to_string(),
    }
}
