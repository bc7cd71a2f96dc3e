//! Whether an etcd runs on a directory, told by the locks that it holds.
//!
//! bbolt holds `flock` on the database, and etcd's WAL an open-file-description lock on its segments
//! (`flock` where the kernel has none). A shared lock that is not granted is somebody else's exclusive
//! one. The locks live in the kernel, so that an etcd in another container is seen as well.
//!
//! Does not: see an etcd on another machine, on a shared file system without locks.

use super::error::PlaceError;
use super::names::entries;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// etcd keeps a few segments locked; more files than these are not tried.
const WAL_FILES_MAX: usize = 1_024;
/// Locks of a whole machine that are gone through to name the holder.
const LOCKS_MAX: usize = 100_000;

/// Refuses when an etcd runs on this data directory or this WAL directory.
pub(super) fn must_not_run(data_dir: &Path, wal_dir: Option<&Path>) -> Result<(), PlaceError> {
    let member = data_dir.join("member");
    member_must_not_run(&member, data_dir)?;
    match wal_dir {
        Some(wal_dir) => files_must_be_free(&wal_files(wal_dir)?, wal_dir),
        None => Ok(()),
    }
}

/// The same for a `member` directory; `told` is the directory that a message names.
pub(super) fn member_must_not_run(member: &Path, told: &Path) -> Result<(), PlaceError> {
    files_must_be_free(&[member.join("snap").join("db")], told)?;
    files_must_be_free(&wal_files(&member.join("wal"))?, told)
}

fn wal_files(dir: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    let is_wal = |name: &OsString| Path::new(name).extension().is_some_and(|e| e == "wal");
    let names = entries(dir)?.into_iter().filter(is_wal).take(WAL_FILES_MAX);
    Ok(names.map(|name| dir.join(name)).collect())
}

fn files_must_be_free(files: &[PathBuf], told: &Path) -> Result<(), PlaceError> {
    for file in files {
        let unreadable = |source| PlaceError::Unreadable { path: file.clone(), source };
        let open = File::options().read(true).custom_flags(NO_WAIT).open(file);
        let opened = match open {
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                continue;
            }
            opened => opened.map_err(unreadable)?,
        };
        match lock_on(&opened).map_err(unreadable)? {
            Lock::None => {}
            Lock::Held => {
                let by = holder(&opened).map(|name| format!(" by {name}")).unwrap_or_default();
                let (path, file) = (told.to_path_buf(), file.clone());
                return Err(PlaceError::Running { path, file, by });
            }
            Lock::Unknown => {
                let (path, file) = (told.to_path_buf(), file.clone());
                return Err(PlaceError::LocksUnknown { path, file });
            }
        }
    }
    Ok(())
}

/// A FIFO in the place of a file must not keep anybody waiting.
const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Whether somebody else has a file locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    Held,
    /// The kernel did not try.
    Unknown,
}

fn lock_on(file: &File) -> io::Result<Lock> {
    let kinds: [fn(&File, FlockOperation) -> rustix::io::Result<()>; 2] =
        [|file, how| flock(file, how), |file, how| fcntl_lock(file, how)];
    for try_lock in kinds {
        let tried = try_lock(file, FlockOperation::NonBlockingLockShared);
        match judge(tried)? {
            Lock::None if tried.is_ok() => try_lock(file, FlockOperation::Unlock)?,
            Lock::None => {}
            found => return Ok(found),
        }
    }
    Ok(Lock::None)
}

/// What the answer to a try says.
pub(super) fn judge(tried: rustix::io::Result<()>) -> io::Result<Lock> {
    match tried {
        // A file system that has no locks at all: nobody can hold one.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(Lock::None),
        Err(Errno::WOULDBLOCK | Errno::ACCESS) => Ok(Lock::Held),
        // A full table of locks, or a lock service that does not answer: an etcd that was started
        // before may hold one.
        Err(Errno::NOLCK) => Ok(Lock::Unknown),
        Err(e) => Err(e.into()),
    }
}

/// The process that holds a lock on the file, as the kernel's table of locks has it. Open-file
/// locks and processes of other containers have no number there.
fn holder(file: &File) -> Option<String> {
    let inode = file.metadata().ok()?.ino().to_string();
    let table = BufReader::new(File::open("/proc/locks").ok()?);
    for line in table.lines().take(LOCKS_MAX) {
        let line = line.ok()?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(pid), Some(place)) = (fields.get(4), fields.get(5)) else { continue };
        let pid = pid.parse::<u32>().ok().filter(|pid| *pid != std::process::id());
        if let (Some(pid), true) = (pid, place.rsplit(':').next() == Some(inode.as_str())) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", name.trim()));
        }
    }
    None
}
