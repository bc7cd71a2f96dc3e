//! The order of a snapshot's messages, checked as they come.
//!
//! etcd (`Maintenance/Snapshot`, every version) sends blocks of the database with the number of
//! bytes still to come, then one message with the 32 bytes of their SHA-256, then ends the
//! stream. gRPC ends a stream whose sender gave up just like that of one that was done, so that
//! only this order, the byte counts and the digest tell a whole snapshot from a part of one.
//!
//! Does not: compute the digest; the writer compares it with what it wrote.

use crate::flaw::Flaw;

/// A server whose read of the database fails sends empty messages for ever
/// (etcd pull request 22125). A sound one sends none.
const EMPTY_BLOBS_MAX: u32 = 8;
/// SHA-256.
pub(crate) const DIGEST_BYTES: usize = 32;
/// Every page size is a multiple of it. etcdctl tells a snapshot with a digest from one without
/// by the remainder.
const SECTOR_BYTES: u64 = 512;
/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Bytes of the database still to come after this message.
    pub(crate) remaining_bytes: u64,
    pub(crate) blob: Vec<u8>,
    /// Storage version, from etcd 3.6 on.
    pub(crate) version: String,
}

/// Checks the order of the messages and their counts.
#[derive(Debug, Default)]
pub(crate) struct Order {
    total: Option<u64>,
    received: u64,
    empty: u32,
    digest: Option<[u8; DIGEST_BYTES]>,
}

/// What a message was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes of the database.
    Database,
    /// Nothing.
    Empty,
    /// The digest.
    Digest,
}

impl Order {
    /// Takes the next message.
    ///
    /// # Errors
    /// The flaw that makes the stream worthless.
    pub(crate) fn accept(&mut self, message: &Message) -> Result<Part, Flaw> {
        let bytes = message.blob.len() as u64;
        if self.digest.is_some() {
            return Err(Flaw::AfterDigest);
        }
        if bytes == 0 {
            self.empty += 1;
            return if self.empty > EMPTY_BLOBS_MAX {
                Err(Flaw::EmptyForEver)
            } else {
                Ok(Part::Empty)
            };
        }
        self.empty = 0;
        let found = message.remaining_bytes;
        let total = self.total.unwrap_or(bytes.saturating_add(found));
        let left = total - self.received;
        if self.total.is_some() && left == 0 {
            return self.accept_digest(message);
        }
        if self.total.is_none() && !total.is_multiple_of(SECTOR_BYTES) {
            return Err(Flaw::OddLength(total));
        }
        self.total = Some(total);
        // The count goes down by exactly what was sent, so the stream must end.
        let expected = left.checked_sub(bytes);
        if expected != Some(found) {
            let expected = expected.unwrap_or(0);
            return Err(Flaw::Remaining { expected, found });
        }
        self.received += bytes;
        Ok(Part::Database)
    }

    fn accept_digest(&mut self, message: &Message) -> Result<Part, Flaw> {
        if message.remaining_bytes != 0 {
            return Err(Flaw::Remaining { expected: 0, found: message.remaining_bytes });
        }
        let digest: [u8; DIGEST_BYTES] =
            message.blob.as_slice().try_into().map_err(|_| Flaw::NotADigest(message.blob.len()))?;
        self.digest = Some(digest);
        Ok(Part::Digest)
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`Flaw::Short`] or [`Flaw::NoDigest`].
    pub(crate) fn end(&self) -> Result<[u8; DIGEST_BYTES], Flaw> {
        match (self.digest, self.total.unwrap_or(0) - self.received) {
            (Some(digest), _) => Ok(digest),
            (None, 0) => Err(Flaw::NoDigest),
            (None, left) => Err(Flaw::Short(left)),
        }
    }

    /// Bytes of the database, as the first message announced them.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Bytes of the database so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }
}

#[cfg(test)]
mod tests;
