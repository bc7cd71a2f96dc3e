//! How a program fails: one message, its causes, its exit code, and the next step.
//!
//! Owns the trait that every error type of the project implements, and the only place where an
//! error is reported. Libraries return errors; they never report them.

use crate::Exit;
use std::error::Error as StdError;
use std::fmt::Write as _;

/// Whose fault a failed stage is. The runner shows the root cause first, and a stage that only
/// noticed that its neighbour went away is never the root cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The stage itself failed.
    Own,
    /// The stage before it ended without a receipt, or with another one.
    Upstream,
    /// The stage after it stopped reading.
    Downstream,
}

impl Blame {
    /// The word for it in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Blame::Own => "own",
            Blame::Upstream => "upstream",
            Blame::Downstream => "downstream",
        }
    }
}

/// An error that knows its exit code and the next step.
pub trait Failure: StdError {
    /// The exit code; an exhaustive match in every implementation.
    fn exit(&self) -> Exit;

    /// What to do next, as a sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Whose fault it is.
    fn blame(&self) -> Blame {
        Blame::Own
    }

    /// The id of the etcd member that gave the bytes, in hex: another one may do better.
    fn member(&self) -> Option<String> {
        None
    }
}

/// Logs the failure, once, with its causes and its hint. One that gives none still has the next step
/// that its exit code asks for.
pub fn report(failure: &(impl Failure + ?Sized)) -> Exit {
    let exit = failure.exit();
    let causes = causes(failure);
    let hint = failure.hint().unwrap_or_else(|| exit.advice().to_owned());
    let member = failure.member().unwrap_or_default();
    tracing::error!(
        code = exit.code(),
        exit = exit.name(),
        blame = failure.blame().name(),
        causes,
        hint,
        member,
        "{failure}"
    );
    exit
}

/// The sources of an error, joined with ": ", without those that only repeat the one above.
fn causes(error: &(impl StdError + ?Sized)) -> String {
    const DEPTH_MAX: usize = 16;
    let mut text = String::new();
    let mut above = error.to_string();
    let mut next = error.source();
    for _ in 0..DEPTH_MAX {
        let Some(source) = next else { break };
        let message = source.to_string();
        if !above.contains(&message) {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{message}");
        }
        above = message;
        next = source.source();
    }
    text
}
