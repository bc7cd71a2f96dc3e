//! Keys: Ed25519 (RFC 8032), a secret one as PKCS #8 in PEM, as OpenSSL makes and reads it, a public one
//! on one line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use contract::facts::Signature;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the text of a public key begins with.
const KIND: &str = "ed25519:";

/// Why something is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of a public key.
    #[error("expected {KIND} and 32 bytes in base64, found something else")]
    Public,
    /// A secret key where a public one belongs. It is not repeated.
    #[error("it is a secret key; write the public one, which begins with {KIND}")]
    Secret,
    /// A point that signs anything.
    #[error("it is no public key that can be trusted: everybody can sign for it")]
    Weak,
    /// Not a secret key.
    #[error("expected an Ed25519 key as PKCS #8 in PEM (BEGIN PRIVATE KEY)")]
    Pem,
}

/// A public key: whose signatures are believed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Whether this key made that signature of these bytes. The strict rule of RFC 8032: one that only
    /// some verifiers would accept is refused.
    #[must_use]
    pub(crate) fn has_signed(&self, bytes: &[u8], value: &ed25519_dalek::Signature) -> bool {
        self.0.verify_strict(bytes, value).is_ok()
    }
}

/// Whether a text is, or holds, a secret key: the PEM, or its body alone.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    // The beginnings of PKCS #8 of an Ed25519 key, of version 1 and 2, without their length.
    ["PRIVATE KEY", "CAQAwBQYDK2Vw", "CAQEwBQYDK2Vw"].iter().any(|part| text.contains(part))
}

/// The signature itself, if it is one.
pub(crate) fn decoded(signature: &Signature) -> Option<ed25519_dalek::Signature> {
    let value = BASE64.decode(&signature.value).ok()?;
    ed25519_dalek::Signature::from_slice(&value).ok()
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if is_secret(text) {
            return Err(KeyError::Secret);
        }
        let encoded = text.strip_prefix(KIND).ok_or(KeyError::Public)?;
        let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Public)?;
        let bytes = bytes.try_into().map_err(|_| KeyError::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Public)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(PublicKey(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", BASE64.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

/// A secret key: what signs. It is wiped from memory when it is dropped, and cannot be printed.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Made of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        SecretKey(SigningKey::from_bytes(seed))
    }

    /// Reads what `openssl genpkey -algorithm ed25519` or [`SecretKey::to_pem`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Pem`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| KeyError::Pem)?;
        Ok(SecretKey(key))
    }

    /// Its text, for a file that only its owner reads.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_pem(&self) -> Result<impl AsRef<str> + use<>, KeyError> {
        // The form without the public key in it, which every OpenSSL reads.
        let pair =
            ed25519_dalek::pkcs8::KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a document as [`crate::statement`] sees it.
    #[must_use]
    pub fn sign(&self, document: serde_json::Value) -> Signature {
        use ed25519_dalek::Signer as _;
        let value = self.0.sign(&crate::statement(document));
        Signature { key: self.public().to_string(), value: BASE64.encode(value.to_bytes()) }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}
