//! The scratch directory of one drill.
//!
//! `<parent>/drill-<run>` holds the restored data, `<parent>/drill-<run>.lock` beside it is locked as
//! long as the drill is at work. The lock file is there before the directory and goes after it, so
//! that a directory whose lock nobody holds is a killed drill's, and may be removed.
//!
//! Invariants: both are private; the directory is removed when the drill ends, however it ends, and
//! by the next drill if this one was killed; nothing is removed that has another name.

use crate::drill::orphans;
use crate::error::Error;
use contract::RunId;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "drill-";
const LOCK_SUFFIX: &str = ".lock";

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Scratch {
    /// Makes one below `parent`.
    pub(crate) fn make(parent: &Path, run: &RunId) -> Result<Self, Error> {
        durable::create_private_dir(parent)?;
        let path = parent.join(format!("{PREFIX}{run}"));
        let lock = parent.join(format!("{PREFIX}{run}{LOCK_SUFFIX}"));
        let failed = |source| Error::Lock { path: lock.clone(), source };
        let held = File::options()
            .write(true)
            .create_new(true)
            .mode(durable::FILE_MODE)
            .open(&lock)
            .map_err(failed)?;
        flock(&held, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
        failpoint::pass("drill.scratch.locked");
        durable::create_private_dir(&path)?;
        failpoint::pass("drill.scratch.made");
        Ok(Scratch { path, lock, _held: held })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        orphans::end(&self.path);
        remove(&self.path, &self.lock);
        failpoint::pass("drill.scratch.removed");
    }
}

/// Removes a directory, then its lock file. What cannot be removed is told, and the next drill tries
/// again.
fn remove(path: &Path, lock: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("the scratch directory {} cannot be removed: {e}", path.display());
        }
        _ => {
            failpoint::pass("drill.scratch.emptied");
            if let Err(e) = durable::remove_file(lock) {
                tracing::warn!("{e}");
            }
        }
    }
}

/// Removes what killed drills have left below `parent`.
pub(super) fn remove_left_over(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.strip_suffix(LOCK_SUFFIX));
        let Some(run) = run.and_then(|run| run.parse::<RunId>().ok()) else { continue };
        let lock = entry.path();
        let Ok(held) = File::options().write(true).open(&lock) else { continue };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let path = parent.join(format!("{PREFIX}{run}"));
        tracing::info!("removing {}, which a killed drill has left", path.display());
        orphans::end(&path);
        remove(&path, &lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn run(n: u128) -> RunId {
        RunId::new(Timestamp::from_second(1_763_600_000).unwrap(), n)
    }

    fn names(parent: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(parent).unwrap().flatten();
        let mut all: Vec<String> =
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        all.sort();
        all
    }

    #[test]
    fn f06_what_a_killed_drill_left_goes_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path();
        let left = Scratch::make(parent, &run(1)).unwrap();
        durable::write_new(&left.path().join("db"), b"secret").unwrap();
        // As a kill leaves it: the lock goes with the process, the files stay.
        let (path, lock) = (left.path.clone(), left.lock.clone());
        flock(&left._held, FlockOperation::Unlock).unwrap();
        std::mem::forget(left);
        // Not of a drill: whoever named this their scratch directory keeps it.
        durable::write_new(&parent.join("drill-notes.lock"), b"").unwrap();
        durable::create_private_dir(&parent.join("drill-notes")).unwrap();

        let used = Scratch::make(parent, &run(2)).unwrap();
        remove_left_over(parent);
        assert!(!path.exists() && !lock.exists());
        assert!(used.path().is_dir() && used.lock.exists());
        drop(used);
        assert_eq!(names(parent), ["drill-notes", "drill-notes.lock"]);
    }
}
