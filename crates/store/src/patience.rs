//! How long a request is insisted on: a store that is away for a while is waited for, as long as
//! what is to be sent is still at hand.
//!
//! A backend's own retries are for what passes in seconds. This is for what passes in minutes: an
//! upload that was interrupted is taken up where it was, under the id that it has, and the source is
//! not asked again. Pauses double, each somewhere between its half and its whole, so that many who
//! were cut off at once do not all come back at once.
//!
//! Does not: insist on what was refused. Only [`ErrorKind::Transient`] is worth another try.

use crate::{Acknowledged, ErrorKind, Result};
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Pauses double up to this.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// A limit on the time without progress.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    limit: Duration,
    /// What other requests of the same upload bring about is progress as well.
    acknowledged: Acknowledged,
}

impl Patience {
    /// Patience for `limit`, beginning anew whenever `acknowledged` grows.
    pub(crate) fn new(limit: Duration, acknowledged: &Acknowledged) -> Self {
        Patience { limit, acknowledged: acknowledged.clone() }
    }

    /// Makes the attempt until it succeeds, fails for good, or the limit is reached. The last
    /// failure is told then. An attempt must be one that may be repeated.
    pub(crate) async fn insist<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.go_on(attempt, false).await
    }

    /// The same for what leaves nothing doubtful when it is given up half way, as a part does: an
    /// attempt that is still under way when the limit is reached is given up, and the failure before
    /// it is told. Whoever watches from outside could only say that nothing got on.
    pub(crate) async fn insist_to_the_end<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.go_on(attempt, true).await
    }

    async fn go_on<T, F>(&self, attempt: impl Fn() -> F, gives_up: bool) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut wait = Wait::new(self.limit, self.acknowledged.bytes(), Instant::now());
        let mut before = None;
        loop {
            let done = match before.take() {
                Some(failure) if gives_up => match self.in_time(&mut wait, attempt()).await {
                    Some(done) => done,
                    None => return Err(failure),
                },
                _ => attempt().await,
            };
            let failure = match done {
                Err(e) if matches!(e.kind(), ErrorKind::Transient { .. }) => e,
                done => return done,
            };
            match wait.next(self.acknowledged.bytes(), Instant::now()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure),
            }
            before = Some(failure);
        }
    }

    /// An attempt, unless it lasts until the limit is reached.
    async fn in_time<T>(&self, wait: &mut Wait, attempt: impl Future<Output = T>) -> Option<T> {
        let mut attempt = pin!(attempt);
        loop {
            if let Ok(done) = tokio::time::timeout_at(wait.since + wait.limit, &mut attempt).await {
                return Some(done);
            }
            if !wait.sees(self.acknowledged.bytes(), Instant::now()) {
                return None;
            }
        }
    }
}

/// What is left of the patience.
struct Wait {
    limit: Duration,
    pause: Duration,
    /// The last progress that was seen, and when.
    bytes: u64,
    since: Instant,
}

impl Wait {
    fn new(limit: Duration, bytes: u64, now: Instant) -> Self {
        Wait { limit, pause: PAUSE_MIN, bytes, since: now }
    }

    /// Whether there was progress; the limit begins anew then.
    fn sees(&mut self, bytes: u64, now: Instant) -> bool {
        let is_progress = bytes > self.bytes;
        if is_progress {
            (self.bytes, self.since) = (bytes, now);
        }
        is_progress
    }

    /// The pause before the next attempt; `None` when it would end too late.
    fn next(&mut self, bytes: u64, now: Instant) -> Option<Duration> {
        if self.sees(bytes, now) {
            self.pause = PAUSE_MIN;
        }
        let pause = jittered(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        (now.duration_since(self.since) + pause < self.limit).then_some(pause)
    }
}

/// Between a half and the whole of it. The hasher's keys are the standard library's only random
/// numbers, and good enough for this.
fn jittered(pause: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, StoreError};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Attempts that take no time, until there is no more patience: how many, and how long it took.
    fn all(limit: Duration, bytes: impl Fn(Duration) -> u64) -> (u32, Duration) {
        let begin = Instant::now();
        let (mut wait, mut now, mut tries) = (Wait::new(limit, 0, begin), begin, 1);
        while let Some(pause) = wait.next(bytes(now - begin), now) {
            assert!(pause <= PAUSE_MAX && pause >= PAUSE_MIN / 2, "{pause:?}");
            (now, tries) = (now + pause, tries + 1);
        }
        (tries, now - begin)
    }

    #[test]
    fn f23_i24_a_store_that_stays_away_is_given_up_in_time() {
        let limit = Duration::from_secs(300);
        let (tries, took) = all(limit, |_| 0);
        assert!(took < limit && took > limit - PAUSE_MAX, "{took:?}");
        // Six doublings, and then a pause of 10 to 20 s each time.
        assert!((18..=36).contains(&tries), "{tries}");
        assert_eq!(all(Duration::ZERO, |_| 0), (1, Duration::ZERO), "no patience is one attempt");
    }

    #[test]
    fn f23_progress_elsewhere_gives_more_time() {
        let ten_minutes = Duration::from_secs(600);
        let (_, took) = all(Duration::from_secs(60), |after| after.min(ten_minutes).as_secs());
        assert!(took > ten_minutes && took < ten_minutes + Duration::from_secs(90), "{took:?}");
    }

    #[tokio::test]
    async fn f24_i24_the_last_refusal_is_told_and_not_that_time_is_up() {
        let patience = Patience::new(Duration::from_secs(2), &Acknowledged::default());
        let tries = AtomicU32::new(0);
        let failed = patience.insist_to_the_end(async || {
            if tries.fetch_add(1, Ordering::Relaxed) > 0 {
                std::future::pending::<()>().await;
            }
            let kind = ErrorKind::Transient { said: "503 SlowDown".into() };
            Err::<(), _>(StoreError::new("site", Operation::Write, "key", kind))
        });
        assert!(failed.await.unwrap_err().to_string().contains("503 SlowDown"));
        assert_eq!(tries.into_inner(), 2);
    }

    #[tokio::test]
    async fn what_is_refused_is_not_insisted_on() {
        let patience = Patience::new(Duration::from_secs(60), &Acknowledged::default());
        let tries = AtomicU32::new(0);
        let refused = patience.insist(async || {
            let kind = match tries.fetch_add(1, Ordering::Relaxed) {
                0 => ErrorKind::Transient { said: "away".into() },
                _ => ErrorKind::NotFound,
            };
            Err::<(), _>(StoreError::new("site", Operation::Write, "key", kind))
        });
        assert!(matches!(refused.await.unwrap_err().kind(), ErrorKind::NotFound));
        assert_eq!(tries.into_inner(), 2);
    }
}
