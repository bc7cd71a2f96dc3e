//! What stores say of objects.

use crate::{ErrorKind, LockMode, Sse, Summary};
use jiff::Timestamp;

/// An object as the store describes it. A listing fills only key, bytes, time, etag and class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectInfo {
    /// Relative to the destination.
    pub key: String,
    /// Length.
    pub bytes: u64,
    /// When the store got it, by the store's clock.
    pub modified: Option<Timestamp>,
    /// CRC-64/NVME of the whole object, if the store keeps it.
    pub crc64nvme: Option<u64>,
    /// CRC-32C of the whole object, if the store keeps it.
    pub crc32c: Option<u32>,
    /// The store's class; `None` is its standard one.
    pub storage_class: Option<String>,
    /// Encryption at rest as reported, `None` if the store does not say.
    pub sse: Option<Sse>,
    /// The store's own name for these bytes.
    pub etag: Option<String>,
    /// The version, where the bucket keeps them.
    pub version_id: Option<String>,
    /// Until when the store refuses to delete this version.
    pub locked_until: Option<Timestamp>,
    /// Who may lift that lock, if the store says.
    pub lock_mode: Option<LockMode>,
    /// Whether somebody has put a hold on it, which ends when it is lifted.
    pub is_held: bool,
}

impl ObjectInfo {
    /// What keeps the object from being removed at this time, as far as the description tells.
    #[must_use]
    pub fn lock_at(&self, now: Timestamp) -> Option<ErrorKind> {
        let until = self.locked_until.filter(|until| *until > now);
        (self.is_held || until.is_some()).then_some(ErrorKind::Locked { until })
    }

    /// Whether the checksum that the store keeps of the whole object is that of `summary`; `None`
    /// if it keeps none.
    #[must_use]
    pub fn agrees_with(&self, summary: &Summary) -> Option<bool> {
        let crc64 = self.crc64nvme.map(|crc| crc == summary.crc64nvme);
        crc64.or_else(|| self.crc32c.map(|crc| crc == summary.crc32c))
    }
}

/// A completed write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Length.
    pub bytes: u64,
    /// The store's own name for these bytes.
    pub etag: Option<String>,
    /// The version, where the bucket keeps them.
    pub version_id: Option<String>,
    /// Identical bytes were found under the key: an earlier attempt whose answer was lost put
    /// them there, or another writer with the same bytes.
    pub existed: bool,
}

impl Stored {
    pub(crate) fn found(info: &ObjectInfo) -> Self {
        Stored {
            bytes: info.bytes,
            etag: info.etag.clone(),
            version_id: info.version_id.clone(),
            existed: true,
        }
    }
}
