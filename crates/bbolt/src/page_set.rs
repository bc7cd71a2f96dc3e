//! A set of page numbers, one bit each.

/// Page numbers below a fixed end.
#[derive(Debug)]
pub(crate) struct PageSet {
    words: Vec<u64>,
    end: u64,
    len: u64,
}

impl PageSet {
    /// An empty set for the numbers `0..end`. The caller bounds `end`
    /// ([`crate::limits::PAGES_MAX`]).
    pub(crate) fn new(end: u64) -> Self {
        let words = usize::try_from(end.div_ceil(64)).unwrap_or(0);
        Self { words: vec![0; words], end, len: 0 }
    }

    /// Adds `pgid`; false when it was there already, or is out of range.
    pub(crate) fn insert(&mut self, pgid: u64) -> bool {
        let Some(word) = self.position(pgid).and_then(|at| self.words.get_mut(at)) else {
            return false;
        };
        let bit = 1 << (pgid % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        self.len += u64::from(fresh);
        fresh
    }

    pub(crate) fn contains(&self, pgid: u64) -> bool {
        let word = self.position(pgid).and_then(|at| self.words.get(at));
        word.is_some_and(|word| word & (1 << (pgid % 64)) != 0)
    }

    /// Number of pages in the set.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn position(&self, pgid: u64) -> Option<usize> {
        (pgid < self.end).then(|| usize::try_from(pgid / 64).ok())?
    }
}
