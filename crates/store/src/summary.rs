//! What a stream of bytes amounts to: its length and two checksums.
//!
//! SHA-256 names the bytes; CRC-64/NVME (polynomial 0xad93d23594c93659, reflected) is what
//! S3 computes over a whole object, however many parts it was sent in, and Azure over each block;
//! CRC-32C (Castagnoli) is Google's.

use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Length and checksums of a finished stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Length.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// CRC-64/NVME.
    pub crc64nvme: u64,
    /// CRC-32C.
    pub crc32c: u32,
}

impl Summary {
    /// The summary of bytes that are at hand.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut summer = Summer::default();
        summer.update(bytes);
        summer.summary()
    }

    /// SHA-256 in lower-case hex.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex::encode(self.sha256)
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes, sha256 {}, crc64nvme {:016x}",
            self.bytes,
            self.sha256_hex(),
            self.crc64nvme
        )
    }
}

/// Computes a [`Summary`] while bytes pass.
#[derive(Clone)]
pub struct Summer {
    bytes: u64,
    sha256: Sha256,
    crc: crc_fast::Digest,
    crc32c: u32,
}

impl Default for Summer {
    fn default() -> Self {
        let crc = crc_fast::Digest::new(Crc64Nvme);
        Summer { bytes: 0, sha256: Sha256::new(), crc, crc32c: 0 }
    }
}

impl fmt::Debug for Summer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Summer({} bytes)", self.bytes)
    }
}

impl Summer {
    /// Takes the next bytes into account.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        self.crc.update(bytes);
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// How many bytes passed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What they amount to.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            bytes: self.bytes,
            sha256: self.sha256.clone().finalize().into(),
            crc64nvme: self.crc.finalize(),
            crc32c: self.crc32c,
        }
    }
}

/// Length and CRC only: what an upload keeps to notice bytes that changed on their way
/// through memory or a spool file.
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    crc: crc_fast::Digest,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Tally { bytes: 0, crc: crc_fast::Digest::new(Crc64Nvme) }
    }

    pub(crate) fn update(&mut self, block: &Bytes) {
        self.bytes += block.len() as u64;
        self.crc.update(block);
    }

    /// CRC-64/NVME of what passed.
    pub(crate) fn crc64nvme(&self) -> u64 {
        self.crc.finalize()
    }

    /// Whether what passed is what `summary` describes.
    pub(crate) fn check(&self, summary: &Summary) -> Result<(), crate::ErrorKind> {
        let (crc, bytes) = (self.crc.finalize(), self.bytes);
        let (check, expected, found) = if bytes != summary.bytes {
            ("length of the upload", summary.bytes.to_string(), bytes.to_string())
        } else if crc != summary.crc64nvme {
            let expected = format!("{:016x}", summary.crc64nvme);
            ("CRC-64/NVME of the upload", expected, format!("{crc:016x}"))
        } else {
            return Ok(());
        };
        Err(crate::ErrorKind::Corrupt { check, expected, found })
    }
}

/// Counts the bytes that a store confirmed; clones share one count.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    /// Signs of life without a byte.
    signs: AtomicU64,
}

impl Acknowledged {
    /// Bytes confirmed until now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts more confirmed bytes; for implementors of destinations.
    pub fn add(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells that nothing is confirmed only because nothing may be sent yet.
    pub(crate) fn alive(&self) {
        self.0.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that grows whenever there is reason to go on waiting.
    pub(crate) fn progress(&self) -> u64 {
        self.bytes().wrapping_add(self.0.signs.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let s = Summary::of(b"123456789");
        // The check values of CRC-64/NVME and CRC-32C (CRC RevEng catalogue) and of FIPS 180-2.
        assert_eq!(s.crc64nvme, 0xae8b_1486_0a79_9888);
        assert_eq!(s.crc32c, 0xe306_9283);
        assert_eq!(
            s.sha256_hex(),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(s.bytes, 9);
    }

    #[test]
    fn a_tally_notices_length_and_content() {
        let mut tally = Tally::new();
        tally.update(&Bytes::from_static(b"abc"));
        assert!(tally.check(&Summary::of(b"abc")).is_ok());
        assert!(tally.check(&Summary::of(b"abcd")).is_err());
        assert!(tally.check(&Summary::of(b"abd")).is_err());
    }
}
