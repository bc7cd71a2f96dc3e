//! Where a data directory goes, and how it gets there: all of it, or nothing.
//!
//! Everything is written below a hidden directory beside the target, on its file system, and has its
//! owner, its modes and its syncs before one rename publishes it. What is there is never deleted: it
//! is moved aside in the same step, and [`undo`] puts it back. A death at any instruction leaves the
//! target as it was, or complete, or (with a WAL directory of its own, which takes two renames) with
//! a WAL that every etcd refuses; the next restore or undo on the same target clears up.
//!
//! - [`look`] decides whether the target may be written, before anything is read or written.
//! - [`Staging`] holds the directory while it is built, and publishes it.
//! - [`settle`] clears up after restores that were killed.
//!
//! Does not: know what is in a database or a WAL, read a clock, or draw random numbers.

mod error;
mod failed;
mod half;
mod leftovers;
mod look;
mod names;
mod owner;
mod publish;
mod room;
mod running;
mod staging;
#[cfg(test)]
mod tests;
mod undo;

pub use error::{PlaceClass, PlaceError};
pub use look::{Ground, Wishes, look};
pub use owner::{Owner, OwnerError};
pub use publish::{MovedAside, Published};
pub use room::must_have_room;
pub use staging::{MemberPaths, Staging};
pub use undo::{Undone, undo};

use std::path::PathBuf;

/// Where a restore goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The data directory; with `members`, the directory that holds one for each.
    pub data_dir: PathBuf,
    /// The WAL's own directory, as `etcd --wal-dir` names it. Only without `members`.
    pub wal_dir: Option<PathBuf>,
    /// Names of the members, each with a data directory below `data_dir`. Empty: one member.
    pub members: Vec<String>,
}

impl Target {
    /// One member's data directory.
    #[must_use]
    pub fn one(data_dir: PathBuf, wal_dir: Option<PathBuf>) -> Self {
        Target { data_dir, wal_dir, members: Vec::new() }
    }

    /// A directory with one data directory for each member, named as the member.
    #[must_use]
    pub fn all(dir: PathBuf, members: Vec<String>) -> Self {
        Target { data_dir: dir, wal_dir: None, members }
    }
}

/// Clears up after restores and undoes of this target that were killed, and says what it did, one
/// sentence each. What is not certainly theirs is named and left alone.
///
/// # Errors
/// [`PlaceError`]: what is left can be cleared up by the next call.
pub fn settle(target: &Target) -> Result<Vec<String>, PlaceError> {
    let sites = look::Sites::of(target)?;
    let mut notes = Vec::new();
    for unit in sites.units() {
        leftovers::clear_all(unit, &mut notes)?;
    }
    // One that is at work ends its undo itself, and whoever goes on is refused by its lock.
    let is_idle = sites.units().all(|unit| leftovers::must_be_idle(unit, &[]).is_ok());
    for unit in undo::candidates(&sites) {
        if is_idle && undo::resume(&sites, &unit, &mut Undone::default())? {
            notes.push(format!("an undo of {} had been killed; it is finished", unit.display()));
        }
    }
    if let Some(wal) = &sites.wal {
        half::roll_back(&sites.data, wal, &[], &mut notes)?;
    }
    Ok(notes)
}
