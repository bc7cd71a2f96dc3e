//! What a server answers once it is started from the database: as it is, or as a restore will have
//! changed it. A restore predicts with this what must come out, and proves it afterwards.
//!
//! Does not: change anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a restore changes the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alteration {
    /// Rows above this revision are dropped.
    pub cut_at: Option<i64>,
    /// The revision is raised by this much, and everything before is marked as compacted.
    pub bump: Option<i64>,
}

/// What a server started from the database answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerView {
    /// Its revision.
    pub revision: i64,
    /// Its compact revision, if history was ever compacted.
    pub compact_revision: Option<i64>,
    /// Keys that a client can read. The mark of a bump is a row, but no such key.
    pub keys_live: u64,
    /// HashKV at these two. `None` when no key is live and history is compacted: then the value
    /// depends on how far a server's compaction has come.
    pub hashkv: Option<u32>,
    /// Live keys of each Kubernetes resource.
    pub kubernetes: BTreeMap<String, u64>,
    /// Live values that Kubernetes encrypted, by provider, version and key name, such as
    /// `aescbc:v1:key1`.
    pub encryption_at_rest: BTreeMap<String, u64>,
}

impl Alteration {
    /// Revision and compact revision afterwards, and the revision at which the old history ends;
    /// `None` when the history cannot be altered so.
    pub(crate) fn apply(self, revision: i64, compact: Option<i64>) -> Option<Altered> {
        let end = match self.cut_at {
            Some(cut) if (compact.unwrap_or(1).max(1)..=revision).contains(&cut) => cut,
            Some(_) => return None,
            None => revision,
        };
        let raised = match self.bump {
            Some(bump) if bump > 0 => Some(end.checked_add(bump)?),
            Some(_) => return None,
            None => None,
        };
        Some(Altered { end, raised, compact: raised.or(compact) })
    }
}

/// The history as it is after an [`Alteration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Altered {
    /// Revision at which the old history ends.
    pub(crate) end: i64,
    /// Revision of the mark behind it, if there is one.
    pub(crate) raised: Option<i64>,
    /// Compact revision.
    pub(crate) compact: Option<i64>,
}

impl Altered {
    pub(crate) fn revision(self) -> i64 {
        self.raised.unwrap_or(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_stay_within_the_history() {
        let cut = |at| Alteration { cut_at: Some(at), bump: None };
        assert_eq!(cut(4).apply(9, Some(5)), None);
        assert_eq!(cut(10).apply(9, Some(5)), None);
        assert_eq!(cut(0).apply(9, None), None);
        for at in [5, 9] {
            let altered = cut(at).apply(9, Some(5)).unwrap();
            assert_eq!((altered.revision(), altered.compact), (at, Some(5)));
        }
    }

    #[test]
    fn a_bump_compacts_everything_before_it() {
        let bump = |n| Alteration { cut_at: Some(7), bump: Some(n) }.apply(9, Some(5));
        let raised = Altered { end: 7, raised: Some(1_007), compact: Some(1_007) };
        assert_eq!(bump(1_000), Some(raised));
        assert_eq!([bump(0), bump(-1), bump(i64::MAX)], [None; 3]);
    }
}
