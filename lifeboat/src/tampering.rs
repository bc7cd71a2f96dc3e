//! What tells that somebody was at work in the destinations who should not be: copies that nobody trusted
//! signed, and a past that ends before the backup that this machine made last.
//!
//! Does not: do anything about it. A run makes its backup all the same, and says so.

use crate::planning;
use catalogue::{Backup, Catalogue, State};
use std::path::Path;

/// The name of the backup that this machine made last, where every destination can be read, each shows
/// only older ones, and none has it. Pruning and lifecycle rules take the oldest first: whoever took
/// the newest, or put an old state back, was neither of them.
pub(crate) fn vanished(catalogue: &Catalogue, home: &Path) -> Option<String> {
    let last = planning::remembered(home)?.backup;
    let is_dark = catalogue.destinations.iter().any(|d| d.problem.is_some());
    // What is no backup, or dated ahead of now, hides nothing.
    let is_past = |b: &Backup| b.manifest.as_ref().is_some_and(|m| m.taken_at <= catalogue.read_at);
    let known = catalogue.copies().map(|(_, backup)| backup);
    let known = known.filter(|backup| backup.state.is_usable() && is_past(backup));
    let has_it = catalogue.copies().any(|(_, backup)| backup.name.as_str() == last);
    // Where nothing is left that can be used, every name counts.
    let newest = known.map(|backup| backup.name.as_str()).max();
    let newest = newest.or_else(|| catalogue.copies().map(|(_, b)| b.name.as_str()).max())?;
    (!is_dark && !has_it && newest < last.as_str()).then_some(last)
}

/// Says so in the log of a run.
pub(crate) fn tell(catalogue: &Catalogue, home: &Path) {
    for (destination, forged) in catalogue.copies().filter(|(_, b)| b.state == State::Forged) {
        let problem = forged.problem.as_deref().unwrap_or_default();
        let hint = "docs/recovery.md, \"Somebody forged a backup\"";
        tracing::warn!(hint, "{} in {destination}: {problem}", forged.manifest_key);
    }
    if let Some(last) = vanished(catalogue, home) {
        let hint = "find out who removed it, or put an older state back";
        tracing::warn!(hint, "{last}, the backup that was made here last, is in no destination");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::made_up::{catalogue, manifest};
    use contract::Previous;

    fn home_after(second: i64) -> (tempfile::TempDir, String) {
        let home = tempfile::tempdir().unwrap();
        let made = manifest(second, 5);
        let last = Previous {
            backup: made.backup.to_string(),
            manifest_sha256: String::new(),
            cluster_id: "cafe".into(),
            revision: 5,
        };
        let text = serde_json::to_vec(&last).unwrap();
        durable::replace(&home.path().join(planning::LAST_BACKUP), &text).unwrap();
        (home, last.backup)
    }

    #[test]
    fn i14_a_past_that_ends_too_early_is_noticed_and_a_pruned_one_is_not() {
        let (home, last) = home_after(60);
        let vanished = |catalogue: &Catalogue| super::vanished(catalogue, home.path());
        let both = [manifest(0, 4), manifest(60, 5)];
        assert_eq!(vanished(&catalogue(&[&both])), None);
        assert_eq!(vanished(&catalogue(&[&both[..1]])), Some(last));
        assert_eq!(vanished(&catalogue(&[&both[..1], &both])), None, "one has it");
        // Somebody made a newer one elsewhere, and pruned this one.
        assert_eq!(vanished(&catalogue(&[&[manifest(120, 6)]])), None);
        // A new beginning, and what cannot be seen, say nothing.
        assert_eq!(vanished(&catalogue(&[&[]])), None);
        let mut junk = catalogue(&[&both[..1], &[manifest(120, 6)]]);
        junk.destinations[1].backups[0].state = State::Broken;
        assert!(vanished(&junk).is_some(), "what cannot be read hides nothing");
        junk.destinations.pop();
        junk.destinations[0].backups[0].state = State::Broken;
        assert!(vanished(&junk).is_some(), "nor does it where nothing else is left");
        let mut dark = catalogue(&[&both[..1], &[]]);
        dark.destinations[1].problem = Some("away".into());
        assert_eq!(vanished(&dark), None);
        let nobody = tempfile::tempdir().unwrap();
        assert_eq!(super::vanished(&catalogue(&[&both[..1]]), nobody.path()), None);
    }
}
