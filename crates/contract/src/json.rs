//! Versioned JSON documents (plans, receipts, manifests), read from bytes that nobody vouches for.
//!
//! Owns: the version before anything else is understood, the refusal of a key that stands twice
//! in one object at any depth (readers differ in which of the two they believe), and texts about
//! it that fit on a line.
//!
//! Invariant: what does not fit the wanted type is not kept in memory.

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::fmt;

/// How much of somebody else's text a message repeats, in characters.
const BRIEF_CHARS_MAX: usize = 300;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not such a document.
    #[error("{0}")]
    Malformed(String),
    /// A newer program wrote it.
    #[error("it has format version {found}")]
    Newer {
        /// The version in it.
        found: u64,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// Reads a document whose versions begin at 1 and are known up to `version_max`.
///
/// # Errors
/// [`JsonError`]; the text of it is [`brief`].
pub fn read_json<T: DeserializeOwned>(bytes: &[u8], version_max: u32) -> Result<T, JsonError> {
    let malformed = |e: serde_json::Error| JsonError::Malformed(brief(&e.to_string()));
    let Unique = serde_json::from_slice(bytes).map_err(malformed)?;
    match serde_json::from_slice::<Versioned>(bytes) {
        Err(_) | Ok(Versioned { version: 0 }) => {
            Err(JsonError::Malformed("it has no version".into()))
        }
        Ok(Versioned { version }) if version > u64::from(version_max) => {
            Err(JsonError::Newer { found: version })
        }
        Ok(_) => serde_json::from_slice(bytes).map_err(malformed),
    }
}

/// Somebody else's text on one line of at most some hundred characters, none of which acts on a
/// terminal or forges a line of a log.
#[must_use]
pub fn brief(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == BRIEF_CHARS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Any JSON in which no object has a key twice. Nothing of it is kept.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unique, A::Error> {
        while list.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                let _: IgnoredAny = map.next_value()?;
                return Err(A::Error::custom(format_args!("duplicate field {key:?}")));
            }
            keys.insert(key);
            let Unique = map.next_value()?;
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(text: &str) -> Result<BTreeMap<String, serde_json::Value>, JsonError> {
        read_json(text.as_bytes(), 2)
    }

    fn problem(text: &str) -> String {
        let error = read(text).unwrap_err();
        assert!(matches!(error, JsonError::Malformed(_)), "{error:?}");
        error.to_string()
    }

    #[test]
    fn f47_a_key_that_stands_twice_is_refused_at_any_depth() {
        assert!(problem(r#"{"version":1,"a":1,"a":1}"#).contains("duplicate field \"a\""));
        assert!(problem(r#"{"version":1,"version":1}"#).contains("\"version\""));
        assert!(problem(r#"{"version":1,"a":[{"b":{"c":1,"c":2}}]}"#).contains("\"c\""));
        // One key in two spellings.
        assert!(problem(r#"{"version":1,"a":1,"\u0061":2}"#).contains("\"a\""));
        read(r#"{"version":1,"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).unwrap();
    }

    #[test]
    fn i25_the_version_comes_first() {
        assert_eq!(read(r#"{"version":3,"a":1}"#), Err(JsonError::Newer { found: 3 }));
        read(r#"{"version":2}"#).unwrap();
        for without in
            ["{}", r#"{"version":0}"#, r#"{"version":-1}"#, r#"{"version":"1"}"#, "[]", "7"]
        {
            assert_eq!(problem(without), "it has no version", "{without}");
        }
    }

    #[test]
    fn a_message_is_one_short_line() {
        let long = format!("{{\"version\":\"{}\"", "x".repeat(100_000));
        assert!(problem(&long).chars().count() <= BRIEF_CHARS_MAX + 1);
        assert_eq!(brief("a\nerror: b\u{1b}[2J"), "a\\nerror: b\\u{1b}[2J");
        assert_eq!(brief(&"ü".repeat(301)).chars().count(), 301);
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert!(problem(&deep).contains("recursion limit"));
    }
}
