//! From the SDK's errors to ours.
//!
//! The codes are those of "Common REST API error codes" and "Blob service error codes" in
//! Microsoft's reference. Unknown codes are decided by HTTP status; what is left is `Rejected`.
//!
//! Never repeated: addresses, which carry signatures, and the text that a store signed itself to
//! explain a wrong signature, in which every header stands, a customer's key among them.

use super::Container;
use crate::clock::skew;
use crate::error::{causes, innermost, one_line};
use crate::{Answer, CredentialsProblem, ErrorKind, Keeping};
use azure_core::Error;
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::HeaderName;

/// What a role (and a signature) must permit, in Microsoft's words.
pub(super) const READ: &str =
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read (in a SAS: r)";
pub(super) const LIST: &str =
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read (in a SAS: l)";
pub(super) const WRITE: &str =
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write (in a SAS: c and w)";
pub(super) const DELETE: &str =
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete (in a SAS: d)";
pub(super) const READ_TAGS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/\
    blobs/tags/read, because of tags (in a SAS: t)";
const WRITE_TAGGED: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write \
    and …/blobs/tags/write, because of tags (in a SAS: c, w and t)";
const WRITE_LOCKED: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write, \
    with immutability policies because of lock (in a SAS: c, w and i)";
const WRITE_BOTH: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write \
    and …/blobs/tags/write, with immutability policies, because of tags and lock (in a SAS: c, w, \
    t and i)";

/// Requests whose date is off by more are refused.
const SKEW_SECONDS_MAX: u64 = 15 * 60;
/// How much of an answer is searched for its elements.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the making of an object needs.
pub(super) fn write_verb(keeping: &Keeping) -> &'static str {
    match (keeping.tags.is_empty(), keeping.lock) {
        (true, None) => WRITE,
        (false, None) => WRITE_TAGGED,
        (true, Some(_)) => WRITE_LOCKED,
        (false, Some(_)) => WRITE_BOTH,
    }
}

/// What goes wrong on this side of the wire, within the SDK's errors.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Trouble {
    /// One attempt took too long.
    #[error("no answer within the time limit")]
    Late,
    /// There was no exchange, or half of one; the words hold no address.
    #[error("{0}")]
    Wire(String),
    /// What no waiting mends: the server is not the one that it should be.
    #[error("{said}")]
    Config { said: String, hint: &'static str },
    /// There is nothing to sign with.
    #[error("{said}")]
    Credentials { problem: CredentialsProblem, said: String },
}

impl Trouble {
    pub(super) fn into_sdk(self) -> Error {
        let kind = match &self {
            Trouble::Late | Trouble::Wire(_) => SdkKind::Io,
            Trouble::Config { .. } => SdkKind::Connection,
            Trouble::Credentials { .. } => SdkKind::Credential,
        };
        Error::new(kind, self)
    }

    pub(super) fn of(e: &Error) -> Option<&Trouble> {
        causes(e).find_map(|cause| cause.downcast_ref::<Trouble>())
    }
}

impl Container {
    /// What an error of the SDK means. `verb` is the permission that the request needs.
    pub(super) fn kind(&self, e: &Error, verb: &'static str) -> ErrorKind {
        kind(&self.settings.container, e, verb)
    }
}

pub(super) fn kind(container: &str, e: &Error, verb: &'static str) -> ErrorKind {
    match (Trouble::of(e), e.kind()) {
        (Some(Trouble::Credentials { problem, said }), _) => {
            ErrorKind::Credentials { problem: *problem, said: said.clone() }
        }
        (Some(Trouble::Config { said, hint }), _) => ErrorKind::Config { said: said.clone(), hint },
        (Some(trouble), _) => ErrorKind::Transient { said: trouble.to_string() },
        (None, SdkKind::HttpResponse { raw_response: Some(raw), .. }) => {
            refused(container, verb, raw)
        }
        (None, SdkKind::HttpResponse { status, .. }) => {
            let said = format!("the answer (HTTP {}) was not read", u16::from(*status));
            ErrorKind::Transient { said }
        }
        (None, SdkKind::Credential) => no_token(e),
        (None, SdkKind::DataConversion) => {
            let said = format!("the answer could not be understood: {}", innermost(e));
            ErrorKind::Transient { said }
        }
        (None, SdkKind::Connection | SdkKind::Io | SdkKind::Other) => {
            ErrorKind::Transient { said: innermost(e) }
        }
    }
}

