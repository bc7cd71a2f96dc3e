//! A resumable upload: a session that takes an object in chunks, one after the other, and publishes
//! it with the last.
//!
//! After a failure the store is asked how much it has, and the rest is sent from there, out of the
//! chunk that is still in memory. What it confirmed is never sent again, so a store that takes a
//! confirmation back ends the upload.
//!
//! The session's address is a secret of its own: who has it may write. Of what the store names only
//! the path is used, on the server that we know: an emulator behind another name still works, and
//! nobody sends us elsewhere.

use super::Bucket;
use super::attempts::{Attempts, Refusal};
use super::insert::CREATE_VERB;
use super::object::{Resource, encode_crc};
use super::request::{Purpose, Reply};
use crate::{Answer, ErrorKind, Keeping};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const BEGIN: Purpose = Purpose { place: "store.upload.beginning", verb: CREATE_VERB };
const CHUNK: Purpose = Purpose { place: "store.part.sending", verb: CREATE_VERB };
const LAST: Purpose = Purpose { place: "store.upload.completing", verb: CREATE_VERB };
const QUERY: Purpose = Purpose { place: "store.upload.asking", verb: CREATE_VERB };
const CANCEL: Purpose = Purpose { place: "store.upload.aborting", verb: CREATE_VERB };
/// What Google answers to a cancellation that it carried out.
const CANCELLED: u16 = 499;

/// A session that was begun.
pub(super) struct Session {
    bucket: Arc<Bucket>,
    url: Url,
}

/// A piece of the object, with its place in it.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) at: u64,
    pub(super) bytes: Bytes,
    /// Length and CRC-32C of the whole, if this is the last piece.
    pub(super) whole: Option<(u64, u32)>,
}

/// What the store has.
enum Progress {
    Some(u64),
    Everything(Box<Resource>),
}

impl Session {
    /// Begins one, on the condition that there is no object of the name.
    pub(super) async fn begin(
        bucket: Arc<Bucket>,
        name: &str,
        keeping: &Keeping,
    ) -> Result<Self, ErrorKind> {
        let description = bucket.description(keeping);
        let request = || bucket.making(name, "resumable").json(&description);
        let reply =
            bucket.ask(BEGIN, 0, request).await.map_err(|kind| bucket.or_no_bucket(kind))?;
        let url = reply.header("location").and_then(|location| address(&bucket.base, location));
        let said = "the store named no address for the upload".to_owned();
        let url = url.ok_or(ErrorKind::Transient { said })?;
        Ok(Session { bucket, url })
    }

