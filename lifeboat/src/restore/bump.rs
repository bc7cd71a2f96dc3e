//! How far the revision of a restored cluster is raised.
//!
//! Whoever watches Kubernetes objects remembers revisions of the lost cluster. Where the restored
//! one counts on from the backup, the same numbers come to mean other writes, and watchers miss
//! them without a word. So the restored cluster begins above everything that the lost one can have
//! reached, and the history below is marked as compacted: watchers are told so, and list anew.
//!
//! Owns: the target, from what the catalogue saw and a margin for what came after.

use super::error::Error;
use catalogue::{Backup, Catalogue, ObjectName, State};
use jiff::Timestamp;
use serde::Serialize;

/// What the lost cluster may have written since its last backup, at the least.
const MARGIN_MIN: i64 = 1_000_000_000;
/// Writes a second, more than etcd can do.
const WRITES_PER_SECOND_MAX: i64 = 10_000;
/// So far above everything that is signed an unsigned revision is believed: three years of such writes, and
/// many a raise.
const PLAUSIBLE_MAX: i64 = 1 << 40;
/// A revision above this is damage or malice, and raising it further would soon overflow.
const REVISION_MAX: i64 = 1 << 61;

/// What the target rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ceiling {
    /// The highest revision that any backup of the cluster ever saw.
    pub(crate) highest: i64,
    /// What was added to it.
    pub(crate) margin: i64,
    /// Destinations that could not be read: what they hold is not in it.
    pub(crate) unreadable: Vec<String>,
}

/// The revision in a manifest, or in the name of one that cannot be read.
fn revision_of(catalogue: &Catalogue, backup: &Backup) -> Option<i64> {
    let inside = backup.manifest.as_ref().map(|manifest| manifest.snapshot.revision);
    let named = match ObjectName::parse(&catalogue.cluster, &backup.manifest_key) {
        Some(ObjectName::Manifest { revision, .. }) => Some(revision),
        _ => None,
    };
    inside.max(named)
}

impl Ceiling {
    /// Over all destinations and all backups, also those that are suspect, broken, or of an etcd cluster
    /// before this one. Where backups are signed, what is not counts only as far as it is plausible:
    /// somebody may have put it there to stand in the way.
    pub(crate) fn of(catalogue: &Catalogue, now: Timestamp) -> Ceiling {
        let copies = || catalogue.copies().map(|(_, backup)| backup);
        let signed = copies().filter(|backup| backup.signed.is_some());
        let signed = signed.filter_map(|backup| revision_of(catalogue, backup)).max();
        let counts = |backup: &&Backup| {
            let most = signed.map_or(i64::MAX, |highest| highest.saturating_add(PLAUSIBLE_MAX));
            let is_high = revision_of(catalogue, backup).is_some_and(|revision| revision > most);
            backup.state != State::Forged && (backup.signed.is_some() || !is_high)
        };
        let revisions = copies().filter(counts).filter_map(|b| revision_of(catalogue, b));
        let taken = copies().filter(counts).filter_map(|b| Some(b.manifest.as_ref()?.taken_at));
        // One from the future says nothing of how long ago the last write that was seen is.
        let newest = taken.filter(|at| *at <= now).max();
        let seconds = newest.map_or(0, |at| now.as_second().saturating_sub(at.as_second()));
        let dark = catalogue.destinations.iter().filter(|d| d.problem.is_some());
        Ceiling {
            highest: revisions.max().unwrap_or(0),
            margin: MARGIN_MIN.max(seconds.saturating_mul(WRITES_PER_SECOND_MAX)),
            unreadable: dark.map(|d| d.destination.clone()).collect(),
        }
    }

    /// How far to raise a database that is at `revision`.
    pub(crate) fn above(&self, revision: i64) -> Result<i64, Error> {
        let target = self.highest.checked_add(self.margin).filter(|to| *to <= REVISION_MAX);
        let too_far = || Error::BumpTooFar {
            highest: self.highest,
            why: format!("with {} more it would be above {REVISION_MAX}", self.margin),
        };
        Ok(target.ok_or_else(too_far)? - revision)
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{at, catalogue, manifest};
    use super::*;
    use catalogue::State;

    #[test]
    fn the_target_is_above_everything_that_any_backup_saw() {
        // The older one went further: a cluster that was set back once.
        let mut made = catalogue(&[&[manifest(0, 900), manifest(3_600, 500)]]);
        let ceiling = Ceiling::of(&made, at(3_660));
        assert_eq!((ceiling.highest, ceiling.margin), (900, 1_000_000_000));
        assert_eq!(ceiling.above(500).unwrap(), 1_000_000_400);
        // Suspect or broken: it was seen.
        for state in [State::Suspect, State::Broken] {
            made.destinations[0].backups[0].state = state;
            assert_eq!(Ceiling::of(&made, at(3_660)).highest, 900);
        }
        made.destinations[0].backups[0].manifest = None;
        assert_eq!(Ceiling::of(&made, at(3_660)).highest, 900, "its name says so");
    }

    #[test]
    fn the_margin_grows_with_the_time_that_nobody_saw() {
        let made = catalogue(&[&[manifest(0, 5)]]);
        let day = 86_400;
        assert_eq!(Ceiling::of(&made, at(day)).margin, 1_000_000_000);
        assert_eq!(Ceiling::of(&made, at(30 * day)).margin, 30 * day * 10_000);
        // From the future, by one of the two clocks: no reason for less.
        assert_eq!(Ceiling::of(&made, at(-day)).margin, 1_000_000_000);
        let with_future = catalogue(&[&[manifest(0, 5), manifest(365 * day, 6)]]);
        assert_eq!(Ceiling::of(&with_future, at(30 * day)).margin, 30 * day * 10_000);
    }

    #[test]
    fn f48_where_backups_are_signed_only_the_plausible_is_believed_of_the_rest() {
        let mut made = catalogue(&[&[manifest(0, 1_000), manifest(60, 1_000_002_000)]]);
        let signed = catalogue::Signed { key: String::new(), statement_sha256: String::new() };
        let broken = |made: &mut Catalogue| {
            let newest = &mut made.destinations[0].backups[1];
            (newest.state, newest.manifest) = (State::Broken, None);
        };
        made.destinations[0].backups[0].signed = Some(signed);
        // Raised once, backed up, and damaged: clients have seen it.
        broken(&mut made);
        assert_eq!(Ceiling::of(&made, at(120)).highest, 1_000_002_000);
        let mut made_up = catalogue(&[&[manifest(0, 1_000), manifest(60, 9_000_000_000_000_000)]]);
        made_up.destinations[0].backups[0]
            .signed
            .clone_from(&made.destinations[0].backups[0].signed);
        let day = 86_400;
        let ceiling = Ceiling::of(&made_up, at(30 * day));
        assert_eq!((ceiling.highest, ceiling.margin), (1_000, 30 * day * 10_000));
        broken(&mut made_up);
        assert_eq!(Ceiling::of(&made_up, at(120)).highest, 1_000);
    }

    #[test]
    fn a_revision_that_cannot_be_is_refused_and_not_wrapped() {
        let made = catalogue(&[&[manifest(0, i64::MAX - 5)]]);
        let refused = Ceiling::of(&made, at(0)).above(5).unwrap_err();
        assert!(matches!(refused, Error::BumpTooFar { .. }), "{refused}");
    }

    #[test]
    fn what_could_not_be_read_is_told() {
        let mut made = catalogue(&[&[manifest(0, 5)], &[]]);
        made.destinations[1].problem = Some("no route to host".into());
        assert_eq!(Ceiling::of(&made, at(0)).unreadable, ["d1"]);
    }
}