/// Entra gave no token. What it says of an error it repeats in its own words, without secrets.
fn no_token(e: &Error) -> ErrorKind {
    let said = one_line(&e.to_string());
    let is_wire = |cause: &Error| matches!(cause.kind(), SdkKind::Connection | SdkKind::Io);
    if causes(e).filter_map(|cause| cause.downcast_ref::<Error>()).any(is_wire) {
        return ErrorKind::Transient { said: format!("the credentials could not be had: {said}") };
    }
    // Microsoft's "AADSTS error codes": the secret, or the token that was to be exchanged, expired.
    let expired = ["AADSTS7000222", "AADSTS700024", "AADSTS700082"];
    let problem = match expired.into_iter().any(|code| said.contains(code)) {
        true => CredentialsProblem::Expired,
        false => CredentialsProblem::Invalid,
    };
    ErrorKind::Credentials { problem, said }
}

/// A header of an answer.
pub(super) fn header<'a>(raw: &'a RawResponse, name: &'static str) -> Option<&'a str> {
    raw.headers().get_optional_str(&HeaderName::from_static(name))
}

/// The text of an element of an answer in XML.
fn element(raw: &RawResponse, name: &str) -> Option<String> {
    let body: &[u8] = raw.body();
    let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_BYTES_MAX)]);
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner.to_owned())
}

fn answer(raw: &RawResponse) -> Answer {
    let code = header(raw, "x-ms-error-code").map(str::to_owned).or_else(|| element(raw, "Code"));
    // The second line repeats the request's id, the third the time.
    let message = element(raw, "Message").and_then(|m| Some(one_line(m.lines().next()?)));
    Answer {
        status: Some(raw.status().into()),
        code: code.map(|code| one_line(&code)),
        message,
        request_id: header(raw, "x-ms-request-id").map(one_line),
    }
}

fn refused(container: &str, verb: &'static str, raw: &RawResponse) -> ErrorKind {
    let answer = answer(raw);
    let code = answer.code.clone().unwrap_or_default();
    match code.as_str() {
        "BlobNotFound" => ErrorKind::NotFound,
        "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled" => {
            ErrorKind::BucketMissing { bucket: container.to_owned(), answer }
        }
        "BlobAlreadyExists" | "ConditionNotMet" | "TargetConditionNotMet" => {
            ErrorKind::AlreadyExists
        }
        // Somebody wrote the whole object meanwhile, and blocks that were not part of it went.
        "InvalidBlockList" => ErrorKind::Conflict { answer },
        "BlobArchived" | "BlobBeingRehydrated" => ErrorKind::Archived { answer },
        "InvalidRange" => wrong_range(&answer),
        "Md5Mismatch" | "Crc64Mismatch" | "InvalidMd5" | "InvalidCrc64" => altered(&answer),
        "AuthenticationFailed" | "NoAuthenticationInformation" | "InvalidAuthenticationInfo" => {
            unauthenticated(&answer, raw)
        }
        "KeyBasedAuthenticationNotPermitted" => setting(
            "an account key, or a signature made with one",
            &answer,
            "use Entra, or a user delegation SAS",
        ),
        _ => by_subject(verb, &code, answer),
    }
}

/// Codes that are many, told by what they are about.
fn by_subject(verb: &'static str, code: &str, answer: Answer) -> ErrorKind {
    let about = |word: &str| code.contains(word);
    match answer.status {
        Some(403) => ErrorKind::Denied { verb, answer },
        // Somebody holds the blob with a lease.
        Some(409 | 412) if about("Lease") => ErrorKind::Conflict { answer },
        // A policy of its own, one of its container's, or a legal hold.
        Some(409) if about("BlobImmutable") => ErrorKind::Locked { until: None },
        Some(400 | 409) if about("Immutab") => setting(
            "lock",
            &answer,
            "turn on immutability with support for versions, or leave lock out",
        ),
        Some(400 | 409) if about("Tier") => {
            setting("storage_class", &answer, "use Hot, Cool, Cold or Archive, or leave it out")
        }
        Some(400 | 409) if about("Tag") => {
            setting("tags", &answer, "use letters, digits and ' + - . / : = _', at most ten tags")
        }
        Some(400 | 409) if about("Encryption") => {
            setting("kms_key or customer_key_file", &answer, "correct it, or leave it out")
        }
        Some(400) if about("Header") || about("QueryParameter") || about("OutOfRange") => {
            setting("a request", &answer, "correct the settings of this destination")
        }
        _ => by_status(verb, answer),
    }
}

