//! Staging directories, and what becomes of those that a killed restore left.
//!
//! A staging directory holds `lock` (locked while the restore is at work; it says which directory
//! `new` is, by its number), `new` (what is to be published) and, from the moment that something is
//! moved aside, `aside` (the time in its future name). In the exchange that publishes, `new` becomes
//! what was there before: it is told by its number, and never removed.
//!
//! Invariant: nothing is removed but what the lock file of a dead restore names as its own.

use super::error::PlaceError;
use super::names::{all_incomplete, before, entries, inode, parent_of};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &str = "lifeboat-restore 1\n";
const LOCK_BYTES_MAX: u64 = 4_096;
/// A link in the place of a file must not lead anywhere, nor a FIFO keep anybody waiting.
const NO_LINKS: i32 =
    rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits().cast_signed();

/// The staging directory of one unit, held by a lock.
#[derive(Debug)]
pub(super) struct Staged {
    /// Where the unit goes.
    pub(super) unit: PathBuf,
    /// Which directory is to be published, by its number.
    pub(super) number: u64,
    dir: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Staged {
    pub(super) fn begin(unit: &Path, nonce: &str) -> Result<Self, PlaceError> {
        let dir = super::names::incomplete(unit, nonce);
        durable::new_dir(&dir)?;
        match Staged::fill(&dir) {
            Ok((lock, number)) => {
                failpoint::pass("place.staging.begun");
                Ok(Staged { unit: unit.to_path_buf(), number, dir, _lock: lock })
            }
            Err(e) => {
                // Nothing is in it yet. The first error says more than one of the clearing up.
                let _ = remove(&dir);
                Err(e)
            }
        }
    }

    fn fill(dir: &Path) -> Result<(File, u64), PlaceError> {
        let path = dir.join("lock");
        let mut lock = durable::new_file(&path)?;
        let failed = |source| durable::Error::Io { verb: "write", path: path.clone(), source };
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
        lock.write_all(MAGIC.as_bytes()).map_err(failed)?;
        failpoint::pass("place.staging.locked");
        let new = dir.join("new");
        durable::new_dir(&new)?;
        let number = inode(&new)?.unwrap_or_default();
        lock.write_all(format!("new {number}\n").as_bytes()).map_err(failed)?;
        durable::sync_file(&lock, &path)?;
        durable::sync_dir(dir)?;
        durable::sync_dir(parent_of(dir))?;
        Ok((lock, number))
    }

    /// What is to be published.
    pub(super) fn new_dir(&self) -> PathBuf {
        self.dir.join("new")
    }

    /// Says under which time what is there is moved aside, before it is.
    pub(super) fn note_aside(&self, stamp: &str) -> Result<(), PlaceError> {
        durable::write_new(&self.dir.join("aside"), stamp.as_bytes())?;
        failpoint::pass("place.aside.noted");
        Ok(())
    }

    /// The staging directory itself, if it is there.
    pub(super) fn left(&self) -> Option<&Path> {
        self.dir.symlink_metadata().is_ok().then_some(self.dir.as_path())
    }

    /// Takes what was there before out of the staging directory, and keeps the lock.
    pub(super) fn release_old(&self) -> Result<Outcome, PlaceError> {
        settle_new(&self.dir, &self.unit)
    }

    /// Takes the staging directory away. What was there before, if it is still in it, is put aside.
    pub(super) fn end(&self) -> Result<Outcome, PlaceError> {
        clear_unlocked(&self.dir, &self.unit)
    }
}

/// What became of one staging directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was ours, and is gone.
    Removed,
    /// It held what was there before, which has its name now.
    PutAside(PathBuf),
    /// What was there before had been moved aside, and nothing put in its place.
    PutBack,
    /// Somebody is at work in it.
    InUse,
    /// It is not certain whose it is.
    Unknown,
}

/// Refuses while another restore of this unit is at work: two at once would take apart what the
/// other one puts together. `own` are the caller's.
pub(super) fn must_be_idle(unit: &Path, own: &[&Staged]) -> Result<(), PlaceError> {
    for (dir, _) in all_incomplete(unit)? {
        let is_own = own.iter().any(|own| own.dir == dir);
        let Ok(Some(lock)) = open(&dir.join("lock")) else { continue };
        if !is_own && flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
            return Err(PlaceError::AtWork(dir));
        }
    }
    Ok(())
}

