//! What can be wrong with the settings, before anything is connected to.

use contract::{Exit, Failure};
use std::io;
use std::path::PathBuf;

/// Why there is nothing to connect with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong, or contradicts another one.
    #[error("{problem}")]
    Setting {
        /// What is wrong.
        problem: String,
        /// The next step.
        hint: String,
    },
    /// A file that a setting names cannot be read.
    #[error("cannot read {}", path.display())]
    SettingFile {
        /// Its path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Nobody said where etcd is.
    #[error("no endpoint of etcd is configured")]
    NoEndpoints,
}

impl Error {
    pub(crate) fn setting(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Setting { problem: problem.into(), hint: hint.into() }
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Setting { .. } | Error::SettingFile { .. } | Error::NoEndpoints => Exit::Config,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Setting { hint, .. } => return Some(hint.clone()),
            Error::SettingFile { .. } => "check the file's name and that this user may read it",
            Error::NoEndpoints => {
                "set endpoints in [capture], --endpoints or ETCDCTL_ENDPOINTS, such as \
                 https://127.0.0.1:2379"
            }
        };
        Some(text.to_owned())
    }
}
