//! A copy from one bucket to another by the store itself, create-only.
//!
//! Google copies a large object in several calls, each of which names the token of the one before.
//! Its CRC-32C tells whether a copy that is there already is of the same bytes.

use super::Bucket;
use super::object::Resource;
use super::request::Purpose;
use crate::{ErrorKind, Keeping, Operation, Result, StoreError, Stored};
use serde::Deserialize;

/// How many calls one copy may take. Google copies at least a megabyte with each.
const CALLS_MAX: usize = 100_000;
/// How many calls in a row may copy nothing.
const FRUITLESS_CALLS_MAX: usize = 100;
const COPY: Purpose = Purpose {
    place: "store.object.copying",
    verb: "storage.objects.create (here) or storage.objects.get (where it comes from)",
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    done: bool,
    rewrite_token: Option<String>,
    total_bytes_rewritten: Option<String>,
    resource: Option<Resource>,
}

/// Copies the object of `source` under the same key.
pub(super) async fn copy(
    source: &Bucket,
    target: &Bucket,
    key: &str,
    bytes: u64,
    keeping: &Keeping,
) -> Result<Stored> {
    let operation = Operation::Put;
    let fail = |kind| target.error(operation, key, kind);
    let (from, to) = (source.name_of(operation, key)?, target.name_of(operation, key)?);
    let found = source.resource(&from).await.map_err(fail)?;
    let original = found.ok_or_else(|| fail(ErrorKind::NotFound))?;
    let length = original.bytes().map_err(fail)?;
    if length != bytes {
        let (expected, found) = (bytes.to_string(), length.to_string());
        return Err(fail(ErrorKind::Corrupt { check: "length of the original", expected, found }));
    }
    let copy = Copy { source, target, from: &from, to: &to, original: &original, keeping };
    if let Some(stored) = copy.resolve().await.map_err(fail)? {
        return Ok(stored);
    }
    let kind = match copy.attempt().await {
        Ok(made) => return Ok(stored(&made, bytes, false)),
        Err(kind) => kind,
    };
    // It may have come to its end all the same.
    match copy.resolve().await {
        Ok(Some(stored)) => Ok(stored),
        Ok(None) => Err(fail(kind)),
        Err(taken @ ErrorKind::AlreadyExists) => Err(fail(taken)),
        Err(look) => Err(unresolved(fail(kind), &look)),
    }
}

fn unresolved(error: StoreError, look: &ErrorKind) -> StoreError {
    error.leaving_behind(format!("possibly the whole copy ({look})"))
}

fn stored(resource: &Resource, bytes: u64, existed: bool) -> Stored {
    Stored { bytes, etag: resource.etag(), version_id: resource.generation.clone(), existed }
}

struct Copy<'a> {
    source: &'a Bucket,
    target: &'a Bucket,
    from: &'a str,
    to: &'a str,
    original: &'a Resource,
    keeping: &'a Keeping,
}

impl Copy<'_> {
    /// What lies under the key already: nothing, the same bytes, or other ones.
    async fn resolve(&self) -> std::result::Result<Option<Stored>, ErrorKind> {
        let Some(there) = self.target.resource(self.to).await? else {
            return Ok(None);
        };
        let bytes = there.bytes()?;
        let crc = there.crc32c().filter(|_| bytes == self.original.bytes().unwrap_or_default());
        match crc.zip(self.original.crc32c()) {
            Some((copy, original)) if copy == original => Ok(Some(stored(&there, bytes, true))),
            _ => Err(ErrorKind::AlreadyExists),
        }
    }

    async fn attempt(&self) -> std::result::Result<Resource, ErrorKind> {
        let (mut token, mut copied, mut fruitless) = (None, 0, 0);
        for _ in 0..CALLS_MAX {
            let answer = self.call(token.as_deref()).await?;
            if answer.done {
                return Ok(answer.resource.unwrap_or_default());
            }
            let said = "the store stopped within a copy and named no token".to_owned();
            token = Some(answer.rewrite_token.ok_or(ErrorKind::Transient { said })?);
            let until = answer.total_bytes_rewritten.and_then(|text| text.parse().ok());
            match until {
                Some(until) if until > copied => (copied, fruitless) = (until, 0),
                _ => fruitless += 1,
            }
            if fruitless == FRUITLESS_CALLS_MAX {
                break;
            }
        }
        let said = format!("the store does not come to the end of a copy, at byte {copied}");
        Err(ErrorKind::Transient { said })
    }

    async fn call(&self, token: Option<&str>) -> std::result::Result<Answer, ErrorKind> {
        let Copy { source, target, .. } = self;
        let description = target.description(self.keeping);
        let mut query = vec![("ifGenerationMatch", "0")];
        query.extend(self.original.generation.as_deref().map(|g| ("sourceGeneration", g)));
        query.extend(target.settings.kms_key.as_deref().map(|k| ("destinationKmsKeyName", k)));
        query.extend(token.map(|token| ("rewriteToken", token)));
        let limit = target.limit(0);
        let attempt = async || {
            let url = source.rewrite_url(self.from, &target.settings.bucket, self.to);
            let mut request = target.http.post(url).query(&query).json(&description);
            if let Some(key) = &target.key {
                request = key.on(request);
            }
            if let Some(key) = &source.key {
                request = key.on_source(request);
            }
            target.once(COPY, limit, request).await?.json()
        };
        target.patiently(limit, attempt).await
    }
}
