//! A multipart upload of unknown length, with a bounded number of parts in flight.
//!
//! Until the first part is full nothing is sent: an object smaller than a part is one PUT.
//! Memory: the part being filled and `parts_in_flight` more. A part is held until the store has it:
//! when the store was away, the upload goes on with it under the same id.

use super::begin;
use super::commit::{self, Parts};
use super::parts::{PARTS_MAX, part_bytes};
use super::{Bucket, S3Destination};
use crate::patience::Patience;
use crate::summary::Tally;
use crate::{
    Acknowledged, Checksum, ErrorKind, Keeping, Operation, Result, StoreError, Stored, Summary,
};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedPart};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// How long each of the two requests of giving up may take.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct S3Upload {
    destination: S3Destination,
    key: String,
    name: String,
    keeping: Keeping,
    acknowledged: Acknowledged,
    tally: Tally,
    filling: BytesMut,
    /// The request for an upload id, while it is under way.
    beginning: Option<JoinHandle<Result<String>>>,
    upload_id: Option<String>,
    /// The number of the last part that was sent.
    sent: i32,
    in_flight: JoinSet<Result<CompletedPart>>,
    done: Vec<CompletedPart>,
}

impl S3Upload {
    pub(super) fn new(
        destination: S3Destination,
        key: &str,
        name: String,
        keeping: Keeping,
        acknowledged: Acknowledged,
    ) -> Self {
        S3Upload {
            destination,
            key: key.to_owned(),
            name,
            keeping,
            acknowledged,
            tally: Tally::new(),
            filling: BytesMut::new(),
            beginning: None,
            upload_id: None,
            sent: 0,
            in_flight: JoinSet::new(),
            done: Vec::new(),
        }
    }

    fn bucket(&self) -> &Arc<Bucket> {
        &self.destination.0
    }

    fn error(&self, operation: Operation, kind: impl Into<ErrorKind>) -> StoreError {
        self.bucket().error(operation, &self.key, kind)
    }

    fn patience(&self) -> Patience {
        Patience::new(self.bucket().settings.patience, &self.acknowledged)
    }

    /// Sends a full part, waiting for a free place first.
    async fn send_part(&mut self, body: Bytes) -> Result<()> {
        if self.sent == PARTS_MAX {
            let said = format!("the object needs more than {PARTS_MAX} parts");
            let hint = "raise part_bytes";
            return Err(self.error(Operation::Write, ErrorKind::Config { said, hint }));
        }
        while self.in_flight.len() >= self.bucket().pace.allowed() {
            self.collect_part().await?;
        }
        let upload_id = self.begin().await?;
        self.sent += 1;
        let part = Part {
            bucket: self.bucket().clone(),
            key: self.key.clone(),
            name: self.name.clone(),
            upload_id,
            number: self.sent,
            acknowledged: self.acknowledged.clone(),
        };
        let patience = self.patience();
        self.in_flight
            .spawn(async move { patience.insist_to_the_end(|| part.send(body.clone())).await });
        Ok(())
    }

