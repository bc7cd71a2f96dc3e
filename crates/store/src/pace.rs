//! How many parts of uploads may be in flight to one store at once: half of them after it asked
//! for patience, one more again for each part that arrives.
//!
//! Does not: wait, or know what a store says when it is asked for too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many parts may be in flight to a store; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    most: usize,
    allowed: Arc<AtomicUsize>,
}

impl Pace {
    pub(crate) fn new(most: usize) -> Self {
        Pace { most, allowed: Arc::new(AtomicUsize::new(most)) }
    }

    /// How many at this moment.
    pub(crate) fn allowed(&self) -> usize {
        self.allowed.load(Ordering::Relaxed)
    }

    /// A part arrived.
    pub(crate) fn faster(&self) {
        let more = |n: usize| Some((n + 1).min(self.most));
        let _ = self.allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// The store asked for patience.
    pub(crate) fn slower(&self) {
        let half = |n: usize| Some((n / 2).max(1));
        let _ = self.allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f24_a_throttled_store_gets_fewer_parts_at_once_and_more_again() {
        let pace = Pace::new(5);
        pace.slower();
        assert_eq!(pace.allowed(), 2);
        (0..9).for_each(|_| pace.slower());
        assert_eq!(pace.allowed(), 1);
        (0..9).for_each(|_| pace.faster());
        assert_eq!(pace.allowed(), 5);
    }
}
