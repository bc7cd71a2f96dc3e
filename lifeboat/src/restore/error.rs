//! What can go wrong before anything is started.

use contract::{Exit, Failure};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is no time")]
    BadTime(String),
    #[error("cluster {cluster:?} has no verified backup that was taken at or before {at}")]
    NoneAt { cluster: String, at: jiff::Timestamp, oldest: Option<String> },
    #[error("no verified backup of cluster {cluster:?} has the history of revision {revision}: {}", around(.below.as_ref(), .above.as_ref()))]
    NoneWithRevision { cluster: String, revision: i64, below: Option<Near>, above: Option<Near> },
    #[error("{backup} has the history from revision {from} to {to}, and not {revision}")]
    Outside { backup: String, revision: i64, from: i64, to: i64 },
    #[error("{backup} is of a cluster with {} members, and none was named", .known.len())]
    WhichMember { backup: String, known: Vec<String> },
    #[error("there is no voting member {name:?} in the cluster to be restored")]
    UnknownMember { name: String, known: Vec<String> },
    #[error("the manifest cannot tell the initial cluster: {0}")]
    NoMembership(String),
    #[error("{0:?} is no initial cluster, which is NAME=URL,NAME=URL,…")]
    BadInitialCluster(String),
    #[error(
        "{0:?} cannot be a token: it needs characters without blanks, at most {TOKEN_LENGTH_MAX}"
    )]
    BadToken(String),
    #[error(
        "a token was given, and the data are those of Kubernetes, but not how far to raise the revision"
    )]
    TokenAlone,
    #[error("a token was given, but not the whole name of the backup, which is {0} now")]
    TokenWithoutBackup(String),
    #[error("the revision cannot be raised above {highest}: {why}")]
    BumpTooFar { highest: i64, why: String },
    #[error(
        "{backup} looks like a cluster of {flavour}, which keeps its members outside etcd, too"
    )]
    NotItsOwn { backup: String, flavour: &'static str },
    #[error("the plan has a script for each of {0} nodes, and standard output is one")]
    SeveralScripts(usize),
}

/// No token that anybody makes is longer.
pub(crate) const TOKEN_LENGTH_MAX: usize = 255;

/// The nearest backup that does not reach, or that no longer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Near {
    pub(crate) backup: String,
    /// What it has of the history: from its compact revision on.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

fn around(below: Option<&Near>, above: Option<&Near>) -> String {
    let tell = |word: &str, near: Option<&Near>| match near {
        None => format!("none {word} it"),
        Some(near) => {
            format!("the nearest {word} it is {} ({} to {})", near.backup, near.from, near.to)
        }
    };
    format!("{}, {}", tell("below", below), tell("above", above))
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::NoneAt { .. } | Error::NoneWithRevision { .. } => Exit::Stale,
            Error::BadTime(_)
            | Error::Outside { .. }
            | Error::WhichMember { .. }
            | Error::UnknownMember { .. }
            | Error::NoMembership(_)
            | Error::BadInitialCluster(_)
            | Error::BadToken(_)
            | Error::SeveralScripts(_) => Exit::Usage,
            Error::TokenAlone
            | Error::TokenWithoutBackup(_)
            | Error::BumpTooFar { .. }
            | Error::NotItsOwn { .. } => Exit::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Error::BadTime(_) => {
                "write 2026-11-20T02:14:00Z, or '2026-11-20 02:14' in the time zone of this \
                 machine"
                    .into()
            }
            Error::NoneAt { oldest: Some(oldest), .. } => format!("the oldest is {oldest}"),
            Error::NoneAt { oldest: None, .. } => "`lifeboat list` shows what there is".into(),
            Error::NoneWithRevision { below, above, .. } => match below.as_ref().or(above.as_ref())
            {
                Some(near) => {
                    format!("restore one of them as it is: lifeboat restore {}", near.backup)
                }
                None => "`lifeboat list` shows what there is".into(),
            },
            Error::Outside { from, to, .. } => {
                format!("choose a revision from {from} to {to}, or another backup")
            }
            Error::WhichMember { known, .. } => format!(
                "name the member of this node with --member ({}), or write all of them with \
                 --all-members DIR; `lifeboat restore --plan` shows the whole way",
                known.join(", ")
            ),
            Error::UnknownMember { known, .. } => {
                format!("name one of these with --member: {}", known.join(", "))
            }
            Error::NoMembership(_) => "give it with --initial-cluster NAME=URL,…".into(),
            Error::BadInitialCluster(_) => {
                "such as cp-01=https://10.0.0.1:2380,cp-02=https://10.0.0.2:2380".into()
            }
            Error::BadToken(_) => "leave it away: a new one is made and printed".into(),
            Error::TokenAlone => {
                "copy the whole command that the first restore printed: members whose revisions \
                 were raised differently would diverge. Else add --bump-revision N or --no-bump"
                    .into()
            }
            Error::TokenWithoutBackup(backup) => format!(
                "copy the whole command that the first restore printed: members of different \
                 backups would diverge without a word. If {backup} is the one, name it"
            ),
            Error::BumpTooFar { .. } => {
                "look at `lifeboat list` for a revision that cannot be, and give --bump-revision N"
                    .into()
            }
            Error::NotItsOwn { .. } => {
                "`lifeboat restore --plan` shows the way with its own tool; to write a plain data \
                 directory anyway name it with --data-dir"
                    .into()
            }
            Error::SeveralScripts(_) => {
                "name a directory for them with --output-dir, or one node with --member".into()
            }
        };
        Some(text)
    }
}
