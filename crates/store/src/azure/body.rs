//! Reading an object. A stream that breaks is taken up again where it broke, from the very
//! same version of the object.

use super::Container;
use super::error::READ;
use super::object::length;
use crate::error::innermost;
use crate::{Blocks, ErrorKind, Operation, Result, StoreError};
use azure_core::http::AsyncResponseBody;
use azure_storage_blob::models::{BlobClientDownloadOptions, BlobClientDownloadResult, HttpRange};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How often a stream is taken up again without progress in between.
const RESUMES_MAX: u32 = 4;
/// What counts as progress. A store that gives a few bytes each time would be asked for ever.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// The pause before the first resumption; it doubles.
const RESUME_PAUSE: Duration = Duration::from_millis(250);
/// A stream that stands still for so long is broken off and taken up again.
const STALL_GRACE: Duration = Duration::from_secs(20);
/// More than any object has: the SDK would fetch what is longer in pieces, and hold them in memory.
const ONE_PIECE: NonZero<usize> = NonZero::new(1 << 48).unwrap();

/// The bytes of an object, or of a range of it.
pub(super) async fn read(
    container: Arc<Container>,
    key: &str,
    range: Option<Range<u64>>,
) -> Result<Blocks> {
    let name = container.name_of(Operation::Read, key)?;
    if range.as_ref().is_some_and(Range::is_empty) {
        return Ok(Box::pin(stream::empty()));
    }
    let source = Source { container, key: key.to_owned(), name };
    let got = source.get(range.as_ref(), None).await?;
    let bytes = length(&got.headers).map_err(|kind| source.error(kind))?;
    let left = range.unwrap_or(0..bytes);
    if left.end - left.start != bytes {
        let (expected, found) = ((left.end - left.start).to_string(), bytes.to_string());
        let check = "length of the range";
        return Err(source.error(ErrorKind::Corrupt { check, expected, found }));
    }
    let etag = got.properties.etag.map(|etag| etag.to_string());
    let download = Download { source, etag, body: got.body, left, fruitless: 0, since: 0 };
    Ok(Box::pin(stream::try_unfold(download, async |mut download| {
        Ok(download.next().await?.map(|block| (block, download)))
    })))
}

struct Source {
    container: Arc<Container>,
    key: String,
    name: String,
}

impl Source {
    fn error(&self, kind: ErrorKind) -> StoreError {
        self.container.error(Operation::Read, &self.key, kind)
    }

    async fn get(
        &self,
        range: Option<&Range<u64>>,
        etag: Option<&str>,
    ) -> Result<BlobClientDownloadResult> {
        let options = BlobClientDownloadOptions {
            if_match: etag.map(|etag| etag.to_owned().into()),
            parallel: Some(NonZero::<usize>::MIN),
            partition_size: Some(ONE_PIECE),
            range: range.map(|range| HttpRange::from(range.clone())),
            ..BlobClientDownloadOptions::default()
        };
        let answer = self.container.client.blob_client(&self.name).download(Some(options)).await;
        answer.map_err(|e| match self.container.kind(&e, READ) {
            // The only condition of a read is that the object is still the same.
            ErrorKind::AlreadyExists => self.error(ErrorKind::Corrupt {
                check: "object while it was read",
                expected: format!("version {}", etag.unwrap_or_default()),
                found: "another one".into(),
            }),
            kind => self.error(kind),
        })
    }
}

struct Download {
    source: Source,
    etag: Option<String>,
    body: AsyncResponseBody,
    /// What is still to come.
    left: Range<u64>,
    /// Resumptions since there was progress.
    fruitless: u32,
    /// Bytes since the last resumption.
    since: u64,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let broken = match tokio::time::timeout(STALL_GRACE, self.body.next()).await {
                Ok(Some(Ok(block))) if block.is_empty() => continue,
                Ok(Some(Ok(block))) => return self.deliver(block).map(Some),
                _ if self.left.is_empty() => return Ok(None),
                Ok(None) => "the stream ended too early".to_owned(),
                Ok(Some(Err(e))) => innermost(&e),
                Err(_) => format!("nothing came for {} s", STALL_GRACE.as_secs()),
            };
            self.resume(broken).await?;
        }
    }

    fn deliver(&mut self, block: Bytes) -> Result<Bytes> {
        let room = self.left.end - self.left.start;
        if block.len() as u64 > room {
            let (expected, found) = (format!("{room} more bytes"), block.len().to_string());
            let check = "length of the stream";
            return Err(self.source.error(ErrorKind::Corrupt { check, expected, found }));
        }
        self.left.start += block.len() as u64;
        self.since += block.len() as u64;
        if self.since >= PROGRESS_BYTES_MIN {
            self.fruitless = 0;
        }
        Ok(block)
    }

    async fn resume(&mut self, broken: String) -> Result<()> {
        if self.fruitless == RESUMES_MAX {
            let at = self.left.start;
            let said = format!("the stream broke at byte {at}, again and again: {broken}");
            return Err(self.source.error(ErrorKind::Transient { said }));
        }
        tokio::time::sleep(RESUME_PAUSE * 2u32.pow(self.fruitless)).await;
        self.fruitless += 1;
        self.since = 0;
        let got = self.source.get(Some(&self.left), self.etag.as_deref()).await?;
        let bytes = length(&got.headers).map_err(|kind| self.source.error(kind))?;
        if bytes != self.left.end - self.left.start {
            let said =
                format!("asked for the bytes {:?}, the store sends {bytes} bytes", self.left);
            return Err(self.source.error(ErrorKind::Transient { said }));
        }
        self.body = got.body;
        Ok(())
    }
}
