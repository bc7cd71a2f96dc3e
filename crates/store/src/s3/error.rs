//! From the SDK's errors to ours.
//!
//! The table of codes is Amazon's "List of error codes", with those of compatible servers.
//! Unknown codes are decided by HTTP status; what is left is `Rejected`.

use super::Bucket;
use crate::error::{causes, innermost, one_line};
use crate::{Answer, CredentialsProblem, ErrorKind};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use std::error::Error;

/// What to do about a server that does not know a request.
const LACKING: &str = "the server lacks this; if it is about a write, try checksum = \"none\"";
/// How much of an answer is searched for the time.
const ANSWER_BYTES_MAX: usize = 4_096;

impl Bucket {
    /// What an error of the SDK means. `verb` is the permission that the request needs.
    pub(super) fn kind<E>(&self, e: &SdkError<E, HttpResponse>, verb: &'static str) -> ErrorKind
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match e {
            SdkError::ServiceError(service) => {
                let answer = answer(service.err(), service.raw());
                refused(&self.settings.bucket, verb, answer, service.raw())
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                let said = format!("the answer (HTTP {status}) could not be understood");
                ErrorKind::Transient { said }
            }
            SdkError::TimeoutError(_) => {
                let said = "no answer within the time limit".to_owned();
                ErrorKind::Transient { said }
            }
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => self.unreachable(connector),
                None => transient(e),
            },
            _ => credentials(e).unwrap_or_else(|| not_sent(e)),
        }
    }
}

impl Bucket {
    fn unreachable(&self, e: &ConnectorError) -> ErrorKind {
        if let Some(kind) = credentials(e) {
            return kind;
        }
        let cause = innermost(e);
        // A certificate does not get better by waiting. rustls says "invalid peer certificate: …".
        if cause.contains("certificate") {
            let said = format!("the server's certificate is not trusted: {cause}");
            return ErrorKind::Config { said, hint: "name its authority in ca_file" };
        }
        let what =
            if e.is_timeout() { "no connection within the time limit" } else { "no connection" };
        // Whether the proxy is not there or does not get through, it is the one that was asked.
        let by =
            self.settings.proxy.as_ref().map(|proxy| format!(" by the proxy {}", proxy.as_str()));
        ErrorKind::Transient { said: format!("{what}{}: {cause}", by.unwrap_or_default()) }
    }
}

fn answer<E: ProvideErrorMetadata>(e: &E, raw: &HttpResponse) -> Answer {
    let meta = e.meta();
    Answer {
        status: Some(raw.status().as_u16()),
        code: meta.code().map(one_line),
        message: meta.message().map(one_line),
        request_id: raw.request_id().map(one_line),
    }
}

fn refused(bucket: &str, verb: &'static str, answer: Answer, raw: &HttpResponse) -> ErrorKind {
    let code = answer.code.clone().unwrap_or_default();
    if let Some(problem) = credentials_problem(&code) {
        let times = (problem == CredentialsProblem::ClockSkew).then(|| both_times(raw));
        let said =
            times.flatten().map_or_else(|| answer.to_string(), |t| format!("{t} ({answer})"));
        return ErrorKind::Credentials { problem, said };
    }
    match code.as_str() {
        "NoSuchKey" | "NotFound" => ErrorKind::NotFound,
        "NoSuchBucket" => ErrorKind::BucketMissing { bucket: bucket.to_owned(), answer },
        "PreconditionFailed" => ErrorKind::AlreadyExists,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict { answer },
        "InvalidObjectState" => ErrorKind::Archived { answer },
        "InvalidRange" => wrong_range(&answer),
        "BadDigest"
        | "XAmzContentChecksumMismatch"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch" => altered(&answer),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" => {
            ErrorKind::Denied { verb, answer }
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "MovedPermanently"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidRegionName" => wrong_region(&answer, raw),
        "InvalidStorageClass" => setting("storage_class", &answer, "correct it, or leave it out"),
        "InvalidEncryptionAlgorithmError" => setting("sse", &answer, "correct it, or leave it out"),
        "InvalidTag" => setting("tags", &answer, "use letters, digits, spaces and + - = . _ : / @"),
        "InvalidRequest" if answer.says("ObjectLockConfiguration") => {
            setting("lock", &answer, "make a bucket with object lock, or delete lock")
        }
        "InvalidBucketName" => setting("the bucket's name", &answer, "correct it in the url"),
        "NotImplemented" => setting("a request", &answer, LACKING),
        "RequestTimeout"
        | "IncompleteBody"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ServiceUnavailable"
        | "InternalError" => transient_answer(&answer),
        code if code.starts_with("KMS.") => setting("kms_key", &answer, "correct it"),
        _ => by_status(verb, answer, raw),
    }
}

/// What the two clocks say, from the answer to a request that was refused for it.
fn both_times(raw: &HttpResponse) -> Option<String> {
    let body = raw.body().bytes()?;
    let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_BYTES_MAX)]);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inner, _)| one_line(inner))
    };
    let theirs = element("ServerTime").or_else(|| raw.headers().get("date").map(one_line))?;
    Some(match element("RequestTime") {
        Some(ours) => format!("the request was made at {ours}, the store's clock says {theirs}"),
        None => format!("the store's clock says {theirs}"),
    })
}

