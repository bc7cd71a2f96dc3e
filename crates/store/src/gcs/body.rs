//! Reading an object. A stream that breaks is taken up again where it broke, from the very same
//! generation of the object.
//!
//! A whole object is read by Google's own client, where the settings let it; a range, and what is
//! still to come of a broken stream, by a plain request whose answer has to be exactly that range.

use super::Bucket;
use super::attempts::Refusal;
use super::object::LOOK_VERB;
use super::request::in_time;
use crate::error::innermost;
use crate::{Blocks, ErrorKind, Operation, Result, StoreError};
use bytes::Bytes;
use futures::stream;
use google_cloud_storage::read_object::ReadObjectResponse;
use reqwest::Response;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const PLACE: &str = "store.object.reading";
/// How often a stream is taken up again without progress in between.
const RESUMES_MAX: u32 = 4;
/// What counts as progress. A store that gives a few bytes each time would be asked for ever.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// The pause before the first resumption; it doubles.
const RESUME_PAUSE: Duration = Duration::from_millis(250);
/// A stream that stands still for so long is broken off and taken up again.
const SILENCE_MAX: Duration = Duration::from_secs(20);

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
    let download = source.download(range).await.map_err(|kind| source.error(kind))?;
    Ok(Box::pin(stream::try_unfold(download, async |mut download| {
        Ok(download.next().await?.map(|block| (block, download)))
    })))
}

#[derive(Clone)]
struct Source {
    bucket: Arc<Bucket>,
    key: String,
    name: String,
}

/// The bytes of an answer, whoever asked for them.
enum Body {
    Sdk(ReadObjectResponse),
    Plain(Response),
}

impl Body {
    /// The next bytes, or why there are none.
    async fn next(&mut self, bucket: &Bucket) -> std::result::Result<Option<Bytes>, ErrorKind> {
        let next = async {
            match self {
                Body::Sdk(response) => match response.next().await.transpose() {
                    Ok(block) => Ok(block),
                    Err(e) => Err(bucket.refused_sdk(LOOK_VERB, &e).kind),
                },
                Body::Plain(response) => {
                    let block = response.chunk().await;
                    block.map_err(|e| ErrorKind::Transient { said: innermost(&e) })
                }
            }
        };
        match tokio::time::timeout(SILENCE_MAX, next).await {
            Ok(next) => next,
            Err(_) => Err(ErrorKind::Stalled { after: SILENCE_MAX }),
        }
    }
}

impl Source {
    fn error(&self, kind: ErrorKind) -> StoreError {
        self.bucket.error(Operation::Read, &self.key, kind)
    }

    async fn download(
        &self,
        range: Option<Range<u64>>,
    ) -> std::result::Result<Download, ErrorKind> {
        let limit = self.bucket.limit(0);
        let (left, generation, body) = match range {
            Some(range) => {
                let get = || self.plain(Some(&range), None);
                let response = self.bucket.patiently(limit, get).await?;
                let generation = header(&response, "x-goog-generation");
                (range, generation, Body::Plain(response))
            }
            None if self.bucket.reads_by_sdk() => {
                let open = || self.bucket.open_whole(LOOK_VERB, &self.name);
                let response = self.bucket.patiently(limit, open).await?;
                let object = response.object();
                let bytes = u64::try_from(object.size).unwrap_or(0);
                (0..bytes, Some(object.generation.to_string()), Body::Sdk(response))
            }
            None => {
                let response = self.bucket.patiently(limit, || self.plain(None, None)).await?;
                let generation = header(&response, "x-goog-generation");
                let said = "the store did not tell the object's length".to_owned();
                let bytes = response.content_length().ok_or(ErrorKind::Transient { said })?;
                (0..bytes, generation, Body::Plain(response))
            }
        };
        let source = self.clone();
        Ok(Download { source, generation, body, left, fruitless: 0, since: 0 })
    }

    /// One plain request, whose answer is what was asked for or a refusal.
    async fn plain(
        &self,
        range: Option<&Range<u64>>,
        generation: Option<&str>,
    ) -> std::result::Result<Response, Refusal> {
        let bucket = &self.bucket;
        let mut request = bucket.http.get(bucket.object_url(&self.name)).query(&[("alt", "media")]);
        if let Some(generation) = generation {
            request = request.query(&[("generation", generation)]);
        }
        if let Some(range) = range {
            let last = range.end.saturating_sub(1);
            request = request.header("range", format!("bytes={}-{last}", range.start));
        }
        if let Some(key) = &bucket.key {
            request = key.on(request);
        }
        let exchange = async {
            let response = bucket.send(PLACE, request).await?;
            match (response.status().as_u16(), range) {
                (200, None) => Ok(response),
                (206, Some(range)) => is_range(&response, range).map(|()| response),
                (200, Some(range)) => Err(Refusal::passing(format!(
                    "asked for the bytes {range:?}, the store sends {} bytes",
                    response.content_length().unwrap_or_default()
                ))),
                _ => Err(bucket.refused(LOOK_VERB, &bucket.whole(response).await?)),
            }
        };
        in_time(bucket.limit(0), exchange).await
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// Whether an answer holds exactly this range.
fn is_range(response: &Response, range: &Range<u64>) -> std::result::Result<(), Refusal> {
    let said = header(response, "content-range").unwrap_or_default();
    let part = said.strip_prefix("bytes ").and_then(|said| said.split_once('/'));
    let ends = part.and_then(|(part, _)| part.split_once('-'));
    let number = |text: &str| text.parse::<u64>().ok();
    let found = ends.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match found {
        Some((first, last)) if (first, last.checked_add(1)) == (range.start, Some(range.end)) => {
            Ok(())
        }
        // A store cuts a range that reaches beyond the end.
        Some((first, last)) if first == range.start && last < range.end => {
            let expected = (range.end - range.start).to_string();
            let found = (last + 1).saturating_sub(first).to_string();
            Err(Refusal::of(ErrorKind::Corrupt { check: "length of the range", expected, found }))
        }
        _ => {
            let said = crate::error::one_line(&said);
            Err(Refusal::passing(format!(
                "asked for the bytes {range:?}, the store sends {said:?}"
            )))
        }
    }
}

struct Download {
    source: Source,
    generation: Option<String>,
    body: Body,
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
            let broken = match self.body.next(&self.source.bucket).await {
                Ok(Some(block)) if block.is_empty() => continue,
                Ok(Some(block)) => return self.deliver(block).map(Some),
                Ok(None) if self.left.is_empty() => return Ok(None),
                Ok(None) => "the stream ended too early".to_owned(),
                // Every byte came: what can still fail is the checksum over them.
                Err(kind) if self.left.is_empty() => return Err(self.source.error(kind)),
                Err(kind @ ErrorKind::Corrupt { .. }) => return Err(self.source.error(kind)),
                Err(kind) => kind.to_string(),
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
        let get = || self.source.plain(Some(&self.left), self.generation.as_deref());
        let limit = self.source.bucket.limit(0);
        let response = self.source.bucket.patiently(limit, get).await;
        let response = response.map_err(|kind| self.source.error(self.vanished(kind)))?;
        self.body = Body::Plain(response);
        Ok(())
    }

    /// The generation that was read until now is gone.
    fn vanished(&self, kind: ErrorKind) -> ErrorKind {
        match kind {
            ErrorKind::NotFound => ErrorKind::Corrupt {
                check: "object while it was read",
                expected: format!("generation {}", self.generation.as_deref().unwrap_or("?")),
                found: "another one, or none".into(),
            },
            kind => kind,
        }
    }
}
