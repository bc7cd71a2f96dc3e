//! A reader for the one protobuf message in the `key` bucket: `mvccpb.KeyValue`.
//!
//! Fields: 1 key (bytes), 2 create revision, 3 mod revision, 4 version, 5 value (bytes), 6 lease;
//! the numbers are varints. Fields that a newer etcd might add are skipped and noted. Nothing is
//! copied.

const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

const VARINT_BYTES_MAX: usize = 10;

/// A decoded row value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyValue<'a> {
    /// The user's key.
    pub key: &'a [u8],
    /// Revision that created the key in its present generation.
    pub create_revision: i64,
    /// Revision that wrote this row.
    pub mod_revision: i64,
    /// Number of writes in the generation, from 1.
    pub version: i64,
    /// The user's value.
    pub value: &'a [u8],
    /// Lease that the key hangs on, 0 for none.
    pub lease: i64,
    /// Whether the message has fields that this reader does not know.
    pub has_unknown_fields: bool,
}

impl<'a> KeyValue<'a> {
    /// Decodes a message; `None` when it is not well-formed.
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let mut kv = Self::default();
        let mut rest = message;
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let (field, wire) = (tag >> 3, tag & 7);
            match (field, wire) {
                (1, WIRE_BYTES) => kv.key = bytes(&mut rest)?,
                (2, WIRE_VARINT) => kv.create_revision = signed(&mut rest)?,
                (3, WIRE_VARINT) => kv.mod_revision = signed(&mut rest)?,
                (4, WIRE_VARINT) => kv.version = signed(&mut rest)?,
                (5, WIRE_BYTES) => kv.value = bytes(&mut rest)?,
                (6, WIRE_VARINT) => kv.lease = signed(&mut rest)?,
                // A known field of another type is damage; field 0 does not exist.
                (0..=6, _) => return None,
                _ => {
                    skip(&mut rest, wire)?;
                    kv.has_unknown_fields = true;
                }
            }
        }
        Some(kv)
    }

    /// Whether nothing but the key is set, as in a tombstone.
    pub fn is_only_key(&self) -> bool {
        let key_only =
            Self { key: self.key, has_unknown_fields: self.has_unknown_fields, ..Self::default() };
        !self.key.is_empty() && *self == key_only
    }
}

fn skip(rest: &mut &[u8], wire: u64) -> Option<()> {
    match wire {
        WIRE_VARINT => varint(rest).map(|_| ()),
        WIRE_FIXED64 => take(rest, 8).map(|_| ()),
        WIRE_BYTES => bytes(rest).map(|_| ()),
        WIRE_FIXED32 => take(rest, 4).map(|_| ()),
        _ => None,
    }
}

pub(crate) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for position in 0..VARINT_BYTES_MAX {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if position == VARINT_BYTES_MAX - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * position);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn signed(rest: &mut &[u8]) -> Option<i64> {
    varint(rest).map(u64::cast_signed)
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_a_put() {
        let message = b"\x0a\x03foo\x10\x02\x18\x05\x20\x03\x2a\x02hi\x30\xac\x02";
        let kv = KeyValue::decode(message).unwrap();
        assert_eq!((kv.key, kv.value), (&b"foo"[..], &b"hi"[..]));
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.lease), (2, 5, 3, 300));
        assert!(!kv.has_unknown_fields && !kv.is_only_key());
    }

    #[test]
    fn a_tombstone_is_only_a_key() {
        assert!(KeyValue::decode(b"\x0a\x03foo").unwrap().is_only_key());
        assert!(!KeyValue::decode(b"\x0a\x03foo\x18\x05").unwrap().is_only_key());
        assert!(!KeyValue::decode(b"").unwrap().is_only_key());
    }

    #[test]
    fn unknown_fields_are_skipped_and_noted() {
        let kv = KeyValue::decode(b"\x0a\x01k\x38\x01\x41\0\0\0\0\0\0\0\0\x4a\x01z\x55\0\0\0\0")
            .unwrap();
        assert!(kv.has_unknown_fields);
        assert_eq!(kv.key, b"k");
    }

    #[test]
    fn refuses_malformed_messages() {
        for wrong in [
            &b"\x0a\x05foo"[..],
            b"\x0a",
            b"\x08\x01",
            b"\x00\x01",
            b"\x10",
            b"\x3b",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",
        ] {
            assert_eq!(KeyValue::decode(wrong), None, "{wrong:x?}");
        }
    }
}
