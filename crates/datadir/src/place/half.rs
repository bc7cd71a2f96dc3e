//! The WAL directory in the middle of a publication that takes two renames.
//!
//! A data directory and a WAL directory that lie apart cannot appear in one step. So the WAL directory
//! goes first, with a WAL that every etcd refuses (the *marker*) under the name of the true one, which
//! lies beside it; then the data directory; then the true WAL is renamed over the marker, which is the
//! commit. A note tells which data directory belongs to it and when, so that a restore that was killed
//! in between can be taken back, until what was there before is there again.

use super::error::PlaceError;
use super::leftovers::{self, Staged};
use super::look::WalSite;
use super::names::{all_before, before, entries, inode, is_of_mount};
use super::running;
use crate::wal::{WAL_FILE_NAME, is_marker_wal, marker_wal};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The true WAL while the marker has its name. etcd passes over files that end so.
const TRUE_WAL: &str = "lifeboat-true.tmp";
const NOTE: &str = "lifeboat-incomplete.tmp";
/// A last segment that etcd cannot read. It is added to a WAL and taken away again.
const FENCE: &str = "ffffffffffffffff-ffffffffffffffff.wal";
/// A marker is short; a file with more than this is none.
const MARKER_BYTES_MAX: u64 = 64 << 10;

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The time in the names of what was moved aside.
    pub(super) stamp: String,
    /// Which directory is the new data directory, by its number.
    pub(super) data: u64,
    /// When that was made, in nanoseconds since 1970, where its file system tells. Numbers of
    /// directories that are gone are given to new ones.
    pub(super) born: Option<u128>,
}

// === impl Note ===

impl Note {
    pub(super) fn new(stamp: &str, new_data: &Path) -> Result<Self, PlaceError> {
        let data = inode(new_data)?.unwrap_or_default();
        Ok(Note { stamp: stamp.to_owned(), data, born: born(new_data) })
    }

    /// Whether this is the new data directory.
    fn is_of(&self, path: &Path) -> Result<bool, PlaceError> {
        Ok(inode(path)? == Some(self.data) && born(path) == self.born)
    }
}

fn born(path: &Path) -> Option<u128> {
    let time = path.symlink_metadata().ok()?.created().ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos())
}

/// Puts the marker in the place of the true WAL, in a directory that is not published yet.
pub(super) fn mark(dir: &Path, note: &Note) -> Result<(), PlaceError> {
    durable::rename_new(&dir.join(WAL_FILE_NAME), &dir.join(TRUE_WAL))?;
    durable::write_new(&dir.join(WAL_FILE_NAME), &marker_wal())?;
    let text = format!(
        "before {}\ndata {}\nborn {}\nA restore began here and did not end. etcd will not start from this \
         directory.\nRun the restore again, or lifeboat-restore --undo.\n",
        note.stamp,
        note.data,
        note.born.unwrap_or_default()
    );
    durable::write_new(&dir.join(NOTE), text.as_bytes())?;
    failpoint::pass("place.wal.marked");
    Ok(())
}

/// Moves the files of a marked directory into a mount point, which cannot be renamed itself.
pub(super) fn move_into(new: &Path, dir: &Path) -> Result<(), PlaceError> {
    // The note first: what is in the directory without one is nobody's.
    for name in [NOTE, TRUE_WAL, WAL_FILE_NAME] {
        durable::rename_new(&new.join(name), &dir.join(name))?;
        failpoint::pass("place.wal.moved");
    }
    Ok(())
}

/// The commit: the true WAL gets its name.
pub(super) fn commit(dir: &Path) -> Result<(), PlaceError> {
    durable::rename_over_file(&dir.join(TRUE_WAL), &dir.join(WAL_FILE_NAME))?;
    failpoint::pass("place.wal.committed");
    forget(dir)
}

/// The note in a WAL directory, if it has one.
pub(super) fn read(dir: &Path) -> Result<Option<Note>, PlaceError> {
    let unreadable = |source| PlaceError::Unreadable { path: dir.join(NOTE), source };
    let Some(text) = leftovers::read(&dir.join(NOTE)).map_err(unreadable)? else { return Ok(None) };
    let word = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let note = word("before ").zip(word("data ").and_then(|number| number.parse().ok()));
    let born = word("born ").and_then(|time| time.parse().ok()).filter(|time| *time != 0);
    Ok(note.map(|(stamp, data)| Note { stamp: stamp.to_owned(), data, born }))
}

/// Keeps every etcd from starting on a WAL directory, without changing a file in it.
pub(super) fn fence(dir: &Path) -> Result<(), PlaceError> {
    let path = dir.join(FENCE);
    if !dir.is_dir() || is_marker(&path) {
        return Ok(());
    }
    durable::write_new(&path, &marker_wal())?;
    failpoint::pass("place.wal.fenced");
    Ok(())
}

