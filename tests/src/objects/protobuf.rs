//! Just enough of the protobuf wire format to write messages.
//!
//! Fields are written in the order of the calls; empty strings are written too.
//! Does not: read.

/// The bytes of a message.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn string(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u32, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub(super) fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.push_varint(u64::from(field << 3 | 2));
        self.push_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.push_varint(u64::from(field << 3));
        self.push_varint(value);
        self
    }

    /// An entry of a `map<string, string>`.
    pub(super) fn entry(self, field: u32, key: &str, value: &str) -> Self {
        self.message(field, &Message::default().string(1, key).string(2, value))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }
}