/// Answers without a code: those to HEAD have no body, and some servers send web pages.
fn by_status(verb: &'static str, answer: Answer, raw: &HttpResponse) -> ErrorKind {
    match answer.status {
        Some(301 | 302 | 307 | 308) => wrong_region(&answer, raw),
        Some(401) => ErrorKind::Credentials {
            problem: CredentialsProblem::Invalid,
            said: answer.to_string(),
        },
        Some(403) => ErrorKind::Denied { verb, answer },
        Some(404) if answer.code.is_none() => ErrorKind::NotFound,
        Some(409) => ErrorKind::Conflict { answer },
        Some(412) => ErrorKind::AlreadyExists,
        Some(416) => wrong_range(&answer),
        Some(501) => setting("a request", &answer, LACKING),
        Some(408 | 429 | 500..) => transient_answer(&answer),
        // An error inside an answer that began as a success: the store broke off half way.
        Some(200..=299) => transient_answer(&answer),
        _ => ErrorKind::Rejected { answer },
    }
}

fn credentials_problem(code: &str) -> Option<CredentialsProblem> {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            Some(CredentialsProblem::Expired)
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "UnauthorizedAccess" => Some(CredentialsProblem::Invalid),
        "RequestTimeTooSkewed" | "RequestExpired" => Some(CredentialsProblem::ClockSkew),
        _ => None,
    }
}

fn transient_answer(answer: &Answer) -> ErrorKind {
    ErrorKind::Transient { said: format!("the store could not answer ({answer})") }
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

fn wrong_region(answer: &Answer, raw: &HttpResponse) -> ErrorKind {
    let elsewhere = match raw.headers().get("x-amz-bucket-region").map(one_line) {
        Some(region) => format!("the bucket is in region {region}"),
        None => "the bucket is in another region or at another endpoint".to_owned(),
    };
    let said = format!("{elsewhere} ({answer})");
    ErrorKind::Config { said, hint: "correct region or endpoint" }
}

fn transient(e: &(dyn Error + 'static)) -> ErrorKind {
    ErrorKind::Transient { said: innermost(e) }
}

fn not_sent(e: &(dyn Error + 'static)) -> ErrorKind {
    let said = format!("the request could not be made: {}", innermost(e));
    ErrorKind::Config { said, hint: "correct url, region or endpoint" }
}

/// The failure of the credential chain, if that is what lies at the bottom.
pub(super) fn credentials(e: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let found = causes(e).find_map(|c| c.downcast_ref::<CredentialsError>())?;
    let said = innermost(found);
    Some(match found {
        CredentialsError::CredentialsNotLoaded(_) => {
            ErrorKind::Credentials { problem: CredentialsProblem::Missing, said }
        }
        CredentialsError::ProviderTimedOut(_) => {
            ErrorKind::Transient { said: format!("the credentials did not come in time: {said}") }
        }
        _ => ErrorKind::Credentials { problem: CredentialsProblem::Invalid, said },
    })
}