/// Takes the fence away, if there is one. True when there was.
pub(super) fn unfence(dir: &Path) -> Result<bool, PlaceError> {
    let path = dir.join(FENCE);
    let is_there = is_marker(&path);
    if is_there {
        durable::remove_file(&path)?;
        failpoint::pass("place.wal.unfenced");
    }
    Ok(is_there)
}

fn is_marker(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|f| f.take(MARKER_BYTES_MAX).read_to_end(&mut bytes));
    file.is_ok() && is_marker_wal(&bytes)
}

/// Whether a WAL has its name: the commit was done, whatever has failed after it.
pub(super) fn is_committed(dir: &Path) -> Result<bool, PlaceError> {
    let first = dir.join(WAL_FILE_NAME);
    let has_true = inode(&dir.join(TRUE_WAL))?.is_some();
    Ok(!has_true && inode(&first)?.is_some() && !is_marker(&first))
}

/// Takes the note away, after the commit.
pub(super) fn forget(dir: &Path) -> Result<(), PlaceError> {
    Ok(durable::remove_file(&dir.join(NOTE))?)
}

/// Whether anything of a publication lies in a WAL directory.
pub(super) fn is_begun(dir: &Path) -> Result<bool, PlaceError> {
    Ok(inode(&dir.join(NOTE))?.is_some() || inode(&dir.join(TRUE_WAL))?.is_some())
}

/// Takes back a publication that was killed or failed between its renames, or ends one that was
/// committed. True when something was taken back. `own` are the caller's staging directories.
pub(super) fn roll_back(
    data: &Path,
    wal: &WalSite,
    own: &[&Staged],
    notes: &mut Vec<String>,
) -> Result<bool, PlaceError> {
    remove_rolled_back(wal)?;
    let Some(note) = read(&wal.dir)? else { return Ok(false) };
    // One that is at work is in the middle of it, too.
    leftovers::must_be_idle(data, own)?;
    leftovers::must_be_idle(&wal.unit, own)?;
    if is_committed(&wal.dir)? {
        forget(&wal.dir)?;
        return Ok(false);
    }
    if !is_ours(&wal.dir, wal)? {
        notes.push(format!("{} was left alone: more than a restore is in it", wal.dir.display()));
        return Ok(false);
    }
    data_back(data, &note)?;
    wal_back(wal, &note)?;
    notes.push(format!(
        "a restore into {} was killed half way; what was there before is back",
        data.display()
    ));
    Ok(true)
}

/// Whether nothing is in the directory but what [`mark`] put there.
fn is_ours(dir: &Path, wal: &WalSite) -> Result<bool, PlaceError> {
    let first = dir.join(WAL_FILE_NAME);
    let only_marker = inode(&first)?.is_none() || is_marker(&first);
    let is_own = |name: &std::ffi::OsString| {
        [NOTE, TRUE_WAL, WAL_FILE_NAME].iter().any(|own| name == own)
            || (wal.mounted && is_of_mount(name, &wal.unit))
    };
    Ok(only_marker && entries(dir)?.iter().all(is_own))
}

fn data_back(data: &Path, note: &Note) -> Result<(), PlaceError> {
    let aside = before(data, &note.stamp);
    let is_new_aside = note.is_of(&aside)?;
    let has_old = inode(&aside)?.is_some() && !is_new_aside;
    if note.is_of(data)? {
        running::must_not_run(data, None)?;
        running::member_must_not_run(data, data)?;
        if has_old && durable::exchange(data, &aside)? {
            failpoint::pass("place.data.put_back");
            return Ok(durable::remove_tree(&aside)?);
        }
        durable::remove_tree(data)?;
    }
    if is_new_aside {
        return Ok(durable::remove_tree(&aside)?);
    }
    if has_old && inode(data)?.is_none() {
        durable::rename_new(&aside, data)?;
    }
    Ok(())
}

fn wal_back(wal: &WalSite, note: &Note) -> Result<(), PlaceError> {
    if wal.mounted {
        for name in [WAL_FILE_NAME, TRUE_WAL, NOTE] {
            durable::remove_file(&wal.dir.join(name))?;
        }
        return Ok(());
    }
    let aside = before(&wal.unit, &note.stamp);
    if inode(&aside)?.is_none() {
        return Ok(durable::remove_tree(&wal.dir)?);
    }
    if !durable::exchange(&wal.dir, &aside)? {
        durable::remove_tree(&wal.dir)?;
        return Ok(durable::rename_new(&aside, &wal.dir)?);
    }
    failpoint::pass("place.wal.put_back");
    Ok(durable::remove_tree(&aside)?)
}

/// What was exchanged out of its place by a roll-back that was killed then.
fn remove_rolled_back(wal: &WalSite) -> Result<(), PlaceError> {
    if wal.mounted {
        return Ok(());
    }
    for (path, _) in all_before(&wal.unit)? {
        if path.is_dir() && read(&path)?.is_some() && is_ours(&path, wal)? {
            durable::remove_tree(&path)?;
        }
    }
    Ok(())
}
