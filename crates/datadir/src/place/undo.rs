//! Putting back what a restore moved aside.
//!
//! The restored directory is not deleted either: it gets the name `X.undone-TIME`. The step between is
//! `X.undoing-TIME_TIME_INODE` (of the undo, of the restore), where the number is that of what is put back: so whoever finds it knows which
//! of the two directories has the name, and an undo that was killed is finished by the next one.

use super::error::PlaceError;
use super::look::{Sites, WalSite};
use super::names::{
    all_before, all_undoing, all_undone, before, free_stamp, inode, undoing, undone,
};
use super::publish::MovedAside;
use super::{Target, half, leftovers, running};
use std::path::{Path, PathBuf};

/// What stands between the words of the name between. No time has it.
const BETWEEN: char = '_';

/// What an undo did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undone {
    /// What has its old name again.
    pub put_back: Vec<MovedAside>,
    /// What was in its place.
    pub set_aside: Vec<MovedAside>,
    /// What else was done, one sentence each.
    pub notes: Vec<String>,
}

/// Puts back what the newest restore of this target moved aside. A restore that was killed is taken
/// back first, and then that is all.
///
/// # Errors
/// [`PlaceError::NothingToUndo`], [`PlaceError::Running`], or one of the others.
pub fn undo(target: &Target, stamp: &str) -> Result<Undone, PlaceError> {
    let sites = Sites::of(target)?;
    let mut done = Undone::default();
    let mut is_done = false;
    sites.must_not_run()?;
    sites.units().try_for_each(|unit| leftovers::must_be_idle(unit, None))?;
    for unit in sites.units() {
        is_done |= leftovers::clear_all(unit, &mut done.notes)?;
    }
    for unit in candidates(&sites) {
        is_done |= resume(&sites, &unit, &mut done)?;
    }
    if let Some(wal) = &sites.wal {
        is_done |= half::roll_back(&sites.data, wal, &mut done.notes)?;
    }
    if is_done {
        return Ok(done);
    }
    let unit = unit_to_undo(&sites)?;
    let Some((old, when)) = all_before(&unit)?.pop() else {
        return Err(PlaceError::NothingToUndo(unit));
    };
    running::must_not_run(&old, None)?;
    running::member_must_not_run(&old, &old)?;
    must_go_together(&sites, &unit, &old, &when)?;
    let units: Vec<&Path> = sites.units().chain([unit.as_path()]).collect();
    let stamp = free_stamp(&units, stamp)?;
    let step = Step { stamp, when, number: inode(&old)?.unwrap_or_default() };
    durable::rename_new(&old, &step.middle(&unit))?;
    failpoint::pass("place.undo.begun");
    resume(&sites, &unit, &mut done)?;
    Ok(done)
}

/// What may be renamed: whether a mount is there now says nothing about the time of the restore.
pub(super) fn candidates(sites: &Sites) -> [PathBuf; 2] {
    [sites.dir.clone(), sites.dir.join("member")]
}

/// The data directory, or `member` in it when that is what was moved aside.
fn unit_to_undo(sites: &Sites) -> Result<PathBuf, PlaceError> {
    let member = sites.dir.join("member");
    let only_member = all_before(&sites.dir)?.is_empty() && !all_before(&member)?.is_empty();
    Ok(if only_member { member } else { sites.data.clone() })
}

/// Refuses where the WAL that belongs to what is put back is not known or not there.
fn must_go_together(sites: &Sites, unit: &Path, old: &Path, when: &str) -> Result<(), PlaceError> {
    let Some(WalSite { dir, mounted, .. }) = &sites.wal else {
        let known = !sites.members.is_empty() || sites.wal_inside.is_some();
        let several = |dir: &Path| !dir.join("member").is_dir() && !dir.join("snap").is_dir();
        let whole = |dir: &Path| has_own_wal(dir) || several(dir);
        return match known || (whole(unit) && whole(old)) {
            true => Ok(()),
            false => Err(PlaceError::UndoNeedsWal(unit.to_path_buf())),
        };
    };
    if *mounted {
        let problem = "and its files are to be moved away by hand before the undo";
        return Err(PlaceError::Mounted { path: dir.clone(), problem });
    }
    let aside = before(dir, when);
    match inode(&aside)?.is_some() || has_own_wal(old) {
        true => Ok(()),
        false => Err(PlaceError::UndoLacksWal { data: old.to_path_buf(), wal: aside }),
    }
}

