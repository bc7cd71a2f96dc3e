//! A sample of the keys of the restored database, as the file has them.
//!
//! Owns: which keys are asked of etcd, and what it has to answer. The keys are those with the
//! smallest hashes, so one pass over the rows is enough: a key that was passed over once never
//! comes in later, and the last row of one that stays is what counts.
//!
//! Invariant: memory is bounded by [`KEYS_MAX`] keys; of a value only length and digest are kept.

use crate::error::Error;
use bbolt::{Database, ReadAt};
use sha2::{Digest, Sha256};
use snapshot::{KeyValue, RowKey};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// How many keys are asked for.
pub(crate) const KEYS_MAX: usize = 1_000;
/// A longer key is not sampled.
const KEY_BYTES_MAX: usize = 64 << 10;

/// What etcd has to answer for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: it was deleted.
    Nothing,
    /// This.
    Value(Value),
}

/// A key's value, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
    pub(crate) value_bytes: usize,
    pub(crate) value_sha256: [u8; 32],
}

impl Value {
    /// Of its parts, as the file or etcd tells them.
    pub(crate) fn of(
        [create_revision, mod_revision, version, lease]: [i64; 4],
        value: &[u8],
    ) -> Self {
        let (value_bytes, value_sha256) = (value.len(), Sha256::digest(value).into());
        Value { create_revision, mod_revision, version, lease, value_bytes, value_sha256 }
    }
}

/// The keys to ask for, and what is there of them.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// By hash, so that the largest can go.
    order: BTreeSet<(u64, Vec<u8>)>,
    pub(crate) keys: BTreeMap<Vec<u8>, Holds>,
    /// Whether the empty key is live. No client can write or read it, but a restore that raises the
    /// revision makes it, and it counts as a key.
    pub(crate) has_empty_key: bool,
    keys_max: usize,
}

/// Reads the sample from a database. `seed` says which keys.
///
/// # Errors
/// [`Error::NotScratch`] when a row cannot be read, which the pass before has not found so.
pub(crate) fn of<R: ReadAt>(
    database: &Database<R>,
    path: &Path,
    seed: u64,
    keys_max: usize,
) -> Result<Sample, Error> {
    let unreadable = |why: String| Error::NotScratch { path: path.to_path_buf(), why };
    let mut sample = Sample { keys_max, ..Sample::default() };
    let rows = database.rows(b"key").map_err(|e| unreadable(e.to_string()))?;
    let Some(mut rows) = rows else { return Ok(sample) };
    while let Some((key, value)) = rows.next_row().map_err(|e| unreadable(e.to_string()))? {
        let row = RowKey::parse(key).zip(KeyValue::decode(value));
        let (row, kv) = row.ok_or_else(|| unreadable("a row cannot be decoded".into()))?;
        sample.take(seed, row.is_tombstone, &kv);
    }
    Ok(sample)
}

impl Sample {
    fn take(&mut self, seed: u64, is_tombstone: bool, kv: &KeyValue<'_>) {
        if kv.key.is_empty() {
            self.has_empty_key = !is_tombstone;
            return;
        }
        if kv.key.len() > KEY_BYTES_MAX {
            return;
        }
        if !self.keys.contains_key(kv.key) {
            let hash = hash(seed, kv.key);
            let is_out = self.order.len() >= self.keys_max
                && self.order.last().is_none_or(|(largest, _)| hash >= *largest);
            if is_out {
                return;
            }
            self.order.insert((hash, kv.key.to_vec()));
            if self.order.len() > self.keys_max
                && let Some((_, key)) = self.order.pop_last()
            {
                self.keys.remove(&key);
            }
        }
        let holds = match is_tombstone {
            true => Holds::Nothing,
            false => {
                let numbers = [kv.create_revision, kv.mod_revision, kv.version, kv.lease];
                Holds::Value(Value::of(numbers, kv.value))
            }
        };
        self.keys.insert(kv.key.to_vec(), holds);
    }
}

fn hash(seed: u64, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put<'a>(key: &'a [u8], mod_revision: i64, value: &'a [u8]) -> KeyValue<'a> {
        KeyValue { key, create_revision: 2, mod_revision, version: 1, value, ..KeyValue::default() }
    }

    fn value(mod_revision: i64, value: &[u8]) -> Holds {
        Holds::Value(Value::of([2, mod_revision, 1, 0], value))
    }

    #[test]
    fn the_last_row_of_a_key_counts() {
        let mut sample = Sample { keys_max: 10, ..Sample::default() };
        sample.take(1, false, &put(b"a", 2, b"old"));
        sample.take(1, false, &put(b"b", 3, b"x"));
        sample.take(1, false, &put(b"a", 4, b"new"));
        sample.take(1, true, &put(b"b", 5, b""));
        assert_eq!(sample.keys[&b"a"[..]], value(4, b"new"));
        assert_eq!(sample.keys[&b"b"[..]], Holds::Nothing);
        sample.take(1, false, &put(b"", 6, b""));
        assert!(sample.has_empty_key && sample.keys.len() == 2);
    }

    #[test]
    fn a_sample_is_bounded_and_does_not_depend_on_the_order_of_keys() {
        let keys: Vec<Vec<u8>> = (0..500_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let sampled = |keys: &mut dyn Iterator<Item = &Vec<u8>>, seed| {
            let mut sample = Sample { keys_max: 20, ..Sample::default() };
            for key in keys {
                sample.take(seed, false, &put(key, 7, key));
            }
            assert_eq!((sample.keys.len(), sample.order.len()), (20, 20));
            sample.keys
        };
        let forth = sampled(&mut keys.iter(), 1);
        assert_eq!(forth, sampled(&mut keys.iter().rev(), 1));
        assert_ne!(forth, sampled(&mut keys.iter(), 2), "another seed, another sample");
    }

    /// Every row of a key that ends up in the sample was seen, whatever came between.
    #[test]
    fn a_key_that_was_passed_over_never_comes_back() {
        let keys: Vec<Vec<u8>> = (0..200_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut sample = Sample { keys_max: 5, ..Sample::default() };
        for round in 1..=3 {
            for key in &keys {
                sample.take(9, false, &put(key, round, b"v"));
            }
        }
        assert!(sample.keys.values().all(|holds| *holds == value(3, b"v")));
    }
}