    async fn collect_part(&mut self) -> Result<bool> {
        match self.in_flight.join_next().await {
            Some(joined) => {
                let part = joined.unwrap_or_else(|e| self.not_joined(e))?;
                self.bucket().pace.faster();
                self.done.push(part);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn not_joined<T>(&self, e: JoinError) -> Result<T> {
        match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => {
                let said = "the program is shutting down".to_owned();
                Err(self.error(Operation::Write, ErrorKind::Transient { said }))
            }
        }
    }

    /// The id of the multipart upload, which is begun when it is first needed. A call that is
    /// cancelled meanwhile leaves the request running, so that `abandon` learns the id.
    async fn begin(&mut self) -> Result<String> {
        if let Some(id) = &self.upload_id {
            return Ok(id.clone());
        }
        let (bucket, key, name) = (self.bucket().clone(), self.key.clone(), self.name.clone());
        let (keeping, patience) = (self.keeping.clone(), self.patience());
        let begin = async move {
            let begin = || begin::begin(bucket.clone(), key.clone(), name.clone(), keeping.clone());
            patience.insist(begin).await
        };
        let beginning = self.beginning.get_or_insert_with(|| tokio::spawn(begin));
        let joined = beginning.await;
        self.beginning = None;
        let id = joined.unwrap_or_else(|e| self.not_joined(e))?;
        self.upload_id = Some(id.clone());
        Ok(id)
    }

    async fn finish(&mut self, summary: &Summary) -> Result<Stored> {
        self.tally.check(summary).map_err(|kind| self.error(Operation::Complete, kind))?;
        let rest = std::mem::take(&mut self.filling).freeze();
        if self.upload_id.is_none() {
            let stored = self.put(&rest).await?;
            self.acknowledged.add(rest.len() as u64);
            return Ok(stored);
        }
        if !rest.is_empty() {
            self.send_part(rest).await?;
        }
        while self.collect_part().await? {}
        let mut parts = std::mem::take(&mut self.done);
        parts.sort_by_key(CompletedPart::part_number);
        let upload_id = self.begin().await?;
        let (key, name) = (self.key.as_str(), self.name.as_str());
        let parts = Parts { destination: &self.destination, key, name, upload_id, parts };
        let stored = self.patience().insist(|| parts.complete(summary)).await?;
        // When the object was there already, the store still holds our parts.
        if !stored.existed {
            self.upload_id = None;
        }
        Ok(stored)
    }

    /// The whole object in one request: it is smaller than a part.
    async fn put(&self, bytes: &Bytes) -> Result<Stored> {
        let (destination, key, keeping) = (&self.destination, &self.key, &self.keeping);
        let put = || commit::put_new(destination, Operation::Complete, key, bytes.clone(), keeping);
        self.patience().insist(put).await
    }

    /// Waits for the id of an upload that was just being begun.
    async fn learn_id(&mut self) -> std::result::Result<(), (ErrorKind, String)> {
        let Some(beginning) = self.beginning.take() else {
            return Ok(());
        };
        match tokio::time::timeout(ABORT_TIMEOUT, beginning).await {
            Ok(Ok(Ok(id))) => self.upload_id = Some(id),
            // It failed, so there is nothing to remove.
            Ok(_) => {}
            Err(_) => {
                let what = "possibly an unfinished upload, whose id never came".to_owned();
                return Err((ErrorKind::Stalled { after: ABORT_TIMEOUT }, what));
            }
        }
        Ok(())
    }

    /// Removes the parts from the store. Says what stays behind if it cannot.
    async fn abandon(&mut self) -> std::result::Result<(), (ErrorKind, String)> {
        self.in_flight.shutdown().await;
        self.learn_id().await?;
        let Some(upload_id) = self.upload_id.take() else {
            return Ok(());
        };
        let bucket = self.bucket();
        let request = bucket
            .client
            .abort_multipart_upload()
            .bucket(&bucket.settings.bucket)
            .key(&self.name)
            .upload_id(&upload_id)
            .customize()
            .config_override(bucket.limits(0));
        let kind = match tokio::time::timeout(ABORT_TIMEOUT, request.send()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(e)) if is_gone(&e) => return Ok(()),
            Ok(Err(e)) => bucket.kind(&e, "s3:AbortMultipartUpload"),
            Err(_) => ErrorKind::Stalled { after: ABORT_TIMEOUT },
        };
        let what = format!("the unfinished upload {upload_id} ({kind})");
        Err((kind, what))
    }
}

fn is_gone<E: aws_sdk_s3::error::ProvideErrorMetadata>(e: &E) -> bool {
    e.code() == Some("NoSuchUpload")
}

#[async_trait]
impl crate::Upload for S3Upload {
    async fn write(&mut self, mut block: Bytes) -> Result<()> {
        self.tally.update(&block);
        while !block.is_empty() {
            let size = part_bytes(self.bucket().settings.part_bytes, self.sent + 1);
            if self.filling.is_empty() && block.len() >= size {
                self.send_part(block.split_to(size)).await?;
                continue;
            }
            let piece = block.split_to(block.len().min(size - self.filling.len()));
            if self.filling.is_empty() {
                // Untouched memory costs nothing, and growing step by step would copy.
                self.filling.reserve(size);
            }
            self.filling.extend_from_slice(&piece);
            if self.filling.len() == size {
                let body = std::mem::take(&mut self.filling).freeze();
                self.send_part(body).await?;
            }
        }
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let finished = self.finish(summary).await;
        // After success nothing is left to abandon, except parts made needless.
        match (finished, self.abandon().await) {
            (Ok(stored), _) => Ok(stored),
            (Err(e), Ok(())) => Err(e),
            (Err(e), Err((_, what))) => Err(e.leaving_behind(what)),
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let abandoned = self.abandon().await;
        abandoned.map_err(|(kind, what)| self.error(Operation::Abort, kind).leaving_behind(what))
    }
}

/// One part on its way.
struct Part {
    bucket: Arc<Bucket>,
    key: String,
    name: String,
    upload_id: String,
    number: i32,
    acknowledged: Acknowledged,
}

impl Part {
    /// A part that is sent again replaces itself.
    async fn send(&self, body: Bytes) -> Result<CompletedPart> {
        let length = body.len();
        let algorithm = match self.bucket.settings.checksum {
            Checksum::Full => Some(ChecksumAlgorithm::Crc64Nvme),
            Checksum::Part => Some(ChecksumAlgorithm::Crc32C),
            Checksum::None => None,
        };
        let request = self
            .bucket
            .client
            .upload_part()
            .bucket(&self.bucket.settings.bucket)
            .key(&self.name)
            .upload_id(&self.upload_id)
            .part_number(self.number)
            .set_checksum_algorithm(algorithm)
            .body(ByteStream::from(body))
            .customize()
            .config_override(self.bucket.limits(length));
        let part = request.send().await.map_err(|e| {
            self.bucket.error(Operation::Write, &self.key, self.bucket.kind(&e, "s3:PutObject"))
        })?;
        self.acknowledged.add(length as u64);
        Ok(CompletedPart::builder()
            .part_number(self.number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
            .set_checksum_crc32_c(part.checksum_crc32_c)
            .build())
    }
}
