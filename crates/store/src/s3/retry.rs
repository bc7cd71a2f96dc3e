//! When to try again, beyond what the SDK decides: a store that asks for patience is given it,
//! and a token that was renewed on disk meanwhile is used.
//!
//! `Retry-After` (RFC 9110, section 10.2.3, in seconds) is kept to, but never longer than the
//! SDK's own longest pause; 429 is tried again. After either, fewer parts are in flight: half of
//! them at once, one more for each part that arrives. Attempts and time stay bounded by the
//! client's own limits.
//!
//! Does not: wait by itself, or know what a request is about.

use super::credentials::FromFile;
use crate::pace::Pace;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::retries::classifiers::{RetryClassifierPriority, RetryReason};
use aws_smithy_types::retry::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Statuses with which a store asks for patience.
const THROTTLED: [u16; 2] = [429, 503];
/// How much of an answer is searched for an error code.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Decides after the SDK's own classifiers.
#[derive(Debug)]
pub(super) struct Classifier {
    pub(super) pace: Pace,
    /// Where the credentials come from, if they are in a file that may be renewed.
    pub(super) credentials: Option<Arc<FromFile>>,
}

impl Classifier {
    fn decide(&self, context: &InterceptorContext, previous: &RetryAction) -> Option<RetryAction> {
        let response = context.response().filter(|_| context.is_failed())?;
        let status = response.status().as_u16();
        let body = response.body().bytes().unwrap_or_default();
        if is_stale_token(status, body) {
            let renewed = self.credentials.as_ref().is_some_and(|file| file.is_renewed());
            return renewed.then(|| again(ErrorKind::ServerError, None));
        }
        if THROTTLED.contains(&status) {
            self.pace.slower();
        }
        let after = response.headers().get("retry-after").and_then(|text| text.parse().ok());
        let after = after.map(Duration::from_secs);
        match previous {
            RetryAction::RetryIndicated(RetryReason::RetryableError {
                kind,
                retry_after: None,
            }) => after.map(|after| again(*kind, Some(after))),
            RetryAction::NoActionIndicated if status == 429 => {
                Some(again(ErrorKind::ThrottlingError, after))
            }
            _ => None,
        }
    }
}

fn again(kind: ErrorKind, retry_after: Option<Duration>) -> RetryAction {
    RetryAction::RetryIndicated(RetryReason::RetryableError { kind, retry_after })
}

/// Whether the store says that the token is of yesterday. An answer to HEAD has no words, so any
/// refusal of one may mean that.
fn is_stale_token(status: u16, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_BYTES_MAX)]);
    let says = |code: &str| text.contains(&format!("<Code>{code}</Code>"));
    let wordless = body.is_empty() && matches!(status, 400 | 401 | 403);
    wordless || ["ExpiredToken", "TokenRefreshRequired", "InvalidAccessKeyId"].into_iter().any(says)
}

impl ClassifyRetry for Classifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(
        &self,
        context: &InterceptorContext,
        previous: &RetryAction,
    ) -> RetryAction {
        self.decide(context, previous).unwrap_or(RetryAction::NoActionIndicated)
    }

    fn name(&self) -> &'static str {
        "Patience"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f29_a_stale_token_is_told_from_other_refusals() {
        assert!(is_stale_token(400, b"<Error><Code>ExpiredToken</Code></Error>"));
        assert!(is_stale_token(403, b""));
        assert!(!is_stale_token(403, b"<Error><Code>AccessDenied</Code></Error>"));
        assert!(!is_stale_token(404, b""));
    }
}
