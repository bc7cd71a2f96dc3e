//! The header of an age file, read with a limit before age itself parses it.
//!
//! Owns: telling an age file from other things, and the kinds of recipients it names. age would
//! read a line of any length and parse the header anew for every line.
//! The format: <https://c2sp.org/age>.

use crate::decrypt::header_error;
use crate::error::{ArtifactError, Stopped};
use std::io::{BufRead, Read};

/// The longest header: 64 recipients of the largest kind, which take about 1.7 KiB each.
pub(crate) const HEADER_BYTES_MAX: usize = 128 << 10;

const MAGIC: &[u8] = b"age-encryption.org/";
const FIRST_LINE: &[u8] = b"age-encryption.org/v1\n";
/// A kind of recipient longer than this is shown cut.
const KIND_CHARS_SHOWN: usize = 32;

/// A header as it was read, from the first line to the line with its MAC.
#[derive(Debug)]
pub(crate) struct Header {
    /// Its bytes, exactly.
    pub(crate) bytes: Vec<u8>,
    kinds: Vec<String>,
}

impl Header {
    /// Reads the header and nothing more.
    ///
    /// # Errors
    /// What the input is instead, or that it ends too early.
    pub(crate) fn read(from: &mut impl BufRead) -> Result<Self, Stopped> {
        let mut bytes = Vec::new();
        let first = FIRST_LINE.len() as u64;
        from.take(first).read_to_end(&mut bytes).map_err(header_error)?;
        if bytes != FIRST_LINE {
            return Err(not_v1(&bytes).into());
        }
        let mut kinds = Vec::new();
        loop {
            let begin = bytes.len();
            let room = (HEADER_BYTES_MAX - begin) as u64;
            let length = from.take(room).read_until(b'\n', &mut bytes).map_err(header_error)?;
            if bytes.len() == HEADER_BYTES_MAX {
                let problem = format!("it does not end within {HEADER_BYTES_MAX} bytes");
                return Err(ArtifactError::Header(problem).into());
            }
            if length == 0 || bytes.last() != Some(&b'\n') {
                return Err(ArtifactError::HeaderTruncated.into());
            }
            let line = &bytes[begin..];
            if line.starts_with(b"---") {
                return Ok(Header { bytes, kinds });
            }
            kinds.extend(kind_of(line));
        }
    }

    /// Whether a passphrase is what opens it.
    pub(crate) fn is_passphrase(&self) -> bool {
        self.kinds.iter().any(|kind| kind == "scrypt")
    }

    /// The kinds of its recipients with their numbers, such as `2 × X25519, 1 × ssh-ed25519`.
    pub(crate) fn kinds(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for kind in &self.kinds {
            match counts.iter_mut().find(|(name, _)| name == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let texts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        if texts.is_empty() {
            return "nobody".to_owned();
        }
        texts.join(", ")
    }
}

/// The first word of a recipient's line `-> KIND ARGUMENTS`. Writers add one with a random name
/// that ends in `-grease`, which readers must ignore.
fn kind_of(line: &[u8]) -> Option<String> {
    let words = line.strip_prefix(b"-> ")?;
    let kind = words.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let text = String::from_utf8_lossy(kind);
    if text.ends_with("-grease") {
        return None;
    }
    Some(text.escape_default().take(KIND_CHARS_SHOWN).collect::<String>())
}

fn not_v1(bytes: &[u8]) -> ArtifactError {
    if FIRST_LINE.starts_with(bytes) && !bytes.is_empty() {
        return ArtifactError::HeaderTruncated;
    }
    match bytes.strip_prefix(MAGIC) {
        Some(version) => {
            ArtifactError::Newer { found: String::from_utf8_lossy(version).trim_end().to_owned() }
        }
        None => ArtifactError::NotAge { found: describe(bytes) },
    }
}

/// What bytes that are not age look like.
fn describe(bytes: &[u8]) -> String {
    // The magic of a bbolt meta page comes after the page's own header of 16 bytes.
    let is_bbolt = bytes.get(16..20).is_some_and(|m| m == [0xed, 0xda, 0x0c, 0xed]);
    let name = match bytes {
        [] => "empty",
        _ if is_bbolt => "a plain etcd database",
        _ if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => "a zstd frame, not encrypted",
        _ if bytes.starts_with(&[0x1f, 0x8b]) => "gzip, not encrypted",
        _ if bytes.starts_with(b"-----BEGIN AGE") => {
            "an armored age file (`age -d` opens it; artifacts are never armored)"
        }
        _ => {
            let shown: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
            return format!("something that begins with {}", shown.join(" "));
        }
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..80),
            3 => Just(b"-> X25519 AAAA".to_vec()),
            1 => Just(b"-> \xff\x1b[2J x".to_vec()),
            1 => Just(b"-> scrypt a 18".to_vec()),
            1 => Just(b"-> zz-grease".to_vec()),
            2 => Just(b"--- mac".to_vec()),
            1 => (1..2 * HEADER_BYTES_MAX).prop_map(|length| vec![b'a'; length]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 500,
            rng_seed: prop::test_runner::RngSeed::Fixed(20_261_120),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// What is read is exactly what stands before the payload, within the limit.
        #[test]
        fn f49_any_header_is_read_to_its_end_or_refused(
            first in prop_oneof![4 => Just(FIRST_LINE.to_vec()), 1 => line()],
            lines in prop::collection::vec(line(), 0..8),
            payload in prop::collection::vec(any::<u8>(), 0..40),
            buffer in 1..100_usize,
        ) {
            let mut input = first;
            for line in lines {
                input.extend_from_slice(&line);
                input.push(b'\n');
            }
            input.extend_from_slice(&payload);
            let mut from = BufReader::with_capacity(buffer, &*input);
            match Header::read(&mut from) {
                Ok(header) => {
                    prop_assert!(header.bytes.len() < HEADER_BYTES_MAX);
                    let mut rest = Vec::new();
                    from.read_to_end(&mut rest).unwrap();
                    prop_assert_eq!([&header.bytes[..], &rest].concat(), input);
                    let last = header.bytes.strip_suffix(b"\n").unwrap();
                    let last = last.rsplit(|byte| *byte == b'\n').next().unwrap();
                    prop_assert!(last.starts_with(b"---"));
                    prop_assert!(!header.kinds().chars().any(char::is_control));
                }
                Err(Stopped::Failed(error)) => {
                    let text = error.to_string();
                    prop_assert!(text.len() < 500 && !text.contains('\u{1b}'), "{}", text);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
