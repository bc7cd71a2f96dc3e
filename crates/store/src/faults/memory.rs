//! A destination in memory that remembers everything that ever happened to a key.
//!
//! Invariant: every change is in the history, so that a test can say what was there at any time.
//! Does not: forget, limit its size, or keep anything beyond the process.

use crate::key::{check_key, check_prefix};
use crate::summary::Tally;
use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, Keeping, ObjectInfo, Operation, Result,
    StoreError, Stored, Summary, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects by key. Clones share them.
#[derive(Debug, Clone)]
pub struct MemoryDestination {
    name: Arc<str>,
    /// What lay under each key, one after the other; `None` is nothing.
    objects: Arc<Mutex<BTreeMap<String, Vec<Option<Bytes>>>>>,
}

impl MemoryDestination {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        MemoryDestination { name: name.into(), objects: Arc::default() }
    }

    /// What lies under a key now.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.lock().get(key).and_then(|history| history.last().cloned().flatten())
    }

    /// What lay under a key, one after the other; `None` is nothing.
    #[must_use]
    pub fn history(&self, key: &str) -> Vec<Option<Bytes>> {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Option<Bytes>>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, operation: Operation, key: &str, kind: impl Into<ErrorKind>) -> StoreError {
        StoreError::new(&self.name, operation, key, kind)
    }

    fn check(&self, operation: Operation, key: &str) -> Result<()> {
        check_key(key).map_err(|e| self.error(operation, key, e))
    }

    /// Puts an object under a free key; the same bytes again are no change.
    fn make(&self, operation: Operation, key: &str, bytes: &Bytes) -> Result<Stored> {
        let mut objects = self.lock();
        let history = objects.entry(key.to_owned()).or_default();
        let existed = match history.last().and_then(Option::as_ref) {
            Some(there) if there == bytes => true,
            Some(_) => return Err(self.error(operation, key, ErrorKind::AlreadyExists)),
            None => false,
        };
        if !existed {
            history.push(Some(bytes.clone()));
        }
        Ok(Stored { bytes: bytes.len() as u64, etag: None, version_id: None, existed })
    }
}

fn describe(key: &str, bytes: &Bytes) -> ObjectInfo {
    ObjectInfo { key: key.to_owned(), bytes: bytes.len() as u64, ..ObjectInfo::default() }
}

#[async_trait]
impl Destination for MemoryDestination {
    fn name(&self) -> &str {
        &self.name
    }

    fn location(&self) -> String {
        format!("memory:{}", self.name)
    }

    async fn create(
        &self,
        key: &str,
        _: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        self.check(Operation::Create, key)?;
        if self.get(key).is_some() {
            return Err(self.error(Operation::Create, key, ErrorKind::AlreadyExists));
        }
        let (destination, key) = (self.clone(), key.to_owned());
        let (tally, bytes) = (Tally::new(), Vec::new());
        Ok(Box::new(MemoryUpload { destination, key, tally, bytes, acknowledged }))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, _: &Keeping) -> Result<Stored> {
        self.check(Operation::Put, key)?;
        self.make(Operation::Put, key, &bytes)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.check(Operation::Head, key)?;
        Ok(self.get(key).map(|bytes| describe(key, &bytes)))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        self.check(Operation::Read, key)?;
        let absent = || self.error(Operation::Read, key, ErrorKind::NotFound);
        let bytes = self.get(key).ok_or_else(absent)?;
        let length = bytes.len() as u64;
        let range = range.unwrap_or(0..length);
        if range.start > range.end || range.end > length {
            let (expected, found) = (format!("inside 0..{length}"), format!("{range:?}"));
            let kind = ErrorKind::Corrupt { check: "range of the object", expected, found };
            return Err(self.error(Operation::Read, key, kind));
        }
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let block = bytes.slice(place(range.start)..place(range.end));
        Ok(Box::pin(stream::iter([Ok(block)])))
    }

    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        _: u64,
        _: &Keeping,
    ) -> Result<Option<Stored>> {
        let Some(source) = source.as_any().downcast_ref::<MemoryDestination>() else {
            return Ok(None);
        };
        let absent = || self.error(Operation::Put, key, ErrorKind::NotFound);
        let bytes = source.get(key).ok_or_else(absent)?;
        self.make(Operation::Put, key, &bytes).map(Some)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix).map_err(|e| self.error(Operation::List, prefix, e))?;
        let there = |(key, history): (&String, &Vec<Option<Bytes>>)| {
            let bytes = history.last().and_then(Option::as_ref)?;
            key.starts_with(prefix).then(|| describe(key, bytes))
        };
        Ok(self.lock().iter().filter_map(there).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.check(Operation::Delete, key)?;
        if let Some(history) = self.lock().get_mut(key)
            && history.last().is_some_and(Option::is_some)
        {
            history.push(None);
        }
        Ok(())
    }

    async fn abort_stale_uploads(&self, _: &str, _: jiff::Timestamp) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct MemoryUpload {
    destination: MemoryDestination,
    key: String,
    tally: Tally,
    bytes: Vec<u8>,
    acknowledged: Acknowledged,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.tally.update(&block);
        self.bytes.extend_from_slice(&block);
        self.acknowledged.add(block.len() as u64);
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let operation = Operation::Complete;
        let checked = self.tally.check(summary);
        checked.map_err(|kind| self.destination.error(operation, &self.key, kind))?;
        let bytes = std::mem::take(&mut self.bytes).into();
        self.destination.make(operation, &self.key, &bytes)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
