//! Looking at a target before anything is read or written: what is there, whether it may be replaced,
//! whether an etcd runs on it, whether its place can be written, and whose the new files will be.
//!
//! Owns the decision which directories are renamed (the *units*): the data directory, or `member` in
//! it where it is a mount point, which cannot be renamed; and the WAL directory if it lies elsewhere.

use super::error::{PlaceError, SHOWN_MAX};
use super::names::{entries, is_of_mount, parent_of};
use super::owner::Owner;
use super::{Target, half, owner, running};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const ROOT: u32 = 0;

/// What whoever restores has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Whether what is there is moved aside.
    pub replace: bool,
    /// Whose the new files are to be.
    pub owner: Option<Owner>,
}

/// What stands where a unit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Empty,
    /// To be moved aside.
    Full,
}

/// A WAL directory that is a unit of its own.
#[derive(Debug, Clone)]
pub(super) struct WalSite {
    /// The directory.
    pub(super) dir: PathBuf,
    /// What its staging directory is named after: the directory, or a name in the mount point.
    pub(super) unit: PathBuf,
    pub(super) mounted: bool,
}

/// The directories that take part, with their links resolved.
#[derive(Debug, Clone)]
pub(super) struct Sites {
    /// The data directory, or the one that holds those of all members.
    pub(super) dir: PathBuf,
    /// What is renamed: `dir`, or `dir/member`.
    pub(super) data: PathBuf,
    pub(super) mounted: bool,
    pub(super) members: Vec<String>,
    pub(super) wal: Option<WalSite>,
    /// Where the WAL lies below the unit, if not in its usual place.
    pub(super) wal_inside: Option<PathBuf>,
}

/// A target that may be written.
#[derive(Debug, Clone)]
pub struct Ground {
    pub(super) sites: Sites,
    pub(super) data: State,
    pub(super) wal: State,
    /// Whose the new files will be.
    pub owner: Owner,
    /// What whoever restores should know, one sentence each.
    pub notes: Vec<String>,
}

// === impl Sites ===

impl Sites {
    pub(super) fn of(target: &Target) -> Result<Self, PlaceError> {
        let dir = resolve(&target.data_dir)?;
        let mounted = is_mount_point(&dir)?;
        let several = !target.members.is_empty();
        if mounted && several {
            let problem = "and cannot be published in one step with all its members";
            return Err(PlaceError::Mounted { path: dir, problem });
        }
        let data = if mounted { dir.join("member") } else { dir.clone() };
        let members = target.members.clone();
        let mut sites = Sites { dir, data, mounted, members, wal: None, wal_inside: None };
        if let Some(wal_dir) = &target.wal_dir {
            sites.add_wal(&target.data_dir, wal_dir)?;
        }
        Ok(sites)
    }

    fn add_wal(&mut self, data_dir: &Path, wal_dir: &Path) -> Result<(), PlaceError> {
        let overlap = || PlaceError::Overlap {
            data_dir: data_dir.to_path_buf(),
            wal_dir: wal_dir.to_path_buf(),
        };
        // A directory in the data directory may have no parent yet. One that begins there and leads
        // out again (`data/../wal`) is not in it.
        let plain = |below: &Path| below.components().all(|c| matches!(c, Component::Normal(_)));
        let dir = match absolute(wal_dir)?.strip_prefix(absolute(data_dir)?) {
            Ok(below) if plain(below) => self.dir.join(below),
            _ => resolve(wal_dir)?,
        };
        if self.dir.starts_with(&dir) {
            return Err(overlap());
        }
        let member = self.dir.join("member");
        let usual = member.join("wal");
        match dir.strip_prefix(&self.data) {
            _ if dir == usual => {}
            _ if dir == member
                || dir.starts_with(&usual)
                || dir.starts_with(member.join("snap")) =>
            {
                return Err(overlap());
            }
            Ok(below) => self.wal_inside = Some(below.to_path_buf()),
            Err(_) => {
                let mounted = is_mount_point(&dir)?;
                let unit = if mounted { dir.join("wal") } else { dir.clone() };
                self.wal = Some(WalSite { dir, unit, mounted });
            }
        }
        Ok(())
    }

