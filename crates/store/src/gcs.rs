//! A bucket of Google Cloud Storage as a destination.
//!
//! Owns the mapping of keys to object names, and which of the store's two doors a request takes:
//! whole objects are read by Google's own client, everything else is asked for in Google's JSON
//! over one HTTP client, which alone knows of a proxy, a certificate authority and a time limit
//! (docs/decisions/0010-gcs.md).
//!
//! Does not: create buckets, change policies or lifecycle rules, or touch older generations.

mod attempts;
mod body;
mod client;
mod copy;
mod credentials;
mod encryption;
mod error;
mod examine;
mod insert;
mod list;
mod object;
mod request;
mod sdk;
mod session;
mod upload;

use crate::clock::StoreClock;
use crate::key::{check_key, check_prefix};
use crate::patience::Patience;
use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, Examine, GcsSettings, Keeping, ObjectInfo,
    Operation, Result, StoreError, Stored, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use request::Purpose;
use std::ops::Range;
use std::sync::Arc;
use url::Url;

/// A bucket with a prefix.
#[derive(Clone)]
pub struct GcsDestination(Arc<Bucket>);

/// What all requests to one bucket share.
struct Bucket {
    http: reqwest::Client,
    settings: GcsSettings,
    /// The server, Google's own unless the settings name another.
    base: Url,
    /// Empty, or ends with a slash.
    prefix: String,
    identity: credentials::Identity,
    /// The key of the customer's own, if there is one.
    key: Option<encryption::CustomerKey>,
    reader: sdk::Reader,
    clock: StoreClock,
}

impl GcsDestination {
    /// Prepares the client; contacts nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for settings out of range, an unusable CA file or key.
    #[expect(clippy::unused_async, reason = "opening is asynchronous for every kind of store")]
    pub async fn open(settings: GcsSettings) -> Result<Self> {
        let name = settings.name.clone();
        let bucket = client::bucket(settings);
        let bucket = bucket.map_err(|kind| StoreError::new(&name, Operation::Open, "", kind))?;
        Ok(GcsDestination(Arc::new(bucket)))
    }
}

impl Bucket {
    fn error(&self, operation: Operation, key: &str, kind: impl Into<ErrorKind>) -> StoreError {
        const MISSING: &str = "name a credentials_file, or give this machine a service account";
        const INVALID: &str = "correct credentials_file, or the service account of this machine";
        StoreError::new(&self.settings.name, operation, key, kind).hinting(MISSING, INVALID)
    }

    /// The object name of a key.
    fn name_of(&self, operation: Operation, key: &str) -> Result<String> {
        check_key(key).map_err(|e| self.error(operation, key, e))?;
        Ok(format!("{}{key}", self.prefix))
    }

    /// What object names that belong to `prefix` begin with.
    fn prefix_of(&self, operation: Operation, prefix: &str) -> Result<String> {
        check_prefix(prefix).map_err(|e| self.error(operation, prefix, e))?;
        Ok(format!("{}{prefix}", self.prefix))
    }

    /// Removes an object, in one generation only if one is named.
    async fn remove(
        &self,
        name: &str,
        generation: Option<&str>,
    ) -> std::result::Result<(), ErrorKind> {
        const DELETE: Purpose =
            Purpose { place: "store.object.deleting", verb: object::DELETE_VERB };
        let condition = generation.map(|generation| [("ifGenerationMatch", generation)]);
        let removed = self.ask(DELETE, 0, || {
            let request = self.http.delete(self.object_url(name));
            request.query(condition.as_ref().map_or(&[][..], |pair| pair))
        });
        match removed.await {
            Ok(_) | Err(ErrorKind::NotFound) => Ok(()),
            Err(kind) => Err(kind),
        }
    }
}

#[async_trait]
impl Destination for GcsDestination {
    fn name(&self) -> &str {
        &self.0.settings.name
    }

    fn location(&self) -> String {
        let Bucket { settings, prefix, .. } = &*self.0;
        let object = format!("gs://{}/{prefix}", settings.bucket);
        match &settings.endpoint_url {
            Some(endpoint) => format!("{object} at {}", endpoint.as_str()),
            None => object,
        }
    }

    fn store_time(&self) -> Option<jiff::Timestamp> {
        self.0.clock.now()
    }

    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        let name = self.0.name_of(Operation::Create, key)?;
        if self.0.look(Operation::Create, key).await?.is_some() {
            return Err(self.0.error(Operation::Create, key, ErrorKind::AlreadyExists));
        }
        let upload = upload::GcsUpload::new(self.clone(), key, name, keeping.clone(), acknowledged);
        Ok(Box::new(upload))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored> {
        let patience = Patience::new(self.0.settings.patience, &Acknowledged::default());
        let put = || insert::put_new(self, Operation::Put, key, bytes.clone(), keeping);
        patience.insist(put).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.0.look(Operation::Head, key).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        body::read(self.0.clone(), key, range).await
    }

    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        bytes: u64,
        keeping: &Keeping,
    ) -> Result<Option<Stored>> {
        let Some(source) = source.as_any().downcast_ref::<GcsDestination>() else {
            return Ok(None);
        };
        if source.0.base != self.0.base {
            return Ok(None);
        }
        copy::copy(&source.0, &self.0, key, bytes, keeping).await.map(Some)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        list::list(&self.0, prefix).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Delete, key)?;
        let removed = self.0.remove(&name, None).await;
        match removed {
            Ok(()) => Ok(()),
            Err(kind) => {
                let kind = self.0.locked_until(&name, kind).await;
                Err(self.0.error(Operation::Delete, key, kind))
            }
        }
    }

    /// There is nothing to throw away: sessions of uploads cannot be listed, cost nothing, and end
    /// by themselves after a week.
    async fn abort_stale_uploads(&self, prefix: &str, _: jiff::Timestamp) -> Result<Vec<String>> {
        self.0.prefix_of(Operation::CleanUp, prefix).map(|_| Vec::new())
    }

    fn examine(&self) -> Option<&dyn Examine> {
        Some(self)
    }

    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        let checked = object::check(&self.0.settings, keeping, info);
        checked.map_err(|kind| self.0.error(Operation::ReadBack, &info.key, kind))
    }

    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        self.audit(&info, keeping)?;
        let name = self.0.name_of(Operation::ReadBack, &info.key)?;
        let checked = self.0.check_tags(&name, keeping).await;
        checked.map_err(|kind| self.0.error(Operation::ReadBack, &info.key, kind)).map(|()| info)
    }
}

#[cfg(test)]
mod tests;
