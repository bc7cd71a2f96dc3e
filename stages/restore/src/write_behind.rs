//! Writing a file by a thread of its own, so that the next block is made meanwhile.
//!
//! Invariant: [`with`] returns only when everything is written, or with the first error of writing.
//!
//! Does not: sync.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const BLOCK_BYTES: usize = 1 << 20;
/// Blocks that wait to be written.
const BLOCKS_WAITING: usize = 2;

enum Step {
    Write(Vec<u8>),
    Seek(u64),
}

/// Collects what is written into blocks. Errors of writing come with a later block, or at the end.
pub(crate) struct WriteBehind {
    block: Vec<u8>,
    position: u64,
    to_write: SyncSender<Step>,
}

/// Lets `make` write to `file`, and gives what it made once everything is written.
///
/// # Errors
/// The first error of writing; then what was made means nothing.
pub(crate) fn with<T>(file: &File, make: impl FnOnce(&mut WriteBehind) -> T) -> io::Result<T> {
    std::thread::scope(|scope| {
        let (to_write, steps) = sync_channel(BLOCKS_WAITING);
        let writer = scope.spawn(move || write_all(file, &steps));
        let mut behind = WriteBehind { block: Vec::new(), position: 0, to_write };
        let made = make(&mut behind);
        let rest = behind.flush();
        drop(behind);
        // A thread that panicked has not written everything.
        writer.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
        rest?;
        Ok(made)
    })
}

fn write_all(mut file: &File, steps: &Receiver<Step>) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Write(block) => file.write_all(&block)?,
            Step::Seek(to) => drop(file.seek(SeekFrom::Start(to))?),
        }
    }
    Ok(())
}

impl WriteBehind {
    fn send(&self, step: Step) -> io::Result<()> {
        self.to_write.send(step).map_err(|_| io::Error::other("an earlier block was not written"))
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK_BYTES);
        }
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.position += count as u64;
        if self.block.len() == BLOCK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    /// Hands the block over; it is written soon.
    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.send(Step::Write(block))
    }
}

impl Seek for WriteBehind {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(to) = to else { return Err(ErrorKind::Unsupported.into()) };
        if to != self.position {
            self.flush()?;
            self.send(Step::Seek(to))?;
            self.position = to;
        }
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn everything_is_written_where_it_belongs() {
        let mut file = tempfile::tempfile().unwrap();
        let long: Vec<u8> = (0..=250).cycle().take(3 * BLOCK_BYTES + 7).collect();
        with(&file, |out| {
            out.seek(SeekFrom::Start(4))?;
            out.write_all(&long)?;
            out.seek(SeekFrom::Start(0))?;
            out.write_all(b"head")
        })
        .unwrap()
        .unwrap();
        let mut found = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut found).unwrap();
        assert!(found == [b"head", &long[..]].concat());
    }

    #[test]
    fn f09_a_block_that_cannot_be_written_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        for bytes in [1, 5 * BLOCK_BYTES] {
            let written = with(&full, |out| out.write_all(&vec![1; bytes]));
            assert_eq!(written.unwrap_err().kind(), ErrorKind::StorageFull, "{bytes} bytes");
        }
    }
}
