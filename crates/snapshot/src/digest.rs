//! The SHA-256 of a snapshot, and the trailer that must equal it.
//!
//! etcd sends the digest of all bytes as 32 more bytes. Where the stream ends is known only at the
//! end, so the last 32 bytes are held back. A database is whole pages, hence a snapshot with a
//! trailer is 32 bytes more than a multiple of 512: the rule of etcdctl and etcdutl, and the only
//! mark there is.

use sha2::{Digest, Sha256};

use crate::error::VerifyError;
use crate::verifier::Trailer;

/// Length of the trailer, in bytes.
pub const TRAILER_BYTES: usize = 32;

const SECTOR_BYTES: u64 = 512;

/// The digest of a snapshot under way, by which its trailer is told from its database.
#[derive(Debug, Default)]
pub struct TrailedDigest {
    sha256: Sha256,
    /// Bytes are only counted.
    is_idle: bool,
    /// The last bytes, at most [`TRAILER_BYTES`], not yet hashed.
    held: Vec<u8>,
    bytes: u64,
}

/// What the digest says about a whole stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digested {
    /// Bytes that came, the trailer included.
    pub(crate) bytes: u64,
    /// SHA-256 of the bytes without the trailer, in hex.
    pub(crate) sha256: String,
    pub(crate) has_trailer: bool,
}

impl TrailedDigest {
    /// One that takes a digest only where `wanted` has a use for it.
    pub(crate) fn new(wanted: Trailer) -> Self {
        Self { is_idle: wanted == Trailer::Unhashed, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        if self.is_idle {
            return;
        }
        let Some(kept_from) = chunk.len().checked_sub(TRAILER_BYTES) else {
            self.held.extend_from_slice(chunk);
            let excess = self.held.len().saturating_sub(TRAILER_BYTES);
            self.sha256.update(self.held.get(..excess).unwrap_or_default());
            self.held.drain(..excess);
            return;
        };
        let (hashed, kept) = chunk.split_at(kept_from);
        self.sha256.update(&self.held);
        self.sha256.update(hashed);
        self.held.clear();
        self.held.extend_from_slice(kept);
    }

    /// Length and SHA-256 of everything so far, as if it had no trailer.
    pub(crate) fn of_all(&self) -> (u64, [u8; 32]) {
        (self.bytes, self.sha256.clone().chain_update(&self.held).finalize().into())
    }

    /// Ends a stream of which nothing is known but its length: the SHA-256 of the database, and
    /// whether a trailer is behind it, right or wrong. `None` when the length is neither that of a
    /// database nor that of one with its trailer.
    #[must_use]
    pub fn by_length(mut self) -> Option<([u8; 32], bool)> {
        let has_trailer = match self.bytes % SECTOR_BYTES {
            32 => true,
            0 => false,
            _ => return None,
        };
        if !has_trailer {
            self.sha256.update(&self.held);
        }
        Some((self.sha256.finalize().into(), has_trailer))
    }

    /// Ends the stream. `database_bytes` is the length that the database itself gives.
    pub(crate) fn finish(
        mut self,
        wanted: Trailer,
        database_bytes: u64,
    ) -> Result<Digested, VerifyError> {
        let has_trailer = self.find_trailer(wanted, database_bytes)?;
        if self.is_idle {
            return Ok(Digested { bytes: self.bytes, sha256: String::new(), has_trailer });
        }
        if !has_trailer {
            self.sha256.update(&self.held);
        }
        let found = hex::encode(self.sha256.finalize());
        let expected = hex::encode(&self.held);
        if has_trailer && expected != found {
            return Err(VerifyError::DigestMismatch { expected, found });
        }
        Ok(Digested { bytes: self.bytes, sha256: found, has_trailer })
    }

    fn find_trailer(&self, wanted: Trailer, database_bytes: u64) -> Result<bool, VerifyError> {
        let bytes = self.bytes;
        let whole = database_bytes.saturating_add(TRAILER_BYTES as u64);
        match (bytes % SECTOR_BYTES, wanted) {
            (32, Trailer::Required | Trailer::Either) if bytes >= whole => Ok(true),
            (32, Trailer::Absent | Trailer::Unhashed) => {
                Err(VerifyError::UnexpectedTrailer { bytes })
            }
            (0, Trailer::Absent | Trailer::Unhashed | Trailer::Either) => Ok(false),
            _ if bytes == database_bytes || bytes >= whole => Err(VerifyError::NoTrailer { bytes }),
            _ => Err(VerifyError::Truncated { expected: whole, found: bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(chunks: &[&[u8]]) -> TrailedDigest {
        let mut digest = TrailedDigest::default();
        chunks.iter().for_each(|chunk| digest.update(chunk));
        digest
    }

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        [bytes, &Sha256::digest(bytes)].concat()
    }

    #[test]
    fn the_length_alone_tells_a_trailer() {
        let database = [7; 1_024];
        let sha256: [u8; 32] = Sha256::digest(database).into();
        assert_eq!(digest(&[&database]).by_length(), Some((sha256, false)));
        assert_eq!(digest(&[&sealed(&database)]).by_length(), Some((sha256, true)));
        for bytes in [1, 31, 33, 511, 513] {
            assert_eq!(digest(&[&database, &database[..bytes]]).by_length(), None, "{bytes}");
        }
    }

    #[test]
    fn a_right_trailer_is_found_however_the_bytes_come() {
        let snapshot = sealed(&[7; 1_024]);
        for size in [1, 5, 31, 32, 33, 64, 1_000, 2_000] {
            let chunks: Vec<&[u8]> = snapshot.chunks(size).collect();
            let found = digest(&chunks).finish(Trailer::Required, 1_024).unwrap();
            assert!(found.has_trailer);
            assert_eq!(found.bytes, 1_056);
            assert_eq!(found.sha256, hex::encode(Sha256::digest([7; 1_024])));
            let all: [u8; 32] = Sha256::digest(&snapshot).into();
            assert_eq!(digest(&chunks).of_all(), (1_056, all));
        }
    }

    #[test]
    fn every_length_has_its_verdict() {
        let snapshot = sealed(&[7; 1_024]);
        let verdict = |bytes: usize, wanted| {
            let chunk = snapshot.get(..bytes).unwrap();
            digest(&[chunk]).finish(wanted, 1_024).map(|digested| digested.has_trailer)
        };
        assert!(matches!(verdict(1_024, Trailer::Required), Err(VerifyError::NoTrailer { .. })));
        assert!(matches!(verdict(1_024, Trailer::Either), Ok(false)));
        assert!(matches!(verdict(1_024, Trailer::Absent), Ok(false)));
        assert!(matches!(verdict(1_056, Trailer::Either), Ok(true)));
        assert!(matches!(
            verdict(1_056, Trailer::Absent),
            Err(VerifyError::UnexpectedTrailer { .. })
        ));
        for wanted in [Trailer::Required, Trailer::Either, Trailer::Absent] {
            for cut in 1_025..1_056 {
                let cut_off = verdict(cut, wanted);
                assert!(matches!(cut_off, Err(VerifyError::Truncated { expected: 1_056, .. })));
            }
        }
    }

    #[test]
    fn a_wrong_trailer_is_refused() {
        let mut snapshot = sealed(&[7; 1_024]);
        snapshot[100] ^= 1;
        let verdict = digest(&[&snapshot]).finish(Trailer::Either, 1_024);
        assert!(matches!(verdict, Err(VerifyError::DigestMismatch { .. })));
    }
}
