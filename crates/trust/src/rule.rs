//! The rule: what is believed of a document and of the signature in it.

use crate::key::decoded;
use crate::{PublicKey, statement};
use contract::brief;
use contract::facts::Signature;
use jiff::Timestamp;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// `[trust]`: whose backups are believed. Without signers everything is, as far as its bytes are right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Public keys, any one of which signs for a backup.
    #[serde(deserialize_with = "one_or_many")]
    pub signers: Vec<PublicKey>,
    /// Backups that say they were taken before this need no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned_until: Option<Timestamp>,
}

/// One key, keys with commas between them, as in an environment variable, or a list. What is no key is
/// repeated in no message: it may be the secret one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PublicKey>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<PublicKey>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a public key, or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<PublicKey>, E> {
            text.split(',').map(|key| key.trim().parse().map_err(E::custom)).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<PublicKey>, A::Error> {
            let mut all = Vec::new();
            while let Some(key) = list.next_element()? {
                all.push(key);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

/// A signature of somebody who is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The public key.
    pub key: String,
    /// SHA-256 of what was signed, in hex: the same for every copy, whatever was said of copies.
    pub statement_sha256: String,
}

/// Why a document is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Nobody signed it.
    #[error("nobody signed it, and [trust] wants a signature")]
    Unsigned,
    /// Something stands where its signature belongs.
    #[error("what stands where its signature belongs is none")]
    NoSignature,
    /// It names a key that is not trusted.
    #[error("it is signed with {key}, which [trust] does not list")]
    UnknownKey {
        /// The key that it names.
        key: String,
    },
    /// The key is trusted, and did not sign this.
    #[error("the signature of {key} does not hold: it was changed after it was signed")]
    Changed {
        /// The key.
        key: String,
    },
}

impl Trust {
    /// The text of each signer's key, in order.
    #[must_use]
    pub fn signer_names(&self) -> Vec<String> {
        let names: BTreeSet<String> = self.signers.iter().map(ToString::to_string).collect();
        names.into_iter().collect()
    }

    /// Whether a signature is asked for at all.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.signers.is_empty()
    }

    /// Judges a JSON document in which no key stands twice. Nothing comes back for one that is
    /// believed without a signature.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn judge(&self, document: Value) -> Result<Option<Signed>, Distrust> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let Some(signature) = document.get("signature") else {
            return if self.is_of_before(&document) { Ok(None) } else { Err(Distrust::Unsigned) };
        };
        let signature = Signature::deserialize(signature).map_err(|_| Distrust::NoSignature)?;
        let named = || brief(&signature.key);
        let key = self.signers.iter().find(|key| key.to_string() == signature.key);
        let key = key.ok_or_else(|| Distrust::UnknownKey { key: named() })?;
        // Before anything is made of a document that may be large.
        let value = decoded(&signature).ok_or_else(|| Distrust::Changed { key: named() })?;
        let statement = statement(document);
        if !key.has_signed(&statement, &value) {
            return Err(Distrust::Changed { key: named() });
        }
        let statement_sha256 = contract::Digest::of(&statement).sha256;
        Ok(Some(Signed { key: signature.key, statement_sha256 }))
    }

    fn is_of_before(&self, document: &Value) -> bool {
        let taken_at = document.get("taken_at").and_then(Value::as_str);
        let taken_at = taken_at.and_then(|text| text.parse::<Timestamp>().ok());
        let until = self.unsigned_until.zip(taken_at);
        until.is_some_and(|(until, taken_at)| taken_at < until)
    }
}