/// Clears up every staging directory of a unit. True when that changed the unit itself.
pub(super) fn clear_all(unit: &Path, notes: &mut Vec<String>) -> Result<bool, PlaceError> {
    let mut changed = false;
    for (dir, _) in all_incomplete(unit)? {
        let (left, at) = (dir.display(), unit.display());
        notes.push(match clear_one(&dir, unit)? {
            Outcome::Removed => format!("removed {left}, left over from a call that was killed"),
            Outcome::PutAside(path) => {
                format!("what a killed restore had moved out of {at} is {} now", path.display())
            }
            Outcome::PutBack => {
                changed = true;
                format!("a killed restore had put nothing in the place of {at}; it is back")
            }
            Outcome::InUse => format!("{left} belongs to a restore that is at work"),
            Outcome::Unknown => format!("{left} was left alone: it is not certain what it is"),
        });
    }
    Ok(changed)
}

fn clear_one(dir: &Path, unit: &Path) -> Result<Outcome, PlaceError> {
    let meta = dir.symlink_metadata().map_err(unreadable(dir))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Ok(Outcome::Unknown);
    }
    let lock = match open(&dir.join("lock")) {
        // It was killed before it had a lock, or after everything else was gone.
        Ok(None) => return Ok(empty_or_unknown(dir)),
        Err(_) => return Ok(Outcome::Unknown),
        Ok(Some(lock)) => lock,
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => clear_unlocked(dir, unit),
        Err(_) => Ok(Outcome::InUse),
    }
}

fn empty_or_unknown(dir: &Path) -> Outcome {
    match durable::remove_empty_dir(dir) {
        Ok(()) => Outcome::Removed,
        Err(_) => Outcome::Unknown,
    }
}

/// The caller holds the lock.
fn clear_unlocked(dir: &Path, unit: &Path) -> Result<Outcome, PlaceError> {
    let outcome = settle_new(dir, unit)?;
    if outcome != Outcome::Unknown {
        remove(dir)?;
        failpoint::pass("place.staging.removed");
    }
    Ok(outcome)
}

/// Removes a staging directory. The lock goes last: without it nobody could tell whose the rest is.
fn remove(dir: &Path) -> Result<(), PlaceError> {
    for name in entries(dir)?.into_iter().filter(|name| name != "lock") {
        let path = dir.join(name);
        match path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            true => durable::remove_tree(&path)?,
            false => durable::remove_file(&path)?,
        }
        failpoint::pass("place.staging.emptied");
    }
    Ok(durable::remove_tree(dir)?)
}

/// Takes what was there before out of a staging directory of ours, to where it belongs.
fn settle_new(dir: &Path, unit: &Path) -> Result<Outcome, PlaceError> {
    let Ok(Some(text)) = read(&dir.join("lock")) else { return Ok(Outcome::Unknown) };
    // Killed while it wrote the first line: there is nothing else yet.
    if !text.starts_with(MAGIC) && !MAGIC.starts_with(&text) {
        return Ok(Outcome::Unknown);
    }
    // A line that has no end was not written whole, and nothing is in `new` then.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let own = lines.find_map(|line| line.strip_prefix("new ")?.parse::<u64>().ok());
    let new = dir.join("new");
    let stamp = read(&dir.join("aside")).ok().flatten();
    let mut outcome = Outcome::Removed;
    match (inode(&new)?, own) {
        (None, _) => {}
        (Some(found), Some(own)) if found == own => {
            if let (Some(stamp), None) = (&stamp, inode(unit)?)
                && inode(&before(unit, stamp))?.is_some()
            {
                durable::rename_new(&before(unit, stamp), unit)?;
                outcome = Outcome::PutBack;
            }
        }
        // Killed before it had noted the number: then nothing is in it yet.
        (Some(_), None) if durable::remove_empty_dir(&new).is_ok() => {}
        (Some(_), None) => return Ok(Outcome::Unknown),
        (Some(_), Some(_)) => {
            let Some(stamp) = &stamp else { return Ok(Outcome::Unknown) };
            let aside = before(unit, stamp);
            durable::rename_new(&new, &aside)?;
            failpoint::pass("place.old.put_aside");
            outcome = Outcome::PutAside(aside);
        }
    }
    Ok(outcome)
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> PlaceError {
    move |source| PlaceError::Unreadable { path: path.to_path_buf(), source }
}

fn open(path: &Path) -> std::io::Result<Option<File>> {
    match File::options().read(true).custom_flags(NO_LINKS).open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// A small file of ours; none when it is not there.
pub(super) fn read(path: &Path) -> std::io::Result<Option<String>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut text = String::new();
    file.take(LOCK_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}
