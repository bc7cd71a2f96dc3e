//! What is kept of each row of the `key` bucket: 32 bytes, none of them plaintext.
//!
//! A row is judged when it passes, but the judgement only counts if the page turns out to be live.
//! The key is kept as a 64-bit hash under a random secret: enough to tell which rows are of one key
//! (two of ten million keys collide with a chance of three in a million), and useless to anybody
//! who finds it.

use std::hash::{BuildHasher, RandomState};

use bbolt::LeafElement;

use crate::encryption::EncryptionNames;
use crate::groups::ResourceGroups;
use crate::key_value::KeyValue;
use crate::revision::{Revision, RowKey};

/// A row in the summary of its page: 32 bytes.
pub(crate) type EncodedRow = [[u8; WORD_BYTES]; ROW_WORDS];

pub(crate) const WORD_BYTES: usize = 8;
pub(crate) const ROW_WORDS: usize = 4;

const TOMBSTONE: u8 = 1;
const PHANTOM: u8 = 2;
const UNKNOWN_FIELDS: u8 = 4;
/// The flags above these three are the number of the row's encryption.
const ENCRYPTION_SHIFT: u32 = 3;

/// What is wrong with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// A key that is not a revision.
    #[error("a key of the bucket is not a revision")]
    NotARevision,
    /// The value is not a `mvccpb.KeyValue`.
    #[error("the value does not decode")]
    Undecodable,
    /// The value names no key.
    #[error("the value names no key")]
    NoKey,
    /// The main revision is 0.
    #[error("the revision is below 1")]
    ZeroRevision,
    /// The value says that another revision wrote it.
    #[error("the value says that another revision wrote it")]
    ModRevision,
    /// The create revision is not within 1 and the mod revision.
    #[error("the create revision is out of range")]
    CreateRevision,
    /// The version is below 1, or is 1 for a key that existed, or is not 1 for a new key.
    #[error("the version contradicts the create revision")]
    Version,
    /// A tombstone with more than a key.
    #[error("the tombstone holds more than a key")]
    Tombstone,
    /// Two rows with one revision.
    #[error("the revision is not greater than the one before it ({previous})")]
    Order {
        /// Revision of the row before.
        previous: Revision,
    },
    /// A main revision that does not follow the one before it.
    #[error("rows are missing: revision {expected} should come here")]
    Gap {
        /// Revision that should come here.
        expected: Revision,
    },
}

/// The problems that a row can have by itself, in the order of their codes (1 and up).
const PROBLEMS: [RecordProblem; 7] = [
    RecordProblem::Undecodable,
    RecordProblem::NoKey,
    RecordProblem::ZeroRevision,
    RecordProblem::ModRevision,
    RecordProblem::CreateRevision,
    RecordProblem::Version,
    RecordProblem::Tombstone,
];

/// A row as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) revision: Revision,
    /// Keyed hash of the user's key.
    pub(crate) key_hash: u64,
    /// CRC-32C of the row's key and value.
    pub(crate) crc: u32,
    /// Length of the row's key and value.
    pub(crate) bytes: u32,
    /// The key's Kubernetes resource.
    pub(crate) group: u16,
    /// The provider and key that Kubernetes encrypted the value with: a number of five bits.
    pub(crate) encryption: u8,
    pub(crate) is_tombstone: bool,
    /// The row that `etcdutl snapshot restore --bump-revision` writes: an empty value.
    pub(crate) is_phantom: bool,
    pub(crate) has_unknown_fields: bool,
    pub(crate) problem: Option<RecordProblem>,
}

/// Judges rows as they pass.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    secret: RandomState,
    groups: ResourceGroups,
    encryption: EncryptionNames,
}

// === impl RowReader ===

