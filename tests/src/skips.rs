//! What was not tested, and why.
//!
//! Invariant: a test that cannot run says so in `target/skipped.txt`, one line `NAME: REASON`
//! each; `make test` empties the file first and shows it last, so that no skip is silent.
//! `LIFEBOAT_SKIPPED` names another file.
//! Does not: decide what may be skipped.

use crate::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names another file.
pub const SKIPPED_FILE_VARIABLE: &str = "LIFEBOAT_SKIPPED";

/// Notes that the test `name` did not run.
pub fn skip(name: &str, reason: &str) {
    let line = format!("{name}: {}\n", reason.lines().next().unwrap_or_default());
    let path = skipped_file();
    // One write to a file opened for appending: lines of tests that run at once do not mix.
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    let note = match written {
        Ok(()) => format!("skipped {line}"),
        Err(e) => format!("skipped {line}(not noted in {}: {e})\n", path.display()),
    };
    // Without a stderr nobody is looking.
    let _ = io::stderr().write_all(note.as_bytes());
}

/// Passes on what a test needs, or notes the skip and gives `None`.
/// Only a missing tool is a reason to skip: any other error fails the test.
///
/// # Panics
/// On any error but [`Error::Missing`].
pub fn or_skip<T>(name: &str, needed: Result<T, Error>) -> Option<T> {
    match needed {
        Ok(value) => Some(value),
        Err(error @ Error::Missing { .. }) => {
            skip(name, &error.to_string());
            None
        }
        Err(error) => panic!("{name}: {error:?}"),
    }
}

/// Whether this machine lets a test mount something of its own; notes the skip if not.
#[must_use]
pub fn can_mount(name: &str) -> bool {
    let tried = try_to_mount();
    if let Err(e) = &tried {
        skip(name, &format!("no file system can be mounted: {e}"));
    }
    tried.is_ok()
}

/// Mounts a file system where only this attempt sees it.
pub(crate) fn try_to_mount() -> Result<(), Error> {
    let mount = ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"];
    crate::run(Command::new("unshare").args(mount)).map(drop)
}

fn skipped_file() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/skipped.txt");
    std::env::var_os(SKIPPED_FILE_VARIABLE).map_or(default, PathBuf::from)
}
