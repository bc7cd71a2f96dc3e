//! HashKV: the hash by which etcd members compare their key spaces, computed from the snapshot.
//!
//! CRC-32C over the bucket's name and then every row (key, value) with a main revision up to R,
//! except those that a compaction at C removes or will remove: rows at or below C that are not
//! current at R, and a tombstone exactly at C (etcd up to 3.4.33 and 3.5.15 deletes it, later ones
//! keep it, and all hash without it). When no key is live at R, servers skip nothing by the first
//! rule, so the value depends on how far each one's compaction has come.
//!
//! Members compare equal when revision, compact revision and hash agree. A snapshot compacted at or
//! below C still holds every row that counts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::crc::CrcCombiner;
use crate::error::VerifyError;
use crate::keep::{Keep, Rows};
use crate::ledger::Leaf;
use crate::limits::HASHKV_PAIRS_MAX;
use crate::report::{MemberComparison, NotComparable, Verdict};
use crate::row::Row;

/// Compact revision of a store that was never compacted, as servers write it.
pub(crate) const NEVER_COMPACTED: i64 = -1;

const BUCKET: &[u8] = b"key";

/// What one member answered when it was asked for HashKV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHashKv {
    /// The member, as reports and errors shall name it.
    pub member: String,
    /// Revision that was asked for (or `hash_revision` of the answer).
    pub revision: i64,
    /// `compact_revision` of the answer; -1 when the member never compacted.
    pub compact_revision: i64,
    /// `hash` of the answer.
    pub hash: u32,
}

/// Computes HashKV at any pair of revision and compact revision.
#[derive(Debug)]
pub(crate) struct HashKv<'a> {
    rows: Rows<'a>,
    combiner: &'a CrcCombiner,
    seen_bytes_max: usize,
    /// Current rows by revision.
    keeps: HashMap<i64, Keep>,
    /// Results by revision and compact revision.
    hashes: HashMap<(i64, i64), Option<u32>>,
}

// === impl HashKv ===

impl<'a> HashKv<'a> {
    pub(crate) fn new(rows: Rows<'a>, combiner: &'a CrcCombiner, seen_bytes_max: usize) -> Self {
        Self { rows, combiner, seen_bytes_max, keeps: HashMap::new(), hashes: HashMap::new() }
    }

    /// Takes the current rows of a revision that somebody else computed already.
    pub(crate) fn insert_keep(&mut self, revision: i64, keep: Keep) {
        self.keeps.insert(revision, keep);
    }

    /// The current rows of a revision, if they were needed before.
    pub(crate) fn take_keep(&mut self, revision: i64) -> Option<Keep> {
        self.keeps.remove(&revision)
    }

    /// HashKV at a pair; `None` when no key is live and the value is not determined.
    pub(crate) fn at(&mut self, revision: i64, compact: i64) -> Result<Option<u32>, VerifyError> {
        if let Some(hash) = self.hashes.get(&(revision, compact)) {
            return Ok(*hash);
        }
        if self.hashes.len() >= HASHKV_PAIRS_MAX {
            return Err(VerifyError::Unsupported {
                limit: "HASHKV_PAIRS_MAX",
                detail: format!("members answered at more than {HASHKV_PAIRS_MAX} revisions"),
            });
        }
        if !self.keeps.contains_key(&revision) {
            let keep = Keep::at(self.rows, revision, 0, self.seen_bytes_max)?;
            self.keeps.insert(revision, keep);
        }
        let hash = match self.keeps.get(&revision) {
            Some(keep) if keep.live > 0 || compact == NEVER_COMPACTED => {
                let range = Range { revision, compact, skips: keep.live > 0 };
                Some(hash_rows(self.rows, self.combiner, range, keep)?)
            }
            _ => None,
        };
        self.hashes.insert((revision, compact), hash);
        Ok(hash)
    }

    /// Compares a member's answer. `own` is the snapshot's revision and compact revision.
    pub(crate) fn compare(
        &mut self,
        answer: &MemberHashKv,
        own: (i64, i64),
    ) -> Result<MemberComparison, VerifyError> {
        let (revision, compact) = (answer.revision, answer.compact_revision);
        let mut computed = None;
        let reason = if revision > own.0 {
            Some(NotComparable::RevisionAfterSnapshot)
        } else if compact < own.1 {
            Some(NotComparable::SnapshotCompactedFurther)
        } else if compact > revision {
            Some(NotComparable::CompactedPastRevision)
        } else {
            match self.at(revision, compact)? {
                None => Some(NotComparable::NoLiveKey),
                found => {
                    computed = found;
                    None
                }
            }
        };
        let verdict = match computed {
            None => Verdict::NotComparable,
            Some(found) if found == answer.hash => Verdict::Agrees,
            Some(_) => Verdict::Disagrees,
        };
        Ok(MemberComparison {
            member: answer.member.clone(),
            revision,
            compact_revision: compact,
            hash: answer.hash,
            verdict,
            computed: computed.filter(|_| verdict == Verdict::Disagrees),
            reason,
        })
    }
}

/// Revision and compact revision of a computation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) revision: i64,
    pub(crate) compact: i64,
    /// Whether rows that are compacted and not current are left out.
    pub(crate) skips: bool,
}

impl Range {
    fn includes(self, row: &Row, is_current: bool) -> bool {
        let main = row.revision.main;
        let skipped = main <= self.compact && self.skips && !is_current;
        main <= self.revision && !skipped && !(main == self.compact && row.is_tombstone)
    }
}

pub(crate) fn hash_rows(
    rows: Rows<'_>,
    combiner: &CrcCombiner,
    range: Range,
    keep: &Keep,
) -> Result<u32, VerifyError> {
    let mut hash = crc32c::crc32c(BUCKET);
    let mut index = 0;
    for at in rows.leaves {
        rows.ledger.with_leaf(*at, |leaf| {
            let is_included = |row: &Row, number| range.includes(row, keep.contains(number));
            hash = hash_leaf(leaf, combiner, hash, index, is_included);
            index += u64::from(leaf.count);
            Ok(())
        })?;
    }
    Ok(hash)
}

/// Adds the included rows of a leaf, whose first row has number `index`. A leaf that is included as
/// a whole counts by its own CRC.
fn hash_leaf(
    leaf: &Leaf<'_>,
    combiner: &CrcCombiner,
    hash: u32,
    index: u64,
    is_included: impl Fn(&Row, u64) -> bool,
) -> u32 {
    let numbered = || leaf.rows().into_iter().flatten().zip(index..);
    if numbered().all(|(row, number)| is_included(&row, number)) {
        return combiner.combine(hash, leaf.crc, leaf.bytes);
    }
    numbered()
        .filter(|(row, number)| is_included(row, *number))
        .fold(hash, |hash, (row, _)| combiner.combine(hash, row.crc, u64::from(row.bytes)))
}
