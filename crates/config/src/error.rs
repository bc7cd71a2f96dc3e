//! What is wrong with a configuration, and where.

use contract::{Exit, Failure};
use std::path::PathBuf;

/// An error in the configuration. Nothing was executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is far larger than a configuration.
    #[error("the configuration {} has {bytes} bytes; at most {bytes_max} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A key is unknown, a value has the wrong type, or a rule is broken.
    #[error("{origin}: {problem}")]
    Wrong {
        /// `FILE:LINE:COLUMN`, or the environment variable.
        origin: String,
        /// What is wrong, on one line.
        problem: String,
        /// What to write instead.
        hint: Option<String>,
    },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Read { .. } => {
                Some("name it with --config FILE; `lifeboat init` writes a commented one".into())
            }
            Error::TooLarge { .. } => Some("check that --config names a pipeline.toml".into()),
            Error::Wrong { hint, .. } => Some(hint.clone().unwrap_or_else(|| {
                "correct it; `lifeboat init FILE` writes every key with its meaning".into()
            })),
        }
    }
}
