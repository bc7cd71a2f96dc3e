//! What can go wrong while measuring.
//!
//! Does not: describe failures of what is measured beyond showing what it said.

use std::path::{Path, PathBuf};

/// A failure of the benchmark.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A server or a tool is missing, or does not start.
    #[error("{0:?}")]
    Harness(#[from] lifeboat_tests::Error),
    /// A file could not be written.
    #[error("{0}")]
    File(#[from] durable::Error),
    /// The operating system refused.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something that is measured failed, so that its time means nothing.
    #[error("{what} ended with {status}\n--- it said\n{said}")]
    Failed {
        /// Which contestant.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// A number that cannot be had.
    #[error("cannot measure {what}: {why}")]
    Unmeasured {
        /// Which number.
        what: String,
        /// Why not.
        why: String,
    },
    /// A result or a receipt that is not as expected.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        why: String,
    },
    /// Another benchmark runs; both would measure each other.
    #[error("another benchmark runs in {}", dir.display())]
    Busy {
        /// The folder that it holds.
        dir: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io { verb, path, source }
    }
}
