//! The languages of object stores, as far as a front has to understand them: what a request asks
//! for, and how the store would word a refusal.
//!
//! Does not: decide what goes wrong, nor check signatures; the real server behind does.

mod azure;
mod gcs;
mod s3;

use super::script::{Call, Kind, Operation, Reply, Saying};
use crate::vault::{decoded, encoded};
use crate::wire::{Head, Request, Response};
use std::collections::BTreeMap;

/// Which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Amazon's, as every compatible store speaks it.
    S3,
    /// Google's JSON interface, with resumable uploads.
    Gcs,
    /// Microsoft's Blob service.
    Azure,
}

/// Resumable uploads by their path and query: Google's stores name an object only when its upload
/// begins.
pub(super) type Sessions = BTreeMap<String, Session>;

/// One of them, as far as the server has confirmed it.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    pub(super) key: String,
    /// So many bytes have arrived.
    pub(super) received: u64,
    /// What the server said when the object was made.
    pub(super) made: Option<Response>,
}

impl Protocol {
    /// What a request asks for.
    pub(super) fn classify(self, head: &Head, sessions: &Sessions) -> Call {
        let (path, query) = head.target();
        let target = Target { method: head.method(), path, query: Query(query) };
        match self {
            Protocol::S3 => s3::classify(&target),
            Protocol::Gcs => gcs::classify(&target, head, sessions),
            Protocol::Azure => azure::classify(&target, head),
        }
    }

    /// How far an upload has come, when that is what the request asks. fake-gcs-server takes such a
    /// question for the end of the upload, so that the front has to know.
    pub(super) fn progress(self, head: &Head, sessions: &Sessions) -> Option<Response> {
        if self != Protocol::Gcs {
            return None;
        }
        gcs::progress(head, sessions.get(&line_of(head))?)
    }

    /// Takes note of what the server answered to a chunk.
    pub(super) fn note(self, head: &Head, response: &Response, sessions: &mut Sessions) {
        if let Some(session) = sessions.get_mut(&line_of(head)) {
            gcs::note(head, response, session);
        }
    }

    /// Whether the request is for the token server that a front before Google's store is as well.
    pub(super) fn asks_for_token(self, head: &Head) -> bool {
        self == Protocol::Gcs && head.method() == "POST" && head.target().0 == TOKEN_PATH
    }

    /// How the store says it.
    pub(super) fn say(self, saying: Saying, operation: Operation) -> Reply {
        match self {
            Protocol::S3 => s3::say(saying),
            Protocol::Gcs => gcs::say(saying),
            Protocol::Azure => azure::say(saying, operation),
        }
    }

    /// An unconditional write, as far as a policy looks at it: without credentials, so that it must
    /// not get further.
    pub(super) fn put_over(self, name: &str, bytes: &[u8]) -> Request {
        let (bucket, path) = ("backups", encoded(name, b"/"));
        let line = match self {
            Protocol::S3 => format!("PUT /{bucket}/{path} HTTP/1.1"),
            Protocol::Gcs => {
                let name = encoded(name, b"");
                format!(
                    "POST /upload/storage/v1/b/{bucket}/o?uploadType=media&name={name} HTTP/1.1"
                )
            }
            Protocol::Azure => format!("PUT /account/{bucket}/{path} HTTP/1.1"),
        };
        let headers = vec![("host".to_owned(), "127.0.0.1".to_owned())];
        Request { head: Head { line, headers }, body: bytes.to_vec() }
    }

    /// What the store answers to a request that it never carried out, if that can be made up. The
    /// answer to a new object has to be the server's own.
    pub(super) fn acknowledgement(self, call: &Call, request: &Request) -> Option<Response> {
        match self {
            Protocol::S3 => Some(s3::acknowledgement(call)),
            Protocol::Gcs => gcs::acknowledgement(call, request),
            Protocol::Azure => azure::acknowledgement(call),
        }
    }

    /// Whether an answer that the server gave for itself has to name the front instead.
    pub(super) fn session_of(self, call: &Call, response: &Response) -> Option<String> {
        let begins = self == Protocol::Gcs && call.operation == Operation::Begin;
        let location = response.get("location").filter(|_| begins)?;
        let (_, rest) = location.split_once("://")?;
        rest.find('/').map(|at| rest[at..].to_owned())
    }
}

