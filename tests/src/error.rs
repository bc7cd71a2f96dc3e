//! What can go wrong in the harness itself.
//!
//! Invariant: `Debug` prints the same as `Display`, with the sources, because tests `unwrap`
//! and an escaped server log is unreadable.
//! Does not: describe failures of the program under test; tests look at those themselves.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};

/// A failure of the harness.
#[derive(thiserror::Error)]
pub enum Error {
    /// A server, a client or a binary of the workspace is not on this machine.
    #[error("{tool} is not here: {reason}")]
    Missing {
        /// Its name.
        tool: String,
        /// Why, and how to get it.
        reason: String,
    },
    /// A server ended, or did not become ready within its limit.
    #[error("{what} is not ready: {why}\n--- its log ends with\n{log}")]
    NotReady {
        /// Which server.
        what: String,
        /// What was seen last.
        why: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// Something awaited did not happen.
    #[error("gave up after {seconds} s waiting for {what}: {last}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// The limit.
        seconds: u64,
        /// The last answer.
        last: String,
    },
    /// A command ran and failed.
    #[error("`{command}` ended with {status}\n{stderr}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote on stderr.
        stderr: String,
    },
    /// An answer that the harness cannot read.
    #[error("{what}: cannot read the answer: {why}\n{answer}")]
    Answer {
        /// Who answered.
        what: String,
        /// What was expected.
        why: String,
        /// The answer.
        answer: String,
    },
    /// The operating system refused.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] durable::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// etcd refused a request of the loader.
    #[error("cannot {what}")]
    Load {
        /// The request.
        what: String,
        /// etcd's answer.
        source: Box<etcd_client::Error>,
    },
}

impl Error {
    pub(crate) fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io { verb, path, source }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
