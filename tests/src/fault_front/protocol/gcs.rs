//! Google's language: `/storage/v1/b/BUCKET/o/OBJECT`, sessions of resumable uploads whose address
//! the server makes up, and errors in JSON.

use super::{Session, Sessions, Target, call, line_of, patient, reply};
use crate::fault_front::script::{Call, Operation, Reply, Saying};
use crate::vault::decoded;
use crate::wire::{Head, Request, Response};

pub(super) fn classify(target: &Target<'_>, head: &Head, sessions: &Sessions) -> Call {
    let query = &target.query;
    if let Some(session) = sessions.get(&line_of(head)) {
        return of_session(target.method, head, session);
    }
    let (bucket, object) = names(target.path);
    if target.path.starts_with("/upload/") && target.method == "POST" {
        let operation = match query.value("uploadType").as_deref() {
            Some("resumable") => Operation::Begin,
            _ => Operation::Put,
        };
        let key = query.value("name").or_else(|| name_in_body(head)).unwrap_or_default();
        return call(operation, key, 0);
    }
    let operation = match (target.method, object.is_empty()) {
        ("GET", true) if bucket && target.path.ends_with("/o") => Operation::List,
        ("GET", false) if query.is("alt", "media") => Operation::Get,
        ("GET", false) if target.path.starts_with("/download/") => Operation::Get,
        ("GET" | "HEAD", false) => Operation::Head,
        ("DELETE", false) => Operation::Delete,
        ("POST", false) if target.path.contains("/rewriteTo/") => Operation::Copy,
        ("POST", false) if target.path.contains("/copyTo/") => Operation::Copy,
        _ => Operation::Other,
    };
    let key = if object.is_empty() { query.value("prefix").unwrap_or_default() } else { object };
    call(operation, key, 0)
}

/// A chunk, the last chunk, a question how far it came, or the end of a session.
fn of_session(method: &str, head: &Head, session: &Session) -> Call {
    let key = session.key.clone();
    if method == "DELETE" {
        return call(Operation::Abort, key, 0);
    }
    let range = Range::of(head);
    // Chunks have no number; where one begins, in units of the smallest, tells them apart.
    let part = range.from.map_or(1, |at| (at >> 18) + 1);
    match range.total {
        _ if range.asks(session) => call(Operation::Other, key, 0),
        Some(_) => call(Operation::Complete, key, 0),
        None => call(Operation::Part, key, u32::try_from(part).unwrap_or(u32::MAX)),
    }
}

/// `bytes 0-41/42`, `bytes 0-41/*`, `bytes */42` or `bytes */*`; without any, all that there is.
struct Range {
    from: Option<u64>,
    last: Option<u64>,
    total: Option<u64>,
}

impl Range {
    fn of(head: &Head) -> Self {
        let text = head.get("content-range").unwrap_or_default().trim_start_matches("bytes ");
        let (range, total) = text.split_once('/').unwrap_or((text, "0"));
        let (from, last) = range.split_once('-').unwrap_or_default();
        Range { from: from.parse().ok(), last: last.parse().ok(), total: total.parse().ok() }
    }

    /// Whether it brings nothing, and the upload is not as long as it says.
    fn asks(&self, session: &Session) -> bool {
        self.from.is_none() && self.total != Some(session.received)
    }
}

pub(super) fn progress(head: &Head, session: &Session) -> Option<Response> {
    if head.method() != "PUT" || head.get("content-range").is_none() {
        return None;
    }
    if Range::of(head).from.is_some() {
        return None;
    }
    if let Some(made) = &session.made {
        return Some(made.clone());
    }
    if !Range::of(head).asks(session) {
        return None;
    }
    let mut response = Response { status: 308, headers: Vec::new(), body: Vec::new() };
    if let Some(last) = session.received.checked_sub(1) {
        response.set("range", &format!("bytes=0-{last}"));
    }
    Some(response)
}

pub(super) fn note(head: &Head, response: &Response, session: &mut Session) {
    if response.status == 308
        && let Some(last) = Range::of(head).last
    {
        session.received = last + 1;
    } else if response.is_success() && head.method() == "PUT" {
        session.made = Some(response.clone());
    }
}

