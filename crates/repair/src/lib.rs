//! Copies of backups from one destination to others, ciphertext to ciphertext: no key is needed.
//!
//! Owns: filling in what a destination lacks, replacing what is damaged there, and the records that
//! say so. `lifeboat-sync` and `lifeboat-scrub` share it.
//!
//! Invariants: the manifest is written last, create-only, and is the source's, byte for byte; what is
//! copied counts only after it was read back and has the SHA-256 that the manifest says; nothing that
//! was there is ever deleted but bytes that were just read, found to be other ones than the manifest
//! says and seen to be there still, and those only after they were kept in quarantine and a whole copy
//! of the right ones was read elsewhere; what nobody encrypted goes to no destination on the network
//! that is not meant to have it; a death at any point leaves at most an artifact without a manifest,
//! and the next attempt goes on from there. Each destination is on its own: one that fails holds up no
//! other.
//!
//! Does not: decide what is lacking (that is `level`), or see plaintext.

mod artifact;
mod carry_out;
mod checksums;
mod crew;
mod error;
mod halt;
mod manifest;
mod mend;
mod note;
mod pour;
mod quarantine;
mod signals;
#[cfg(test)]
mod tests;

pub use crew::Crew;
pub use error::Error;
pub use halt::Halt;
pub use mend::{Done, Mended};
pub use note::Note;
pub use signals::until_stopped;
