//! When a refused request is tried again, and after which pause.
//!
//! `Retry-After` (RFC 9110, section 10.2.3, in seconds) is kept to, but never longer than the
//! longest pause. Attempts and time are bounded both. A token that was refused is tried again only
//! if the file that it came from has changed.
//!
//! Does not: wait by itself, or know what a request is about.

use super::credentials::Identity;
use crate::ErrorKind;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Pauses grow up to this.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// All attempts of one request together may take so many times the limit of one.
const ATTEMPTS_BUDGET: u32 = 3;

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) again: Again,
}

/// Whether another attempt may fare better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    Soon,
    /// As the store asked for.
    After(Duration),
    /// If there are others by now.
    WithOtherCredentials,
}

impl Refusal {
    /// One that no further attempt will change, unless it is of the passing kind.
    pub(super) fn of(kind: ErrorKind) -> Self {
        let passes = matches!(kind, ErrorKind::Transient { .. } | ErrorKind::Stalled { .. });
        Refusal { again: if passes { Again::Soon } else { Again::Never }, kind }
    }

    pub(super) fn passing(said: impl Into<String>) -> Self {
        Refusal::of(ErrorKind::Transient { said: said.into() })
    }
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    all: u32,
    left: u32,
    budget: Duration,
    until: Instant,
    pause: Duration,
}

impl Attempts {
    /// For so many attempts, of which each may take `limit`.
    pub(super) fn new(attempts: u32, limit: Duration) -> Self {
        let budget = limit * ATTEMPTS_BUDGET;
        let until = Instant::now() + budget;
        Attempts { all: attempts, left: attempts, budget, until, pause: PAUSE }
    }

    /// There was progress: all attempts and all the time count anew.
    pub(super) fn refill(&mut self) {
        (self.left, self.pause) = (self.all, PAUSE);
        self.until = Instant::now() + self.budget;
    }

    /// The pause before the next attempt; `None` if that was the last one.
    pub(super) fn next(&mut self, again: Again, identity: &Identity) -> Option<Duration> {
        self.left = self.left.saturating_sub(1);
        let pause = match again {
            _ if self.left == 0 => return None,
            Again::Never => return None,
            Again::WithOtherCredentials => return identity.is_renewed().then_some(Duration::ZERO),
            Again::Soon => self.jittered(),
            Again::After(wish) => self.jittered().max(wish.min(PAUSE_MAX)),
        };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        (Instant::now() + pause < self.until).then_some(pause)
    }

    /// Half to the whole of a pause, so that many writers do not come back at once.
    fn jittered(&self) -> Duration {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let thousandths = u32::try_from(random % 501).unwrap_or(0) + 500;
        self.pause * thousandths / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GcsSettings;

    #[test]
    fn f24_pauses_grow_and_end_and_the_store_may_ask_for_longer_ones() {
        let identity = Identity::new(&GcsSettings::new("x", "y"));
        let mut attempts = Attempts::new(4, Duration::from_secs(60));
        let first = attempts.next(Again::Soon, &identity).unwrap();
        assert!(first >= PAUSE / 2 && first <= PAUSE, "{first:?}");
        let wish = Duration::from_secs(3);
        assert_eq!(attempts.next(Again::After(wish), &identity), Some(wish));
        let greedy = Duration::from_secs(3_600);
        assert_eq!(attempts.next(Again::After(greedy), &identity), Some(PAUSE_MAX));
        assert_eq!(attempts.next(Again::Soon, &identity), None, "that were four attempts");
        attempts.refill();
        assert_eq!(attempts.next(Again::Never, &identity), None);
        assert_eq!(attempts.next(Again::WithOtherCredentials, &identity), None);
        let mut hurried = Attempts::new(4, Duration::from_secs(1));
        assert_eq!(hurried.next(Again::After(greedy), &identity), None, "beyond its time");
    }
}
