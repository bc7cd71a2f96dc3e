//! What becomes of a publication that fails half way, without anybody having been killed.
//!
//! Before the commit it is taken back here and now, by what also takes back one of a killed restore;
//! then the target is as it was, and the error alone is told. After the commit nothing is taken
//! back. Where something is left to do, the error says what is where and which command does it.
//!
//! Invariant: a staging directory with the only copy of what was there before is never removed.

use super::error::PlaceError;
use super::half;
use super::leftovers::{Outcome, Staged};
use super::look::State;
use super::names::{before, entries, inode};
use super::owner::{self, Owner};
use super::staging::Staging;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// A rename whose sync fails is done nevertheless. So each try gets further than the one before it,
/// and there are fewer steps than these.
const TRIES_MAX: usize = 8;

/// What stood in the place of a unit before it was published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Was {
    number: Option<u64>,
    owner: Option<Owner>,
    state: State,
}

impl Was {
    pub(super) fn of(unit: &Path, state: State) -> Result<Self, PlaceError> {
        let owner = unit.symlink_metadata().ok().map(|meta| Owner::of(&meta));
        Ok(Was { number: inode(unit)?, owner, state })
    }

    /// Whether it stands there again, or what somebody else has put there meanwhile.
    fn is_at(self, staged: &Staged) -> Result<bool, PlaceError> {
        let now = inode(&staged.unit)?;
        Ok(match self.state {
            State::Full => now == self.number,
            // One that was made anew may have got the number of the new one that was removed.
            State::Empty if now == Some(staged.number) => entries(&staged.unit)?.is_empty(),
            State::Empty => now.is_some(),
            State::Absent => now != Some(staged.number),
        })
    }
}

/// A publication, for whoever has to judge how it failed.
pub(super) struct Attempt<'a> {
    pub(super) staging: &'a mut Staging,
    pub(super) stamp: &'a str,
    pub(super) data: Was,
    pub(super) wal: Option<Was>,
}