/// Path and query, as they were sent.
fn line_of(head: &Head) -> String {
    head.line.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Where a front gives out tokens.
pub(super) const TOKEN_PATH: &str = "/token";

/// A token for whoever asks; it says who that is, by the refresh token of the request.
pub(super) fn token(body: &[u8]) -> Reply {
    let body = String::from_utf8_lossy(body).into_owned();
    let who = serde_json::from_str::<serde_json::Value>(&body).ok();
    let who = who.and_then(|json| json["refresh_token"].as_str().map(str::to_owned));
    let who = who.or_else(|| Query(&body).value("refresh_token")).unwrap_or_default();
    let token = serde_json::json!({
        "access_token": who, "expires_in": 3600, "token_type": "Bearer",
    });
    reply(200, "application/json", token.to_string())
}

/// The first line of a request.
struct Target<'a> {
    method: &'a str,
    path: &'a str,
    query: Query<'a>,
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(n, _)| *n == name).map(|(_, value)| decoded(&value.replace('+', " ")))
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.value(name).as_deref() == Some(value)
    }
}

fn call(operation: Operation, key: String, part: u32) -> Call {
    let kind = match key.as_str() {
        _ if matches!(operation, Operation::List | Operation::ListUploads) => Kind::None,
        "" => Kind::None,
        key if key.ends_with(".json") => Kind::Manifest,
        _ => Kind::Artifact,
    };
    Call { operation, kind, key, part }
}

fn reply(status: u16, kind: &str, body: String) -> Reply {
    Reply { status, headers: vec![("content-type".to_owned(), kind.to_owned())], body }
}

