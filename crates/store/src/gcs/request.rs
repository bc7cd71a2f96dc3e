//! One request in Google's JSON, as often as it takes.
//!
//! Owns: addresses, credentials on each attempt, the limits of time and of an answer's length, the
//! failpoint before and after every effect, and the store's clock.
//! Does not: know what the answers mean beyond success and refusal.

use super::Bucket;
use super::attempts::{Attempts, Refusal};
use crate::ErrorKind;
use crate::http::failure;
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// The largest answer that is taken: a page of a listing has about a megabyte.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// What a request is for: the failpoint before it, and the permission that it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub(super) place: &'static str,
    pub(super) verb: &'static str,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The document in it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let status = self.status;
            Refusal::passing(format!("the answer (HTTP {status}) could not be understood: {e}"))
        })
    }
}

impl Bucket {
    /// The address of an object, or of a bucket's objects.
    fn address<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(super) fn object_url(&self, name: &str) -> Url {
        self.address(["storage", "v1", "b", &self.settings.bucket, "o", name])
    }

    pub(super) fn objects_url(&self) -> Url {
        self.address(["storage", "v1", "b", &self.settings.bucket, "o"])
    }

    pub(super) fn bucket_url(&self) -> Url {
        self.address(["storage", "v1", "b", &self.settings.bucket])
    }

    pub(super) fn upload_url(&self) -> Url {
        self.address(["upload", "storage", "v1", "b", &self.settings.bucket, "o"])
    }

    /// Where an object is copied from this bucket to another.
    pub(super) fn rewrite_url(&self, name: &str, bucket: &str, to: &str) -> Url {
        let from = ["storage", "v1", "b", &self.settings.bucket, "o", name];
        self.address(from.into_iter().chain(["rewriteTo", "b", bucket, "o", to]))
    }

    /// The limit of one attempt of a request that carries so many bytes.
    pub(super) fn limit(&self, body_bytes: usize) -> Duration {
        super::client::limit(&self.settings, body_bytes as u64)
    }

    /// Asks until there is an answer that is final.
    pub(super) async fn ask(
        &self,
        purpose: Purpose,
        body_bytes: usize,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Reply, ErrorKind> {
        let limit = self.limit(body_bytes);
        self.patiently(limit, || self.once(purpose, limit, request())).await
    }

    /// Repeats an attempt for as long as its refusals allow.
    pub(super) async fn patiently<T, F>(
        &self,
        limit: Duration,
        attempt: impl Fn() -> F,
    ) -> Result<T, ErrorKind>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let mut attempts = Attempts::new(self.settings.attempts, limit);
        loop {
            let refusal = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            match attempts.next(refusal.again, &self.identity) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refusal.kind),
            }
        }
    }

    /// One attempt: the answer, unless it is a refusal. 308 is the answer to a chunk that was not
    /// the last.
    pub(super) async fn once(
        &self,
        purpose: Purpose,
        limit: Duration,
        request: RequestBuilder,
    ) -> Result<Reply, Refusal> {
        let exchange = async {
            let response = self.send(purpose.place, request).await?;
            self.whole(response).await
        };
        let reply = in_time(limit, exchange).await?;
        match reply.status {
            200..=299 | 308 => Ok(reply),
            _ => Err(self.refused(purpose.verb, &reply)),
        }
    }

    /// Sends a request, with credentials, and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        place: &'static str,
        request: RequestBuilder,
    ) -> Result<Response, Refusal> {
        let credentials = self.identity.headers().await.map_err(Refusal::of)?;
        failpoint::pass(place);
        let sent = request.headers(credentials).send().await;
        let response = sent.map_err(|e| self.broken(&e))?;
        // The store has acted, and nobody here knows yet.
        failpoint::pass("store.answered");
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        self.clock.hear(header("date"), header("age"));
        Ok(response)
    }

    fn broken(&self, e: &reqwest::Error) -> Refusal {
        Refusal::of(failure(e, self.settings.proxy.as_ref()))
    }

    /// The rest of an answer.
    pub(super) async fn whole(&self, mut response: Response) -> Result<Reply, Refusal> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.broken(&e))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                let kind = ErrorKind::TooLarge { bytes_max: ANSWER_BYTES_MAX as u64 };
                return Err(Refusal::of(kind));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }
}

/// What takes longer has failed.
pub(super) async fn in_time<T>(
    limit: Duration,
    exchange: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(limit, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(Refusal::passing("no answer within the time limit")),
    }
}
