//! Why there is no diagnosis, or why a member was not replaced. What is wrong with the cluster is no
//! error of this program but its answer.

use crate::replace::Refusal;
use contract::{Exit, Failure};
use etcd::Trouble;
use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Setting(#[from] etcd::Error),
    #[error("the runtime cannot be started")]
    Runtime(#[source] io::Error),
    #[error("the answer cannot be written")]
    Answer(#[source] io::Error),
    #[error("no member answers, so that none can be replaced")]
    Unreachable { exit: Exit },
    #[error("member {name:?} is not replaced: {refusal}")]
    Refused { name: String, refusal: Box<Refusal> },
    #[error("nobody agreed to it; nothing was changed")]
    NotAgreed,
    #[error("{state}, and etcd at {address} did not {request}")]
    Change {
        state: &'static str,
        address: String,
        request: &'static str,
        #[source]
        trouble: Box<Trouble>,
        again: String,
    },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(error) => error.exit(),
            Error::Setting(error) => error.exit(),
            Error::Runtime(_) | Error::Answer(_) => Exit::LocalDisk,
            Error::Unreachable { exit } => *exit,
            Error::Refused { .. } | Error::NotAgreed => Exit::Refused,
            // etcd has guards of its own.
            Error::Change { trouble, .. } => match **trouble {
                Trouble::Answer { .. } => Exit::Refused,
                _ => trouble.exit(),
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(error) => error.hint(),
            Error::Setting(error) => error.hint(),
            Error::Runtime(_) => {
                Some("look at the limits of threads and open files (ulimit -u, -n)".into())
            }
            Error::Answer(_) => None,
            Error::Unreachable { .. } => Some("run `lifeboat doctor` without it first".into()),
            Error::Refused { refusal, .. } => Some(refusal.hint()),
            Error::NotAgreed => Some("answer with yes, or say --yes".into()),
            Error::Change { again, .. } => Some(format!("type `{again}`: it goes on from there")),
        }
    }
}