    /// Sends a chunk until the store has it. The answer to the last one describes the object. Of a
    /// chunk that was sent before, the store is asked first how much it has.
    pub(super) async fn deliver(
        &self,
        chunk: &Chunk,
        was_sent: bool,
    ) -> Result<Option<Resource>, ErrorKind> {
        let end = chunk.at + chunk.bytes.len() as u64;
        let limit = self.bucket.limit(chunk.bytes.len());
        let mut attempts = Attempts::new(self.bucket.settings.attempts, limit);
        let (mut has, mut in_doubt) = (chunk.at, was_sent);
        loop {
            let outcome = match in_doubt {
                true => self.query(chunk, limit).await,
                false => self.put(chunk, has, limit).await,
            };
            let refusal = match outcome {
                Ok(Progress::Everything(resource)) if chunk.whole.is_some() => {
                    return Ok(Some(*resource));
                }
                Ok(Progress::Everything(resource)) => return Err(early(&resource, end)),
                Ok(Progress::Some(now)) if now < chunk.at || now > end => {
                    return Err(lost(now, chunk.at, end));
                }
                Ok(Progress::Some(now)) if now == end && chunk.whole.is_none() => return Ok(None),
                Ok(Progress::Some(now)) if now > has || in_doubt => {
                    if now > has {
                        attempts.refill();
                    }
                    (has, in_doubt) = (now, false);
                    continue;
                }
                Ok(Progress::Some(_)) => Refusal::passing("the store took nothing of the chunk"),
                Err(refusal) => refusal,
            };
            match attempts.next(refusal.again, &self.bucket.identity) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refusal.kind),
            }
            in_doubt = true;
        }
    }

    /// Sends what the store does not have yet.
    async fn put(&self, chunk: &Chunk, has: u64, limit: Duration) -> Result<Progress, Refusal> {
        let end = chunk.at + chunk.bytes.len() as u64;
        let skipped = usize::try_from(has - chunk.at).unwrap_or(usize::MAX);
        let body = chunk.bytes.slice(skipped.min(chunk.bytes.len())..);
        let whole = chunk.whole.map_or_else(|| "*".to_owned(), |(bytes, _)| bytes.to_string());
        let range = match body.len() {
            0 => format!("bytes */{whole}"),
            _ => format!("bytes {has}-{}/{whole}", end - 1),
        };
        let request = self.bucket.http.put(self.url.clone()).header("content-range", range);
        let request = match chunk.whole {
            Some((_, crc)) => request.header("x-goog-hash", format!("crc32c={}", encode_crc(crc))),
            None => request,
        };
        let purpose = if chunk.whole.is_some() { LAST } else { CHUNK };
        self.progress(purpose, limit, request.body(body)).await
    }

    /// Asks how much the store has.
    async fn query(&self, chunk: &Chunk, limit: Duration) -> Result<Progress, Refusal> {
        let whole = chunk.whole.map_or_else(|| "*".to_owned(), |(bytes, _)| bytes.to_string());
        let request = self.bucket.http.put(self.url.clone());
        let request = request.header("content-range", format!("bytes */{whole}"));
        self.progress(QUERY, limit, request.body(Bytes::new())).await
    }

    async fn progress(
        &self,
        purpose: Purpose,
        limit: Duration,
        request: reqwest::RequestBuilder,
    ) -> Result<Progress, Refusal> {
        let request = match &self.bucket.key {
            Some(key) => key.on(request),
            None => request,
        };
        let reply = match self.bucket.once(purpose, limit, request).await {
            Ok(reply) => reply,
            Err(Refusal { kind: ErrorKind::NotFound, .. }) => {
                let message = Some("the store no longer knows the upload".to_owned());
                let answer = Answer { status: Some(404), message, ..Answer::default() };
                return Err(Refusal::of(ErrorKind::Rejected { answer }));
            }
            Err(refusal) => return Err(refusal),
        };
        if reply.status == 308 {
            return confirmed(&reply).map(Progress::Some);
        }
        let resource: Resource = reply.json()?;
        if resource.name.is_none() || resource.bytes().is_err() {
            return Err(Refusal::passing("the answer to a chunk describes no object"));
        }
        Ok(Progress::Everything(Box::new(resource)))
    }

    /// Ends it without an object.
    pub(super) async fn cancel(&self) -> Result<(), ErrorKind> {
        let request = || self.bucket.http.delete(self.url.clone());
        match self.bucket.ask(CANCEL, 0, request).await {
            Ok(_) | Err(ErrorKind::NotFound) => Ok(()),
            Err(ErrorKind::Rejected { answer: Answer { status: Some(CANCELLED | 410), .. } }) => {
                Ok(())
            }
            Err(kind) => Err(kind),
        }
    }
}

/// Where to send chunks: the path that the store named, on the server that we know.
fn address(base: &Url, location: &str) -> Option<Url> {
    let named = base.join(location).ok()?;
    let mut url = base.clone();
    url.set_path(named.path());
    url.set_query(Some(named.query()?));
    Some(url)
}

/// How much the store has, from `Range: bytes=0-41`; without one it has nothing.
fn confirmed(reply: &Reply) -> Result<u64, Refusal> {
    let Some(range) = reply.header("range") else {
        return Ok(0);
    };
    let last = range.strip_prefix("bytes=0-").and_then(|last| last.parse::<u64>().ok());
    let count = last.and_then(|last| last.checked_add(1));
    count.ok_or_else(|| {
        let range = crate::error::one_line(range);
        Refusal::passing(format!("the store says in a strange way what it has: {range:?}"))
    })
}

fn early(resource: &Resource, sent: u64) -> ErrorKind {
    let found = resource.bytes().unwrap_or_default();
    ErrorKind::Corrupt {
        check: "state of the upload",
        expected: format!("unfinished after {sent} bytes"),
        found: format!("an object of {found} bytes"),
    }
}

fn lost(now: u64, at: u64, end: u64) -> ErrorKind {
    ErrorKind::Corrupt {
        check: "count of the bytes in the store",
        expected: format!("{at} to {end}"),
        found: now.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_looked_for_on_the_server_that_we_know() {
        let base = Url::parse("http://127.0.0.1:4443").unwrap();
        for location in [
            "http://127.0.0.1/upload/x?upload_id=7",
            "https://evil.example/upload/x?upload_id=7",
            "/upload/x?upload_id=7",
        ] {
            let url = address(&base, location).unwrap();
            assert_eq!(url.as_str(), "http://127.0.0.1:4443/upload/x?upload_id=7", "{location}");
        }
        assert_eq!(address(&base, "/upload/x"), None, "it names no session");
    }
}
