//! Who is believed: keys that sign manifests, what a signature covers, and the rule that judges one.
//!
//! age proves that an artifact was not changed since somebody encrypted it, and not who that was: recipients
//! are public. What tells a backup of ours from one that somebody brought who can write to a
//! destination is an Ed25519 signature in its manifest (`docs/decisions/0012-signatures.md`).
//!
//! Owns: the keys and their text, the bytes that are signed, and [`Trust`].
//!
//! Does not: read files, or know what a manifest means.

mod key;
mod rule;
mod statement;

pub use key::{KeyError, PublicKey, SecretKey, is_secret};
pub use rule::{Distrust, Signed, Trust};
pub use statement::{STATEMENT_PREFIX, UNSIGNED_FIELDS, statement};

#[cfg(test)]
mod tests;
