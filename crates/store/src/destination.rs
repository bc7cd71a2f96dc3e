//! The interface that every kind of destination implements, and how one is opened.
//!
//! Keys are relative to the destination (its own prefix or folder is added inside), so one
//! key names the same backup in every destination.
//!
//! Does not: retry or time out by itself; backends bound their own requests, and `fanout`
//! watches over the whole.

use crate::{
    Acknowledged, AzureDestination, DestinationSettings, ErrorKind, Examine, FileDestination,
    GcsDestination, Keeping, ObjectInfo, Operation, Result, S3Destination, StoreError, Stored,
    Summary,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of an object, in blocks of any size. The stream ends with an error unless every
/// byte that the store announced was delivered.
pub type Blocks = BoxStream<'static, Result<Bytes>>;

/// One bucket with prefix, or one directory.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Its name in `pipeline.toml`.
    fn name(&self) -> &str;

    /// Where it is, for people: a URL without credentials.
    fn location(&self) -> String;

    /// What time it is by the store's own clock, to a second or two: as its last answer told, and
    /// the time since. `None` before the first answer, and where there is no such clock.
    fn store_time(&self) -> Option<jiff::Timestamp> {
        None
    }

    /// Begins an object of unknown length under a free key. Nothing is visible under the key
    /// before [`Upload::complete`] succeeded. `acknowledged` counts the bytes that the store
    /// confirmed.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the key is taken already.
    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>>;

    /// Writes a small object under a free key. If the very same bytes are there already, that
    /// is success, with [`Stored::existed`] set: a repeated or ambiguous call is harmless.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the key holds other bytes, which are left alone.
    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored>;

    /// What the store says of an object, `None` if there is none.
    ///
    /// # Errors
    /// Any refusal of the store.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>>;

    /// The bytes of an object, or those in `range` (end exclusive), which must lie inside it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Corrupt`] when the range reaches outside.
    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks>;

    /// Copies an object of another destination under the same key, create-only, without its bytes
    /// passing through this machine. `None` where the two have no such way between them. The copy
    /// has to be read back like any other.
    ///
    /// # Errors
    /// As [`Destination::create`] and [`Upload::complete`]; [`ErrorKind::Denied`] when one side may
    /// not be reached from the other, which a copy through this machine still may.
    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        bytes: u64,
        keeping: &Keeping,
    ) -> Result<Option<Stored>> {
        let _ = (source, key, bytes, keeping);
        Ok(None)
    }

    /// For [`Destination::copy_from`] of the same kind.
    fn as_any(&self) -> &dyn Any;

    /// Every object whose key starts with `prefix` (as text, not as path), in key order.
    ///
    /// # Errors
    /// [`ErrorKind::Listing`] whenever the listing may be incomplete.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>>;

    /// Refuses an object that the store keeps from being removed at this time, as far as it tells.
    /// Where a lock is `expected`, the store is asked for it by name, if it has such a question: a
    /// description is silent about locks to whoever may not see them. That there is no such object
    /// is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`]; any refusal, which must not be taken for the absence of a lock.
    async fn must_not_be_locked(
        &self,
        key: &str,
        now: jiff::Timestamp,
        expected: bool,
    ) -> Result<()> {
        let _ = expected;
        match self.head(key).await?.and_then(|info| info.lock_at(now)) {
            Some(kind) => Err(StoreError::new(self.name(), Operation::Delete, key, kind)),
            None => Ok(()),
        }
    }

    /// Removes an object. That it is gone already is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] is normal for a writer.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Throws away uploads under `prefix` that were begun before the given time and never
    /// completed. Returns the keys that they were meant for.
    ///
    /// # Errors
    /// Any refusal of the store; what was removed until then stays removed.
    async fn abort_stale_uploads(
        &self,
        prefix: &str,
        begun_before: jiff::Timestamp,
    ) -> Result<Vec<String>>;

    /// The store itself, for questions that only a probe asks; `None` for a directory.
    fn examine(&self) -> Option<&dyn Examine> {
        None
    }

    /// Whether the object was stored in the way that `keeping` and the settings ask for, as far as
    /// its description tells.
    ///
    /// # Errors
    /// [`ErrorKind::SilentDowngrade`] when the store ignored a setting.
    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        let _ = (info, keeping);
        Ok(())
    }

    /// The same of a new object, with what only further requests can tell. What the store ignored
    /// when it took the object, and can be asked for afterwards, is asked for once more; the answer
    /// is how the object is described then.
    ///
    /// # Errors
    /// As [`Destination::audit`]; [`ErrorKind::Denied`] when the store may not be asked.
    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        self.audit(&info, keeping).map(|()| info)
    }
}

/// An object on its way. Dropping it publishes nothing, but only [`Upload::abort`] also
/// removes the parts that are in the store already. After an error from `write`, or after a
/// cancelled `write` or `complete`, only `abort` may be called.
#[async_trait]
pub trait Upload: Send {
    /// Appends a block of any size.
    ///
    /// # Errors
    /// When the store refused a part; the object will never exist.
    async fn write(&mut self, block: Bytes) -> Result<()>;

    /// Publishes the object under its key, create-only, after checking that what was written
    /// is what `summary` describes. On any error the upload is aborted.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when another object took the key;
    /// [`ErrorKind::Corrupt`] when the summary does not fit the bytes.
    async fn complete(&mut self, summary: &Summary) -> Result<Stored>;

    /// Gives up and removes what was stored.
    ///
    /// # Errors
    /// When the store keeps the parts; `abort_stale_uploads` gets rid of them later.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// Opens a destination. Contacts nobody, except the region lookup of the AWS SDK where the
/// settings name none.
///
/// # Errors
/// [`ErrorKind::Config`], [`ErrorKind::Local`].
pub async fn open(settings: DestinationSettings) -> Result<Arc<dyn Destination>> {
    Ok(match settings {
        DestinationSettings::File(settings) => {
            Arc::new(FileDestination::open_blocking(settings).await?)
        }
        DestinationSettings::S3(settings) => Arc::new(S3Destination::open(*settings).await?),
        DestinationSettings::Gcs(settings) => Arc::new(GcsDestination::open(*settings).await?),
        DestinationSettings::Azure(settings) => Arc::new(AzureDestination::open(*settings).await?),
    })
}

/// Reads a whole object of at most `bytes_max` bytes into memory: a manifest, say.
///
/// # Errors
/// [`ErrorKind::TooLarge`] beyond the limit; whatever [`Destination::read`] answers.
pub async fn read_small(
    destination: &dyn Destination,
    key: &str,
    bytes_max: usize,
) -> Result<Bytes> {
    let mut blocks = destination.read(key, None).await?;
    let mut all = BytesMut::new();
    while let Some(block) = blocks.next().await {
        let block = block?;
        if all.len() + block.len() > bytes_max {
            let kind = ErrorKind::TooLarge { bytes_max: bytes_max as u64 };
            return Err(StoreError::new(destination.name(), Operation::Read, key, kind));
        }
        all.extend_from_slice(&block);
    }
    Ok(all.freeze())
}
