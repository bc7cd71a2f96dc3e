//! The few forms of protobuf that the WAL and the `.snap` file are made of.
//!
//! Writing: fields in the order of the calls, numbers always (proto2: a required 0 is written too).
//! Reading: varints in their shortest form and byte strings, nothing else, no field left over; so
//! that a message has one encoding and every flipped bit shows.

const WIRE_VARINT: u64 = 0;
const WIRE_BYTES: u64 = 2;
const VARINT_BYTES_MAX: usize = 10;

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    put_varint(out, u64::from(field) << 3 | WIRE_VARINT);
    put_varint(out, number);
}

/// Appends a byte string or a message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | WIRE_BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Reads a message field by field, in the order in which they have to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The number that has to come next, in this field.
    pub(crate) fn number(&mut self, field: u8) -> Option<u64> {
        (self.varint()? == u64::from(field) << 3 | WIRE_VARINT).then_some(())?;
        self.varint()
    }

    /// The byte string that has to come next, in this field.
    pub(crate) fn bytes(&mut self, field: u8) -> Option<&'a [u8]> {
        (self.varint()? == u64::from(field) << 3 | WIRE_BYTES).then_some(())?;
        let length = usize::try_from(self.varint()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Whether this field comes next.
    pub(crate) fn is_next(&self, field: u8) -> bool {
        let mut ahead = *self;
        ahead.varint().is_some_and(|tag| tag >> 3 == u64::from(field))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let is_padded = position > 0 && byte == 0;
            if is_padded || (position == VARINT_BYTES_MAX - 1 && bits > 1) {
                return None;
            }
            number |= bits << (7 * position);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, 3, number);
            put_bytes(&mut out, 15, b"text");
            let mut reader = Reader::new(&out);
            assert!(reader.is_next(3) && !reader.is_next(15));
            assert_eq!(reader.number(3), Some(number));
            assert_eq!(reader.bytes(15), Some(&b"text"[..]));
            assert!(reader.is_at_end());
        }
    }

    #[test]
    fn each_message_has_one_encoding() {
        for wrong in [&b"\x08\x80\x00"[..], b"\x88\x00\x01", b"\x08", b"\x08\xff", b"\x10\x01"] {
            assert_eq!(Reader::new(wrong).number(1), None, "{wrong:x?}");
        }
        assert_eq!(Reader::new(b"\x0a\x05abc").bytes(1), None);
        assert_eq!(Reader::new(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").number(1), None);
    }
}
