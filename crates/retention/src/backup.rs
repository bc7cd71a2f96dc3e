//! What retention needs to know about one backup.
//!
//! Owns: the input of the plan, and its order. The order trusts the etcd revision before the
//! clock, because within one cluster the revision only grows.
//!
//! Does not: judge. Whether a backup is verified is found out elsewhere.

use jiff::Timestamp;

/// One entry of a catalogue, good or bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name, unique in the catalogue.
    pub id: String,
    /// etcd's own id of the cluster that it was taken from; `None` when nothing readable says it.
    pub cluster_id: Option<u64>,
    /// Whether somebody said that it is of this cluster, where nothing readable says so: another tool
    /// had made it. It counts where it fits into the history of those that are known to be.
    pub is_adopted: bool,
    /// When it was taken, by the clock of the machine that took it.
    pub taken_at: Timestamp,
    /// The etcd revision that it holds.
    pub revision: i64,
    /// How far it can be trusted.
    pub state: State,
    /// What it was made for.
    pub tier: Tier,
}

/// What a backup was made for. The first of a day or a month lies where it is cheap to keep it long
/// and dear to remove it early, so it is the one of its day or month that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// To be at hand for a while.
    #[default]
    Frequent,
    /// To stand for its day.
    Daily,
    /// To stand for its month.
    Monthly,
}

/// How far a backup can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A drill restored it.
    Proven,
    /// Its bytes were checked, and the copy was read back.
    Verified,
    /// It is there, and nobody has checked it.
    Unverified,
    /// It is sound as a file, but its content is out of line with the backup before it.
    Suspect,
    /// A manifest without its artifact, another size than stated, or unreadable.
    Broken,
}

impl State {
    /// Whether a backup in this state counts as a backup.
    #[must_use]
    pub fn is_verified(self) -> bool {
        matches!(self, State::Proven | State::Verified)
    }
}

impl Backup {
    /// The place of this backup in the history of its cluster.
    pub(crate) fn age_order(&self) -> (i64, Timestamp, &str) {
        (self.revision, self.taken_at, &self.id)
    }
}
