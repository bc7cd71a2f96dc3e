//! A bucket of Amazon S3, or of a server that speaks its language, as a destination.
//!
//! Owns the mapping of keys to object names, and the order of calls that makes a write
//! create-only even on servers that ignore `If-None-Match`: look, write conditionally, look
//! again before completing.
//!
//! Does not: create buckets, change policies or lifecycle rules, or touch object versions.

mod begin;
mod body;
mod cleanup;
mod client;
mod clock;
mod commit;
mod copy;
mod credentials;
mod customer;
mod ending;
mod error;
mod examine;
#[cfg(debug_assertions)]
mod failpoints;
mod keep;
mod list;
mod object;
mod parts;
mod retry;
mod upload;

use crate::clock::StoreClock;
use crate::http::CONNECT_TIMEOUT;
use crate::key::{check_key, check_prefix};
use crate::pace::Pace;
use crate::patience::Patience;
use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, Examine, Keeping, ObjectInfo, Operation, Result,
    S3Settings, StoreError, Stored, Upload,
};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A part is given its request's timeout and a second for every so many bytes.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 256 << 10;
/// A store copies by itself at this rate at least; the answer comes at the end.
const COPY_BYTES_PER_SECOND_MIN: u64 = 2 << 20;
/// All attempts of one request together may take so many times the limit of one.
const ATTEMPTS_BUDGET: u32 = 3;

/// A bucket with a prefix.
#[derive(Clone)]
pub struct S3Destination(Arc<Bucket>);

/// What all requests to one bucket share.
struct Bucket {
    client: Client,
    settings: S3Settings,
    /// Empty, or ends with a slash.
    prefix: String,
    pace: Pace,
    clock: StoreClock,
    /// For encryption with a key of the customer's own.
    customer_key: Option<customer::CustomerKey>,
}

impl S3Destination {
    /// Prepares the client; contacts nobody but the SDK's region lookup, if there is no region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for settings out of range or an unusable CA file.
    pub async fn open(settings: S3Settings) -> Result<Self> {
        let fail = |kind| StoreError::new(&settings.name, Operation::Open, "", kind);
        client::check(&settings).map_err(fail)?;
        let customer_key = customer::CustomerKey::of(&settings).map_err(fail)?;
        let (client, pace, clock) =
            client::build(&settings, customer_key.clone()).await.map_err(fail)?;
        let prefix = match settings.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(S3Destination(Arc::new(Bucket { client, settings, prefix, pace, clock, customer_key })))
    }
}

impl Bucket {
    fn error(&self, operation: Operation, key: &str, kind: impl Into<ErrorKind>) -> StoreError {
        StoreError::new(&self.settings.name, operation, key, kind)
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

    /// Limits of a request that carries so many bytes.
    fn limits(&self, body_bytes: usize) -> aws_sdk_s3::config::Builder {
        self.limits_with(Duration::from_secs(body_bytes as u64 / UPLOAD_BYTES_PER_SECOND_MIN))
    }

    /// Limits of a request that makes the store copy so many bytes.
    fn copy_limits(&self, bytes: u64) -> aws_sdk_s3::config::Builder {
        self.limits_with(Duration::from_secs(bytes / COPY_BYTES_PER_SECOND_MIN))
    }

    fn limits_with(&self, more: Duration) -> aws_sdk_s3::config::Builder {
        let attempt = self.settings.timeout + more;
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(attempt)
            .operation_attempt_timeout(attempt)
            .operation_timeout(attempt * ATTEMPTS_BUDGET);
        aws_sdk_s3::config::Builder::new().timeout_config(limits.build())
    }
}

#[async_trait]
impl Destination for S3Destination {
    fn name(&self) -> &str {
        &self.0.settings.name
    }

    fn location(&self) -> String {
        let Bucket { settings, prefix, .. } = &*self.0;
        let object = format!("s3://{}/{prefix}", settings.bucket);
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
        let upload = upload::S3Upload::new(self.clone(), key, name, keeping.clone(), acknowledged);
        Ok(Box::new(upload))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored> {
        let patience = Patience::new(self.0.settings.patience, &Acknowledged::default());
        let put = || commit::put_new(self, Operation::Put, key, bytes.clone(), keeping);
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
        match source.as_any().downcast_ref::<S3Destination>() {
            Some(source) => copy::copy_from(self, source, key, bytes, keeping).await,
            None => Ok(None),
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        list::list(&self.0, prefix).await
    }

    async fn must_not_be_locked(
        &self,
        key: &str,
        now: jiff::Timestamp,
        expected: bool,
    ) -> Result<()> {
        self.0.must_not_be_locked(key, now, expected).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Delete, key)?;
        let request = self.0.client.delete_object().bucket(&self.0.settings.bucket).key(name);
        let answer = request.customize().config_override(self.0.limits(0)).send().await;
        match answer {
            Ok(_) => Ok(()),
            Err(e) => match self.0.kind(&e, "s3:DeleteObject") {
                ErrorKind::NotFound => Ok(()),
                kind => {
                    let kind = self.0.why_not_deleted(key, kind).await;
                    Err(self.0.error(Operation::Delete, key, kind))
                }
            },
        }
    }

    async fn abort_stale_uploads(
        &self,
        prefix: &str,
        begun_before: jiff::Timestamp,
    ) -> Result<Vec<String>> {
        cleanup::abort_stale_uploads(&self.0, prefix, begun_before).await
    }

    fn examine(&self) -> Option<&dyn Examine> {
        Some(self)
    }

    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        let checked = object::check_class(keeping, info)
            .and_then(|()| object::check_sse(&self.0.settings, info))
            .and_then(|()| keep::check_lock(keeping, info));
        checked.map_err(|kind| self.0.error(Operation::ReadBack, &info.key, kind))
    }

    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        let info = self.0.insist_on_lock(info, keeping).await?;
        self.audit(&info, keeping)?;
        self.0.must_have_tags(&info, keeping).await?;
        Ok(info)
    }
}

#[cfg(test)]
mod tests;
