//! Which manifest of a backup is to be believed where several copies have one.
//!
//! Owns: what is not signed and may differ (`docs/manifest.md`), and copies that have only the name of a backup.

use catalogue::{Backup, State};
use contract::Digest;
use std::collections::BTreeMap;

/// The copy whose manifest most of the healthy ones have, byte for byte; of several such one that lies there
/// as it was written, and of those the nearest. What is not signed, one destination alone cannot
/// change for all.
pub(crate) fn most_told<'a>(healthy: &[(&str, &'a Backup)]) -> Option<&'a Backup> {
    let weight = |backup: &Backup| {
        let same = |other: &Backup| other.manifest_sha256 == backup.manifest_sha256;
        let count = healthy.iter().filter(|(_, other)| same(other)).count();
        let written = backup.manifest.as_ref().map(|m| Digest::of(&m.to_bytes()).sha256);
        (count, written.as_ref() == Some(&backup.manifest_sha256))
    };
    let (_, nearest) = healthy.first()?;
    if healthy.iter().all(|(_, other)| other.manifest_sha256 == nearest.manifest_sha256) {
        return Some(nearest);
    }
    let most = healthy.iter().map(|(_, backup)| weight(backup)).max()?;
    healthy.iter().map(|(_, backup)| *backup).find(|backup| weight(backup) == most)
}

pub(crate) fn manifests_of(copies: &[(&str, &Backup)]) -> BTreeMap<String, String> {
    let readable = copies.iter().filter(|(_, b)| b.manifest.is_some());
    readable.map(|(d, b)| ((*d).to_owned(), b.manifest_sha256.clone())).collect()
}

/// Whether it is forged, and lies nowhere that a whole copy would have to lie: it has nothing to do with
/// the backup whose name it has.
pub(crate) fn is_stranger(backup: &Backup, best: Option<&Backup>) -> bool {
    let is_there = best.is_some_and(|best| best.manifest_key == backup.manifest_key);
    backup.state == State::Forged && !is_there
}
