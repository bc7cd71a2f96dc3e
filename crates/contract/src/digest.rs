//! What bytes amount to: a tally ties a reader to its writer, a digest names bytes for good.
//!
//! Owns both, and the one pass that takes them. A [`Tally`] is length and CRC-64/NVME, which costs
//! next to nothing: nobody but accident can come between two processes of one run. A [`Digest`] is
//! length and SHA-256, for bytes that outlive the run. `docs/decisions/0006-tally.md` has the reasons.

use crc_fast::CrcAlgorithm::Crc64Nvme;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// How many bytes, and their SHA-256 in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex, 64 characters.
    pub sha256: String,
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Digest { bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with SHA-256 {}", self.bytes, self.sha256)
    }
}

/// How many bytes, and their CRC-64/NVME in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-64/NVME in lower-case hex, 16 characters.
    pub crc64: String,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with CRC-64 {}", self.bytes, self.crc64)
    }
}

/// What a stage wrote: the tally, and the SHA-256 unless the stage leaves it to a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-64/NVME in lower-case hex, 16 characters.
    pub crc64: String,
    /// SHA-256 in lower-case hex, 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Written {
    /// What was written, when it was these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::with_sha256();
        hasher.update(bytes);
        hasher.written()
    }

    /// Length and SHA-256, if it was taken.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.sha256.clone().map(|sha256| Digest { bytes: self.bytes, sha256 })
    }

    /// What the reader must have counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally { bytes: self.bytes, crc64: self.crc64.clone() }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest() {
            Some(digest) => digest.fmt(f),
            None => self.tally().fmt(f),
        }
    }
}

/// Takes tally and digest of bytes as they pass.
#[derive(Clone)]
pub struct Hasher {
    bytes: u64,
    crc64: crc_fast::Digest,
    sha256: Sha2,
}

/// Who takes the SHA-256.
#[derive(Clone)]
enum Sha2 {
    Nobody,
    Here(Sha256),
    Elsewhere(Digest),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.tally())
    }
}

impl Hasher {
    /// Takes the tally alone.
    #[must_use]
    pub fn tallying() -> Self {
        Hasher { bytes: 0, crc64: crc_fast::Digest::new(Crc64Nvme), sha256: Sha2::Nobody }
    }

    /// Takes the SHA-256, too.
    #[must_use]
    pub fn with_sha256() -> Self {
        Hasher { sha256: Sha2::Here(Sha256::default()), ..Hasher::tallying() }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc64.update(bytes);
        if let Sha2::Here(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// Takes the SHA-256 from whoever needed it anyway, so that it is not taken twice.
    pub fn take(&mut self, digest: Digest) {
        self.sha256 = Sha2::Elsewhere(digest);
    }

    /// How many bytes there were so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The tally of what there was so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally { bytes: self.bytes, crc64: format!("{:016x}", self.crc64.finalize()) }
    }

    /// The digest of what there was so far, if somebody took one of just these bytes.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match &self.sha256 {
            Sha2::Nobody => None,
            Sha2::Here(sha256) => {
                let sha256 = hex::encode(sha256.clone().finalize());
                Some(Digest { bytes: self.bytes, sha256 })
            }
            Sha2::Elsewhere(digest) => Some(digest.clone()).filter(|d| d.bytes == self.bytes),
        }
    }

    /// Both.
    #[must_use]
    pub fn written(&self) -> Written {
        let Tally { bytes, crc64 } = self.tally();
        Written { bytes, crc64, sha256: self.digest().map(|digest| digest.sha256) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tally_and_digest_are_those_of_the_standards() {
        let written = Written::of(b"123456789");
        assert_eq!(written.crc64, "ae8b14860a799888", "the check value of CRC-64/NVME");
        let sha256 = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert_eq!(written.sha256.as_deref(), Some(sha256));
    }

    #[test]
    fn a_digest_from_elsewhere_counts_for_just_these_bytes() {
        let whole = Digest::of(b"snapshot");
        let mut hasher = Hasher::tallying();
        hasher.update(b"snap");
        assert_eq!(hasher.digest(), None);
        hasher.take(whole.clone());
        assert_eq!(hasher.digest(), None, "it is of more bytes");
        hasher.update(b"shot");
        assert_eq!(hasher.digest(), Some(whole));
        hasher.update(b"s");
        assert_eq!(hasher.digest(), None, "it is of fewer bytes");
    }
}
