//! What can go wrong.
//!
//! Only [`Error::Failed`] speaks of the backup. Whatever else keeps a drill from coming to an end
//! is of this machine, and says nothing of the backup.

use contract::{Blame, Exit, Failure};
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no expectation of a drill: {problem}", path.display())]
    Expectation { path: PathBuf, problem: String },
    #[error("nothing says what was restored: there is no receipt of restore")]
    NotRestored,
    #[error("{} is no scratch copy: {why}", path.display())]
    NotScratch { path: PathBuf, why: String },
    #[error("{expected} members are wanted, and {found} were restored")]
    Members { expected: usize, found: usize },
    #[error("there is no etcd at {}", .0.display())]
    NoEtcd(PathBuf),
    #[error("there is no etcd on the PATH")]
    NoneOnPath,
    #[error("{} is no etcd: {why}", path.display())]
    NotEtcd { path: PathBuf, why: String },
    #[error("cannot start {}", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("no free port on loopback")]
    NoPort(#[source] io::Error),
    #[error("etcd could not listen on its ports: {0}")]
    PortTaken(String),
    #[error("this machine's disk stopped etcd: {0}")]
    Disk(String),
    #[error("etcd was ended by signal {signal}, which this machine sent: {last_words}")]
    Killed { signal: i32, last_words: String },
    #[error("etcd did not serve within {seconds} s: {last}")]
    NotInTime { seconds: u64, last: String },
    #[error("etcd does not answer to {request}: {problem}")]
    NoAnswer { request: &'static str, problem: String },
    #[error("the restored database cannot be read again here")]
    Scratch(#[source] snapshot::VerifyError),
    #[error("what was restored is not what it has to be: {summary}")]
    Failed { summary: String },
    #[error("the report cannot be written")]
    Report(#[from] durable::Error),
    #[error("cannot print the answer")]
    Print(#[source] io::Error),
    #[error("ended by a signal; etcd was ended with it")]
    Stopped,
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Contract(e) => e.exit(),
            Error::Read { .. } | Error::Scratch(_) | Error::Disk(_) => Exit::LocalDisk,
            Error::Report(_) | Error::Print(_) => Exit::LocalDisk,
            Error::Expectation { .. } | Error::NotRestored | Error::Members { .. } => Exit::Usage,
            Error::NotScratch { .. } => Exit::Refused,
            Error::NoEtcd(_) | Error::NoneOnPath | Error::NotEtcd { .. } => Exit::Config,
            Error::Start { .. } | Error::Runtime(_) | Error::NoPort(_) => Exit::Transient,
            Error::PortTaken(_) | Error::Killed { .. } | Error::NotInTime { .. } => Exit::Transient,
            Error::NoAnswer { .. } | Error::Stopped => Exit::Transient,
            Error::Failed { .. } => Exit::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Contract(e) => return e.hint(),
            Error::NotScratch { .. } => {
                "a drill starts a second etcd: restore a copy with `lifeboat drill`, and never name \
                 the directory of a cluster"
            }
            Error::NoEtcd(_) | Error::NoneOnPath | Error::NotEtcd { .. } => {
                "install etcd, or name its program with --etcd; --native-only does without"
            }
            Error::PortTaken(_) | Error::NoPort(_) => "drill again: other ports are tried",
            Error::Disk(_) => "make room, or put the scratch copy elsewhere with --scratch",
            Error::Killed { .. } => "look at this machine's memory, then drill again",
            Error::NotInTime { .. } => "look at this machine's load, then drill again",
            Error::Failed { .. } => {
                "do not rely on this backup: drill another copy or an older one, and make a new one"
            }
            Error::Expectation { .. } | Error::NotRestored | Error::Members { .. } => {
                "`lifeboat drill` starts this program as it has to be started"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}
