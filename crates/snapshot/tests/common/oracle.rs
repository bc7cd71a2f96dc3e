//! A plain reader of whole database files: recursive, no checks, no cleverness.
//!
//! It computes what the verifier computes in the most direct way, so that the two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{ModelRow, encryption};
use super::writer::{BRANCH, Bucket, Rows};

fn u16_at(file: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(file[at..at + 2].try_into().unwrap())
}

fn u32_at(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(file: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(file[at..at + 8].try_into().unwrap())
}

fn page_bytes(file: &[u8]) -> usize {
    u32_at(file, 16 + 8)
}

fn leaf_rows(page: &[u8]) -> Rows {
    let count = usize::from(u16_at(page, 10));
    let row = |index: usize| {
        let at = 16 + 16 * index;
        let start = at + u32_at(page, at + 4);
        let middle = start + u32_at(page, at + 8);
        (page[start..middle].to_vec(), page[middle..middle + u32_at(page, at + 12)].to_vec())
    };
    (0..count).map(row).collect()
}

fn tree_rows(file: &[u8], pgid: u64) -> Rows {
    let page = &file[pgid as usize * page_bytes(file)..];
    if u16_at(page, 8) != BRANCH {
        return leaf_rows(page);
    }
    let count = usize::from(u16_at(page, 10));
    (0..count).flat_map(|index| tree_rows(file, u64_at(page, 16 + 16 * index + 8))).collect()
}

/// All buckets of a database in order.
pub(crate) fn buckets(file: &[u8]) -> Vec<Bucket> {
    let entries = tree_rows(file, u64_at(file, 16 + 16));
    let rows = |value: &[u8]| match u64_at(value, 0) {
        0 => leaf_rows(&value[16..]),
        root => tree_rows(file, root),
    };
    entries.into_iter().map(|(name, value)| (name, rows(&value))).collect()
}

/// The hash of `etcdutl snapshot status`.
pub(crate) fn status_hash(buckets: &[Bucket]) -> u32 {
    buckets.iter().fold(0, |hash, (name, rows)| {
        rows.iter().fold(crc32c::crc32c_append(hash, name), |hash, (key, value)| {
            crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value)
        })
    })
}

/// Keys that are live at a revision, with the place of their newest row.
fn live(rows: &[ModelRow], revision: i64) -> BTreeMap<&[u8], (i64, u64)> {
    let mut live = BTreeMap::new();
    for row in rows.iter().filter(|row| row.main <= revision) {
        if row.is_tombstone {
            live.remove(row.key.as_slice());
        } else {
            live.insert(row.key.as_slice(), (row.main, row.sub));
        }
    }
    live
}

pub(crate) fn live_keys(rows: &[ModelRow]) -> Vec<Vec<u8>> {
    live(rows, i64::MAX).into_keys().map(<[u8]>::to_vec).collect()
}

/// Live values that Kubernetes encrypted, by provider, version and key name.
pub(crate) fn encrypted(rows: &[ModelRow]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (key, (main, _)) in live(rows, i64::MAX) {
        let begin = encryption(key, main);
        if let Some(name) = begin.strip_prefix("k8s:enc:") {
            *counts.entry(name.trim_end_matches(':').to_owned()).or_default() += 1;
        }
    }
    counts
}

/// HashKV of a server with these rows, by the code of etcd read literally.
pub(crate) fn hashkv(rows: &[ModelRow], revision: i64, compact: i64) -> u32 {
    let keep: BTreeSet<(i64, u64)> = live(rows, revision).into_values().collect();
    let mut hash = crc32c::crc32c(b"key");
    for row in rows {
        let is_kept = keep.contains(&(row.main, row.sub));
        if row.main > revision
            || (row.main <= compact && !keep.is_empty() && !is_kept)
            || (row.main == compact && row.is_tombstone)
        {
            continue;
        }
        hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, &row.row_key()), &row.value);
    }
    hash
}

pub(crate) fn has_live_key(rows: &[ModelRow], revision: i64) -> bool {
    !live(rows, revision).is_empty()
}
