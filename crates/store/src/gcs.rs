//! Google Cloud Storage as a destination: under construction.

use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, GcsSettings, Keeping, ObjectInfo, Operation,
    Result, StoreError, Stored, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

/// One bucket or container with a prefix.
#[derive(Debug, Clone)]
pub struct GcsDestination {
    settings: GcsSettings,
}

impl GcsDestination {
    /// Prepares the client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`].
    #[expect(clippy::unused_async, reason = "as the others")]
    pub async fn open(settings: GcsSettings) -> Result<Self> {
        Ok(Self { settings })
    }

    fn todo<T>(&self) -> Result<T> {
        let kind = ErrorKind::Transient { said: "under construction".into() };
        Err(StoreError::new(&self.settings.name, Operation::Open, "", kind))
    }
}

#[async_trait]
impl Destination for GcsDestination {
    fn name(&self) -> &str {
        &self.settings.name
    }
    fn location(&self) -> String {
        String::new()
    }
    async fn create(&self, _: &str, _: &Keeping, _: Acknowledged) -> Result<Box<dyn Upload>> {
        self.todo()
    }
    async fn put_new(&self, _: &str, _: Bytes, _: &Keeping) -> Result<Stored> {
        self.todo()
    }
    async fn head(&self, _: &str) -> Result<Option<ObjectInfo>> {
        self.todo()
    }
    async fn read(&self, _: &str, _: Option<Range<u64>>) -> Result<Blocks> {
        self.todo()
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, _: &str) -> Result<Vec<ObjectInfo>> {
        self.todo()
    }
    async fn delete(&self, _: &str) -> Result<()> {
        self.todo()
    }
    async fn abort_stale_uploads(&self, _: &str, _: jiff::Timestamp) -> Result<Vec<String>> {
        self.todo()
    }
}
