//! What a bucket does by itself: requests without the looks that make ordinary writes safe.
//!
//! Only `probe` uses these, on objects of its own.

use super::{Bucket, S3Destination, begin, cleanup, commit};
use crate::{Checksum, ErrorKind, Examine, Keeping, Operation, Protection, Result, Summary};
use async_trait::async_trait;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled};
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::{Arc, Mutex};

/// CRC-32C of nothing, in base64: never that of the sample.
const WRONG_CRC32C: &str = "AAAAAA==";

#[async_trait]
impl Examine for S3Destination {
    async fn refuses_overwrite(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let name = self.0.name_of(Operation::Put, key)?;
        let wanted = Summary::of(&bytes);
        match commit::put(self, &name, &Keeping::default(), bytes, &wanted).await {
            Ok(_) => Ok(false),
            Err(ErrorKind::AlreadyExists | ErrorKind::Conflict { .. }) => Ok(true),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn refuses_wrong_checksum(&self, key: &str, bytes: Bytes) -> Result<Option<bool>> {
        let name = self.0.name_of(Operation::Put, key)?;
        let right = Summary::of(&bytes);
        let wrong = Summary { crc64nvme: !right.crc64nvme, ..right };
        let put = match self.0.settings.checksum {
            Checksum::None => return Ok(None),
            Checksum::Full => {
                commit::put(self, &name, &Keeping::default(), bytes, &wrong).await.map(drop)
            }
            Checksum::Part => put_with_wrong_part(&self.0, &name, bytes).await,
        };
        match put {
            Ok(()) => Ok(Some(false)),
            Err(ErrorKind::Corrupt { .. } | ErrorKind::Rejected { .. }) => Ok(Some(true)),
            // One that an earlier probe could not take away again.
            Err(ErrorKind::AlreadyExists) => Ok(Some(false)),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn begins_parts(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Create, key)?;
        let id =
            begin::begin(self.0.clone(), key.to_owned(), name.clone(), Keeping::default()).await?;
        let aborted = cleanup::abort(&self.0, &name, &id).await;
        aborted.map_err(|kind| self.0.error(Operation::CleanUp, key, kind))
    }

    async fn time(&self, key: &str) -> Option<Timestamp> {
        let name = self.0.name_of(Operation::Head, key).ok()?;
        let dates = Dates::default();
        let request = self.0.client.head_object().bucket(&self.0.settings.bucket).key(name);
        let request = request.customize().config_override(self.0.limits(0));
        // A refusal has a date as well.
        let _ = request.interceptor(dates.clone()).send().await;
        let date = dates.0.lock().ok()?.take()?;
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).ok()
    }

    async fn protection(&self) -> Protection {
        let (locks, versions) = tokio::join!(self.0.has_locks(), self.0.has_versions());
        Protection { locks, versions }
    }

    fn leftover_hint(&self) -> &'static str {
        "grant s3:AbortMultipartUpload, or let a lifecycle rule abort unfinished uploads"
    }
}

impl Bucket {
    async fn has_locks(&self) -> Option<bool> {
        let request = self.client.get_object_lock_configuration().bucket(&self.settings.bucket);
        match request.customize().config_override(self.limits(0)).send().await {
            Ok(answer) => {
                let enabled = answer.object_lock_configuration?.object_lock_enabled;
                Some(enabled == Some(ObjectLockEnabled::Enabled))
            }
            Err(e) if e.code() == Some("ObjectLockConfigurationNotFoundError") => Some(false),
            // Not permitted, or not known to the server.
            Err(_) => None,
        }
    }

    async fn has_versions(&self) -> Option<bool> {
        let request = self.client.get_bucket_versioning().bucket(&self.settings.bucket);
        let answer = request.customize().config_override(self.limits(0)).send().await.ok()?;
        Some(answer.status == Some(BucketVersioningStatus::Enabled))
    }
}

async fn put_with_wrong_part(
    bucket: &Bucket,
    name: &str,
    bytes: Bytes,
) -> std::result::Result<(), ErrorKind> {
    let limits = bucket.limits(bytes.len());
    let request = bucket
        .client
        .put_object()
        .bucket(&bucket.settings.bucket)
        .key(name)
        .if_none_match("*")
        .checksum_crc32_c(WRONG_CRC32C)
        .body(ByteStream::from(bytes));
    let answer = request.customize().config_override(limits).send().await;
    answer.map(drop).map_err(|e| bucket.kind(&e, "s3:PutObject"))
}

/// Remembers the date of the last answer.
#[derive(Debug, Default, Clone)]
struct Dates(Arc<Mutex<Option<String>>>);

impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "dates"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let (Some(date), Ok(mut last)) =
            (context.response().headers().get("date"), self.0.lock())
        {
            *last = Some(date.to_owned());
        }
        Ok(())
    }
}
