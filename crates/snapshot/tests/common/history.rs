//! A model of an etcd store: random transactions, their rows, and compaction.

use std::collections::BTreeMap;

use super::Rng;

/// A row of the `key` bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelRow {
    pub(crate) main: i64,
    pub(crate) sub: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) is_tombstone: bool,
    /// The encoded `mvccpb.KeyValue`.
    pub(crate) value: Vec<u8>,
}

impl ModelRow {
    pub(crate) fn row_key(&self) -> Vec<u8> {
        let mark: &[u8] = if self.is_tombstone { b"t" } else { b"" };
        [&self.main.to_be_bytes(), &b"_"[..], &self.sub.to_be_bytes(), mark].concat()
    }
}

/// Size of a random history.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) transactions: usize,
    pub(crate) keys: usize,
    pub(crate) value_bytes_max: usize,
}

/// Every row of a random history, nothing compacted.
pub(crate) fn random(rng: &mut Rng, shape: &Shape) -> Vec<ModelRow> {
    let mut rows = Vec::new();
    // Live keys with their create revision and version.
    let mut live: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
    for main in (2..).take(shape.transactions) {
        let mut touched: Vec<Vec<u8>> = Vec::new();
        for _ in 0..1 + if rng.one_in(4) { rng.below(6) } else { 0 } {
            let key = key_name(rng.below(shape.keys));
            if touched.contains(&key) {
                continue;
            }
            let sub = touched.len() as u64;
            let is_tombstone = live.contains_key(&key) && rng.one_in(4);
            let value = if is_tombstone {
                live.remove(&key);
                tombstone(&key)
            } else {
                let (create, version) = live.entry(key.clone()).or_insert((main, 0));
                *version += 1;
                let length = value_length(rng, shape.value_bytes_max);
                let value = [encryption(&key, main).into_bytes(), rng.bytes(length)].concat();
                put(&key, *create, main, *version, &value)
            };
            touched.push(key.clone());
            rows.push(ModelRow { main, sub, key, is_tombstone, value });
        }
    }
    rows
}

fn value_length(rng: &mut Rng, max: usize) -> usize {
    if rng.one_in(20) { rng.below(max) } else { rng.below(max.min(200)) }
}

/// How the value of a Secret begins: Kubernetes' key is another one from time to time.
pub(crate) fn encryption(key: &[u8], main: i64) -> String {
    match key.starts_with(b"/registry/secrets/") && main % 4 > 0 {
        true => format!("k8s:enc:aescbc:v1:key{}:", main % 4),
        false => String::new(),
    }
}

fn key_name(number: usize) -> Vec<u8> {
    match number % 5 {
        0 => format!("/registry/pods/default/pod-{number}"),
        1 => format!("/registry/example.com/widgets/ns/w-{number}"),
        2 => format!("/registry/leases/kube-system/l-{number}"),
        3 => format!("plain/{number}"),
        _ => format!("/registry/secrets/{}/s-{number}", "n".repeat(number % 60)),
    }
    .into_bytes()
}

/// An encoded put.
pub(crate) fn put(key: &[u8], create: i64, modified: i64, version: i64, value: &[u8]) -> Vec<u8> {
    let mut out = tombstone(key);
    for (tag, number) in [(0x10, create), (0x18, modified), (0x20, version)] {
        out.push(tag);
        varint(&mut out, number as u64);
    }
    if !value.is_empty() {
        out.push(0x2a);
        varint(&mut out, value.len() as u64);
        out.extend_from_slice(value);
    }
    out
}

/// An encoded tombstone: only the key.
pub(crate) fn tombstone(key: &[u8]) -> Vec<u8> {
    let mut out = vec![0x0a];
    varint(&mut out, key.len() as u64);
    out.extend_from_slice(key);
    out
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The row that a restore with `--bump-revision` writes.
pub(crate) fn phantom(main: i64) -> ModelRow {
    ModelRow { main, sub: 0, key: Vec::new(), is_tombstone: false, value: Vec::new() }
}

/// What a server has left after it compacted at `at`.
///
/// `keeps_tombstone` is the rule of etcd from 3.4.34 and 3.5.16 on for a tombstone exactly at `at`.
pub(crate) fn compact(rows: &[ModelRow], at: i64, keeps_tombstone: bool) -> Vec<ModelRow> {
    let mut newest: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.main <= at) {
        newest.insert(&row.key, index);
    }
    let stays = |index: usize, row: &ModelRow| {
        if row.main > at {
            return true;
        }
        newest.get(row.key.as_slice()) == Some(&index)
            && (!row.is_tombstone || (keeps_tombstone && row.main == at))
    };
    let kept = rows.iter().enumerate().filter(|(index, row)| stays(*index, row));
    kept.map(|(_, row)| row.clone()).collect()
}
