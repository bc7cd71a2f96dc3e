//! What can go wrong.

use contract::{Blame, Exit, Failure};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error(transparent)]
    Destination(#[from] destinations::Error),
    #[error("the manifest cannot be made")]
    Manifest(#[from] catalogue::ManifestError),
    #[error(
        "the run was planned for backups signed by {expected:?}, and this stage believes {found:?}"
    )]
    OtherSigners { expected: Vec<String>, found: Vec<String> },
    #[error("replicate works only in a run: there is no run directory")]
    NoRun,
    #[error("the artifact was not encrypted, and destination {0:?} is not on this machine")]
    Plaintext(String),
    #[error(
        "cluster {cluster:?} has etcd id {found}, but its newest backup {backup} is of id {expected}"
    )]
    AnotherCluster { cluster: String, backup: String, expected: String, found: String },
    #[error("only {kept} of {all} destinations hold a proved copy, {required} are required: {why}")]
    TooFew { kept: usize, all: usize, required: usize, why: String, exit: Exit, hint: String },
    #[error("backup {backup} is stored and proved, but its receipt cannot be written: {source}")]
    Unrecorded { backup: String, source: Box<contract::Error> },
    #[error("the receipts name an artifact with SHA-256 {expected}, but what arrived has {found}")]
    OtherDigest { expected: String, found: String },
    #[error("the answer cannot be written")]
    Print(#[source] std::io::Error),
    #[error("stopped by a signal; nothing was committed")]
    Stopped,
    #[error("the thread that reads the input ended early")]
    ReaderLost,
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Contract(e) => e.exit(),
            Error::Unrecorded { source, .. } => source.exit(),
            Error::Destination(e) => e.exit(),
            Error::Manifest(e) => e.exit(),
            Error::OtherDigest { .. } => Exit::Corrupt,
            Error::NoRun => Exit::Usage,
            Error::OtherSigners { .. } => Exit::Config,
            Error::Plaintext(_) | Error::AnotherCluster { .. } => Exit::Refused,
            Error::TooFew { exit, .. } => *exit,
            Error::Stopped => Exit::Transient,
            Error::ReaderLost => Exit::Bug,
            Error::Print(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Contract(e) => e.hint(),
            Error::Unrecorded { source, .. } => source.hint(),
            Error::Destination(e) => e.hint(),
            Error::Manifest(e) if e.is_of_trust() => Some(
                "nothing was committed; let `encrypt` sign with a key that [trust] signers lists, in the \
                 pipeline.toml of every stage"
                    .into(),
            ),
            Error::Manifest(_) => Some("use programs of one version in one run".into()),
            Error::OtherDigest { .. } => {
                Some("begin a new run; if it happens again, test this machine's memory".into())
            }
            Error::OtherSigners { .. } => {
                Some("give every stage of a run the same [trust] signers".into())
            }
            Error::NoRun => {
                Some("make one with `lifeboat plan --run-dir DIR`, or use `lifeboat run`".into())
            }
            Error::Plaintext(_) => {
                Some("add \"encrypt\" to `stages`, or set replicate.allow_plaintext = true".into())
            }
            Error::AnotherCluster { found, .. } => Some(format!(
                "if the cluster was rebuilt or restored, confirm it with \
                 replicate.accept_cluster_id = \"{found}\"; if not, this is the wrong etcd"
            )),
            Error::TooFew { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Error::Stopped | Error::ReaderLost | Error::Print(_) => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}
