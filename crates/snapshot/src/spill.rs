//! An append-only log of blobs: the first bytes in memory, the rest in an unlinked scratch file.
//!
//! The log is written while the snapshot streams by, then sealed, then read at random. The scratch
//! file has no name, so it is gone when the process is, however it ends. What goes in is for the
//! caller; this crate puts no value of the key space there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes gathered before one write to the scratch file.
const WRITE_BYTES: usize = 1 << 20;

/// Bytes read at once from the scratch file: enough for the blob of most pages.
const READ_BYTES: usize = 4 << 10;

/// Longest blob, in bytes: above the summary of the longest run. Guards the allocation when
/// reading.
const BLOB_BYTES_MAX: usize = 128 << 20;

const LENGTH_BYTES: usize = 4;

/// The log while it is written.
#[derive(Debug)]
pub(crate) struct SpillLog {
    memory: Vec<u8>,
    memory_bytes_max: usize,
    scratch_dir: Option<PathBuf>,
    tail: Option<Tail>,
}

/// The part that is no longer in memory.
#[derive(Debug)]
struct Tail {
    file: File,
    pending: Vec<u8>,
    written: u64,
}

impl SpillLog {
    /// An empty log. `scratch_dir` is where the scratch file goes once `memory_bytes_max` is used
    /// up.
    pub(crate) fn new(memory_bytes_max: usize, scratch_dir: Option<PathBuf>) -> Self {
        Self { memory: Vec::new(), memory_bytes_max, scratch_dir, tail: None }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        let tail = self.tail.as_ref().map_or(0, |tail| tail.written + tail.pending.len() as u64);
        self.memory.len() as u64 + tail
    }

    /// Appends a blob and gives its position.
    pub(crate) fn append(&mut self, blob: &[u8]) -> io::Result<u64> {
        let position = self.len();
        let length = u32::try_from(blob.len()).map_err(io::Error::other)?.to_le_bytes();
        let fits = self.memory.len() + LENGTH_BYTES + blob.len() <= self.memory_bytes_max;
        if fits && self.tail.is_none() {
            self.memory.extend_from_slice(&length);
            self.memory.extend_from_slice(blob);
            return Ok(position);
        }
        let tail = match &mut self.tail {
            Some(tail) => tail,
            None => self.tail.insert(Tail::new(self.scratch_dir.as_deref())?),
        };
        tail.append(&length, blob)?;
        Ok(position)
    }

    /// Ends writing.
    pub(crate) fn seal(self) -> io::Result<SealedLog> {
        let file = match self.tail {
            Some(mut tail) => {
                tail.flush()?;
                Some(tail.file)
            }
            None => None,
        };
        Ok(SealedLog { memory: self.memory, file })
    }
}

impl Tail {
    fn new(dir: Option<&Path>) -> io::Result<Self> {
        let file = match dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        Ok(Self { file, pending: Vec::with_capacity(WRITE_BYTES), written: 0 })
    }

    fn append(&mut self, length: &[u8], blob: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(length);
        self.pending.extend_from_slice(blob);
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// The log when it is complete.
#[derive(Debug)]
pub(crate) struct SealedLog {
    memory: Vec<u8>,
    file: Option<File>,
}

impl SealedLog {
    /// The blob at `position`, which [`SpillLog::append`] gave. `scratch` holds it when it is not
    /// in memory.
    pub(crate) fn read<'a>(
        &'a self,
        position: u64,
        scratch: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        let in_memory = usize::try_from(position).ok().and_then(|at| self.memory.get(at..));
        match (in_memory, &self.file) {
            (Some(rest), _) if !rest.is_empty() => {
                let (length, rest) = split_length(rest)?;
                rest.get(..length).ok_or_else(damaged)
            }
            (_, Some(file)) => {
                read_file(file, position.saturating_sub(self.memory.len() as u64), scratch)?;
                Ok(scratch)
            }
            (_, None) => Err(damaged()),
        }
    }
}

fn read_file(file: &File, at: u64, scratch: &mut Vec<u8>) -> io::Result<()> {
    scratch.resize(READ_BYTES, 0);
    let mut filled = 0;
    while filled < LENGTH_BYTES {
        let rest = scratch.get_mut(filled..).unwrap_or_default();
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => return Err(damaged()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (length, _) = split_length(scratch)?;
    let end = LENGTH_BYTES + length;
    scratch.resize(end, 0);
    if let Some(rest) = scratch.get_mut(filled.min(end)..) {
        file.read_exact_at(rest, at + filled.min(end) as u64)?;
    }
    scratch.drain(..LENGTH_BYTES);
    Ok(())
}

fn split_length(bytes: &[u8]) -> io::Result<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
    if length > BLOB_BYTES_MAX { Err(damaged()) } else { Ok((length, rest)) }
}

/// The scratch file does not hold what was written to it.
pub(crate) fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the scratch file does not hold what was written to it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_comes_back_wherever_it_went() {
        let blobs: Vec<Vec<u8>> =
            (0..400_usize).map(|i| vec![u8::try_from(i % 251).unwrap(); i * 37 % 9_001]).collect();
        for memory_bytes_max in [0, 1_000, 100_000, 1 << 30] {
            let mut log = SpillLog::new(memory_bytes_max, None);
            let positions: Vec<u64> = blobs.iter().map(|blob| log.append(blob).unwrap()).collect();
            let sealed = log.seal().unwrap();
            assert!(sealed.memory.len() <= memory_bytes_max);
            let mut scratch = Vec::new();
            for (position, blob) in positions.iter().zip(&blobs).rev() {
                assert_eq!(sealed.read(*position, &mut scratch).unwrap(), blob);
            }
        }
    }

    #[test]
    fn a_missing_scratch_directory_is_an_error() {
        let mut log = SpillLog::new(0, Some(PathBuf::from("/nonexistent/scratch")));
        assert!(log.append(b"x").is_err());
    }
}