    /// What is renamed, and what staging directories are named after.
    pub(super) fn units(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.data.as_path()).chain(self.wal.as_ref().map(|wal| wal.unit.as_path()))
    }

    /// Every data directory of the target that is there.
    fn data_dirs(&self) -> Result<Vec<PathBuf>, PlaceError> {
        if self.members.is_empty() {
            return Ok(vec![self.dir.clone()]);
        }
        Ok(entries(&self.dir)?.into_iter().map(|name| self.dir.join(name)).collect())
    }

    /// Refuses when an etcd runs on any of them.
    pub(super) fn must_not_run(&self) -> Result<(), PlaceError> {
        let inside = self.wal_inside.as_ref().map(|below| self.data.join(below));
        let wal = self.wal.as_ref().map(|wal| wal.dir.as_path()).or(inside.as_deref());
        for data_dir in self.data_dirs()? {
            running::must_not_run(&data_dir, wal)?;
        }
        Ok(())
    }

    /// Refuses where the WAL of what would be moved aside lies in a directory that was not named: an
    /// etcd that is started with its `--wal-dir` would write that old log into the new database.
    fn must_know_wal(&self) -> Result<(), PlaceError> {
        let member = if self.mounted { self.data.clone() } else { self.data.join("member") };
        match member.join("snap").join("db").exists() && !member.join("wal").is_dir() {
            true => Err(PlaceError::NeedsWal(self.dir.clone())),
            false => Ok(()),
        }
    }

    /// Refuses where a file system is mounted in what would be moved aside: it would go with it, and
    /// at the next start of the machine lie over the new files, with the old ones in it.
    fn must_hold_no_mount(&self) -> Result<(), PlaceError> {
        let each: Vec<PathBuf> = self.members.iter().map(|name| self.data.join(name)).collect();
        let roots = std::iter::once(&self.data).chain(&each);
        let below = ["member", "member/snap", "member/wal", "snap", "wal"].map(Path::new);
        let below = below.into_iter().chain(self.wal_inside.as_deref());
        let inside = roots.flat_map(|root| below.clone().map(|name| root.join(name)));
        for path in inside.chain(each.iter().cloned()) {
            if is_mount_point(&path)? {
                return Err(PlaceError::MountInside(path));
            }
        }
        Ok(())
    }

    fn data_state(&self, replace: bool, notes: &mut Vec<String>) -> Result<State, PlaceError> {
        if !self.mounted {
            let is_data_dir = |dir: &Path| dir.join("member").is_dir();
            return state_of(&self.dir, replace, "data", |name| match self.members.is_empty() {
                true => is_data_dir(&self.dir),
                false => is_data_dir(&self.dir.join(name)),
            });
        }
        let foreign = |name: &OsString| !is_of_mount(name, &self.data) && name != "member";
        let others: Vec<OsString> = entries(&self.dir)?.into_iter().filter(foreign).collect();
        if !others.is_empty() && !replace {
            return Err(PlaceError::NotEmpty { path: self.dir.clone(), found: shown(&others) });
        }
        if !others.is_empty() {
            let (found, dir) = (shown(&others), self.dir.display());
            notes.push(format!("{found} in the mount point {dir} stays where it is"));
        }
        must_be_dir(&self.data)?;
        state_of(&self.data, replace, "data", |_| self.data.join("snap").is_dir())
    }
}

impl WalSite {
    fn state(&self, replace: bool) -> Result<State, PlaceError> {
        if self.mounted {
            let foreign = |name: &OsString| !is_of_mount(name, &self.unit);
            return match entries(&self.dir)?.iter().any(foreign) {
                false => Ok(State::Empty),
                true => Err(PlaceError::Mounted {
                    path: self.dir.clone(),
                    problem: "and what is in it cannot be moved aside in one step",
                }),
            };
        }
        state_of(&self.dir, replace, "WAL", |name| {
            let ends = |ending: &str| name.to_string_lossy().ends_with(ending);
            [".wal", ".tmp", ".broken"].into_iter().any(ends)
        })
    }
}

// === impl Ground ===

/// Looks at a target; changes nothing.
///
/// # Errors
/// [`PlaceError`]: the first reason not to write there.
pub fn look(target: &Target, wishes: Wishes) -> Result<Ground, PlaceError> {
    let sites = Sites::of(target)?;
    let mut notes = Vec::new();
    must_be_dir(&sites.dir)?;
    sites.must_not_run()?;
    if let Some(wal) = &sites.wal {
        must_be_dir(&wal.dir)?;
    }
    let half = sites.wal.as_ref().map(|wal| half::read(&wal.dir)).transpose()?.flatten();
    // What is left of a killed restore is no reason to refuse: `settle` takes it away.
    let replace = wishes.replace || half.is_some();
    let data = sites.data_state(replace, &mut notes)?;
    if data == State::Full {
        sites.must_hold_no_mount()?;
        if target.wal_dir.is_none() && sites.members.is_empty() {
            sites.must_know_wal()?;
        }
    }
    let wal = match &sites.wal {
        Some(wal) if half.is_none() => wal.state(replace)?,
        _ => State::Absent,
    };
    let (owner, why) = owner_of(&sites, wishes);
    for unit in sites.units() {
        owner::must_be_possible(owner, parent_of(unit), unit, why)?;
    }
    if owner.uid == ROOT && why.is_empty() && wishes.owner.is_none() {
        notes.push(
            "the new files belong to root; if etcd runs as another user, name it with --owner"
                .into(),
        );
    }
    Ok(Ground { sites, data, wal, owner, notes })
}

