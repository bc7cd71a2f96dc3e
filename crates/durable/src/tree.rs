//! Directories that get their name as a whole: built beside the target, then renamed.
//!
//! Owns: making private directories and files below a directory that nobody looks into yet, and the
//! renames that publish it: onto a free name, over an empty directory, or in exchange for the
//! directory that is there. Every rename is followed by a sync of both parents.
//!
//! Does not: sync what is inside (see [`sync_tree`]), nor decide what may be replaced.

use crate::{DIRECTORY_MODE, Error, FILE_MODE, directory_of, sync_dir};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How deep a tree is synced. The trees built here are five levels deep.
const DEPTH_MAX: usize = 16;

/// Makes one private directory. Its parent must exist, and its name be free.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::NoSpace`] or [`Error::Io`].
pub fn new_dir(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(DIRECTORY_MODE).create(path);
    made.map_err(|e| Error::new("create directory", path, e))?;
    failpoint::pass("durable.tree.directory_made");
    Ok(())
}

/// Makes a private file for writing and reading, under its own name at once: for a directory that
/// has not its own name yet. Nothing is synced before [`sync_file`].
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::NoSpace`] or [`Error::Io`].
pub fn new_file(path: &Path) -> Result<File, Error> {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path);
    let file = file.map_err(|e| Error::new("create", path, e))?;
    failpoint::pass("durable.tree.file_made");
    Ok(file)
}

/// Has every byte of a file on disk.
///
/// # Errors
/// [`Error::Io`]: bytes may be lost, and the file must be given up.
pub fn sync_file(file: &File, path: &Path) -> Result<(), Error> {
    file.sync_all().map_err(|e| Error::new("sync", path, e))?;
    failpoint::pass("durable.tree.file_synced");
    Ok(())
}

/// Syncs a directory and every directory below it. Files are synced by whoever wrote them.
///
/// # Errors
/// [`Error::Io`], also for a tree that is deeper than any built here.
pub fn sync_tree(dir: &Path) -> Result<(), Error> {
    sync_below(dir, DEPTH_MAX)
}

fn sync_below(dir: &Path, depth: usize) -> Result<(), Error> {
    let failed = |source| Error::new("list", dir, source);
    if depth == 0 {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_below(&entry.path(), depth - 1)?;
        }
    }
    sync_dir(dir)
}

/// Gives a file or directory a name that is free, on the same file system.
///
/// # Errors
/// [`Error::AlreadyExists`] when the name is taken; [`Error::Io`] otherwise. Nothing has changed
/// then, except when a sync of a parent is what failed.
pub fn rename_new(from: &Path, to: &Path) -> Result<(), Error> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag (NFS). Nobody else writes here.
        Err(e) if is_unsupported(e) => {
            if to.symlink_metadata().is_ok() {
                return Err(Error::AlreadyExists(to.to_path_buf()));
            }
            plain_rename(from, to)?;
        }
        renamed => renamed.map_err(|e| Error::new("rename to", to, e.into()))?,
    }
    renamed(from, to)
}

/// Puts a directory in the place of an empty one, in one step.
///
/// # Errors
/// [`Error::AlreadyExists`] when the directory there is not empty; [`Error::Io`] otherwise.
pub fn rename_over_empty_dir(from: &Path, to: &Path) -> Result<(), Error> {
    plain_rename(from, to)?;
    renamed(from, to)
}

/// Puts a file in the place of another one, in one step. Its bytes must be synced.
///
/// # Errors
/// [`Error::Io`]: the file there is as it was, except when a sync of a parent is what failed.
pub fn rename_over_file(from: &Path, to: &Path) -> Result<(), Error> {
    plain_rename(from, to)?;
    renamed(from, to)
}

/// Exchanges the names of two files or directories in one step: there is no moment at which one
/// of the names is free. False when the file system cannot do that; nothing has changed then.
///
/// # Errors
/// [`Error::Io`], as for [`rename_new`].
pub fn exchange(one: &Path, other: &Path) -> Result<bool, Error> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(e) if is_unsupported(e) => return Ok(false),
        exchanged => exchanged.map_err(|e| Error::new("exchange", other, e.into()))?,
    }
    renamed(one, other)?;
    Ok(true)
}

/// Removes a directory that is empty, and syncs its parent. One that is gone already is no error.
///
/// # Errors
/// [`Error::Io`], also when it is not empty.
pub fn remove_empty_dir(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.map_err(|e| Error::Io {
                verb: "remove",
                path: path.to_path_buf(),
                source: e,
            })?;
            failpoint::pass("durable.tree.directory_removed");
            sync_dir(directory_of(path))
        }
    }
}

/// Removes a directory with everything below it, following no link, and syncs its parent. One
/// that is gone already is no error.
///
/// # Errors
/// [`Error::Io`]; a part of it may be gone then.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    failpoint::pass("durable.tree.removing");
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.map_err(|e| Error::new("remove", path, e))?;
            failpoint::pass("durable.tree.removed");
            sync_dir(directory_of(path))
        }
    }
}

fn plain_rename(from: &Path, to: &Path) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "this is the crate that may")]
    std::fs::rename(from, to).map_err(|e| match e.kind() {
        io::ErrorKind::DirectoryNotEmpty => Error::AlreadyExists(to.to_path_buf()),
        _ => Error::new("rename to", to, e),
    })
}

fn renamed(from: &Path, to: &Path) -> Result<(), Error> {
    failpoint::pass("durable.tree.renamed");
    let (left, entered) = (directory_of(from), directory_of(to));
    sync_dir(entered)?;
    if left == entered { Ok(()) } else { sync_dir(left) }
}

fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}
