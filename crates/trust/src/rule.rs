//! The rule: what is believed of a document and of the signature in it.

use crate::{PublicKey, statement};
use contract::brief;
use contract::facts::Signature;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `[trust]`: whose backups are believed. Without signers everything is, as far as its bytes are right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Public keys, any one of which signs for a backup.
    pub signers: Vec<PublicKey>,
    /// Backups that say they were taken before this need no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned_until: Option<Timestamp>,
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
    pub fn judge(&self, document: &Value) -> Result<Option<Signed>, Distrust> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let Some(signature) = document.get("signature") else {
            return if self.is_of_before(document) { Ok(None) } else { Err(Distrust::Unsigned) };
        };
        let signature = Signature::deserialize(signature).map_err(|_| Distrust::NoSignature)?;
        let named = || brief(&signature.key);
        let key = self.signers.iter().find(|key| key.to_string() == signature.key);
        let key = key.ok_or_else(|| Distrust::UnknownKey { key: named() })?;
        let statement = statement(document);
        if !key.has_signed(&statement, &signature) {
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
