//! Which rows are current at a revision: of each key the newest row, unless it is a tombstone.
//!
//! One pass from the newest row to the oldest finds them with a set of the keys seen so far. When
//! the set would outgrow its share of memory, the keys are split by their hash and each part has a
//! pass of its own.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::encryption::NUMBERS;
use crate::error::VerifyError;
use crate::ledger::{LeafAt, Ledger};
use crate::limits::SEEN_KEYS_BYTES_MIN;
use crate::row::Row;

/// Memory that one key takes in the set, in bytes: 9 at a load between 7/16 and 7/8, rounded up.
const SEEN_KEY_BYTES: u64 = 20;

/// The rows of the `key` bucket, as all computations on them need them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) ledger: &'a Ledger,
    /// The leaves in key order.
    pub(crate) leaves: &'a [LeafAt],
    /// Number of rows in all leaves.
    pub(crate) count: u64,
}

/// The rows that are current at some revision.
#[derive(Debug)]
pub(crate) struct Keep {
    /// One bit per row, in key order.
    bits: Vec<u64>,
    /// Number of current rows, which is the number of live keys.
    pub(crate) live: u64,
    /// Live keys by the number of their resource.
    pub(crate) by_group: Vec<u64>,
    /// Live keys by the number of their value's encryption.
    pub(crate) by_encryption: [u64; NUMBERS],
    /// Number of the row that marks a bump, if it is current.
    mark: Option<u64>,
}

/// Keys are hashed already, under a secret; hashing them again would gain nothing.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type SeenKeys = HashSet<u64, BuildHasherDefault<AlreadyHashed>>;

// === impl Keep ===

impl Keep {
    /// Finds the rows that are current at `revision`. `seen_bytes_max` bounds the set of keys, but
    /// not below [`SEEN_KEYS_BYTES_MIN`].
    pub(crate) fn at(
        rows: Rows<'_>,
        revision: i64,
        groups: usize,
        seen_bytes_max: usize,
    ) -> Result<Self, VerifyError> {
        let words = usize::try_from(rows.count.div_ceil(64)).unwrap_or(usize::MAX);
        let (bits, by_group) = (vec![0; words], vec![0; groups]);
        let mut keep = Self { bits, live: 0, by_group, by_encryption: [0; NUMBERS], mark: None };
        let keys_max = seen_bytes_max.max(SEEN_KEYS_BYTES_MIN) as u64 / SEEN_KEY_BYTES;
        let parts = rows.count.div_ceil(keys_max).max(1);
        for part in 0..parts {
            keep.pass(rows, revision, |row| parts == 1 || (row.key_hash >> 32) % parts == part)?;
        }
        Ok(keep)
    }

    /// One pass over the rows whose keys are `wanted`.
    fn pass(
        &mut self,
        rows: Rows<'_>,
        revision: i64,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<(), VerifyError> {
        let mut seen = SeenKeys::default();
        let mut index = rows.count;
        for leaf in rows.leaves.iter().rev() {
            rows.ledger.with_leaf(*leaf, |leaf| {
                for row in leaf.rows().into_iter().flatten().rev() {
                    index = index.saturating_sub(1);
                    let in_time = row.revision.main <= revision;
                    if in_time && wanted(&row) && seen.insert(row.key_hash) && !row.is_tombstone {
                        self.insert(index, &row);
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn insert(&mut self, index: u64, row: &Row) {
        self.live += 1;
        if let Some(count) = self.by_group.get_mut(usize::from(row.group)) {
            *count += 1;
        }
        if let Some(count) = self.by_encryption.get_mut(usize::from(row.encryption)) {
            *count += 1;
        }
        if row.is_phantom {
            self.mark = Some(index);
        }
        if let Some(word) = self.word(index) {
            *word |= 1 << (index % 64);
        }
    }

    fn word(&mut self, index: u64) -> Option<&mut u64> {
        usize::try_from(index / 64).ok().and_then(|at| self.bits.get_mut(at))
    }

    /// Takes out the row that marks a bump: clients do not see it, and the next bump replaces it.
    pub(crate) fn remove_mark(&mut self) {
        let Some(index) = self.mark.take() else { return };
        self.live -= 1;
        if let Some(word) = self.word(index) {
            *word &= !(1 << (index % 64));
        }
    }

    /// Keys that clients can read.
    pub(crate) fn live_for_clients(&self) -> u64 {
        self.live - u64::from(self.mark.is_some())
    }

    /// Whether the row with this number, counted in key order, is current.
    pub(crate) fn contains(&self, index: u64) -> bool {
        let word = usize::try_from(index / 64).ok().and_then(|at| self.bits.get(at));
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}
