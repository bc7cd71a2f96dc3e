//! What the plan says about each backup.
//!
//! Owns: the plan as data, its order, and the words that people read. The JSON form carries the
//! same facts in fields of their own.
//!
//! Invariants: a kept backup has a reason, a removed one has none. A [`Plan`] can only be made by
//! [`crate::plan`], so whoever applies one knows that the guards have seen it.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::policy::Count;
use crate::{Backup, Period, State};

/// An action for every backup that was given in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    newest_verified: String,
    kept: usize,
    removed: usize,
    ignored: usize,
    decisions: Vec<Decision>,
}

/// The action for one backup, with what a table needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The name of the backup.
    pub id: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The etcd revision that it holds.
    pub revision: i64,
    /// How far it can be trusted.
    pub state: State,
    /// What is to happen to it.
    #[serde(flatten)]
    pub action: Action,
}

/// What is to happen to a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It stays, and it counts.
    Keep {
        /// Every rule that wants it; never empty.
        reasons: Vec<Reason>,
    },
    /// No rule and no guard wants it.
    Remove,
    /// It stays, and it does not count.
    Ignore {
        /// Why it does not compete.
        why: Ignored,
    },
}

/// Why a backup is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Reason {
    /// Nothing newer is verified.
    NewestVerified,
    /// Nothing newer was captured from this cluster; what is newer was adopted.
    NewestCaptured,
    /// Nothing newer has been restored by a drill.
    NewestProven,
    /// The last good one before a backup that looks wrong.
    BeforeSuspect {
        /// The backup that looks wrong.
        suspect: String,
    },
    /// One of the newest.
    Last {
        /// Its place, 1 for the newest.
        rank: u32,
        /// How many are kept.
        of: u32,
    },
    /// Taken shortly before the newest one.
    Within {
        /// How shortly, as in the policy.
        window: String,
    },
    /// The one that stands for its hour, day, week, month or year: the newest, or the newest of the
    /// tier that was made for it.
    Bucket {
        /// Which of these.
        period: Period,
        /// The name of the bucket, such as `2026-11-20` or `2026-W47`.
        bucket: String,
        /// The place of the bucket, 1 for the newest.
        rank: u32,
        /// How many buckets are kept.
        of: u32,
    },
    /// The same, shortly before the newest one of all.
    BucketWithin {
        /// Which of these.
        period: Period,
        /// The name of the bucket.
        bucket: String,
        /// How shortly, as in the policy.
        window: String,
    },
    /// The oldest of all, kept while a rule has more places than there are buckets.
    Oldest {
        /// The rule.
        period: Period,
    },
    /// No rule wants it, but it is one of the newest that must stay.
    MinKeep {
        /// Its place, 1 for the newest.
        rank: u32,
        /// How many must stay.
        of: u32,
    },
}

/// Why a backup neither counts nor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ignored {
    /// Another cluster's.
    Foreign {
        /// That cluster's id; in JSON hexadecimal, as `etcdctl` prints it.
        #[serde(serialize_with = "hex")]
        cluster_id: u64,
    },
    /// Nothing readable says which cluster it is of.
    UnknownCluster,
    /// Nobody has checked it.
    Unverified,
    /// Its content is out of line with the backup before it.
    Suspect,
    /// Incomplete or unreadable.
    Broken,
    /// Taken after now.
    FutureDated,
    /// Its time and its revision put it at different places of the history.
    TimeDisagrees,
}

fn hex<S: Serializer>(cluster_id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{cluster_id:x}"))
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(newest_verified: String, decisions: Vec<Decision>) -> Self {
        let count = |wanted: fn(&Action) -> bool| {
            decisions.iter().filter(|decision| wanted(&decision.action)).count()
        };
        Plan {
            newest_verified,
            kept: count(|action| matches!(action, Action::Keep { .. })),
            removed: count(|action| matches!(action, Action::Remove)),
            ignored: count(|action| matches!(action, Action::Ignore { .. })),
            decisions,
        }
    }

    /// Every backup that was given in, the newest date first.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// What is to be removed, in the order in which to do it: the oldest first, so that an
    /// interrupted removal leaves what the next plan would leave.
    #[must_use]
    pub fn removals(&self) -> Vec<&Decision> {
        let removed = |decision: &&Decision| decision.action == Action::Remove;
        let mut removals: Vec<_> = self.decisions.iter().filter(removed).collect();
        removals.sort_by_key(|decision| (decision.revision, decision.taken_at, &decision.id));
        removals
    }

    /// The name of the newest verified backup of our cluster.
    #[must_use]
    pub fn newest_verified(&self) -> &str {
        &self.newest_verified
    }

    /// How many backups stay and count.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// How many backups go.
    #[must_use]
    pub fn removed(&self) -> usize {
        self.removed
    }

    /// How many backups stay and do not count.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.ignored
    }
}

// === impl Decision ===

impl Decision {
    pub(crate) fn new(backup: &Backup, action: Action) -> Self {
        Decision {
            id: backup.id.clone(),
            taken_at: backup.taken_at,
            revision: backup.revision,
            state: backup.state,
            action,
        }
    }
}

// === impl Action ===

/// `keep: last (1 of 3), daily 2026-11-20 (1 of 7)`, `remove`, or `ignore: suspect`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Remove => f.write_str("remove"),
            Action::Ignore { why } => write!(f, "ignore: {why}"),
            Action::Keep { reasons } => {
                f.write_str("keep: ")?;
                for (index, reason) in reasons.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{reason}")?;
                }
                Ok(())
            }
        }
    }
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NewestVerified => f.write_str("newest verified"),
            Reason::NewestCaptured => f.write_str("newest captured"),
            Reason::NewestProven => f.write_str("newest proven"),
            Reason::BeforeSuspect { suspect } => write!(f, "last before suspect {suspect}"),
            Reason::Last { rank, of } => write!(f, "last ({rank} of {})", Count(*of)),
            Reason::Within { window } => write!(f, "within {window}"),
            Reason::Bucket { period, bucket, rank, of } => {
                write!(f, "{period} {bucket} ({rank} of {})", Count(*of))
            }
            Reason::BucketWithin { period, bucket, window } => {
                write!(f, "{period} {bucket} within {window}")
            }
            Reason::Oldest { period } => write!(f, "oldest {period}"),
            Reason::MinKeep { rank, of } => write!(f, "min_keep ({rank} of {})", Count(*of)),
        }
    }
}

// === impl Ignored ===

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::Foreign { cluster_id } => write!(f, "of another cluster ({cluster_id:x})"),
            Ignored::UnknownCluster => f.write_str("of an unknown cluster"),
            Ignored::Unverified => f.write_str("unverified"),
            Ignored::Suspect => f.write_str("suspect"),
            Ignored::Broken => f.write_str("broken"),
            Ignored::FutureDated => f.write_str("dated in the future"),
            Ignored::TimeDisagrees => f.write_str("its time and its revision disagree"),
        }
    }
}
