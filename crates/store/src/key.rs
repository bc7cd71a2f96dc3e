//! Which keys may name an object: the same rule for every backend, so that a backup can be
//! copied between any two of them.
//!
//! A key is one to sixteen non-empty segments of visible characters joined by `/`. No segment
//! begins with a dot: that excludes `.` and `..`, and keeps hidden unfinished files apart.

/// The longest key, in bytes (the limit of S3 and GCS, without the destination's prefix).
pub const KEY_BYTES_MAX: usize = 900;
/// The longest segment, in bytes: a file name may have 255, and an unfinished file needs
/// some of them for itself.
pub(crate) const SEGMENT_BYTES_MAX: usize = 200;
/// How deep a key may be.
pub(crate) const SEGMENTS_MAX: usize = 16;

/// Why a key cannot name an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing, or nothing between two slashes.
    #[error("it has an empty segment")]
    EmptySegment,
    /// Longer than [`KEY_BYTES_MAX`], or a segment longer than 200 bytes.
    #[error("it is too long")]
    TooLong,
    /// More than 16 segments.
    #[error("it has too many segments")]
    TooDeep,
    /// A segment begins with a dot.
    #[error("a segment begins with a dot")]
    Dot,
    /// A control character, NUL included, or a backslash.
    #[error("it contains a control character or a backslash")]
    BadCharacter,
}

/// Whether `key` may name an object.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_key(key: &str) -> Result<(), KeyProblem> {
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyProblem::TooLong);
    }
    if key.chars().any(|c| c.is_control() || c == '\\') {
        return Err(KeyProblem::BadCharacter);
    }
    if key.split('/').count() > SEGMENTS_MAX {
        return Err(KeyProblem::TooDeep);
    }
    key.split('/').try_for_each(check_segment)
}

/// Whether `prefix` may begin a key: a key, a key and `/`, or nothing.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), KeyProblem> {
    match prefix.strip_suffix('/').unwrap_or(prefix) {
        "" if prefix.is_empty() => Ok(()),
        stem => check_key(stem),
    }
}

fn check_segment(segment: &str) -> Result<(), KeyProblem> {
    match segment {
        "" => Err(KeyProblem::EmptySegment),
        s if s.starts_with('.') => Err(KeyProblem::Dot),
        s if s.len() > SEGMENT_BYTES_MAX => Err(KeyProblem::TooLong),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_name_objects() {
        for key in ["a", "prod/daily/20260101T000000Z-1-x.db.zst.age", "a b/ü=1/c..d", "a/b.c"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn keys_that_do_not() {
        let long = "x".repeat(SEGMENT_BYTES_MAX + 1);
        let deep = vec!["x"; SEGMENTS_MAX + 1].join("/");
        for (key, problem) in [
            ("", KeyProblem::EmptySegment),
            ("/a", KeyProblem::EmptySegment),
            ("a/", KeyProblem::EmptySegment),
            ("a//b", KeyProblem::EmptySegment),
            ("../a", KeyProblem::Dot),
            ("a/../b", KeyProblem::Dot),
            ("a/./b", KeyProblem::Dot),
            ("a/.b.partial", KeyProblem::Dot),
            ("a\0b", KeyProblem::BadCharacter),
            ("a\nb", KeyProblem::BadCharacter),
            ("a\\b", KeyProblem::BadCharacter),
            (long.as_str(), KeyProblem::TooLong),
            (deep.as_str(), KeyProblem::TooDeep),
        ] {
            assert_eq!(check_key(key), Err(problem), "{key:?}");
        }
    }

    #[test]
    fn prefixes_begin_keys() {
        for prefix in ["", "a", "a/", "a/b/"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in ["/", "a//", "../", "."] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
