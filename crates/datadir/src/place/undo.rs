//! Putting back what a restore moved aside.
//!
//! The restored directory is not deleted either: it gets the name `X.undone-TIME`. The step between is
//! `X.undoing-TIME_TIME_INODE` (of the undo, of the restore), where the number is that of what is put back: so whoever finds it knows which
//! of the two directories has the name, and an undo that was killed is finished by the next one.

use super::error::PlaceError;
use super::leftovers::Staged;
use super::look::{Sites, WalSite};
use super::names::{
    all_before, all_undoing, all_undone, before, free_stamp, inode, undoing, undone,
};
use super::publish::MovedAside;
use super::{Target, half, leftovers, running};
use std::path::{Path, PathBuf};

/// What stands between the words of the name between. No time has it.
const BETWEEN: char = '_';
/// There are fewer steps than these in one undo.
const TRIES_MAX: usize = 24;
/// The name of the staging directory that is the lock of an undo. Those of restores are longer.
const NONCE: &str = "undo";

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
    sites.units().try_for_each(|unit| leftovers::must_be_idle(unit, &[]))?;
    for unit in sites.units() {
        is_done |= leftovers::clear_all(unit, &mut done.notes)?;
    }
    let held = Held::take(&sites)?;
    for unit in candidates(&sites) {
        let resumed = resume(&sites, &unit, &mut done);
        is_done |= resumed.map_err(|e| ended_badly(&sites, &unit, e))?;
    }
    if let Some(wal) = &sites.wal {
        let own: Vec<&Staged> = held.0.iter().collect();
        let back = half::roll_back(&sites.data, wal, &own, &mut done.notes);
        is_done |= back.map_err(|e| match half::is_begun(&wal.dir) {
            Ok(false) => e,
            _ => unfinished(&wal.dir)(e),
        })?;
    }
    if is_done {
        return Ok(done);
    }
    let unit = unit_to_undo(&sites)?;
    let Some((old, when)) = next_back(&unit, &mut done.notes)? else {
        return Err(PlaceError::NothingToUndo(unit));
    };
    running::must_not_run(&old, None)?;
    running::member_must_not_run(&old, &old)?;
    must_go_together(&sites, &unit, &old, &when)?;
    let units: Vec<&Path> = sites.units().chain([unit.as_path()]).collect();
    let stamp = free_stamp(&units, stamp)?;
    let step = Step { stamp, when, number: inode(&old)?.unwrap_or_default() };
    let begun = durable::rename_new(&old, &step.middle(&unit)).map_err(PlaceError::Write);
    failpoint::pass("place.undo.begun");
    let ended = begun.and_then(|()| resume(&sites, &unit, &mut done));
    ended.map_err(|e| match inode(&old) {
        // Nothing was renamed.
        Ok(Some(number)) if number == step.number => e,
        _ => ended_badly(&sites, &unit, e),
    })?;
    Ok(done)
}

/// Goes on after an error, as the next call would: a rename whose sync failed is done. Whoever is told
/// to run an undo again that was done would go further back.
fn ended_badly(sites: &Sites, unit: &Path, error: PlaceError) -> PlaceError {
    for _ in 0..TRIES_MAX {
        let again = resume(sites, unit, &mut Undone::default());
        if again.is_ok() && all_undoing(unit).is_ok_and(|left| left.is_empty()) {
            let (unit, source) = (unit.to_path_buf(), Box::new(error));
            return PlaceError::UndoneUnsynced { unit, source };
        }
    }
    unfinished(unit)(error)
}

fn unfinished(unit: &Path) -> impl Fn(PlaceError) -> PlaceError {
    move |e| match e {
        e @ PlaceError::UndoUnfinished { .. } => e,
        e => PlaceError::UndoUnfinished { unit: unit.to_path_buf(), source: Box::new(e) },
    }
}

/// What the newest restore moved aside. After an undo that is what stood there before an *earlier*
/// restore: whoever types `--undo` twice by mistake must not lose another generation unseen.
fn next_back(
    unit: &Path,
    notes: &mut Vec<String>,
) -> Result<Option<(PathBuf, String)>, PlaceError> {
    let mut all = all_before(unit)?;
    let Some((old, when)) = all.pop() else { return Ok(None) };
    let mut later = all_undone(unit)?;
    later.retain(|(_, stamp)| *stamp > when);
    let Some((_, time)) = later.last().cloned() else { return Ok(Some((old, when))) };
    if !all.is_empty() {
        let undone = later.into_iter().map(|(path, _)| path).collect();
        return Err(PlaceError::UndoneAlready { unit: unit.to_path_buf(), time, old, undone });
    }
    notes.push(format!(
        "an undo of {} was done already at {time}; this one goes further back, to {}",
        unit.display(),
        old.display()
    ));
    Ok(Some((old, when)))
}

/// The locks that a restore of the same target takes, too. They have one name, so that of two undoes
/// that begin at once one cannot make its own.
struct Held(Vec<Staged>);

impl Held {
    fn take(sites: &Sites) -> Result<Held, PlaceError> {
        let mut held = Held(Vec::new());
        for unit in sites.units() {
            let staged = Staged::begin(unit, NONCE).map_err(|e| match e {
                PlaceError::Write(durable::Error::AlreadyExists(dir)) => PlaceError::AtWork(dir),
                e => e,
            })?;
            held.0.push(staged);
        }
        let own: Vec<&Staged> = held.0.iter().collect();
        sites.units().try_for_each(|unit| leftovers::must_be_idle(unit, &own))?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What is left of it has a lock file that tells the next call whose it is.
        for staged in &self.0 {
            let _ = staged.end();
        }
    }
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
