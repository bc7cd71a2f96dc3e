//! Amazon's language: paths are `/BUCKET/KEY`, errors are XML with a code.

use super::{Target, call, patient};
use crate::fault_front::script::{Call, Operation, Reply, Saying};
use crate::vault::decoded;
use crate::wire::Response;

/// What a server gives an acknowledged write that it never made.
const ETAG: &str = "\"00000000000000000000000000000000\"";

/// What is asked of an object or a bucket beside its bytes.
const SUBRESOURCES: [&str; 5] = ["retention", "legal-hold", "tagging", "object-lock", "versioning"];

pub(super) fn classify(target: &Target<'_>) -> Call {
    let query = &target.query;
    let path = decoded(target.path);
    let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let is_about = |what: &&str| query.has(what);
    let operation = match target.method {
        _ if SUBRESOURCES.iter().any(is_about) => Operation::Other,
        "HEAD" if !key.is_empty() => Operation::Head,
        "GET" if query.has("list-type") => Operation::List,
        "GET" if query.has("uploads") => Operation::ListUploads,
        "GET" if !key.is_empty() => Operation::Get,
        "POST" if query.has("uploads") => Operation::Begin,
        "POST" if query.has("uploadId") => Operation::Complete,
        "PUT" if query.has("partNumber") => Operation::Part,
        "PUT" if !key.is_empty() => Operation::Put,
        "DELETE" if query.has("uploadId") => Operation::Abort,
        "DELETE" if !key.is_empty() => Operation::Delete,
        _ => Operation::Other,
    };
    let key =
        if key.is_empty() { query.value("prefix").unwrap_or_default() } else { key.to_owned() };
    call(operation, key, query.value("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0))
}

pub(super) fn say(saying: Saying) -> Reply {
    let (status, code) = match saying {
        Saying::Unavailable | Saying::Throttled { .. } => (503, "SlowDown"),
        Saying::Internal => (500, "InternalError"),
        Saying::Denied | Saying::Kept => (403, "AccessDenied"),
        Saying::Expired => (400, "ExpiredToken"),
        Saying::Unknown => (403, "InvalidAccessKeyId"),
        Saying::Skewed => {
            let times = "<RequestTime>20260101T000000Z</RequestTime>\
                         <ServerTime>2026-01-01T01:00:00Z</ServerTime>";
            return Reply::error_with(403, "RequestTimeTooSkewed", times);
        }
        Saying::Conflict => (409, "ConditionalRequestConflict"),
        Saying::Taken => (412, "PreconditionFailed"),
        Saying::Absent => (404, "NoSuchKey"),
        Saying::NoBucket => (404, "NoSuchBucket"),
    };
    match saying {
        Saying::Throttled { retry_after } => patient(Reply::error(status, code), retry_after),
        _ => Reply::error(status, code),
    }
}

pub(super) fn acknowledgement(call: &Call) -> Response {
    let mut response = Response { status: 200, headers: Vec::new(), body: Vec::new() };
    match call.operation {
        Operation::Complete => {
            let body = format!(
                "<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>"
            );
            response.body = body.into_bytes();
        }
        Operation::Delete | Operation::Abort => response.status = 204,
        _ => response.set("etag", ETAG),
    }
    response
}
