//! Numbers, words and ids from a seed.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014): 64 bits of state, good enough to make up objects,
//! and the same on every machine and in every version of every dependency.
//! Does not: make secrets.

const WORDS: [&str; 32] = [
    "api",
    "auth",
    "batch",
    "billing",
    "cache",
    "cart",
    "checkout",
    "cron",
    "edge",
    "email",
    "frontend",
    "gateway",
    "index",
    "ingest",
    "inventory",
    "ledger",
    "mail",
    "metrics",
    "orders",
    "payments",
    "proxy",
    "queue",
    "report",
    "search",
    "session",
    "shipping",
    "store",
    "stream",
    "sync",
    "users",
    "web",
    "worker",
];

/// A stream of pseudo-random values.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    /// One stream for each part of each object, so that a change in one leaves the others alone.
    pub(crate) fn derived(seed: u64, parts: &[u64]) -> Self {
        let mut random = Random::new(seed);
        for part in parts {
            random.state = random.next() ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03);
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, none when that is 0. The slight bias does not matter here.
    pub(crate) fn below(&mut self, limit: usize) -> Option<usize> {
        let value = self.next().checked_rem(limit as u64)?;
        usize::try_from(value).ok()
    }

    pub(crate) fn in_range(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low).unwrap_or_default()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = hex::encode(self.bytes(digits.div_ceil(2)));
        text.truncate(digits);
        text
    }

    pub(crate) fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len()).unwrap_or_default()]
    }

    pub(crate) fn uid(&mut self) -> String {
        let id = self.hex(32);
        let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
        parts.join("-")
    }
}
