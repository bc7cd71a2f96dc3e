//! How many files a process may have open, looked at before anything is opened.
//!
//! A runtime that finds no descriptor left dies with a panic that says nothing of the limit. So the
//! soft limit is raised to what is wanted where the hard limit lets it, and a limit that is too low
//! is an error with a name.

use crate::{Exit, Failure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer than this a run with some destinations does not get through.
const FILES_MIN: u64 = 64;
/// More than this is of no use to anybody here.
const FILES_WANTED: u64 = 1024;

/// Too few files may be open.
#[derive(Debug, thiserror::Error)]
#[error("this process may have {limit} files open; at least {FILES_MIN} are needed")]
pub struct TooFewFiles {
    limit: u64,
}

impl Failure for TooFewFiles {
    fn exit(&self) -> Exit {
        Exit::LocalDisk
    }

    fn hint(&self) -> Option<String> {
        Some(format!("raise the limit: ulimit -n {FILES_WANTED}"))
    }
}

/// Makes sure that enough files may be open.
///
/// # Errors
/// When even the hard limit is too low.
pub fn enough_files() -> Result<(), TooFewFiles> {
    let now = getrlimit(Resource::Nofile);
    let (soft, hard) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
    let wanted = FILES_WANTED.min(hard);
    let raised = soft >= wanted
        || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum })
            .is_ok();
    let limit = if raised { soft.max(wanted) } else { soft };
    if limit < FILES_MIN { Err(TooFewFiles { limit }) } else { Ok(()) }
}
