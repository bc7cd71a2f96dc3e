//! Revisions, as they stand in the keys of the `key` bucket.
//!
//! A key is the main revision as 8 bytes big-endian, `_`, the sub revision as 8 bytes big-endian,
//! and a trailing `t` when the row is a tombstone: 17 or 18 bytes. One write transaction has one
//! main revision; its changes count the sub revision from 0.

use std::fmt;

const SEPARATOR: u8 = b'_';
const TOMBSTONE: u8 = b't';

/// Place of a row in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// The transaction. At least 1 in a sound database.
    pub main: i64,
    /// The change within the transaction, counted from 0.
    pub sub: u32,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.main, self.sub)
    }
}

/// A row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey {
    /// Place in the history.
    pub revision: Revision,
    /// Whether the row says that its key was deleted.
    pub is_tombstone: bool,
}

impl RowKey {
    /// Reads a key of the `key` bucket; `None` when it has not this shape.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let (main, rest) = key.split_first_chunk::<8>()?;
        let (&separator, rest) = rest.split_first()?;
        let (sub, mark) = rest.split_first_chunk::<8>()?;
        let is_tombstone = match mark {
            [] => false,
            [TOMBSTONE] => true,
            _ => return None,
        };
        let main = i64::try_from(u64::from_be_bytes(*main)).ok()?;
        let sub = u32::try_from(u64::from_be_bytes(*sub)).ok()?;
        let revision = Revision { main, sub };
        (separator == SEPARATOR).then_some(Self { revision, is_tombstone })
    }

    /// The key of a row that is no tombstone, and the value of `scheduledCompactRev`: the first
    /// change of a transaction.
    #[must_use]
    pub fn first_of(main: i64) -> [u8; 17] {
        let mut key = [0; 17];
        for (at, byte) in key.iter_mut().zip(main.to_be_bytes().into_iter().chain([SEPARATOR])) {
            *at = byte;
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(main: u64, sub: u64, mark: &[u8]) -> Vec<u8> {
        [&main.to_be_bytes(), &b"_"[..], &sub.to_be_bytes(), mark].concat()
    }

    #[test]
    fn reads_puts_and_tombstones() {
        let put = RowKey::parse(&key(7, 3, b"")).unwrap();
        assert_eq!(put, RowKey { revision: Revision { main: 7, sub: 3 }, is_tombstone: false });
        assert!(RowKey::parse(&key(7, 3, b"t")).unwrap().is_tombstone);
        assert_eq!(RowKey::first_of(7).to_vec(), key(7, 0, b""));
    }

    #[test]
    fn refuses_other_shapes() {
        for wrong in [
            key(7, 3, b"x"),
            key(7, 3, b"tt"),
            key(1 << 63, 0, b""),
            key(1, 1 << 32, b""),
            key(1, 0, b"")[..16].to_vec(),
            b"operator-readonly".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(RowKey::parse(&wrong), None, "{wrong:?}");
        }
    }
}
