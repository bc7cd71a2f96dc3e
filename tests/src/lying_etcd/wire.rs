//! Protobuf messages as lists of fields: read, edited, and written with everything else as it was.
//!
//! Source of the format: Protocol Buffers, "Encoding". A field that nobody edits keeps its place
//! and its bytes, so that an answer of any version of etcd passes.
//! Does not: know any message; field numbers are the caller's.

/// The value of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Integers, booleans and enumerations.
    Number(u64),
    /// Eight bytes, little-endian.
    Fixed64([u8; 8]),
    /// Strings, bytes, and messages in a message.
    Bytes(Vec<u8>),
    /// Four bytes, little-endian.
    Fixed32([u8; 4]),
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(u32, Value)>);

impl Fields {
    /// Reads a message; `None` when the bytes are none.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = take_number(&mut bytes)?;
            let value = match tag & 7 {
                0 => Value::Number(take_number(&mut bytes)?),
                1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
                2 => {
                    let length = usize::try_from(take_number(&mut bytes)?).ok()?;
                    Value::Bytes(take(&mut bytes, length)?.to_vec())
                }
                5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
                _ => return None,
            };
            fields.push((u32::try_from(tag >> 3).ok()?, value));
        }
        Some(Fields(fields))
    }

    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, value) in &self.0 {
            let tag = |kind: u64| u64::from(*field) << 3 | kind;
            match value {
                Value::Number(number) => {
                    put_number(&mut out, tag(0));
                    put_number(&mut out, *number);
                }
                Value::Fixed64(bytes) => {
                    put_number(&mut out, tag(1));
                    out.extend_from_slice(bytes);
                }
                Value::Bytes(bytes) => {
                    put_number(&mut out, tag(2));
                    put_number(&mut out, bytes.len() as u64);
                    out.extend_from_slice(bytes);
                }
                Value::Fixed32(bytes) => {
                    put_number(&mut out, tag(5));
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// A number; 0, protobuf's default, if it is not there.
    #[must_use]
    pub fn number(&self, field: u32) -> u64 {
        match self.value(field) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// Bytes; none, protobuf's default, if they are not there.
    #[must_use]
    pub fn bytes(&self, field: u32) -> &[u8] {
        match self.value(field) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    fn value(&self, field: u32) -> Option<&Value> {
        self.0.iter().rev().find(|(number, _)| *number == field).map(|(_, value)| value)
    }

    /// Sets a field that does not repeat.
    pub fn set(&mut self, field: u32, value: Value) {
        self.remove(field);
        self.push(field, value);
    }

    /// Sets a number.
    pub fn set_number(&mut self, field: u32, number: u64) {
        self.set(field, Value::Number(number));
    }

    /// Takes a field away, with all its repetitions.
    pub fn remove(&mut self, field: u32) {
        self.0.retain(|(number, _)| *number != field);
    }

    /// Adds a repetition of a field.
    pub fn push(&mut self, field: u32, value: Value) {
        self.0.push((field, value));
    }

    /// Edits each message in this field.
    pub fn each(&mut self, field: u32, change: impl Fn(&mut Fields)) {
        let all = self.0.iter_mut().filter(|(number, _)| *number == field);
        for (_, value) in all {
            if let Value::Bytes(bytes) = value
                && let Some(mut inner) = Fields::parse(bytes)
            {
                change(&mut inner);
                *bytes = inner.encode();
            }
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
