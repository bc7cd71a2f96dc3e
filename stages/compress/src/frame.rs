//! The header of a zstd frame, as RFC 8878, section 3.1.1.1, lays it out.
//!
//! Owns: the checks that come before the first byte is unpacked. libzstd would accept a frame
//! without a checksum, a skippable frame and a dictionary; a backup must have none of them.

use crate::error::Error;

/// What every frame begins with.
pub(crate) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The longest header: magic, descriptor, window, dictionary id and content size.
pub(crate) const HEADER_BYTES_MAX: usize = 4 + 1 + 1 + 4 + 8;
/// The largest window, as a power of two: what `zstd` itself unpacks without being told to.
pub(crate) const WINDOW_LOG_MAX: u32 = 27;

const WINDOW_BYTES_MAX: u64 = 1 << WINDOW_LOG_MAX;

/// Checks the header that `bytes` begins with, against the rules and against `bytes_max`.
///
/// `bytes` is the beginning of the input: [`HEADER_BYTES_MAX`] bytes, or all there is.
///
/// # Errors
/// Whatever makes the frame unfit for a backup.
pub(crate) fn check(bytes: &[u8], bytes_max: u64) -> Result<(), Error> {
    let rest = strip_magic(bytes)?;
    let mut fields = Fields { rest, bytes_total: bytes.len() };
    let descriptor = fields.take(1)?;
    let single_segment = descriptor & 0b0010_0000 != 0;
    if descriptor & 0b0000_1000 != 0 {
        return Err(Error::Header("its reserved bit is set"));
    }
    if descriptor & 0b0000_0100 == 0 {
        return Err(Error::NoChecksum);
    }
    let window = if single_segment { 0 } else { window_bytes(fields.take(1)?) };
    let dictionary = fields.take([0, 1, 2, 4][usize_of(descriptor & 3)])?;
    if dictionary != 0 {
        // Four bytes at most, so the id always fits.
        let id = u32::try_from(dictionary).unwrap_or(u32::MAX);
        return Err(Error::Dictionary { id });
    }
    let content = match (descriptor >> 6, single_segment) {
        (0, false) => None,
        (0, true) => Some(fields.take(1)?),
        (1, _) => Some(fields.take(2)? + 256),
        (2, _) => Some(fields.take(4)?),
        _ => Some(fields.take(8)?),
    };
    // A frame of a single segment is its own window.
    let window = if single_segment { content.unwrap_or(0) } else { window };
    if content.is_some_and(|bytes| bytes > bytes_max) {
        return Err(Error::TooLarge { bytes_max });
    }
    if window > WINDOW_BYTES_MAX {
        return Err(Error::Window { bytes: window, bytes_max: WINDOW_BYTES_MAX });
    }
    Ok(())
}

/// What follows a frame, told by its first bytes.
pub(crate) fn describe_trailing(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&MAGIC) {
        "a second zstd frame"
    } else if is_skippable(bytes) {
        "a skippable zstd frame"
    } else {
        "bytes that belong to no frame"
    }
}

fn strip_magic(bytes: &[u8]) -> Result<&[u8], Error> {
    if let Some(rest) = bytes.strip_prefix(&MAGIC) {
        return Ok(rest);
    }
    if MAGIC.starts_with(bytes) && !bytes.is_empty() {
        return Err(Error::Truncated { bytes: bytes.len() as u64 });
    }
    Err(Error::NotZstd { found: describe(bytes) })
}

/// The window's size from its descriptor byte: five bits of exponent, three of mantissa.
fn window_bytes(descriptor: u64) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * (descriptor & 7)
}

/// A skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian.
fn is_skippable(bytes: &[u8]) -> bool {
    bytes.len() >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1..4] == [0x2a, 0x4d, 0x18]
}

