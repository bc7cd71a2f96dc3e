//! One pass over every bucket of a proven database: counts, the status hash, facts, and the
//! history.

use std::collections::BTreeMap;

use bbolt::{BucketTree, Proof};

use crate::crc::CrcCombiner;
use crate::error::VerifyError;
use crate::facts::{Facts, KNOWN_BUCKETS};
use crate::history::History;
use crate::ledger::{Leaf, LeafAt, Ledger, leaves};
use crate::revision::Revision;
use crate::row::RecordProblem;

const KEY_BUCKET: &[u8] = b"key";
const META_BUCKET: &[u8] = b"meta";
const LEASE_BUCKET: &[u8] = b"lease";

/// What the pass finds.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) facts: Facts,
    pub(crate) history: History,
    /// The leaves of the `key` bucket.
    pub(crate) key_leaves: Vec<LeafAt>,
    pub(crate) key_rows: u64,
    /// Rows by bucket.
    pub(crate) rows: BTreeMap<String, u64>,
    pub(crate) unknown_buckets: Vec<String>,
    pub(crate) missing_buckets: Vec<String>,
    pub(crate) leases: u64,
    /// CRC-32C over the names and rows of all buckets, as `etcdutl snapshot status` computes it.
    pub(crate) status_hash: u32,
}

/// Totals of one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    rows: u64,
    crc: u32,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, leaf: &Leaf<'_>, combiner: &CrcCombiner) {
        self.rows += u64::from(leaf.count);
        self.crc = combiner.combine(self.crc, leaf.crc, leaf.bytes);
        self.bytes += leaf.bytes;
    }
}

/// Makes the pass.
///
/// # Errors
/// A missing bucket, a malformed fact, a damaged or missing row, or the scratch file.
pub(crate) fn survey(
    proof: &Proof,
    ledger: &Ledger,
    combiner: &CrcCombiner,
) -> Result<Survey, VerifyError> {
    let key = find(proof, KEY_BUCKET, "key")?;
    find(proof, META_BUCKET, "meta")?;

    // The history depends on the compact revision, which stands in a bucket that comes later.
    let mut facts = Facts::default();
    let mut tallies = BTreeMap::new();
    for bucket in proof.buckets.iter().filter(|bucket| bucket.name != KEY_BUCKET) {
        let tally = read_facts(bucket, ledger, combiner, &mut facts)?;
        tallies.insert(bucket.name.as_slice(), tally);
    }
    let mut history = History::new(facts.compact_revision());
    let key_leaves = leaves(&key.content);
    let key_tally = read_history(&key_leaves, ledger, combiner, &mut history)?;
    tallies.insert(KEY_BUCKET, key_tally);

    let is_missing = |name: &&&[u8]| !tallies.contains_key(**name);
    let is_unknown = |name: &&&[u8]| !KNOWN_BUCKETS.contains(*name);
    Ok(Survey {
        facts,
        history,
        key_leaves,
        key_rows: key_tally.rows,
        unknown_buckets: tallies.keys().filter(is_unknown).map(|name| printable(name)).collect(),
        missing_buckets: KNOWN_BUCKETS.iter().filter(is_missing).map(|n| printable(n)).collect(),
        leases: tallies.get(LEASE_BUCKET).map_or(0, |tally| tally.rows),
        status_hash: status_hash(&tallies, combiner),
        rows: tallies.iter().map(|(name, tally)| (printable(name), tally.rows)).collect(),
    })
}

fn find<'a>(
    proof: &'a Proof,
    name: &[u8],
    bucket: &'static str,
) -> Result<&'a BucketTree, VerifyError> {
    let found = proof.buckets.iter().find(|candidate| candidate.name == name);
    found.ok_or(VerifyError::MissingBucket { bucket })
}

fn printable(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

/// `tallies` are in the byte order of the names, which is the order of the hash.
fn status_hash(tallies: &BTreeMap<&[u8], Tally>, combiner: &CrcCombiner) -> u32 {
    tallies.iter().fold(0, |hash, (name, tally)| {
        combiner.combine(crc32c::crc32c_append(hash, name), tally.crc, tally.bytes)
    })
}

fn read_facts(
    bucket: &BucketTree,
    ledger: &Ledger,
    combiner: &CrcCombiner,
    facts: &mut Facts,
) -> Result<Tally, VerifyError> {
    let mut tally = Tally::default();
    for at in leaves(&bucket.content) {
        ledger.with_leaf(at, |leaf| {
            tally.add(leaf, combiner);
            leaf.facts().iter().try_for_each(|fact| facts.take(&bucket.name, *fact))
        })?;
    }
    Ok(tally)
}

fn read_history(
    key_leaves: &[LeafAt],
    ledger: &Ledger,
    combiner: &CrcCombiner,
    history: &mut History,
) -> Result<Tally, VerifyError> {
    let mut tally = Tally::default();
    for at in key_leaves {
        ledger.with_leaf(*at, |leaf| {
            tally.add(leaf, combiner);
            let Some(mut rows) = leaf.rows() else {
                return Err(VerifyError::Record {
                    page: at.page(),
                    revision: Revision::default(),
                    problem: RecordProblem::NotARevision,
                });
            };
            rows.try_for_each(|row| history.take(at.page(), &row))
        })?;
    }
    Ok(tally)
}
