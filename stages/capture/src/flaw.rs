//! What can be wrong with a snapshot's stream, and what follows from it.
//!
//! A stream that breaks or stalls passes by itself and may be tried again. One that ends in good
//! order and yet does not hold what it announced is corrupt.

use crate::order::DIGEST_BYTES;
use contract::{Blame, Exit, Failure as _, StreamError};
use etcd::{Trouble, seconds};
use std::time::Duration;

/// What is wrong with a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("etcd sent nothing for {}", seconds(*limit))]
    Stalled { limit: Duration },
    #[error("etcd sends empty messages only: it fails to read its own database")]
    EmptyForEver,
    #[error(
        "it took longer than {}, of which {} were spent waiting for etcd and {} for the next stage",
        seconds(*limit), seconds(*etcd), seconds(*next_stage)
    )]
    TooSlow { limit: Duration, etcd: Duration, next_stage: Duration },
    #[error("etcd announced {expected} bytes after this message and now says {found}")]
    Remaining { expected: u64, found: u64 },
    #[error("etcd announced a database of {0} bytes, which is no whole number of pages")]
    OddLength(u64),
    #[error("the stream ended {0} bytes before the end of the database")]
    Short(u64),
    #[error("the stream ended without the digest")]
    NoDigest,
    #[error("after the database came {0} bytes; expected a digest of {DIGEST_BYTES}")]
    NotADigest(usize),
    #[error("the stream went on after the digest")]
    AfterDigest,
    #[error("the database received has SHA-256 {found}, etcd's digest is {expected}")]
    OtherDigest { expected: String, found: String },
    #[error(transparent)]
    Output(#[from] StreamError),
    #[error("the thread that writes the output cannot be started")]
    NoThread(#[source] std::io::Error),
    #[error("the thread that writes the output ended without a result")]
    WriterGone,
}

impl Flaw {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Flaw::Trouble(trouble) => trouble.exit(),
            Flaw::Stalled { .. } | Flaw::EmptyForEver | Flaw::TooSlow { .. } => Exit::Transient,
            Flaw::Remaining { .. }
            | Flaw::OddLength(_)
            | Flaw::Short(_)
            | Flaw::NoDigest
            | Flaw::NotADigest(_)
            | Flaw::AfterDigest
            | Flaw::OtherDigest { .. } => Exit::Corrupt,
            Flaw::Output(error) => error.exit(),
            Flaw::NoThread(_) => Exit::LocalDisk,
            Flaw::WriterGone => Exit::Bug,
        }
    }

    pub(crate) fn blame(&self) -> Blame {
        match self {
            Flaw::Output(error) => error.blame(),
            Flaw::TooSlow { etcd, next_stage, .. } if next_stage > etcd => Blame::Downstream,
            _ => Blame::Own,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Flaw::Trouble(trouble) => return trouble.hint().map(str::to_owned),
            Flaw::Output(error) => return error.hint(),
            Flaw::Stalled { .. } => "look at the member's load and disk, or raise stall_timeout",
            Flaw::EmptyForEver => "look at that member's log and disk; capture from another one",
            Flaw::TooSlow { etcd, next_stage, .. } if next_stage > etcd => {
                "look at the stage after capture, or raise timeout"
            }
            Flaw::TooSlow { .. } => "look at the member and the network, or raise timeout",
            Flaw::Remaining { .. }
            | Flaw::OddLength(_)
            | Flaw::Short(_)
            | Flaw::NoDigest
            | Flaw::NotADigest(_)
            | Flaw::AfterDigest
            | Flaw::OtherDigest { .. } => {
                "what arrived is not a snapshot: capture from another member, then look at this one"
            }
            Flaw::NoThread(_) => "look at the limit of threads (ulimit -u, pids.max)",
            Flaw::WriterGone => return None,
        };
        Some(text.to_owned())
    }
}