/// Ends an undo that was begun, be it this one or one that was killed. False when there is none.
///
/// Two directories cannot change places in one step. So the WAL directories are fenced as long as one
/// of the two that belong together is not back.
pub(super) fn resume(sites: &Sites, unit: &Path, done: &mut Undone) -> Result<bool, PlaceError> {
    let wal = sites.wal.as_ref().filter(|wal| !wal.mounted).map(|wal| wal.dir.as_path());
    let mut found = false;
    for (middle, end) in all_undoing(unit)? {
        let Some(step) = Step::read(&end) else { continue };
        let swapped = wal.map(|wal| wal_back(wal, &step, done)).transpose()?.unwrap_or(false);
        step.finish(unit, &middle, done)?;
        if let Some(wal) = wal.filter(|wal| !swapped && has_own_wal(unit) && wal.exists()) {
            let to = undone(wal, &step.stamp);
            durable::rename_new(wal, &to)?;
            done.set_aside.push(MovedAside { from: wal.to_path_buf(), to });
        }
        found = true;
    }
    if let Some(wal) = wal {
        for (aside, _) in all_undone(wal)? {
            half::unfence(&aside)?;
        }
        // The last step: from here on an etcd starts.
        found |= half::unfence(wal)?;
    }
    Ok(found)
}

/// Puts the old WAL directory back, fenced. False when there was none.
fn wal_back(wal: &Path, step: &Step, done: &mut Undone) -> Result<bool, PlaceError> {
    half::fence(wal)?;
    let old = before(wal, &step.when);
    if let Some(number) = inode(&old)? {
        half::fence(&old)?;
        let step = Step { number, ..step.clone() };
        durable::rename_new(&old, &step.middle(wal))?;
        failpoint::pass("place.undo.wal_begun");
    }
    for (middle, end) in all_undoing(wal)? {
        if let Some(step) = Step::read(&end) {
            step.finish(wal, &middle, done)?;
        }
    }
    // Also when this was done before the undo was killed.
    Ok(inode(&undone(wal, &step.stamp))?.is_some())
}

/// Whether the WAL of a data directory, or of a `member` directory, lies in its usual place.
fn has_own_wal(dir: &Path) -> bool {
    let member = if dir.join("snap").is_dir() { dir.to_path_buf() } else { dir.join("member") };
    member.join("wal").is_dir()
}

/// One directory on its way back, as its name between says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// The time of the undo.
    stamp: String,
    /// The time of the restore.
    when: String,
    /// Which directory is put back.
    number: u64,
}

impl Step {
    fn read(end: &str) -> Option<Step> {
        let mut words = end.split(BETWEEN).map(str::to_owned);
        let (stamp, when, number) = (words.next()?, words.next()?, words.next()?);
        Some(Step { stamp, when, number: number.parse().ok()? })
    }

    fn middle(&self, unit: &Path) -> PathBuf {
        let Step { stamp, when, number } = self;
        undoing(unit, &format!("{stamp}{BETWEEN}{when}{BETWEEN}{number}"))
    }

    /// From the name between to the end.
    fn finish(&self, unit: &Path, middle: &Path, done: &mut Undone) -> Result<(), PlaceError> {
        let aside = undone(unit, &self.stamp);
        let is_back = MovedAside { from: before(unit, &self.when), to: unit.to_path_buf() };
        done.put_back.push(is_back);
        if inode(middle)? == Some(self.number) {
            let taken = inode(unit)?.is_some();
            if !taken || !durable::exchange(middle, unit)? {
                if taken {
                    durable::rename_new(unit, &aside)?;
                    failpoint::pass("place.undo.moved");
                    done.set_aside.push(MovedAside { from: unit.to_path_buf(), to: aside });
                }
                return Ok(durable::rename_new(middle, unit)?);
            }
            failpoint::pass("place.undo.exchanged");
        }
        durable::rename_new(middle, &aside)?;
        failpoint::pass("place.undone");
        done.set_aside.push(MovedAside { from: unit.to_path_buf(), to: aside });
        Ok(())
    }
}
