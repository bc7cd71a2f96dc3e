//! From Google's refusals to ours.
//!
//! Decided by HTTP status and Google's own reason; where one reason serves for several things, by
//! the words that Google uses. What is left is `Rejected`.

use super::Bucket;
use super::attempts::{Again, Refusal};
use super::request::Reply;
use crate::clock::skew;
use crate::error::{innermost, one_line};
use crate::{Answer, CredentialsProblem, ErrorKind};
use google_cloud_storage::Error as SdkError;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// The permissions that Google names in its refusals, where they are not the obvious one.
const PERMISSIONS: [&str; 5] = [
    "storage.objects.setRetention",
    "storage.objects.overrideUnlockedRetention",
    "storage.objects.delete",
    "cloudkms.cryptoKeyVersions.useToEncrypt",
    "cloudkms.cryptoKeyVersions.useToDecrypt",
];
/// Reasons of a 403 that pass.
const THROTTLED: [&str; 3] = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"];

/// Reasons of a 403 that mean the object, and not who asks.
const LOCKED: [&str; 2] = ["retentionPolicyNotMet", "objectUnderActiveHold"];
/// The same in words, which is all that Google's own client passes on.
const KEPT: [&str; 3] =
    ["retention policy or object retention", "temporary hold", "event-based hold"];

/// Clocks further apart than this explain a token that is refused.
const SKEW_SECONDS_MAX: u64 = 5 * 60;

/// Google's document about a refusal.
#[derive(Deserialize)]
struct Document {
    error: Body,
}

#[derive(Deserialize)]
struct Body {
    message: Option<String>,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    reason: Option<String>,
}

impl Bucket {
    /// What a refusal means. `verb` is the permission that the request needs.
    pub(super) fn refused(&self, verb: &'static str, reply: &Reply) -> Refusal {
        let document: Option<Body> =
            serde_json::from_slice::<Document>(&reply.body).ok().map(|document| document.error);
        let answer = Answer {
            status: Some(reply.status),
            code: document
                .as_ref()
                .and_then(|body| body.errors.first()?.reason.as_deref())
                .map(one_line),
            message: match document {
                Some(body) => body.message.as_deref().map(one_line),
                None => plain_words(&reply.body),
            },
            request_id: reply.header("x-guploader-uploadid").map(one_line),
        };
        let after = reply.header("retry-after").and_then(|text| text.parse().ok());
        let refusal = self.judged(verb, answer, after);
        explained(refusal, reply.header("date"))
    }

    /// The same of an error of Google's own client.
    pub(super) fn refused_sdk(&self, verb: &'static str, e: &SdkError) -> Refusal {
        if e.is_authentication() {
            return Refusal::of(credentials(e));
        }
        let Some(status) = e.http_status_code() else {
            return Refusal::of(broken(e));
        };
        let header = |name: &str| e.http_headers()?.get(name)?.to_str().ok();
        let payload = e.http_payload().and_then(|bytes| plain_words(bytes));
        let answer = Answer {
            status: Some(status),
            code: None,
            message: e.status().map(|status| one_line(&status.message)).or(payload),
            request_id: header("x-guploader-uploadid").map(one_line),
        };
        let after = header("retry-after").and_then(|text| text.parse().ok());
        explained(self.judged(verb, answer, after), header("date"))
    }

    /// Where an object need not be there, what is not found is the bucket.
    pub(super) fn or_no_bucket(&self, kind: ErrorKind) -> ErrorKind {
        match kind {
            ErrorKind::NotFound => ErrorKind::BucketMissing {
                bucket: self.settings.bucket.clone(),
                answer: Answer { status: Some(404), ..Answer::default() },
            },
            kind => kind,
        }
    }

    fn judged(&self, verb: &'static str, answer: Answer, after: Option<u64>) -> Refusal {
        let stale = answer.status == Some(401);
        let kind = self.kind(verb, answer);
        match (&kind, after) {
            _ if stale => Refusal { kind, again: Again::WithOtherCredentials },
            (ErrorKind::Transient { .. }, Some(seconds)) => {
                Refusal { kind, again: Again::After(Duration::from_secs(seconds)) }
            }
            _ => Refusal::of(kind),
        }
    }

    fn kind(&self, verb: &'static str, answer: Answer) -> ErrorKind {
        let code = answer.code.as_deref().unwrap_or_default();
        let says = |words: &[&str]| {
            let message = answer.message.as_deref().unwrap_or_default().to_lowercase();
            words.iter().any(|word| message.contains(word))
        };
        match answer.status.unwrap_or_default() {
            400 => bad_request(answer),
            401 => {
                let expired = says(&["expired"]);
                let problem = if expired { CredentialsProblem::Expired } else { INVALID };
                ErrorKind::Credentials { problem, said: answer.to_string() }
            }
            403 if THROTTLED.contains(&code) => transient(&answer),
            403 if LOCKED.contains(&code) || says(&KEPT) => {
                ErrorKind::Locked { until: answer.message.as_deref().and_then(end_of_lock) }
            }
            403 => {
                let message = answer.message.as_deref().unwrap_or_default();
                let named = PERMISSIONS.into_iter().find(|name| message.contains(name));
                ErrorKind::Denied { verb: named.unwrap_or(verb), answer }
            }
            404 if says(&["bucket does not exist", "bucket not found"]) => {
                ErrorKind::BucketMissing { bucket: self.settings.bucket.clone(), answer }
            }
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict { answer },
            412 => ErrorKind::AlreadyExists,
            416 => ErrorKind::Corrupt {
                check: "range of the object",
                expected: "a range inside it".into(),
                found: answer.to_string(),
            },
            300..=399 => config("the bucket is elsewhere", &answer, "correct endpoint"),
            501 => config("the server lacks this", &answer, "use another server"),
            408 | 429 | 500.. => transient(&answer),
            _ => ErrorKind::Rejected { answer },
        }
    }
}

