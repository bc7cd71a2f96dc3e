//! What the catalogue knows, compared with what is adopted into it.
//!
//! A snapshot does not say of which cluster it is. What it does say is compared with what the backups
//! of the cluster say: the ids of its members, and where its revision and its time put it in the
//! history. A difference is told and stops nothing: a cluster that was restored has new members, and a
//! file that was copied has a new time.

use catalogue::{Catalogue, Manifest};
use contract::facts::VerifyFacts;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How far the clocks of two machines may be apart, as `prune` has it.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);

/// One backup, as far as it matters here.
#[derive(Debug)]
struct Known {
    name: String,
    taken_at: Timestamp,
    revision: i64,
}

/// Everything that is a backup already.
#[derive(Debug, Default)]
pub(super) struct History {
    backups: Vec<Known>,
    /// Names of backups by the SHA-256 of their database.
    by_sha256: BTreeMap<String, String>,
    /// Ids of all members that any backup ever named, in hex.
    members: BTreeSet<String>,
}

impl History {
    /// Of all backups that can be brought back.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let mut history = History::default();
        for (_, backup) in catalogue.copies().filter(|(_, b)| b.state.is_trusted()) {
            let Some(manifest) = &backup.manifest else { continue };
            history.members.extend(manifest.etcd.members.iter().map(|member| member.id.clone()));
            let Manifest { taken_at, snapshot, .. } = manifest;
            history.add(backup.name.as_str(), *taken_at, snapshot);
        }
        history
    }

    /// Takes in what has just become a backup.
    pub(super) fn add(&mut self, name: &str, taken_at: Timestamp, facts: &VerifyFacts) {
        self.by_sha256.insert(facts.db_sha256.clone(), name.to_owned());
        self.members.extend(facts.member_ids.iter().cloned());
        let (name, revision) = (name.to_owned(), facts.revision);
        if !self.backups.iter().any(|known| known.name == name) {
            self.backups.push(Known { name, taken_at, revision });
        }
    }

    /// Names of backups by the SHA-256 of their database.
    pub(super) fn by_sha256(&self) -> &BTreeMap<String, String> {
        &self.by_sha256
    }

    /// What does not fit, one sentence each.
    pub(super) fn doubts(&self, taken_at: Timestamp, facts: &VerifyFacts) -> Vec<String> {
        let mut doubts = Vec::new();
        let (theirs, ours) = (&facts.member_ids, &self.members);
        if !theirs.is_empty() && !ours.is_empty() && !theirs.iter().any(|id| ours.contains(id)) {
            doubts.push(
                "no backup of this cluster names any of its members: it is of another cluster, or \
                 from before this one was restored"
                    .to_owned(),
            );
        }
        if let Some(other) = self.backups.iter().find(|b| contradicts(b, taken_at, facts.revision))
        {
            doubts.push(format!(
                "revision {} of {taken_at} and revision {} of {} (backup {}) do not fit together: its \
                 time is wrong, or it is of another history; while both are there, `prune` leaves it \
                 out",
                facts.revision, other.revision, other.taken_at, other.name
            ));
        }
        doubts
    }
}

/// Whether a backup is of a later revision and an earlier time, or the other way round.
fn contradicts(other: &Known, taken_at: Timestamp, revision: i64) -> bool {
    let ahead = taken_at.duration_since(other.taken_at);
    (other.revision > revision && ahead > CLOCK_SKEW_MAX)
        || (other.revision < revision && -ahead > CLOCK_SKEW_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(revision: i64, members: &[&str]) -> VerifyFacts {
        serde_json::from_value(serde_json::json!({
            "snapshot_bytes": 1, "db_sha256": format!("{revision:064}"), "status_hash": 1,
            "revision": revision, "total_key_records": 1, "total_key_live": 1, "total_bytes": 1,
            "free_bytes": 0, "page_bytes": 4096, "buckets": {}, "hashkv": [],
            "member_ids": members,
        }))
        .unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn what_fits_raises_no_doubt_and_what_does_not_is_told() {
        let mut history = History::default();
        assert!(history.doubts(at(0), &facts(1, &["a"])).is_empty(), "nothing to compare with");
        history.add("first", at(0), &facts(100, &["a", "b"]));
        history.add("second", at(60), &facts(200, &["a", "b"]));
        for (minute, revision) in [(30, 150), (-30, 50), (90, 300), (62, 200), (58, 201), (0, 100)]
        {
            let doubts = history.doubts(at(minute), &facts(revision, &["b"]));
            assert!(doubts.is_empty(), "{minute}, {revision}: {doubts:?}");
        }
        for (minute, revision, other) in
            [(90, 150, "second"), (-30, 150, "first"), (90, 50, "first")]
        {
            let doubts = history.doubts(at(minute), &facts(revision, &[]));
            assert!(doubts.len() == 1 && doubts[0].contains(other), "{doubts:?}");
        }
        assert!(history.doubts(at(30), &facts(150, &["c"]))[0].contains("another cluster"));
    }
}
