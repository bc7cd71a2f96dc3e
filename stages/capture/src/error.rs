//! How a capture fails, and with which exit code.

use crate::flaw::Flaw;
use crate::stream::Broken;
use contract::{Blame, Exit, Failure};
use etcd::{Endpoint, Trouble, hex_id};
use std::fmt;
use std::io;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Setting(#[from] etcd::Error),
    #[error("the runtime cannot be started")]
    Runtime(#[source] io::Error),
    #[error("no endpoint of etcd can be used: {}", joined(unreachable))]
    NoMember { unreachable: Vec<Unreachable> },
    #[error("{first} is cluster {first_id}, but {second} is cluster {second_id}")]
    TwoClusters { first: Endpoint, first_id: String, second: Endpoint, second_id: String },
    #[error("no member is called {named:?}; there are {known}")]
    NoSuchMember { named: String, known: String },
    #[error("member {named:?}, which is configured, cannot be used: {reason}")]
    NamedSilent { named: String, reason: String },
    #[error("no member is fit to give a snapshot: {}", joined(refused))]
    NoCandidate { refused: Vec<String> },
    #[error("no member that answers sees a leader: the cluster has no quorum")]
    NoQuorum,
    #[error("the cluster has no quorum, and allow_degraded is false")]
    DegradedNotAllowed,
    #[error("no {request} from {endpoint}")]
    Endpoint {
        endpoint: Endpoint,
        request: &'static str,
        #[source]
        trouble: Trouble,
    },
    #[error("the snapshot from {member} broke after {received} of {} bytes", total_of(*total))]
    Snapshot {
        member: String,
        member_id: u64,
        received: u64,
        total: Option<u64>,
        #[source]
        flaw: Flaw,
    },
    #[error("every fit member failed: {}", joined(failed))]
    Exhausted { failed: Vec<Error> },
    #[error("the answer cannot be written")]
    Answer(#[source] io::Error),
}

/// A configured endpoint that cannot be used.
#[derive(Debug, Clone)]
pub(crate) struct Unreachable {
    pub(crate) endpoint: Endpoint,
    pub(crate) trouble: Trouble,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.trouble)
    }
}

impl Error {
    pub(crate) fn snapshot(member: String, member_id: u64, broken: Broken) -> Self {
        Error::Snapshot {
            member,
            member_id,
            received: broken.received,
            total: broken.total,
            flaw: broken.flaw,
        }
    }

    /// The last of several failures decides, unless there was only one.
    pub(crate) fn exhausted(mut failed: Vec<Error>) -> Self {
        match (failed.len(), failed.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                failed.extend(last);
                Error::Exhausted { failed }
            }
        }
    }

    /// Whether it failed only because there is no leader to ask.
    pub(crate) fn is_no_quorum(&self) -> bool {
        match self {
            Error::NoQuorum => true,
            Error::Endpoint { trouble, .. } => trouble.is_no_quorum(),
            Error::Exhausted { failed } => failed.iter().all(Error::is_no_quorum),
            _ => false,
        }
    }

    /// Whether another member would answer the same.
    pub(crate) fn is_final(&self) -> bool {
        let trouble = match self {
            Error::Endpoint { trouble, .. } => trouble,
            Error::Snapshot { flaw: Flaw::Trouble(trouble), .. } => trouble,
            Error::Snapshot { flaw, .. } => {
                return matches!(flaw, Flaw::Output(_) | Flaw::NoThread(_) | Flaw::WriterGone);
            }
            _ => return true,
        };
        matches!(trouble, Trouble::PermissionDenied | Trouble::LoginMissing | Trouble::LoginRefused)
    }

    /// The one failure that speaks for several.
    fn speaker(&self) -> &Error {
        match self {
            Error::Exhausted { failed } => failed.last().unwrap_or(self),
            _ => self,
        }
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Contract(error) => error.exit(),
            Error::Config(error) => error.exit(),
            Error::Setting(error) => error.exit(),
            Error::NoSuchMember { .. } => Exit::Config,
            Error::Runtime(_) | Error::Answer(_) => Exit::LocalDisk,
            Error::NoMember { unreachable } => exit_of_all(unreachable),
            Error::TwoClusters { .. } => Exit::Refused,
            Error::NamedSilent { .. }
            | Error::NoCandidate { .. }
            | Error::NoQuorum
            | Error::DegradedNotAllowed => Exit::Transient,
            Error::Endpoint { trouble, .. } => trouble.exit(),
            Error::Snapshot { flaw, .. } => flaw.exit(),
            Error::Exhausted { failed } if failed.is_empty() => Exit::Bug,
            Error::Exhausted { .. } => self.speaker().exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Contract(error) => return error.hint(),
            Error::Config(error) => return error.hint(),
            Error::Setting(error) => return error.hint(),
            Error::Endpoint { trouble, .. } => return trouble.hint().map(str::to_owned),
            Error::Snapshot { flaw, .. } => return flaw.hint(),
            Error::Exhausted { failed } if failed.is_empty() => return None,
            Error::Exhausted { .. } => return self.speaker().hint(),
            Error::NoMember { unreachable } => {
                let worst = unreachable.iter().find(|u| u.trouble.exit() == self.exit());
                return worst.and_then(|u| u.trouble.hint()).map(str::to_owned);
            }
            Error::Runtime(_) => "look at the limits of threads and open files (ulimit -u, -n)",
            Error::TwoClusters { .. } => "name the endpoints of one cluster only",
            Error::NoSuchMember { .. } => "set member (--member) to one of them",
            Error::NamedSilent { .. } => "bring that member back, or set member = \"follower\"",
            Error::NoCandidate { .. } => {
                "run `etcdctl endpoint status --cluster -w table`, or raise max_lag"
            }
            Error::NoQuorum | Error::DegradedNotAllowed => {
                "run `etcdctl endpoint health --cluster`; with allow_degraded = true the best member \
                 is captured as it is"
            }
            Error::Answer(_) => return None,
        };
        Some(text.to_owned())
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(error) => error.blame(),
            Error::Snapshot { flaw, .. } => flaw.blame(),
            _ => Blame::Own,
        }
    }

    fn member(&self) -> Option<String> {
        match self {
            Error::Snapshot { member_id, .. } => Some(hex_id(*member_id)),
            _ => None,
        }
    }
}

/// What a person can mend stands above what passes by itself, but only if every endpoint agrees.
fn exit_of_all(unreachable: &[Unreachable]) -> Exit {
    let mut exits = unreachable.iter().map(|u| u.trouble.exit());
    match exits.next() {
        Some(first) if exits.all(|exit| exit == first) => first,
        _ => Exit::Transient,
    }
}

fn total_of(total: Option<u64>) -> String {
    total.map_or_else(|| "an unknown number of".to_owned(), |bytes| bytes.to_string())
}

/// All of them on one line, each with its causes.
fn joined<T: Said>(all: &[T]) -> String {
    all.iter().map(Said::said).collect::<Vec<_>>().join("; ")
}

trait Said {
    fn said(&self) -> String;
}

impl Said for Unreachable {
    fn said(&self) -> String {
        self.to_string()
    }
}

impl Said for String {
    fn said(&self) -> String {
        self.clone()
    }
}

impl Said for Error {
    fn said(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
