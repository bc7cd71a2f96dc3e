//! When to try again: one policy around every request, instead of the SDK's own, which has no limit
//! for an attempt, waits as long as a store likes, and knows no renewed signature.
//!
//! Each attempt has a limit of time by its length, and all of them together a budget. `Retry-After`
//! (RFC 9110, section 10.2.3, in seconds) and Microsoft's own headers in milliseconds are kept to,
//! but never longer than our longest pause. A store that asks for patience is sent fewer blocks at
//! once.
//!
//! Does not: look at what a request is about, or resolve what a lost answer left open.

use super::error::Trouble;
use super::sign::Signer;
use crate::pace::Pace;
use azure_core::Uuid;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A block is given its request's timeout and a second for every so many bytes.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 256 << 10;
/// All attempts of one request together may take so many times the limit of one.
const ATTEMPTS_BUDGET: u32 = 3;
/// The longest first pause; it doubles, and each is shortened by chance.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Pauses between attempts grow up to this.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// Statuses with which a store asks for patience.
const THROTTLED: [u16; 2] = [429, 503];
/// Statuses after which another attempt may succeed.
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];
/// Statuses with which a store refuses who asks.
const REFUSED: [u16; 2] = [401, 403];

/// Bytes that the store itself moves for a request without a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moves(pub(super) u64);

/// Tries a request until it is answered or given up.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) attempts: u32,
    pub(super) timeout: Duration,
    pub(super) pace: Pace,
    pub(super) signer: Arc<Signer>,
}

impl Attempts {
    fn limit(&self, context: &Context, request: &Request) -> Duration {
        let carried = request.body().len().unwrap_or(0);
        let moved = context.value::<Moves>().map_or(0, |moves| moves.0);
        self.timeout + Duration::from_secs((carried + moved) / UPLOAD_BYTES_PER_SECOND_MIN)
    }

    /// How long to wait before the next attempt; `None` when the answer is final.
    fn pause(&self, answer: &PolicyResult, attempt: u32) -> Option<Duration> {
        let response = match answer {
            Ok(response) => response,
            Err(e) => return may_pass(e).then(|| pause(attempt, by_chance())),
        };
        let status = u16::from(response.status());
        if REFUSED.contains(&status) {
            return self.signer.is_renewed().then_some(Duration::ZERO);
        }
        if THROTTLED.contains(&status) {
            self.pace.slower();
        }
        let wanted = wish(response.headers()).unwrap_or_default();
        let wait = || wanted.max(pause(attempt, by_chance())).min(PAUSE_MAX);
        PASSING.contains(&status).then(wait)
    }
}

#[async_trait::async_trait]
impl Policy for Attempts {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let limit = self.limit(context, request);
        let end = Instant::now() + limit * ATTEMPTS_BUDGET;
        // What the key of a blob is separated by is no part of a name: signatures are over it.
        let path = request.url().path().replace("%2F", "/");
        request.url_mut().set_path(&path);
        let unsigned = request.url().clone();
        let mut attempt = 1;
        loop {
            *request.url_mut() = unsigned.clone();
            let left = end.saturating_duration_since(Instant::now()).min(limit);
            let sent = next[0].send(context, request, &next[1..]);
            let answer = tokio::time::timeout(left, sent)
                .await
                .unwrap_or_else(|_| Err(Trouble::Late.into_sdk()));
            let pause = match self.pause(&answer, attempt) {
                Some(pause) if attempt < self.attempts && Instant::now() + pause < end => pause,
                _ => return answer,
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Whether a failure without an answer may pass.
fn may_pass(e: &azure_core::Error) -> bool {
    match Trouble::of(e) {
        Some(Trouble::Late | Trouble::Wire(_)) => true,
        Some(Trouble::Config { .. } | Trouble::Credentials { .. }) => false,
        None => matches!(e.kind(), ErrorKind::Connection | ErrorKind::Io),
    }
}

/// How long the store wishes to be left alone.
fn wish(headers: &Headers) -> Option<Duration> {
    let number = |name: &'static str| -> Option<u64> {
        headers.get_optional_str(&HeaderName::from_static(name))?.parse().ok()
    };
    let milliseconds = number("x-ms-retry-after-ms").or_else(|| number("retry-after-ms"));
    milliseconds
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// The pause after an attempt: up to twice that of the one before, by chance (0 to 255).
fn pause(attempt: u32, chance: u8) -> Duration {
    let most = PAUSE_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(PAUSE_MAX);
    most * u32::from(chance) / u32::from(u8::MAX)
}

fn by_chance() -> u8 {
    Uuid::new_v4().as_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f24_pauses_grow_and_stay_bounded() {
        assert_eq!(pause(1, 255), Duration::from_secs(1));
        assert_eq!(pause(3, 255), Duration::from_secs(4));
        assert_eq!(pause(19, 255), PAUSE_MAX);
        assert_eq!(pause(3, 0), Duration::ZERO);
    }

    #[test]
    fn f24_the_wish_of_a_store_is_read_in_both_forms() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = Headers::new();
            headers.insert(name, value);
            wish(&headers)
        };
        assert_eq!(of("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(of("x-ms-retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(of("retry-after", "soon"), None);
    }
}
