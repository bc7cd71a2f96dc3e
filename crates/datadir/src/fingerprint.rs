//! The CRC-32C of a database while it is written, so that the proof can compare every byte of the
//! file with what was meant.
//!
//! A bulk writer writes pages one behind the other and comes back once, for the first two. So the
//! start of the file is kept in memory until the end, and the rest is hashed as it passes. A write
//! anywhere else is refused: then the CRC would be wrong.
//!
//! bbolt has no checksums of its own; any single flipped bit changes this one.

use std::io::{self, Seek, SeekFrom, Write};

/// Passes everything on to `inner`.
#[derive(Debug)]
pub(crate) struct Fingerprint<W> {
    inner: W,
    position: u64,
    /// The first bytes of the file, which may be written again.
    start: Vec<u8>,
    /// CRC of what follows, and where that ends.
    rest_crc: u32,
    rest_end: u64,
}

// === impl Fingerprint ===

impl<W> Fingerprint<W> {
    /// `start_bytes`: how much of the start may be written in any order.
    pub(crate) fn new(inner: W, start_bytes: usize) -> Self {
        let start = vec![0; start_bytes];
        Self { inner, position: 0, rest_crc: 0, rest_end: start_bytes as u64, start }
    }

    /// Length and CRC-32C of the file.
    pub(crate) fn finish(self) -> (u64, u32) {
        let rest_bytes = usize::try_from(self.rest_end - self.start.len() as u64);
        let start_crc = crc32c::crc32c(&self.start);
        let rest_bytes = rest_bytes.unwrap_or(usize::MAX);
        (self.rest_end, crc32c::crc32c_combine(start_crc, self.rest_crc, rest_bytes))
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(self.position).unwrap_or(usize::MAX);
        let kept = self.start.len().saturating_sub(at).min(bytes.len());
        let (of_start, of_rest) = bytes.split_at_checked(kept).unwrap_or((bytes, &[]));
        if let Some(target) = self.start.get_mut(at..at.saturating_add(kept)) {
            target.copy_from_slice(of_start);
        }
        self.position += bytes.len() as u64;
        if of_rest.is_empty() {
            return Ok(());
        }
        if self.position - of_rest.len() as u64 != self.rest_end {
            return Err(io::Error::other("a page was written out of order"));
        }
        self.rest_crc = crc32c::crc32c_append(self.rest_crc, of_rest);
        self.rest_end = self.position;
        Ok(())
    }
}

impl<W: Write> Write for Fingerprint<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.take(bytes.get(..written).unwrap_or(bytes))?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Seek> Seek for Fingerprint<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_crc_is_that_of_the_file() {
        let mut file = Vec::new();
        let mut out = Fingerprint::new(Cursor::new(&mut file), 8);
        out.seek(SeekFrom::Start(6)).unwrap();
        out.write_all(b"first rest ").unwrap();
        out.write_all(b"more").unwrap();
        out.seek(SeekFrom::Start(0)).unwrap();
        out.write_all(b"start").unwrap();
        out.seek(SeekFrom::End(0)).unwrap();
        out.write_all(b", end").unwrap();
        let finished = out.finish();
        assert_eq!(file, b"start\0first rest more, end");
        assert_eq!(finished, (file.len() as u64, crc32c::crc32c(&file)));
    }

    #[test]
    fn a_page_out_of_order_is_refused() {
        let mut out = Fingerprint::new(Cursor::new(Vec::new()), 8);
        out.seek(SeekFrom::Start(9)).unwrap();
        assert!(out.write_all(b"x").is_err());
        let mut out = Fingerprint::new(Cursor::new(Vec::new()), 8);
        out.write_all(b"0123456789").unwrap();
        out.seek(SeekFrom::Start(8)).unwrap();
        assert!(out.write_all(b"x").is_err());
    }
}
