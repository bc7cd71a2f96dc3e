//! Reading an object. A stream that breaks is taken up again where it broke, from the very
//! same version of the object.

use super::Bucket;
use super::object::length;
use crate::error::innermost;
use crate::{Blocks, Checksum, ErrorKind, Operation, Result, StoreError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use futures::stream;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How often a stream is taken up again without progress in between.
const RESUMES_MAX: u32 = 4;
/// What counts as progress. A store that gives a few bytes each time would be asked for ever.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// The pause before the first resumption; it doubles.
const RESUME_PAUSE: Duration = Duration::from_millis(250);

/// The bytes of an object, or of a range of it.
pub(super) async fn read(
    bucket: Arc<Bucket>,
    key: &str,
    range: Option<Range<u64>>,
) -> Result<Blocks> {
    let name = bucket.name_of(Operation::Read, key)?;
    if range.as_ref().is_some_and(Range::is_empty) {
        return Ok(Box::pin(stream::empty()));
    }
    let source = Source { bucket, key: key.to_owned(), name };
    let got = source.get(range.as_ref(), None).await?;
    let bytes = length(got.content_length()).map_err(|kind| source.error(kind))?;
    let left = range.clone().unwrap_or(0..bytes);
    if left.end - left.start != bytes {
        let (expected, found) = ((left.end - left.start).to_string(), bytes.to_string());
        let check = "length of the range";
        return Err(source.error(ErrorKind::Corrupt { check, expected, found }));
    }
    let download =
        Download { source, etag: got.e_tag, body: got.body, left, fruitless: 0, since: 0 };
    Ok(Box::pin(stream::try_unfold(download, async |mut download| {
        Ok(download.next().await?.map(|block| (block, download)))
    })))
}

struct Source {
    bucket: Arc<Bucket>,
    key: String,
    name: String,
}

impl Source {
    fn error(&self, kind: ErrorKind) -> StoreError {
        self.bucket.error(Operation::Read, &self.key, kind)
    }

    async fn get(&self, range: Option<&Range<u64>>, etag: Option<&str>) -> Result<GetObjectOutput> {
        let settings = &self.bucket.settings;
        // A store answers a range without the checksum of the whole.
        let checked = range.is_none() && settings.checksum != Checksum::None;
        let range = range.map(|r| format!("bytes={}-{}", r.start, r.end.saturating_sub(1)));
        let request = self
            .bucket
            .client
            .get_object()
            .bucket(&settings.bucket)
            .key(&self.name)
            .set_range(range)
            .set_if_match(etag.map(str::to_owned))
            .set_checksum_mode(checked.then_some(ChecksumMode::Enabled))
            .customize()
            .config_override(self.bucket.limits(0));
        let answer = request.send().await;
        answer.map_err(|e| match self.bucket.kind(&e, "s3:GetObject") {
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
    body: ByteStream,
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
            let broken = match self.body.try_next().await {
                Ok(Some(block)) if block.is_empty() => continue,
                Ok(Some(block)) => return self.deliver(block).map(Some),
                Ok(None) if self.left.is_empty() => return Ok(None),
                Ok(None) => "the stream ended too early".to_owned(),
                // Every byte came: what can still fail is the checksum over them.
                Err(e) if self.left.is_empty() => return Err(self.altered(innermost(&e))),
                Err(e) => innermost(&e),
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

    fn altered(&self, found: String) -> StoreError {
        let expected = "the one kept by the store".to_owned();
        let check = "checksum of the object";
        self.source.error(ErrorKind::Corrupt { check, expected, found })
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
        let bytes = length(got.content_length()).map_err(|kind| self.source.error(kind))?;
        if bytes != self.left.end - self.left.start {
            let said =
                format!("asked for the bytes {:?}, the store sends {bytes} bytes", self.left);
            return Err(self.source.error(ErrorKind::Transient { said }));
        }
        self.body = got.body;
        Ok(())
    }
}