impl RowReader {
    /// The row that an element is; `None` when its key is not a revision.
    pub(crate) fn read(&mut self, element: &LeafElement<'_>) -> Option<Row> {
        let row_key = RowKey::parse(element.key)?;
        let value = element.value;
        let decoded = KeyValue::decode(value);
        let kv = decoded.unwrap_or_default();
        let is_phantom = value.is_empty() && !row_key.is_tombstone && row_key.revision.sub == 0;
        let problem = match decoded {
            None => Some(RecordProblem::Undecodable),
            Some(_) if row_key.revision.main < 1 => Some(RecordProblem::ZeroRevision),
            Some(_) if is_phantom => None,
            Some(kv) => check_value(&kv, &row_key),
        };
        Some(Row {
            revision: row_key.revision,
            key_hash: self.secret.hash_one(kv.key),
            crc: crc32c::crc32c(element.both),
            bytes: u32::try_from(element.both.len()).unwrap_or(u32::MAX),
            group: self.groups.of(kv.key),
            encryption: self.encryption.of(kv.value),
            is_tombstone: row_key.is_tombstone,
            is_phantom,
            has_unknown_fields: kv.has_unknown_fields,
            problem,
        })
    }

    pub(crate) fn into_names(self) -> (ResourceGroups, EncryptionNames) {
        (self.groups, self.encryption)
    }
}

fn check_value(kv: &KeyValue<'_>, row_key: &RowKey) -> Option<RecordProblem> {
    if kv.key.is_empty() {
        return Some(RecordProblem::NoKey);
    }
    if row_key.is_tombstone {
        return (!kv.is_only_key()).then_some(RecordProblem::Tombstone);
    }
    if kv.mod_revision != row_key.revision.main {
        return Some(RecordProblem::ModRevision);
    }
    if !(1..=kv.mod_revision).contains(&kv.create_revision) {
        return Some(RecordProblem::CreateRevision);
    }
    let is_new = kv.create_revision == kv.mod_revision;
    (kv.version < 1 || is_new != (kv.version == 1)).then_some(RecordProblem::Version)
}

// === impl Row ===

impl Row {
    /// The row as four little-endian words: main revision; key hash; CRC and length; sub revision,
    /// group, flags and problem.
    pub(crate) fn encode(&self) -> EncodedRow {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.is_tombstone, TOMBSTONE)
            | flag(self.is_phantom, PHANTOM)
            | flag(self.has_unknown_fields, UNKNOWN_FIELDS)
            | self.encryption << ENCRYPTION_SHIFT;
        let code = self.problem.and_then(|problem| PROBLEMS.iter().position(|one| *one == problem));
        let code = code.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0);
        let marks = u64::from(self.group) | u64::from(flags) << 16 | u64::from(code) << 24;
        [
            self.revision.main.to_le_bytes(),
            self.key_hash.to_le_bytes(),
            (u64::from(self.crc) | u64::from(self.bytes) << 32).to_le_bytes(),
            (u64::from(self.revision.sub) | marks << 32).to_le_bytes(),
        ]
    }

    /// The row that [`Row::encode`] wrote.
    pub(crate) fn decode(row: &EncodedRow) -> Self {
        let [main, key_hash, content, marks] = row.map(u64::from_le_bytes);
        let [.., group_low, group_high, flags, code] = marks.to_le_bytes();
        Self {
            revision: Revision { main: main.cast_signed(), sub: low_half(marks) },
            key_hash,
            crc: low_half(content),
            bytes: low_half(content >> 32),
            group: u16::from_le_bytes([group_low, group_high]),
            encryption: flags >> ENCRYPTION_SHIFT,
            is_tombstone: flags & TOMBSTONE != 0,
            is_phantom: flags & PHANTOM != 0,
            has_unknown_fields: flags & UNKNOWN_FIELDS != 0,
            problem: usize::from(code).checked_sub(1).and_then(|at| PROBLEMS.get(at)).copied(),
        }
    }
}

fn low_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let row = Row {
            revision: Revision { main: i64::MAX - 1, sub: 0xFEDC_BA98 },
            key_hash: 0x0123_4567_89AB_CDEF,
            crc: 0x89AB_CDEF,
            bytes: 0x7654_3210,
            group: 0xBEEF,
            ..Row::default()
        };
        let problems = PROBLEMS.into_iter().map(Some).chain([None]);
        for (number, problem) in problems.enumerate() {
            let row = Row {
                encryption: if number % 2 == 0 { 31 } else { 21 },
                is_tombstone: number % 2 == 0,
                is_phantom: number % 3 == 0,
                has_unknown_fields: number % 4 == 0,
                problem,
                ..row
            };
            assert_eq!(Row::decode(&row.encode()), row);
        }
    }
}
