//! Directories that hold state or scratch, looked at before anything is written.
//!
//! Owns: who could tamper with a directory (its owner, its mode, links on the way to it), whether
//! it can be written, and how much room its file system has. A directory that is not there is
//! judged by the nearest one above it, in which it would be made.
//!
//! Does not: make or change anything.

use crate::Exit;
use crate::check::Finding;
use rustix::fs::{Access, StatVfsMountFlags, access, statfs, statvfs};
use rustix::process::geteuid;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// With less than a page nothing at all can be written.
const FREE_BYTES_MIN: u64 = 4096;

const WRITABLE_BY_ALL: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
/// Only the owner of an entry may remove it, as in `/tmp`.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;
/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// What a directory is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As it was asked for.
    pub path: PathBuf,
    /// Whether it is there; otherwise everything below is about [`Place::nearest`].
    pub exists: bool,
    /// The directory itself, or the nearest one above that is there.
    pub nearest: PathBuf,
    /// The user id of its owner.
    pub owner: u32,
    /// Its permissions.
    pub mode: u32,
    /// A symbolic link on the way to it that belongs to somebody else, with its owner.
    pub foreign_link: Option<(PathBuf, u32)>,
    /// Whether it is a directory at all.
    pub is_directory: bool,
    /// Whether this process may make entries in it.
    pub is_writable: bool,
    /// Whether the file system is mounted read-only.
    pub is_read_only: bool,
    /// Whether the file system lives in memory: it is gone after a restart.
    pub is_in_memory: bool,
    /// What is free for this user, in bytes.
    pub free_bytes: u64,
    /// The file system's number, the same for two places on one file system.
    pub device: u64,
}

impl Place {
    /// Looks at a directory.
    ///
    /// # Errors
    /// When neither it nor anything above it can be looked at.
    pub fn look(path: &Path) -> io::Result<Place> {
        let whole = std::path::absolute(path)?;
        let nearest = nearest(&whole)?;
        let meta = nearest.metadata()?;
        let (volume, kind) = (statvfs(&nearest)?, statfs(&nearest)?);
        let me = geteuid().as_raw();
        Ok(Place {
            path: path.to_path_buf(),
            exists: nearest == whole,
            owner: meta.uid(),
            mode: meta.mode() & 0o7777,
            foreign_link: foreign_link(&nearest, me),
            is_directory: meta.is_dir(),
            is_writable: access(&nearest, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
            is_read_only: volume.f_flag.contains(StatVfsMountFlags::RDONLY),
            #[allow(clippy::unnecessary_cast, reason = "its width differs by platform")]
            is_in_memory: IN_MEMORY.contains(&(kind.f_type as i64)),
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            device: meta.dev(),
            nearest,
        })
    }

    /// What keeps it from being written.
    #[must_use]
    pub fn unusable(&self) -> Option<Finding> {
        let path = self.nearest.display();
        let bad = |detail: String| Finding::bad("writable", detail, Exit::LocalDisk);
        if !self.is_directory {
            let finding =
                Finding::bad("directory", format!("{path} is no directory"), Exit::Config);
            return Some(finding.next("name a directory, or a place where one can be made"));
        }
        if self.is_read_only {
            let finding = bad(format!("the file system of {path} is read-only"));
            return Some(finding.next("name a directory on a writable volume"));
        }
        if !self.is_writable {
            let finding = bad(format!("{path} cannot be written by this user"));
            return Some(finding.next("change its owner or mode, or name another directory"));
        }
        if self.free_bytes < FREE_BYTES_MIN {
            let finding = bad(format!("the file system of {path} is full"));
            return Some(finding.next("make room, or name another directory"));
        }
        None
    }

    /// How somebody else could tamper with what is private to this user. A group that may write
    /// is a warning: volumes of Kubernetes come so, with a group of their own.
    #[must_use]
    pub fn exposed(&self) -> Option<Finding> {
        let bad = |name: &str, detail: String| Finding::bad(name, detail, Exit::Config);
        if let Some((link, owner)) = &self.foreign_link {
            let detail =
                format!("{} is a symbolic link that belongs to user {owner}", link.display());
            return Some(bad("link", detail).next("name the directory itself"));
        }
        if !self.exists {
            // It will be made private; what is above it is nobody's secret.
            return None;
        }
        let (path, me) = (self.path.display(), geteuid().as_raw());
        if self.owner != me {
            let detail = format!("{path} belongs to user {}, this is user {me}", self.owner);
            let next = format!("name a directory below it, or run: chown {me} {path}");
            return Some(bad("owner", detail).next(next));
        }
        if self.mode & WRITABLE_BY_ALL != 0 {
            let detail = format!("everybody may write to {path} (mode {:04o})", self.mode);
            return Some(bad("mode", detail).next(format!("chmod 700 {path}")));
        }
        (self.mode & WRITABLE_BY_GROUP != 0).then(|| {
            let detail = format!("its group may write to {path} (mode {:04o})", self.mode);
            Finding::warning("mode", detail, format!("chmod 700 {path}"))
        })
    }

    /// Whether everybody may replace what lies here.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        self.exists && self.mode & WRITABLE_BY_ALL != 0 && self.mode & STICKY == 0
    }
}

fn nearest(path: &Path) -> io::Result<PathBuf> {
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    for above in path.ancestors() {
        match above.symlink_metadata() {
            Ok(_) => return Ok(above.to_path_buf()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing = e,
            Err(e) => return Err(e),
        }
    }
    Err(missing)
}

/// Links of root are part of the machine (`/var/run`), and one's own are one's own wish.
fn foreign_link(path: &Path, me: u32) -> Option<(PathBuf, u32)> {
    path.ancestors().find_map(|above| {
        let meta = above.symlink_metadata().ok()?;
        let foreign = meta.is_symlink() && ![ROOT, me].contains(&meta.uid());
        foreign.then(|| (above.to_path_buf(), meta.uid()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn f12_a_directory_that_others_can_write_is_exposed() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, level) in [
            (0o700, None),
            (0o755, None),
            (0o770, Some(crate::check::Level::Warning)),
            (0o777, Some(crate::check::Level::Failed)),
        ] {
            chmod(dir.path(), mode);
            let place = Place::look(dir.path()).unwrap();
            assert_eq!(place.exposed().map(|f| f.level), level, "{mode:o}");
            assert!(place.unusable().is_none() && place.exists, "{place:?}");
        }
        chmod(dir.path(), 0o700);
    }

    #[test]
    fn f12_a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let below = file.path().join("state");
        // The system says so itself when it is asked for something below a file.
        if let Ok(place) = Place::look(&below) {
            assert_eq!(place.unusable().unwrap().exit, Some(3), "{place:?}");
        }
        let place = Place::look(file.path()).unwrap();
        assert_eq!(place.unusable().unwrap().exit, Some(3), "{place:?}");
    }

    #[test]
    fn what_is_not_there_is_judged_by_what_is_above() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::look(&dir.path().join("a/b/c")).unwrap();
        assert!(!place.exists && place.is_writable, "{place:?}");
        assert_eq!(place.nearest, dir.path());
        assert!(place.exposed().is_none());
        assert_eq!(place.device, Place::look(dir.path()).unwrap().device);
    }
}
