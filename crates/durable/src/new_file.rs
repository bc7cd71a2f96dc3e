//! A file that gets its name only when it is whole.
//!
//! Owns the unnamed file (`O_TMPFILE`) and its fall-back, a hidden `.name.….partial` file, for
//! file systems that have no unnamed ones. Dropping it unpublished leaves nothing behind; a
//! kill leaves at most a partial file that nothing lists.

use crate::{Error, FILE_MODE, PARTIAL_SUFFIX, directory_of, sync_dir};
use rustix::fs::{Advice, AtFlags, CWD, Mode, OFlags, fadvise};
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// After so many bytes the kernel is asked to write them out, so that the sync at the end, for which
/// everybody waits, is a short one.
const WRITE_OUT_BYTES: u64 = 16 << 20;

/// A new file, invisible under its final name until it is published.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    /// The hidden name, where the file has one.
    partial: Option<PathBuf>,
    written_bytes: u64,
    /// Which of them the kernel was asked to write out.
    begun_bytes: u64,
}

impl NewFile {
    /// Begins a file that is to become `path`. Its directory must exist.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when `path` is taken, [`Error::Io`] otherwise.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.symlink_metadata().is_ok() {
            return Err(Error::AlreadyExists(path.to_path_buf()));
        }
        match unnamed_in(directory_of(path)) {
            Ok(file) => {
                failpoint::pass("durable.unnamed.created");
                Ok(NewFile::empty(file, path, None))
            }
            // The file system has no unnamed files (NFS, some overlays).
            Err(_) => Self::create_named(path),
        }
    }

    /// Begins a file under a hidden name, which a rename can put over an older file.
    pub(crate) fn create_named(path: &Path) -> Result<Self, Error> {
        let partial = partial_path(path);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&partial)
            .map_err(|e| Error::new("create", &partial, e))?;
        failpoint::pass("durable.partial.created");
        Ok(NewFile::empty(file, path, Some(partial)))
    }

    fn empty(file: File, path: &Path, partial: Option<PathBuf>) -> Self {
        NewFile { file, path: path.to_path_buf(), partial, written_bytes: 0, begun_bytes: 0 }
    }

    /// "Not needed" is the advice that makes Linux write out what is dirty. It is only advice: what
    /// cannot be written is told by the sync.
    fn begin_to_write_out(&mut self) {
        let length = NonZeroU64::new(self.written_bytes - self.begun_bytes);
        let _ = fadvise(&self.file, self.begun_bytes, length, Advice::DontNeed);
        self.begun_bytes = self.written_bytes;
    }

    /// The name that the file will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has what was written so far on disk before more comes, so that the sync at the end, for
    /// which everybody waits, is a short one.
    ///
    /// # Errors
    /// [`Error::Io`]: bytes may be lost, and the file must be given up.
    pub fn sync_so_far(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| Error::new("sync", &self.path, e))
    }

    /// Syncs the bytes and gives the file its name, unless the name is taken.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when another file took the name meanwhile; [`Error::Io`]
    /// when a sync failed. Nothing is left under the final name by a failed call, except
    /// when the last step, the sync of the directory, is what failed.
    pub fn publish_new(mut self) -> Result<(), Error> {
        self.sync()?;
        let linked = match &self.partial {
            Some(partial) => std::fs::hard_link(partial, &self.path),
            None => link_unnamed(&self.file, &self.path),
        };
        linked.map_err(|e| Error::new("publish", &self.path, e))?;
        failpoint::pass("durable.file.linked");
        self.remove_partial();
        sync_dir(directory_of(&self.path))
    }

    pub(crate) fn publish_over(mut self) -> Result<(), Error> {
        self.sync()?;
        if let Some(partial) = self.partial.take() {
            #[expect(clippy::disallowed_methods, reason = "this is the crate that may")]
            std::fs::rename(&partial, &self.path)
                .map_err(|e| Error::new("publish", &self.path, e))?;
            failpoint::pass("durable.file.renamed");
        }
        sync_dir(directory_of(&self.path))
    }

    fn sync(&mut self) -> Result<(), Error> {
        failpoint::pass("durable.file.written");
        self.file
            .flush()
            .and_then(|()| self.file.sync_all())
            .map_err(|e| Error::new("sync", &self.path, e))?;
        failpoint::pass("durable.file.synced");
        Ok(())
    }

    fn remove_partial(&mut self) {
        if let Some(partial) = self.partial.take() {
            // A hidden name that stays behind is litter, not damage: nothing lists it.
            let _ = std::fs::remove_file(partial);
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written_bytes += count as u64;
        if self.written_bytes - self.begun_bytes >= WRITE_OUT_BYTES {
            self.begin_to_write_out();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.remove_partial();
    }
}

/// A file for writing and reading that never gets a name.
pub(crate) fn unnamed_scratch_in(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, dir, flags, Mode::from_raw_mode(FILE_MODE))?;
    Ok(File::from(file))
}

fn unnamed_in(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, dir, flags, Mode::from_raw_mode(FILE_MODE))?;
    Ok(File::from(file))
}

/// `linkat` on the descriptor's own entry in `/proc`, as open(2) describes for `O_TMPFILE`.
fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let entry = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, entry.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// A hidden name beside `path` that no other writer of this machine uses at the time.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    directory_of(path).join(format!(".{name}.{pid}-{n}{PARTIAL_SUFFIX}"))
}
