//! The names of everything that stands beside a target, and what stands there.
//!
//! `X.before-TIME` was there before a restore, `X.undone-TIME` before an undo, `X.undoing-…`
//! in the middle of one, and `.X.lifeboat-incomplete-NONCE` is a restore at work, or one that was
//! killed. Names are bytes: they need not be UTF-8.

use super::error::PlaceError;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More entries than these in one directory are not gone through.
const ENTRIES_MAX: usize = 100_000;
/// How many restores of one second get names of their own.
const SAME_SECOND_MAX: usize = 9;

const BEFORE: &str = ".before-";
const UNDONE: &str = ".undone-";
const UNDOING: &str = ".undoing-";
const INCOMPLETE: &str = ".lifeboat-incomplete-";

fn name_of(unit: &Path) -> &OsStr {
    unit.file_name().unwrap_or_default()
}

/// The directory in which the unit's name stands.
pub(super) fn parent_of(unit: &Path) -> &Path {
    match unit.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(unit: &Path, infix: &str, end: &str) -> PathBuf {
    let mut name = name_of(unit).to_os_string();
    name.push(infix);
    name.push(end);
    parent_of(unit).join(name)
}

pub(super) fn before(unit: &Path, stamp: &str) -> PathBuf {
    beside(unit, BEFORE, stamp)
}

pub(super) fn undone(unit: &Path, stamp: &str) -> PathBuf {
    beside(unit, UNDONE, stamp)
}

pub(super) fn undoing(unit: &Path, end: &str) -> PathBuf {
    beside(unit, UNDOING, end)
}

pub(super) fn incomplete(unit: &Path, nonce: &str) -> PathBuf {
    parent_of(unit).join(hidden(unit, nonce))
}

fn hidden(unit: &Path, nonce: &str) -> OsString {
    let mut name = OsString::from(".");
    name.push(name_of(unit));
    name.push(INCOMPLETE);
    name.push(nonce);
    name
}

/// What was moved aside, oldest first, with the time in its name.
pub(super) fn all_before(unit: &Path) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    ends_in_time(unit, BEFORE)
}

/// What was in the place before an undo.
pub(super) fn all_undone(unit: &Path) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    ends_in_time(unit, UNDONE)
}

/// Undoes that were killed, with what follows in their names.
pub(super) fn all_undoing(unit: &Path) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    ends(unit, &with_infix(unit, UNDOING))
}

/// Restores that are at work or were killed.
pub(super) fn all_incomplete(unit: &Path) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    ends(unit, &hidden(unit, ""))
}

fn with_infix(unit: &Path, infix: &str) -> OsString {
    let mut name = name_of(unit).to_os_string();
    name.push(infix);
    name
}

/// What a restore or an undo has named. `etcd.before-upgrade.tar.gz` is somebody's own.
fn ends_in_time(unit: &Path, infix: &str) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    let mut found = ends(unit, &with_infix(unit, infix))?;
    found.retain(|(_, end)| is_stamp(end));
    Ok(found)
}

/// Whether it has the form `20261120T021400Z`, with `-N` behind it for a further one of that second.
fn is_stamp(text: &str) -> bool {
    let (time, more) = text.split_once('-').unwrap_or((text, "1"));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let parts = time.strip_suffix('Z').and_then(|time| time.split_once('T'));
    parts.is_some_and(|(date, clock)| {
        (date.len(), clock.len(), more.len()) == (8, 6, 1)
            && [date, clock, more].map(is_number) == [true; 3]
    })
}

/// Everything in the parent whose name begins so, sorted, with the rest of its name.
fn ends(unit: &Path, begin: &OsStr) -> Result<Vec<(PathBuf, String)>, PlaceError> {
    let parent = parent_of(unit);
    let mut found = Vec::new();
    for name in entries(parent)? {
        if let Some(end) = name.as_bytes().strip_prefix(begin.as_bytes()) {
            found.push((parent.join(&name), String::from_utf8_lossy(end).into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

/// The names in a directory, in no order; none when there is no such directory.
pub(super) fn entries(dir: &Path) -> Result<Vec<OsString>, PlaceError> {
    let failed = |source| PlaceError::Unreadable { path: dir.to_path_buf(), source };
    let list = match std::fs::read_dir(dir) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        list => list.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in list.take(ENTRIES_MAX) {
        names.push(entry.map_err(failed)?.file_name());
    }
    Ok(names)
}

/// Whether a name in a mount point is the file system's own, or one of those above for `member`.
pub(super) fn is_of_mount(name: &OsStr, unit: &Path) -> bool {
    let begins = |begin: &OsStr| name.as_bytes().starts_with(begin.as_bytes());
    name == "lost+found"
        || begins(&hidden(unit, ""))
        || [BEFORE, UNDONE, UNDOING].iter().any(|infix| begins(&with_infix(unit, infix)))
}

/// A time after every one that stands in a name beside these units. The order of the names is the
/// order of what was done, also where the clock was set back.
pub(super) fn free_stamp(units: &[&Path], stamp: &str) -> Result<String, PlaceError> {
    let mut newest = None;
    for unit in units {
        for named in [all_before(unit)?, all_undone(unit)?] {
            newest = newest.max(named.into_iter().map(|(_, stamp)| stamp).max());
        }
    }
    match newest.filter(|newest| newest.as_str() >= stamp) {
        None => Ok(stamp.to_owned()),
        Some(newest) => after(&newest).ok_or_else(|| {
            PlaceError::NoFreeName(before(units.first().unwrap_or(&Path::new("")), &newest))
        }),
    }
}

/// The next further one of a second, or the next second of the same day.
fn after(stamp: &str) -> Option<String> {
    let (time, more) = stamp.split_once('-').unwrap_or((stamp, "0"));
    let more: usize = more.parse().ok()?;
    if more < SAME_SECOND_MAX {
        return Some(format!("{time}-{}", more + 1));
    }
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let part = |from: usize| clock.get(from..from + 2)?.parse::<u32>().ok();
    let seconds = part(0)? * 3_600 + part(2)? * 60 + part(4)? + 1;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    (hour < 24).then(|| format!("{date}T{hour:02}{minute:02}{second:02}Z"))
}

/// Which directory has a name: its number on its file system. None when there is none.
pub(super) fn inode(path: &Path) -> Result<Option<u64>, PlaceError> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some(meta.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlaceError::Unreadable { path: path.to_path_buf(), source }),
    }
}