fn patient(reply: Reply, retry_after: u64) -> Reply {
    match retry_after {
        0 => reply,
        seconds => reply.header("retry-after", &seconds.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{
        Abort, Begin, Complete, Copy, Delete, Get, Head as Look, List, ListUploads, Other, Part,
        Put,
    };

    fn of(protocol: Protocol, line: &str, header: (&str, &str)) -> (Operation, String, u32) {
        let headers = vec![(header.0.to_owned(), header.1.to_owned())];
        let head = Head { line: format!("{line} HTTP/1.1"), headers };
        let session = Session { key: "p/a.age".into(), received: 262_144, made: None };
        let session = ("/upload/resumable/s1".to_owned(), session);
        let call = protocol.classify(&head, &Sessions::from([session]));
        let is_listing = matches!(call.operation, List | ListUploads | Other);
        let manifest = call.key.ends_with(".json");
        let kind = if is_listing {
            Kind::None
        } else if manifest {
            Kind::Manifest
        } else {
            Kind::Artifact
        };
        assert!(call.kind == kind || call.operation == Other, "{line}: {call:?}");
        (call.operation, call.key, call.part)
    }

    #[test]
    fn every_request_of_amazons_language_has_its_name() {
        for (line, operation, key, part) in [
            ("PUT /b/p/a.json?x-id=PutObject", Put, "p/a.json", 0),
            ("PUT /b/a?partNumber=3&uploadId=u", Part, "a", 3),
            ("POST /b/a?uploads", Begin, "a", 0),
            ("POST /b/a?uploadId=u", Complete, "a", 0),
            ("DELETE /b/a?uploadId=u", Abort, "a", 0),
            ("DELETE /b/a", Delete, "a", 0),
            ("HEAD /b/a", Look, "a", 0),
            ("GET /b/a", Get, "a", 0),
            ("GET /b?list-type=2&prefix=p%2Fdemo%2F", List, "p/demo/", 0),
            ("GET /b/?uploads&prefix=p", ListUploads, "p", 0),
            ("PUT /b", Other, "", 0),
            ("GET /b/a?retention&versionId=1", Other, "a", 0),
            ("GET /b/a?tagging", Other, "a", 0),
        ] {
            assert_eq!(of(Protocol::S3, line, ("a", "b")), (operation, key.into(), part), "{line}");
        }
    }

    #[test]
    fn every_request_of_googles_language_has_its_name() {
        let no = ("a", "b");
        let range = |value| ("content-range", value);
        for (line, header, operation, key, part) in [
            (
                "POST /upload/storage/v1/b/b/o?uploadType=media&name=p%2Fa.json",
                no,
                Put,
                "p/a.json",
                0,
            ),
            (
                "POST /upload/storage/v1/b/b/o?uploadType=resumable&name=p%2Fa.age",
                no,
                Begin,
                "p/a.age",
                0,
            ),
            ("PUT /upload/resumable/s1", range("bytes 0-262143/*"), Part, "p/a.age", 1),
            ("PUT /upload/resumable/s1", range("bytes 262144-524287/*"), Part, "p/a.age", 2),
            (
                "PUT /upload/resumable/s1",
                range("bytes 262144-300000/300001"),
                Complete,
                "p/a.age",
                0,
            ),
            ("PUT /upload/resumable/s1", range("bytes */262144"), Complete, "p/a.age", 0),
            ("PUT /upload/resumable/s1", range("bytes */*"), Other, "p/a.age", 0),
            ("DELETE /upload/resumable/s1", no, Abort, "p/a.age", 0),
            ("GET /storage/v1/b/b/o/p%2Fa.age", no, Look, "p/a.age", 0),
            ("GET /storage/v1/b/b/o/p%2Fa.age?alt=media", no, Get, "p/a.age", 0),
            ("GET /storage/v1/b/b/o?prefix=p%2F", no, List, "p/", 0),
            ("DELETE /storage/v1/b/b/o/p%2Fa.age", no, Delete, "p/a.age", 0),
            ("POST /storage/v1/b/s/o/x/rewriteTo/b/b/o/p%2Fa.age", no, Copy, "p/a.age", 0),
            ("GET /storage/v1/b/b", no, Other, "", 0),
        ] {
            assert_eq!(of(Protocol::Gcs, line, header), (operation, key.into(), part), "{line}");
        }
    }

    #[test]
    fn every_request_of_microsofts_language_has_its_name() {
        let no = ("a", "b");
        for (line, header, operation, key) in [
            ("PUT /acc/c/p/a.json", ("x-ms-blob-type", "BlockBlob"), Put, "p/a.json"),
            ("PUT /acc/c/p/a?comp=blocklist", no, Complete, "p/a"),
            ("PUT /acc/c/p/a", ("x-ms-copy-source", "u"), Copy, "p/a"),
            ("HEAD /acc/c/p/a?sv=1&sig=2", no, Look, "p/a"),
            ("GET /acc/c/p/a", no, Get, "p/a"),
            ("DELETE /acc/c/p/a", no, Delete, "p/a"),
            ("GET /acc/c?restype=container&comp=list&prefix=p%2F", no, List, "p/"),
            (
                "GET /acc/c?restype=container&comp=list&include=uncommittedblobs",
                no,
                ListUploads,
                "",
            ),
            ("GET /acc/c?restype=container", no, Other, ""),
        ] {
            let found = of(Protocol::Azure, line, header);
            assert_eq!((found.0, found.1.as_str()), (operation, key), "{line}");
        }
        let block =
            |id: &str| of(Protocol::Azure, &format!("PUT /acc/c/a?comp=block&blockid={id}"), no);
        assert_eq!(block("AAA=").0, Part);
        assert_eq!(block("AAA="), block("AAA="));
        assert_ne!(block("AAA=").2, block("BBB=").2);
    }

    #[test]
    fn each_store_says_no_in_its_own_words() {
        let said = |protocol: Protocol| {
            let reply = protocol.say(Saying::Taken, Put);
            (reply.status, format!("{:?} {}", reply.headers, reply.body))
        };
        let (s3, gcs, azure) = (said(Protocol::S3), said(Protocol::Gcs), said(Protocol::Azure));
        assert!(s3.0 == 412 && s3.1.contains("<Code>PreconditionFailed</Code>"), "{s3:?}");
        assert!(gcs.0 == 412 && gcs.1.contains("\"reason\":\"conditionNotMet\""), "{gcs:?}");
        assert!(azure.0 == 409 && azure.1.contains("\"x-ms-error-code\", \"BlobAlreadyExists\""));
        let late = Protocol::Gcs.say(Saying::Throttled { retry_after: 3 }, Put);
        assert!(late.headers.contains(&("retry-after".into(), "3".into())), "{late:?}");
        assert!(Protocol::Azure.say(Saying::Absent, Look).body.is_empty());
    }

    #[test]
    fn the_address_of_an_upload_leads_through_the_front() {
        let begin = call(Begin, "p/a.age".into(), 0);
        let response = Response {
            status: 200,
            headers: vec![("Location".into(), "http://127.0.0.1/upload/resumable/s2?x=1".into())],
            body: Vec::new(),
        };
        let session = Protocol::Gcs.session_of(&begin, &response);
        assert_eq!(session.as_deref(), Some("/upload/resumable/s2?x=1"));
        assert_eq!(Protocol::S3.session_of(&begin, &response), None);
    }
}
