//! A buffer before a reader, so that the beginning can be looked at before anybody takes it.

use std::io::{self, BufRead, Read};

/// Room for a block.
const BUFFER_BYTES: usize = 64 << 10;
/// Room for the longest header that is looked at whole: two fields of a zip file, each with a length
/// of 16 bits.
const BUFFER_BYTES_MAX: usize = 256 << 10;

/// Bytes that can be looked at.
pub(crate) struct Peek<'a> {
    from: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl<'a> Peek<'a> {
    pub(crate) fn new(from: Box<dyn Read + 'a>) -> Self {
        Peek { from, buffer: vec![0; BUFFER_BYTES], begin: 0, end: 0 }
    }

    /// What comes next: at least `wanted` bytes, or all that are left. `wanted` is at most
    /// [`BUFFER_BYTES_MAX`].
    pub(crate) fn begin(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let wanted = wanted.min(BUFFER_BYTES_MAX);
        if wanted > self.buffer.len() {
            self.buffer.resize(wanted, 0);
        }
        while self.end - self.begin < wanted {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(&self.buffer[self.begin..self.end])
    }

    /// The next `N` bytes, taken; `None` when fewer are left.
    pub(crate) fn take_array<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let taken = self.begin(N)?.first_chunk::<N>().copied();
        if taken.is_some() {
            self.consume(N);
        }
        Ok(taken)
    }

    /// Takes `count` bytes; false when fewer are left.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<bool> {
        Ok(io::copy(&mut self.take(count), &mut io::sink())? == count)
    }
}

impl Read for Peek<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.begin(1)?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Peek<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.begin(1)
    }

    fn consume(&mut self, count: usize) {
        self.begin = (self.begin + count).min(self.end);
    }
}