/// What bytes that are not zstd look like.
fn describe(bytes: &[u8]) -> String {
    // The magic of a bbolt meta page comes after the page's own header of 16 bytes.
    let is_bbolt = bytes.get(16..20).is_some_and(|m| m == [0xed, 0xda, 0x0c, 0xed]);
    let name = match bytes {
        [] => "an empty input",
        _ if is_skippable(bytes) => "a skippable zstd frame",
        _ if is_bbolt => "a plain etcd database",
        _ if bytes.starts_with(b"age-encryption.org") => "an age file (decrypt it first)",
        _ if bytes.starts_with(&[0x1f, 0x8b]) => "gzip",
        _ if bytes.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']) => "xz",
        _ => {
            let shown: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
            return shown.join(" ");
        }
    };
    name.to_owned()
}

/// Reads little-endian numbers off the front.
struct Fields<'a> {
    rest: &'a [u8],
    bytes_total: usize,
}

impl Fields<'_> {
    fn take(&mut self, length: usize) -> Result<u64, Error> {
        let Some((field, rest)) = self.rest.split_at_checked(length) else {
            return Err(Error::Truncated { bytes: self.bytes_total as u64 });
        };
        self.rest = rest;
        let mut number = [0; 8];
        number[..length].copy_from_slice(field);
        Ok(u64::from_le_bytes(number))
    }
}

/// Two bits are always an index.
fn usize_of(bits: u64) -> usize {
    usize::try_from(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Exit, Failure};

    fn header(rest: &[u8]) -> Vec<u8> {
        [MAGIC.as_slice(), rest].concat()
    }

    #[test]
    fn a_window_of_exactly_the_limit_passes_and_one_step_more_does_not() {
        // Exponent 17 is 2^27 bytes; the next mantissa is an eighth more.
        check(&header(&[0b100, 17 << 3]), u64::MAX).unwrap();
        let error = check(&header(&[0b100, 17 << 3 | 1]), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Window { bytes, .. } if bytes == (1 << 27) + (1 << 24)));
        assert_eq!(error.exit(), Exit::Corrupt);
    }

    #[test]
    fn a_single_segment_is_as_large_a_window_as_its_content() {
        let claim = |bytes: u64| header(&[&[0b1110_0100], bytes.to_le_bytes().as_slice()].concat());
        check(&claim(1 << 27), u64::MAX).unwrap();
        let error = check(&claim((1 << 27) + 1), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Window { .. }), "{error}");
        let error = check(&claim(1 << 27), 1000).unwrap_err();
        assert!(matches!(error, Error::TooLarge { bytes_max: 1000 }), "{error}");
    }

    #[test]
    fn dictionaries_checksums_and_reserved_bits_are_told_apart() {
        let error = check(&header(&[0b101, 0, 7]), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Dictionary { id: 7 }), "{error}");
        assert_eq!(error.exit(), Exit::Unsupported);
        // The number 0 means that there is no dictionary, however many bytes say so.
        check(&header(&[0b111, 0, 0, 0, 0, 0]), u64::MAX).unwrap();
        let error = check(&header(&[0, 0]), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::NoChecksum), "{error}");
        let error = check(&header(&[0b1100, 0]), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Header(_)), "{error}");
    }

    #[test]
    fn a_header_cut_anywhere_is_truncated() {
        let whole = header(&[0b1100_0111, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
        check(&whole, u64::MAX).unwrap();
        for length in 1..whole.len() {
            let error = check(&whole[..length], u64::MAX).unwrap_err();
            assert!(matches!(error, Error::Truncated { bytes } if bytes == length as u64));
        }
    }

    #[test]
    fn other_formats_are_named() {
        let mut database = [0; 20];
        database[16..].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
        for (bytes, name) in [
            (b"".as_slice(), "an empty input"),
            (b"age-encryption.org/v1\n", "an age file"),
            (&[0x5e, 0x2a, 0x4d, 0x18, 0], "a skippable zstd frame"),
            (&[0x1f, 0x8b, 8], "gzip"),
            (&database, "a plain etcd database"),
            (&[1, 2, 3, 4, 5], "01 02 03 04"),
        ] {
            let text = check(bytes, u64::MAX).unwrap_err().to_string();
            assert!(text.contains(name), "{text}");
        }
    }
}
