//! The one place that writes files.
//!
//! Owns: private modes (files 0600, directories 0700), all-or-nothing publication
//! (write, fsync, link, fsync of the directory) and scratch files that no path leads to.
//! A file under its final name is therefore always complete, whatever killed its writer.
//!
//! Does not: read, lock, or retry. A failed fsync means that the data is lost; it is
//! reported and never tried again, because a second fsync may succeed without the data.

mod new_file;
#[cfg(test)]
mod tests;
mod tree;

pub use new_file::NewFile;
pub use tree::{
    exchange, new_dir, new_file, remove_empty_dir, remove_tree, rename_new, rename_over_empty_dir,
    rename_over_file, sync_file, sync_tree,
};

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of every directory made here: only its owner may look in.
pub const DIRECTORY_MODE: u32 = 0o700;
/// Mode of every file made here: only its owner may read it.
pub const FILE_MODE: u32 = 0o600;
/// How the name of an unfinished file ends where the file system has no unnamed files.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// What went wrong, on which path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The final name is taken. Nothing was overwritten.
    #[error("{} exists already; it was left as it is", .0.display())]
    AlreadyExists(PathBuf),
    /// The file system is full, or over quota.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Any other refusal of the operating system.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::NoSpace { path, source }
            }
            _ => Error::Io { verb, path, source },
        }
    }

    /// The next thing to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::AlreadyExists(_) => Some("choose another name, or move the old file away"),
            Error::NoSpace { .. } => Some("free some space, or choose another directory"),
            Error::Io { .. } => None,
        }
    }
}

/// Makes `path` and whatever is missing above it, private, and syncs the entries made.
///
/// # Errors
/// [`Error::Io`] when a component cannot be made, or is not a directory.
pub fn create_private_dir(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    create_private_dir(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => {
            failpoint::pass("durable.directory.made");
            sync_dir(directory_of(path))
        }
        // Another process was quicker; that its entry is a directory still has to hold.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let source = io::ErrorKind::NotADirectory.into();
            Err(Error::Io { verb: "create directory", path: path.to_path_buf(), source })
        }
        Err(e) => Err(Error::new("create directory", path, e)),
    }
}

/// Writes a new file in one go; fails if the name is taken.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::NoSpace`] or [`Error::Io`]; no file is left then.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = NewFile::create(path)?;
    io::Write::write_all(&mut file, bytes).map_err(|e| Error::new("write", path, e))?;
    file.publish_new()
}

/// Writes a file in one go, in place of an older one if there is one.
///
/// # Errors
/// [`Error::NoSpace`] or [`Error::Io`]; the older file is untouched then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = NewFile::create_named(path)?;
    io::Write::write_all(&mut file, bytes).map_err(|e| Error::new("write", path, e))?;
    file.publish_over()
}

/// Removes a file and syncs its directory. A file that is gone already is no error.
///
/// # Errors
/// [`Error::Io`] when the file is there and cannot be removed.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    failpoint::pass("durable.file.removing");
    match std::fs::remove_file(path) {
        Ok(()) => {
            failpoint::pass("durable.file.removed");
            sync_dir(directory_of(path))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::new("remove", path, e)),
    }
}

/// A file for reading and writing that no path leads to: it is gone when it is closed,
/// whatever closed it.
///
/// # Errors
/// [`Error::Io`] when `dir` cannot hold one.
pub fn scratch_file(dir: &Path) -> Result<File, Error> {
    match new_file::unnamed_scratch_in(dir) {
        Ok(file) => {
            failpoint::pass("durable.scratch.unnamed");
            Ok(file)
        }
        // The file system has no unnamed files (NFS, some overlays).
        Err(_) => named_scratch_in(dir),
    }
}

fn named_scratch_in(dir: &Path) -> Result<File, Error> {
    let path = new_file::partial_path(&dir.join("scratch"));
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|e| Error::new("create", &path, e))?;
    failpoint::pass("durable.scratch.named");
    std::fs::remove_file(&path).map_err(|e| Error::new("unlink", &path, e))?;
    failpoint::pass("durable.scratch.unlinked");
    Ok(file)
}

/// Whether `name` is that of an unfinished file left by a writer that was killed.
#[must_use]
pub fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(PARTIAL_SUFFIX)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs a directory: a new name is durable only once its directory is.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Error::new("sync directory", dir, e))?;
    failpoint::pass("durable.directory.synced");
    Ok(())
}
