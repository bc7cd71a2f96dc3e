//! What can go wrong.

use contract::{Blame, Exit, Failure};
use jiff::Timestamp;
use retention::Refusal;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("there is no [prune] in the configuration, so everything is kept")]
    NoPolicy,
    #[error(transparent)]
    BadPolicy(#[from] level::BadPolicy),
    #[error("nothing was removed: destination {destination:?} could not be read: {problem}")]
    Unreadable { destination: String, problem: String },
    #[error(
        "nothing was removed: the clock here says {ours}, that of destination {destination:?} \
         says {theirs}"
    )]
    Clocks { destination: String, ours: Timestamp, theirs: Timestamp },
    #[error(
        "nothing was removed: destination {destination:?} does not list backup {backup}, which \
         was stored and read back in this run"
    )]
    NotListed { destination: String, backup: String },
    #[error(
        "nothing was removed: in destination {destination:?} the policy would remove {backup},          which was stored in this very run, so the clock must have stepped"
    )]
    OwnBackup { destination: String, backup: String },
    #[error("nothing was removed: destination {destination:?}: {refusal}")]
    Refused { destination: String, refusal: Box<Refusal> },
    #[error("{failed} of {planned} backups could not be removed: {why}")]
    NotRemoved { failed: usize, planned: usize, why: String, exit: Exit },
    #[error("cannot print the plan")]
    Print(#[source] std::io::Error),
}

impl Error {
    /// The destination on whose account nothing was removed anywhere.
    pub(crate) fn destination(&self) -> Option<&str> {
        match self {
            Error::Unreadable { destination, .. }
            | Error::Clocks { destination, .. }
            | Error::NotListed { destination, .. }
            | Error::OwnBackup { destination, .. }
            | Error::Refused { destination, .. } => Some(destination),
            _ => None,
        }
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Contract(e) => e.exit(),
            Error::Destination(e) => e.exit(),
            Error::NoPolicy | Error::BadPolicy(_) => Exit::Config,
            Error::Refused { refusal, .. } if refusal.is_policy_fault() => Exit::Config,
            Error::Unreadable { .. }
            | Error::Clocks { .. }
            | Error::NotListed { .. }
            | Error::OwnBackup { .. }
            | Error::Refused { .. } => Exit::Refused,
            Error::NotRemoved { exit, .. } => *exit,
            Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::Destination(e) => e.hint(),
            Error::NoPolicy => Some("add [prune] with at least one rule to pipeline.toml".into()),
            Error::Unreadable { .. } => {
                Some("a backup is only removed while all destinations can be seen".into())
            }
            Error::Clocks { .. } => Some(
                "set this machine's clock (chronyc tracking, timedatectl); then prune again".into(),
            ),
            Error::OwnBackup { .. } => Some(
                "set this machine's clock (chronyc tracking, timedatectl); the next backup has the                  right date, and may be pruned by"
                    .into(),
            ),
            Error::NotListed { .. } => {
                Some("its listing is out of date or incomplete: prune again later".into())
            }
            Error::Refused { refusal, .. } => Some(refusal.hint().to_owned()),
            Error::NotRemoved { .. } => Some("the next prune tries again".into()),
            Error::BadPolicy(_) | Error::Print(_) => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}
