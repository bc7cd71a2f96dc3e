//! `pipeline.toml`: strict, layered, with line and column in its errors.
//!
//! Owns: the shape of the configuration, its defaults, the layers (file, then `LIFEBOAT__…`
//! variables; the command line is each program's own) and the rules that a single key cannot
//! express. An unknown key, or one without effect, is an error.
//!
//! Does not: open a secret, resolve a host, or touch anything that the configuration names.

mod check;
mod destination;
mod error;
mod layers;
mod lock_span;
mod sections;
mod values;

pub use destination::{ByTier, Checksum, Credentials, Destination, Location, Lock, ReadBack, Sse};
pub use error::Error;
pub use lock_span::LockSpan;
pub use sections::{
    Capture, Compress, Decrypt, Drill, Encrypt, HashKvRule, MemberChoice, Notify, Pipeline,
    Program, Prune, Repair, Replicate, Require, Run, Verify,
};
pub use trust::Trust;
pub use values::Duration;

/// The reference pipeline, as shipped.
pub const REFERENCE: &str = include_str!("../../../pipeline.toml");

/// Stages that a pipeline may name, in the only order that makes sense.
pub const STAGES: [&str; 6] = ["capture", "verify", "compress", "encrypt", "replicate", "prune"];

/// Tiers of backups, from the one that every backup may be of to the rarest.
pub const TIERS: [&str; 3] = ["frequent", "daily", "monthly"];

#[cfg(test)]
mod tests;
