//! A data directory while it is built: below a hidden directory beside its place.
//!
//! Owns the layout (`member/snap/db`, `member/snap/*.snap`, `member/wal/*.wal`), the modes that etcd
//! wants (directories 0700, files 0600), the preallocated WAL, and the syncs. What is built here is
//! removed when the staging is dropped unpublished.
//!
//! Does not: know what is in the files.

use super::error::PlaceError;
use super::leftovers::{self, Staged};
use super::look::{Ground, State};
use super::owner;
use crate::wal::{WAL_FILE_NAME, WAL_SEGMENT_BYTES};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// Where the files of one member are while they are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPaths {
    /// Its `member` directory.
    pub member_dir: PathBuf,
    /// The directory of its WAL.
    pub wal_dir: PathBuf,
}

impl MemberPaths {
    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.snap_dir().join("db")
    }

    fn snap_dir(&self) -> PathBuf {
        self.member_dir.join("snap")
    }
}

/// What is to be published, below its hidden directories.
#[derive(Debug)]
pub struct Staging {
    pub(super) ground: Ground,
    pub(super) data: Staged,
    pub(super) wal: Option<Staged>,
    /// Whether it is left for the next call, because it holds what the target needs.
    pub(super) is_kept: bool,
}

impl Staging {
    /// Begins beside a target that was looked at. `nonce` tells one restore from another.
    ///
    /// # Errors
    /// [`PlaceError::Changed`] when the ground is not settled; [`PlaceError::Write`].
    pub fn begin(ground: Ground, nonce: &str) -> Result<Self, PlaceError> {
        if let Some(wal) = &ground.sites.wal
            && super::half::read(&wal.dir)?.is_some()
        {
            return Err(PlaceError::Changed(wal.dir.clone()));
        }
        let data = Staged::begin(&ground.sites.data, nonce)?;
        let wal_unit = ground.sites.wal.as_ref().map(|wal| wal.unit.clone());
        // From here on what is made is taken away again when the next step fails.
        let mut staging = Staging { data, wal: None, ground, is_kept: false };
        if let Some(unit) = wal_unit {
            staging.wal = Some(Staged::begin(&unit, nonce)?);
        }
        // After the own locks are held: of two that begin at once, one sees the other at least.
        for staged in std::iter::once(&staging.data).chain(&staging.wal) {
            leftovers::must_be_idle(&staged.unit, &[staged])?;
        }
        Ok(staging)
    }

    /// Where the files of member number `at` are built; 0 where there is one only.
    #[must_use]
    pub fn member(&self, at: usize) -> MemberPaths {
        let sites = &self.ground.sites;
        let new = self.data.new_dir();
        let member_dir = match sites.members.get(at) {
            Some(name) => new.join(name).join("member"),
            None if sites.mounted => new.clone(),
            None => new.join("member"),
        };
        let wal_dir = match (&self.wal, &sites.wal_inside) {
            (Some(wal), _) => wal.new_dir(),
            (None, Some(below)) => new.join(below),
            (None, None) => member_dir.join("wal"),
        };
        MemberPaths { member_dir, wal_dir }
    }

    /// Makes the directories of a member, and its database, empty, to be written and read.
    ///
    /// # Errors
    /// [`PlaceError::Write`].
    pub fn new_database(&self, at: usize) -> Result<File, PlaceError> {
        let paths = self.member(at);
        durable::create_private_dir(&paths.snap_dir())?;
        durable::create_private_dir(&paths.wal_dir)?;
        Ok(durable::new_file(&paths.database())?)
    }

    /// Has the database of a member on disk.
    ///
    /// # Errors
    /// [`PlaceError::Write`].
    pub fn sync_database(&self, at: usize, database: &File) -> Result<(), PlaceError> {
        Ok(durable::sync_file(database, &self.member(at).database())?)
    }

    /// Gives a member the database of another one. File systems that can share the blocks do.
    ///
    /// # Errors
    /// [`PlaceError::Write`].
    pub fn copy_database(&self, mut from: &File, at: usize) -> Result<(), PlaceError> {
        let mut to = self.new_database(at)?;
        let copied = from.rewind().and_then(|()| io::copy(&mut from, &mut to));
        copied.map_err(|e| write_error(&self.member(at).database(), e))?;
        self.sync_database(at, &to)?;
        failpoint::pass("place.database.copied");
        Ok(())
    }

    /// Writes the `.snap` file and the WAL of a member. False when the file system cannot preallocate
    /// the WAL: it is short then, and etcd extends it.
    ///
    /// # Errors
    /// [`PlaceError::Write`].
    pub fn write_log(
        &self,
        at: usize,
        (snap_name, snap): (&str, &[u8]),
        wal: &[u8],
    ) -> Result<bool, PlaceError> {
        let paths = self.member(at);
        write(&paths.snap_dir().join(snap_name), snap)?;
        failpoint::pass("place.snap.written");
        let path = paths.wal_dir.join(WAL_FILE_NAME);
        let mut file = durable::new_file(&path)?;
        file.write_all(wal).map_err(|e| write_error(&path, e))?;
        let tried = rustix::io::retry_on_intr(|| {
            fallocate(&file, FallocateFlags::empty(), 0, WAL_SEGMENT_BYTES)
        });
        let allocated = is_allocated(tried).map_err(|e| write_error(&path, e))?;
        durable::sync_file(&file, &path)?;
        failpoint::pass("place.wal.written");
        Ok(allocated)
    }

    /// Gives everything to its owner and has all directories on disk. Nothing is written after it.
    ///
    /// # Errors
    /// [`PlaceError::Write`].
    pub fn seal(&self) -> Result<(), PlaceError> {
        for staged in std::iter::once(&self.data).chain(&self.wal) {
            owner::give(&staged.new_dir(), self.ground.owner)?;
            durable::sync_tree(&staged.new_dir())?;
        }
        failpoint::pass("place.staging.sealed");
        Ok(())
    }

    pub(super) fn data_state(&self) -> State {
        self.ground.data
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // Litter with a lock file is told from damage, and the next restore takes it away.
        for staged in std::iter::once(&self.data).chain(&self.wal) {
            let _ = staged.end();
        }
    }
}

/// Whether the WAL has its length on disk. Only where the file system cannot do that is it no error:
/// an etcd could not extend the WAL on a full one either.
pub(super) fn is_allocated(tried: rustix::io::Result<()>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PlaceError> {
    let mut file = durable::new_file(path)?;
    file.write_all(bytes).map_err(|e| write_error(path, e))?;
    Ok(durable::sync_file(&file, path)?)
}

fn write_error(path: &Path, source: io::Error) -> PlaceError {
    PlaceError::Write(match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            durable::Error::NoSpace { path: path.to_path_buf(), source }
        }
        _ => durable::Error::Io { verb: "write", path: path.to_path_buf(), source },
    })
}
