//! The renames that publish a restore, and what was there before going aside in the same step.
//!
//! Invariants: the last rename of [`Staging::publish`] is the commit; before it, whatever is killed,
//! no etcd starts on a mixture of old and new; what was there before is nowhere changed inside.

use super::error::PlaceError;
use super::failed::{Attempt, Was};
use super::half::{self, Note};
use super::leftovers::{Outcome, Staged};
use super::look::State;
use super::names::{before, free_stamp};
use super::owner;
use super::staging::Staging;
use std::path::{Path, PathBuf};

/// What was there before, and where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// What a publication did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The data directories, one for each member.
    pub data_dirs: Vec<PathBuf>,
    /// The WAL directory, where it was named.
    pub wal_dir: Option<PathBuf>,
    /// What was there before; empty when nothing was.
    pub moved_aside: Vec<MovedAside>,
}

impl Staging {
    /// Publishes. `stamp` is the time that stands in the names of what is moved aside.
    ///
    /// # Errors
    /// [`PlaceError::Running`] or [`PlaceError::Changed`] when somebody was there meanwhile, or
    /// [`PlaceError::Write`]: the target is as it was then. [`PlaceError::NotTakenBack`] when it could
    /// not be made so, and [`PlaceError::Untidy`] when it is restored and something failed after that.
    pub fn publish(mut self, stamp: &str) -> Result<Published, PlaceError> {
        let sites = &self.ground.sites;
        sites.must_not_run()?;
        let units: Vec<&Path> = sites.units().collect();
        let stamp = &free_stamp(&units, stamp)?;
        let data = Was::of(&self.data.unit, self.ground.data)?;
        let apart = self.wal.as_ref().map(|wal| Was::of(&wal.unit, self.wal_state()));
        let wal = apart.transpose()?;
        let mut moved_aside = Vec::new();
        failpoint::pass("place.publishing");
        if let Err(e) = self.put_in_place(stamp, &mut moved_aside) {
            return Err(Attempt { staging: &mut self, stamp, data, wal }.fail(e));
        }
        failpoint::pass("place.published");
        let sites = &self.ground.sites;
        let data_dirs = match sites.members.is_empty() {
            true => vec![sites.dir.clone()],
            false => sites.members.iter().map(|name| sites.dir.join(name)).collect(),
        };
        let inside = sites.wal_inside.as_ref().map(|below| sites.data.join(below));
        let wal_dir = sites.wal.as_ref().map(|wal| wal.dir.clone()).or(inside);
        Ok(Published { data_dirs, wal_dir, moved_aside })
    }

    fn put_in_place(
        &self,
        stamp: &str,
        moved_aside: &mut Vec<MovedAside>,
    ) -> Result<(), PlaceError> {
        let sites = &self.ground.sites;
        if let (Some(staged), Some(wal)) = (&self.wal, &sites.wal) {
            half::mark(&staged.new_dir(), &Note::new(stamp, &self.data.new_dir())?)?;
            owner::give(&staged.new_dir(), self.ground.owner)?;
            if wal.mounted {
                half::move_into(&staged.new_dir(), &wal.dir)?;
            } else {
                swap_in(staged, self.ground.wal, stamp, moved_aside)?;
                end(staged)?;
            }
            failpoint::pass("place.wal.published");
        }
        swap_in(&self.data, self.data_state(), stamp, moved_aside)?;
        failpoint::pass("place.data.published");
        if let Some(wal) = &sites.wal {
            half::commit(&wal.dir)?;
        }
        // Until here its lock has kept others from taking the halves for those of a dead restore.
        end(&self.data)
    }

    /// What the renames have to deal with: a mount point is filled, and its unit is a name for free.
    fn wal_state(&self) -> State {
        match &self.ground.sites.wal {
            Some(wal) if !wal.mounted => self.ground.wal,
            _ => State::Absent,
        }
    }
}

/// Puts one directory in its place.
fn swap_in(
    staged: &Staged,
    state: State,
    stamp: &str,
    moved_aside: &mut Vec<MovedAside>,
) -> Result<(), PlaceError> {
    let (new, unit) = (staged.new_dir(), &staged.unit);
    match state {
        State::Absent => durable::rename_new(&new, unit).map_err(|e| changed(e, unit))?,
        State::Empty => durable::rename_over_empty_dir(&new, unit).map_err(|e| changed(e, unit))?,
        State::Full => {
            let aside = before(unit, stamp);
            staged.note_aside(stamp)?;
            if !durable::exchange(&new, unit)? {
                durable::rename_new(unit, &aside)?;
                failpoint::pass("place.old.moved");
                durable::rename_new(&new, unit)?;
            }
            failpoint::pass("place.exchanged");
            moved_aside.push(MovedAside { from: unit.clone(), to: aside });
        }
    }
    Ok(())
}

/// Takes the staging directory of a published one away.
fn end(staged: &Staged) -> Result<(), PlaceError> {
    match staged.end()? {
        // What was exchanged out of its place has its name now.
        Outcome::Removed | Outcome::PutAside(_) => Ok(()),
        _ => Err(PlaceError::Changed(staged.unit.clone())),
    }
}

/// Somebody made something in the place meanwhile.
fn changed(error: durable::Error, unit: &Path) -> PlaceError {
    match error {
        durable::Error::AlreadyExists(_) => PlaceError::Changed(unit.to_path_buf()),
        other => PlaceError::Write(other),
    }
}