/// A service account signs its tokens by itself, for an hour from now. Of one that is refused for its
/// time Google only says that it is not good, but it says what time it is.
fn explained(refusal: Refusal, date: Option<&str>) -> Refusal {
    match &refusal.kind {
        ErrorKind::Credentials { problem: INVALID | CredentialsProblem::Expired, said } => {
            let Some(clocks) = skew(date, SKEW_SECONDS_MAX) else { return refusal };
            let said = format!("{clocks} ({said})");
            let kind = ErrorKind::Credentials { problem: CredentialsProblem::ClockSkew, said };
            Refusal { kind, ..refusal }
        }
        _ => refusal,
    }
}

/// "… cannot be deleted or overwritten until 2026-12-01T00:00:00.000-08:00."
fn end_of_lock(message: &str) -> Option<Timestamp> {
    let (_, time) = message.rsplit_once(" until ")?;
    time.split_whitespace().next()?.trim_end_matches('.').parse().ok()
}

const INVALID: CredentialsProblem = CredentialsProblem::Invalid;

/// Google has one status and one reason for everything that is wrong with a request.
fn bad_request(answer: Answer) -> ErrorKind {
    let message = answer.message.as_deref().unwrap_or_default().to_lowercase();
    let code = answer.code.as_deref().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w) || code.contains(w));
    if says(&["doesn't match calculated", "does not match calculated"]) {
        ErrorKind::Corrupt {
            check: "checksum on arrival at the store",
            expected: "the one that was sent".into(),
            found: answer.to_string(),
        }
    } else if says(&["retention"]) {
        let hint =
            "object retention is switched on when a bucket is made; without it leave lock out";
        config("the bucket does not take the lock", &answer, hint)
    } else if says(&["storage class"]) {
        config("the store does not accept storage_class", &answer, "correct it, or leave it out")
    } else if says(&["kms", "encryption"]) {
        config("the store does not accept the key", &answer, "correct kms_key or customer_key_file")
    } else if says(&["userprojectmissing", "requester pays"]) {
        let hint = "name a quota project in the credentials file";
        config("the bucket lets its readers pay", &answer, hint)
    } else if says(&["bucket name"]) {
        config("the store does not accept the bucket's name", &answer, "correct it in the url")
    } else {
        ErrorKind::Rejected { answer }
    }
}

fn transient(answer: &Answer) -> ErrorKind {
    ErrorKind::Transient { said: format!("the store could not answer ({answer})") }
}

fn config(what: &str, answer: &Answer, hint: &'static str) -> ErrorKind {
    ErrorKind::Config { said: format!("{what} ({answer})"), hint }
}

/// A refusal in words: sessions of uploads answer so. A web page says nothing.
fn plain_words(body: &[u8]) -> Option<String> {
    let text = one_line(&String::from_utf8_lossy(body));
    let is_plain = !text.is_empty() && !text.starts_with(['<', '{']);
    is_plain.then_some(text)
}

/// Google's own client got no answer, or half of one.
fn broken(e: &SdkError) -> ErrorKind {
    use google_cloud_storage::error::ReadError;
    let cause = innermost(e);
    let read = crate::error::causes(e).find_map(|cause| cause.downcast_ref::<ReadError>());
    if let Some(ReadError::ChecksumMismatch(mismatch)) = read {
        return ErrorKind::Corrupt {
            check: "checksum of the object",
            expected: "the one kept by the store".into(),
            found: mismatch.to_string(),
        };
    }
    if cause.contains("certificate") {
        let said = format!("the server's certificate is not trusted: {cause}");
        return ErrorKind::Config { said, hint: "name its authority in ca_file" };
    }
    let said = if e.is_connect() { format!("no connection: {cause}") } else { cause };
    ErrorKind::Transient { said }
}

/// The failure of the credential chain.
pub(super) fn credentials(e: &(dyn std::error::Error + 'static)) -> ErrorKind {
    use google_cloud_auth::errors::CredentialsError;
    let found = crate::error::causes(e).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    let said = found.map_or_else(|| innermost(e), told);
    let problem = if said.contains("reasonable timeframe") {
        CredentialsProblem::ClockSkew
    } else if said.contains("expired") {
        CredentialsProblem::Expired
    } else if found.is_some_and(CredentialsError::is_transient) {
        return ErrorKind::Transient { said: format!("the credentials did not come: {said}") };
    } else {
        INVALID
    };
    ErrorKind::Credentials { problem, said }
}

/// Its own words and the last cause, which says what happened.
fn told(e: &google_cloud_auth::errors::CredentialsError) -> String {
    let (own, last) = (one_line(&e.to_string()), innermost(e));
    if own.contains(&last) { own } else { format!("{own}: {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the words of Google's token server, where a library passes them on.
    #[test]
    fn f40_f29_what_a_token_server_refuses_is_told_apart() {
        for (words, problem) in [
            (
                "Token must be short-lived and in a reasonable timeframe",
                CredentialsProblem::ClockSkew,
            ),
            ("Token has been expired or revoked.", CredentialsProblem::Expired),
            ("Invalid JWT Signature.", INVALID),
        ] {
            let kind = credentials(&std::io::Error::other(format!("invalid_grant: {words}")));
            let is_it = matches!(kind, ErrorKind::Credentials { problem: p, .. } if p == problem);
            assert!(is_it, "{words}");
        }
    }
}