impl Ground {
    /// The data directory with its links resolved, or the one that holds those of all members.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.sites.dir
    }

    /// Where the spool goes: beside the target, on its file system.
    #[must_use]
    pub fn scratch_dir(&self) -> &Path {
        parent_of(&self.sites.data)
    }
}

/// Who named counts, then who owns what is there, then this user.
fn owner_of(sites: &Sites, wishes: Wishes) -> (Owner, &'static str) {
    let there = [&sites.data, &sites.dir].into_iter().find_map(|path| path.symlink_metadata().ok());
    match (wishes.owner, there) {
        (Some(owner), _) => (owner, " (--owner)"),
        (None, Some(meta)) => (Owner::of(&meta), " (as what is there does)"),
        (None, None) => (Owner::me(), ""),
    }
}

/// What stands at `dir`; a full one must be of etcd, told by the name of each entry.
fn state_of(
    dir: &Path,
    replace: bool,
    kind: &'static str,
    is_etcds: impl Fn(&OsString) -> bool,
) -> Result<State, PlaceError> {
    let names = entries(dir)?;
    if names.is_empty() {
        return Ok(if dir.symlink_metadata().is_ok() { State::Empty } else { State::Absent });
    }
    let path = dir.to_path_buf();
    if !replace {
        return Err(PlaceError::NotEmpty { path, found: shown(&names) });
    }
    let foreign: Vec<OsString> = names.into_iter().filter(|name| !is_etcds(name)).collect();
    match foreign.is_empty() {
        true => Ok(State::Full),
        false => Err(PlaceError::NotOfEtcd { path, kind, found: shown(&foreign) }),
    }
}

fn shown(names: &[OsString]) -> String {
    let mut all: Vec<String> = names.iter().map(|n| n.to_string_lossy().into_owned()).collect();
    all.sort();
    let more = if all.len() > SHOWN_MAX { ", …" } else { "" };
    all.truncate(SHOWN_MAX);
    format!("{}{more}", all.join(", "))
}

fn must_be_dir(path: &Path) -> Result<(), PlaceError> {
    let what = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(meta) if meta.is_symlink() => "symbolic link",
        Ok(_) => "file",
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PlaceError::Unreadable { path: path.to_path_buf(), source }),
    };
    Err(PlaceError::NotADirectory { path: path.to_path_buf(), what })
}

fn absolute(path: &Path) -> Result<PathBuf, PlaceError> {
    std::path::absolute(path)
        .map_err(|source| PlaceError::Unreadable { path: path.to_path_buf(), source })
}

/// The path with the links of its parent resolved. The last component is taken as it is.
fn resolve(path: &Path) -> Result<PathBuf, PlaceError> {
    let full = absolute(path)?;
    let (Some(name), Some(parent)) = (full.file_name(), full.parent()) else {
        return Err(PlaceError::NoName(path.to_path_buf()));
    };
    match parent.canonicalize() {
        Ok(parent) if parent.is_dir() => Ok(parent.join(name)),
        Ok(parent) => Err(PlaceError::NotADirectory { path: parent, what: "file" }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(PlaceError::NoParent(parent.to_path_buf()))
        }
        Err(source) => Err(PlaceError::Unreadable { path: parent.to_path_buf(), source }),
    }
}

/// Whether a file system is mounted here. Bind mounts have the number of the file system around
/// them, so the kernel is asked, where it can tell.
fn is_mount_point(path: &Path) -> Result<bool, PlaceError> {
    let failed = |source| PlaceError::Unreadable { path: path.to_path_buf(), source };
    let meta = match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        meta => meta.map_err(failed)?,
    };
    if !meta.is_dir() {
        return Ok(false);
    }
    if let Ok(asked) = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        && asked.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return Ok(asked.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    let parent = parent_of(path).metadata().map_err(failed)?;
    Ok(parent.dev() != meta.dev())
}