impl Attempt<'_> {
    /// The error to tell, after what can be done was done.
    pub(super) fn fail(self, source: PlaceError) -> PlaceError {
        match self.is_committed() {
            Ok(true) => self.untidy(source),
            Ok(false) => self.take_back(source),
            Err(_) => self.not_taken_back(source),
        }
    }

    fn is_committed(&self) -> Result<bool, PlaceError> {
        let data = &self.staging.data;
        let is_new = inode(&data.unit)? == Some(data.number);
        let wal = self.staging.ground.sites.wal.as_ref();
        Ok(is_new && wal.map_or(Ok(true), |wal| half::is_committed(&wal.dir))?)
    }

    fn take_back(self, source: PlaceError) -> PlaceError {
        for _ in 0..TRIES_MAX {
            if self.try_back().is_ok() {
                break;
            }
        }
        match self.is_as_it_was() {
            Ok(true) => source,
            _ => self.not_taken_back(source),
        }
    }

    fn try_back(&self) -> Result<(), PlaceError> {
        let own: Vec<&Staged> = self.staged().map(|(staged, _)| staged).collect();
        // What was there has to have its name before what is in its place is removed.
        for staged in own.iter().rev() {
            let is_empty = inode(&staged.new_dir())?.is_none();
            if !is_empty && staged.release_old()? == Outcome::Unknown {
                return Err(PlaceError::Changed(staged.unit.clone()));
            }
        }
        let sites = &self.staging.ground.sites;
        if let Some(wal) = &sites.wal {
            half::roll_back(&sites.data, wal, &own, &mut Vec::new())?;
        }
        for (staged, was) in self.staged() {
            if matches!(was.state, State::Empty) && inode(&staged.unit)?.is_none() {
                durable::new_dir(&staged.unit)?;
                owner::give(&staged.unit, was.owner.unwrap_or_else(Owner::me))?;
            }
        }
        Ok(())
    }

    fn is_as_it_was(&self) -> Result<bool, PlaceError> {
        for (staged, was) in self.staged() {
            if !was.is_at(staged)? {
                return Ok(false);
            }
        }
        match &self.staging.ground.sites.wal {
            Some(wal) => Ok(!half::is_begun(&wal.dir)?),
            None => Ok(true),
        }
    }

    /// The units that are renamed, each with what was there.
    fn staged(&self) -> impl Iterator<Item = (&Staged, Was)> {
        let wal = self.staging.wal.as_ref().zip(self.wal);
        std::iter::once((&self.staging.data, self.data)).chain(wal)
    }

    fn untidy(self, source: PlaceError) -> PlaceError {
        for _ in 0..TRIES_MAX {
            if self.try_tidy().is_ok() {
                break;
            }
        }
        let mut left = String::new();
        for (staged, was) in self.staged() {
            if let Some(old) = self.old_of(staged, was) {
                left += &format!("; what was in {} is {}", staged.unit.display(), old.display());
            }
            if let Some(dir) = staged.left() {
                left += &format!("; {} is left over", dir.display());
            }
        }
        if let Some(wal) = &self.staging.ground.sites.wal
            && half::is_begun(&wal.dir).unwrap_or(true)
        {
            left += &format!("; a note is left over in {}", wal.dir.display());
        }
        let dir = self.staging.ground.sites.dir.clone();
        // Where nothing was moved aside, an undo would go back to before an earlier restore.
        let undo = (self.data.state == State::Full).then(|| self.undo());
        self.staging.is_kept = true;
        PlaceError::Untidy { dir, left, undo, source: Box::new(source) }
    }

    fn try_tidy(&self) -> Result<(), PlaceError> {
        if let Some(wal) = &self.staging.ground.sites.wal {
            half::forget(&wal.dir)?;
        }
        for (staged, _) in self.staged() {
            staged.end()?;
        }
        Ok(())
    }

    fn not_taken_back(self, source: PlaceError) -> PlaceError {
        let places: Vec<String> =
            self.staged().map(|(staged, was)| self.place_of(staged, was)).collect();
        let undo = self.undo();
        self.staging.is_kept = true;
        PlaceError::NotTakenBack { places: places.join("; "), undo, source: Box::new(source) }
    }

    /// What stands in the place of a unit now, and where what was there is.
    fn place_of(&self, staged: &Staged, was: Was) -> String {
        let unit = staged.unit.display();
        let now = match inode(&staged.unit) {
            Ok(None) => "is missing",
            Ok(Some(number)) if number == staged.number => "is new and not complete",
            Ok(number) if number == was.number => "is as it was",
            Ok(_) => "is not what the restore has put there",
            Err(_) => "cannot be looked at",
        };
        match self.old_of(staged, was) {
            Some(old) => format!("{unit} {now}, and what was there is {}", old.display()),
            None => format!("{unit} {now}"),
        }
    }

    /// Where what was in the place of a unit is, if it is elsewhere.
    fn old_of(&self, staged: &Staged, was: Was) -> Option<PathBuf> {
        let number = was.number.filter(|_| was.state == State::Full)?;
        let places = [before(&staged.unit, self.stamp), staged.new_dir()];
        places.into_iter().find(|place| inode(place).is_ok_and(|found| found == Some(number)))
    }

    fn undo(&self) -> String {
        let sites = &self.staging.ground.sites;
        let flag = if sites.members.is_empty() { "--data-dir" } else { "--all-members" };
        let inside = sites.wal_inside.as_ref().map(|below| sites.data.join(below));
        let wal = sites.wal.as_ref().map(|wal| wal.dir.clone()).or(inside);
        let wal = wal.map(|dir| format!(" --wal-dir {}", dir.display())).unwrap_or_default();
        format!("lifeboat-restore --undo {flag} {}{wal}", sites.dir.display())
    }
}