/// Whether the path names a bucket, and the object in it (the target of a copy).
fn names(path: &str) -> (bool, String) {
    let path = path.rsplit_once("To/b/").map_or(path, |(_, target)| target);
    let rest = path.split_once("/b/").map_or(path, |(_, rest)| rest);
    let Some((bucket, rest)) = rest.split_once('/') else { return (false, String::new()) };
    let object = rest.strip_prefix("o/").map(decoded).unwrap_or_default();
    (!bucket.is_empty(), object)
}

/// Not without the body, which is not read yet: such an upload has no name here.
fn name_in_body(head: &Head) -> Option<String> {
    head.get("x-goog-upload-name").map(str::to_owned)
}

pub(super) fn say(saying: Saying) -> Reply {
    let (status, reason, message) = match saying {
        Saying::Unavailable => (503, "backendError", "a scripted backendError"),
        Saying::Throttled { .. } => (429, "rateLimitExceeded", "a scripted rateLimitExceeded"),
        Saying::Internal => (500, "internalError", "a scripted internalError"),
        Saying::Denied => (
            403,
            "forbidden",
            "writer@example.iam.gserviceaccount.com does not have the permission to do this.",
        ),
        Saying::Expired => (401, "authError", "Invalid Credentials: the token has expired"),
        Saying::Unknown | Saying::Skewed => (401, "authError", "Invalid Credentials"),
        Saying::Conflict => (409, "conflict", "a scripted conflict"),
        Saying::Taken => (
            412,
            "conditionNotMet",
            "At least one of the pre-conditions you specified did not hold.",
        ),
        Saying::Kept => (
            403,
            "retentionPolicyNotMet",
            "Object 'b/o' is subject to bucket's retention policy or object retention and cannot be \
             deleted or overwritten until 2091-02-03T04:05:06-08:00.",
        ),
        Saying::Absent => (404, "notFound", "No such object: a scripted notFound"),
        Saying::NoBucket => (404, "notFound", "The specified bucket does not exist."),
    };
    let body = serde_json::json!({ "error": {
        "code": status,
        "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
    }});
    let reply = reply(status, "application/json; charset=UTF-8", body.to_string());
    match saying {
        Saying::Throttled { retry_after } => patient(reply, retry_after),
        _ => reply,
    }
}

pub(super) fn acknowledgement(call: &Call, request: &Request) -> Option<Response> {
    let mut response = Response { status: 204, headers: Vec::new(), body: Vec::new() };
    match call.operation {
        Operation::Delete => {}
        Operation::Abort => response.status = 499,
        Operation::Part => {
            let range = request.head.get("content-range").unwrap_or_default();
            let last = range.split(['-', '/']).nth(1).unwrap_or_default();
            response.status = 308;
            response.set("range", &format!("bytes=0-{last}"));
        }
        _ => return None,
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(range: &str) -> Head {
        let headers = vec![("content-range".to_owned(), range.to_owned())];
        Head { line: "PUT /upload/resumable/s1 HTTP/1.1".to_owned(), headers }
    }

    fn answer(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    /// fake-gcs-server would make an object of what it has.
    #[test]
    fn the_front_says_itself_how_far_an_upload_has_come() {
        let mut session = Session::default();
        let asked = |session: &Session, range: &str| progress(&put(range), session);
        let range =
            |found: Option<Response>| found.map(|r| (r.status, r.get("range").map(str::to_owned)));
        assert_eq!(range(asked(&session, "bytes */9")), Some((308, None)));
        note(&put("bytes 0-7/*"), &answer(308), &mut session);
        let come = Some((308, Some("bytes=0-7".to_owned())));
        assert_eq!(range(asked(&session, "bytes */9")), come);
        assert_eq!(range(asked(&session, "bytes */*")), come);
        // Nothing is missing, or a chunk comes: those are the server's.
        assert_eq!(range(asked(&session, "bytes */8")), None);
        assert_eq!(range(asked(&session, "bytes 8-8/9")), None);
        note(&put("bytes 8-8/9"), &answer(500), &mut session);
        assert_eq!(range(asked(&session, "bytes */9")), come);
        note(&put("bytes 8-8/9"), &answer(200), &mut session);
        assert_eq!(range(asked(&session, "bytes */9")), Some((200, None)));
    }
}