fn by_status(verb: &'static str, answer: Answer) -> ErrorKind {
    match answer.status {
        Some(300..=399) => {
            let said = format!("the container is at another endpoint ({answer})");
            ErrorKind::Config { said, hint: "correct the account or the endpoint" }
        }
        Some(401) => {
            let problem = CredentialsProblem::Invalid;
            ErrorKind::Credentials { problem, said: answer.to_string() }
        }
        Some(403) => ErrorKind::Denied { verb, answer },
        Some(404) if answer.code.is_none() => ErrorKind::NotFound,
        Some(409) => ErrorKind::Conflict { answer },
        Some(412) => ErrorKind::AlreadyExists,
        Some(416) => wrong_range(&answer),
        Some(501) => setting("a request", &answer, "the server lacks this; use another one"),
        Some(408 | 429 | 500..) => {
            ErrorKind::Transient { said: format!("the store could not answer ({answer})") }
        }
        Some(200..=299) => {
            let said = format!("the answer ({answer}) could not be understood");
            ErrorKind::Transient { said }
        }
        _ => ErrorKind::Rejected { answer },
    }
}

/// Why a signature or a token was not accepted, by the store's own explanation.
fn unauthenticated(answer: &Answer, raw: &RawResponse) -> ErrorKind {
    let detail = element(raw, "AuthenticationErrorDetail").unwrap_or_default();
    let says = |words: &str| {
        let message = answer.message.as_deref().unwrap_or_default();
        detail.contains(words) || message.contains(words)
    };
    let problem = if says("date header") {
        CredentialsProblem::ClockSkew
    } else if says("not valid in the specified time frame") {
        time_frame(&detail)
    } else if says("token is expired") || says("Lifetime validation failed") {
        CredentialsProblem::Expired
    } else if let Some(said) =
        skew(header(raw, "date"), SKEW_SECONDS_MAX).filter(|_| detail.is_empty())
    {
        let said = format!("{said} ({answer})");
        return ErrorKind::Credentials { problem: CredentialsProblem::ClockSkew, said };
    } else {
        let said = answer.to_string();
        return ErrorKind::Credentials { problem: CredentialsProblem::Invalid, said };
    };
    let mut said = answer.to_string();
    if !detail.is_empty() {
        said = format!("{} ({said})", one_line(&detail));
    }
    if let (CredentialsProblem::ClockSkew, Some(date)) = (problem, header(raw, "date")) {
        said = format!("the store's clock says {}: {said}", one_line(date));
    }
    ErrorKind::Credentials { problem, said }
}

/// "Signature not valid in the specified time frame: Start […] - Expiry […] - Current […]": a
/// signature that begins later is one of a clock that is ahead.
fn time_frame(detail: &str) -> CredentialsProblem {
    let time = |name: &str| {
        let (_, rest) = detail.split_once(&format!("{name} ["))?;
        crate::clock::parse(rest.split_once(']')?.0)
    };
    match (time("Start"), time("Current")) {
        (Some(start), Some(current)) if start > current => CredentialsProblem::ClockSkew,
        _ => CredentialsProblem::Expired,
    }
}

fn setting(what: &str, answer: &Answer, hint: &'static str) -> ErrorKind {
    ErrorKind::Config { said: format!("the store does not accept {what} ({answer})"), hint }
}

fn wrong_range(answer: &Answer) -> ErrorKind {
    ErrorKind::Corrupt {
        check: "range of the object",
        expected: "a range inside it".into(),
        found: answer.to_string(),
    }
}

fn altered(answer: &Answer) -> ErrorKind {
    ErrorKind::Corrupt {
        check: "checksum on arrival at the store",
        expected: "the one that was sent".into(),
        found: answer.to_string(),
    }
}
