//! The file that takes what memory cannot hold: a ring addressed by position in the stream.
//!
//! Position `p` lies at `p % capacity`, so the file never grows beyond its capacity however
//! long the stream is. The log guarantees that no more than `capacity` bytes are live at once.
//! The file has no name: it is gone when it is closed, whatever closed it.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    capacity: u64,
}

impl Spool {
    pub(super) fn create(dir: &std::path::Path, capacity: u64) -> Result<Self, durable::Error> {
        Ok(Spool { file: durable::scratch_file(dir)?, capacity })
    }

    /// Writes `block`, which begins at `position` of the stream.
    pub(super) fn write(&self, position: u64, block: &Bytes) -> io::Result<()> {
        let (at, first) = self.place(position, block.len());
        self.file.write_all_at(&block[..first], at)?;
        self.file.write_all_at(&block[first..], 0)
    }

    /// Reads `length` bytes from `position` of the stream.
    pub(super) fn read(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let mut block = vec![0; length];
        let (at, first) = self.place(position, length);
        let (head, tail) = block.split_at_mut(first);
        self.file.read_exact_at(head, at)?;
        self.file.read_exact_at(tail, 0)?;
        Ok(block.into())
    }

    /// Gives the disk space back, when nothing in the file is needed any more.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Where `position` lies, and how many of `length` bytes fit before the ring wraps.
    fn place(&self, position: u64, length: usize) -> (u64, usize) {
        let at = position % self.capacity;
        let room = usize::try_from(self.capacity - at).unwrap_or(usize::MAX);
        (at, length.min(room))
    }
}
