//! Microsoft's language: `/ACCOUNT/CONTAINER/BLOB`, blocks and their list, and errors whose code
//! stands in a header.

use super::{Target, call, patient, reply};
use crate::fault_front::script::{Call, Operation, Reply, Saying};
use crate::vault::decoded;
use crate::wire::{Head, Response};

pub(super) fn classify(target: &Target<'_>, head: &Head) -> Call {
    let query = &target.query;
    let path = decoded(target.path);
    let mut parts = path.trim_start_matches('/').splitn(3, '/');
    let key = parts.nth(2).unwrap_or_default().to_owned();
    let comp = query.value("comp");
    let is_list = query.is("restype", "container") && comp.as_deref() == Some("list");
    let uncommitted = query.value("include").is_some_and(|i| i.contains("uncommittedblobs"));
    let operation = match (target.method, comp.as_deref()) {
        ("GET", _) if is_list && uncommitted => Operation::ListUploads,
        ("GET", _) if is_list => Operation::List,
        ("PUT", Some("block")) => Operation::Part,
        ("PUT", Some("blocklist")) => Operation::Complete,
        ("PUT", None) if head.get("x-ms-copy-source").is_some() => Operation::Copy,
        ("PUT", None) if !key.is_empty() => Operation::Put,
        ("HEAD", None) if !key.is_empty() => Operation::Head,
        ("GET", None) if !key.is_empty() => Operation::Get,
        ("DELETE", None) if !key.is_empty() => Operation::Delete,
        _ => Operation::Other,
    };
    let key = if key.is_empty() { query.value("prefix").unwrap_or_default() } else { key };
    // The front needs no more of a block's name than that it is the same when it is sent again.
    let part = query.value("blockid").map_or(0, |id| {
        id.bytes().fold(17_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
    });
    call(operation, key, part)
}

pub(super) fn say(saying: Saying, operation: Operation) -> Reply {
    let (status, code, more) = match saying {
        Saying::Unavailable | Saying::Throttled { .. } => (503, "ServerBusy", ""),
        Saying::Internal => (500, "InternalError", ""),
        Saying::Denied => (403, "AuthorizationPermissionMismatch", ""),
        Saying::Expired => (
            403,
            "AuthenticationFailed",
            "<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start \
             [Thu, 01 Jan 2026 00:00:00 GMT] - Expiry [Thu, 01 Jan 2026 01:00:00 GMT] - Current \
             [Thu, 01 Jan 2026 02:00:00 GMT]</AuthenticationErrorDetail>",
        ),
        Saying::Unknown => (
            403,
            "AuthenticationFailed",
            "<AuthenticationErrorDetail>The MAC signature found in the HTTP request is not the \
             same as any computed signature.</AuthenticationErrorDetail>",
        ),
        Saying::Skewed => (
            403,
            "AuthenticationFailed",
            "<AuthenticationErrorDetail>Request date header too old: 'Thu, 01 Jan 2026 00:00:00 \
             GMT'</AuthenticationErrorDetail>",
        ),
        Saying::Conflict => (409, "PendingCopyOperation", ""),
        // Only a request with an etag of its own is answered otherwise.
        Saying::Taken => (409, "BlobAlreadyExists", ""),
        Saying::Kept => (409, "BlobImmutableDueToPolicy", ""),
        Saying::Absent => (404, "BlobNotFound", ""),
        Saying::NoBucket => (404, "ContainerNotFound", ""),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
         <Message>a scripted {code}\nRequestId:REQ1\nTime:2026-01-01T00:00:00Z</Message>{more}</Error>"
    );
    let body = if operation == Operation::Head { String::new() } else { body };
    let reply = reply(status, "application/xml", body).header("x-ms-error-code", code);
    match saying {
        Saying::Throttled { retry_after } => patient(reply, retry_after),
        _ => reply,
    }
}

pub(super) fn acknowledgement(call: &Call) -> Option<Response> {
    let mut response = Response { status: 201, headers: Vec::new(), body: Vec::new() };
    match call.operation {
        Operation::Part => {}
        Operation::Delete => response.status = 202,
        _ => return None,
    }
    Some(response)
}
