//! Why there is no plan.
//!
//! Owns: every refusal, with the check, what was expected and what was found, and the next step.
//! After a refusal nothing may be removed.
//!
//! Does not: choose an exit code. [`Refusal::is_policy_fault`] tells a wrong configuration
//! from a guard that held.

use jiff::Timestamp;

use crate::Decision;

/// The check that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No rule is on.
    #[error(
        "the retention policy has no rule: at least one of last, hourly … yearly, within is needed"
    )]
    EmptyPolicy,
    /// A span is zero or negative.
    #[error("{setting} must be a duration above zero, found {found:?}")]
    BadDuration {
        /// The field of the policy.
        setting: &'static str,
        /// Its value.
        found: String,
    },
    /// A share outside 0 to 1.
    #[error("max_fraction must be between 0 and 1, found {found}")]
    BadFraction {
        /// Its value.
        found: f64,
    },
    /// More entries than any catalogue has.
    #[error("the catalogue lists {found} backups; the limit is {max}")]
    TooManyBackups {
        /// How many there are.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The listing contradicts itself.
    #[error("the catalogue lists backup {id} twice")]
    DuplicateId {
        /// The name.
        id: String,
    },
    /// Nothing could be restored from, so nothing may go.
    #[error("{}", no_verified(*.seen, *.cluster_id))]
    NoVerified {
        /// Our cluster's id.
        cluster_id: u64,
        /// How many entries there are.
        seen: usize,
    },
    /// The newest backup is dated after now.
    #[error("the newest backup {id} is dated {taken_at}, but the clock here says {now}")]
    ClockBehind {
        /// The newest backup.
        id: String,
        /// Its date.
        taken_at: Timestamp,
        /// Our date.
        now: Timestamp,
    },
    /// Backups have stopped; then the old ones are all there is.
    #[error(
        "the newest verified backup {id} is of {taken_at}, more than {stale_after} before {now}"
    )]
    Stale {
        /// The newest verified backup.
        id: String,
        /// Its date.
        taken_at: Timestamp,
        /// Our date.
        now: Timestamp,
        /// The limit.
        stale_after: String,
    },
    /// The plan is sound but removes too much at once.
    #[error("the policy would remove {removed} of {of} verified backups; {limit}")]
    LargeRemoval {
        /// How many would go.
        removed: usize,
        /// How many verified backups of our cluster there are.
        of: usize,
        /// The guard and its limit.
        limit: String,
        /// What would have been done, to be shown. It is not a plan and cannot be applied.
        decisions: Vec<Decision>,
    },
}

fn no_verified(seen: usize, cluster_id: u64) -> String {
    match seen {
        0 => "it holds no backup".into(),
        n => format!("none of the {n} backups is a verified backup of cluster {cluster_id:x}"),
    }
}

impl Refusal {
    /// The next thing to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::EmptyPolicy => "set at least one rule, for example daily = 7",
            Refusal::BadDuration { .. } => "write a duration such as \"36h\", \"7d\" or \"1y\"",
            Refusal::BadFraction { .. } => "write a share such as 0.5",
            Refusal::TooManyBackups { .. } => {
                "check that the prefix holds one catalogue; expire old entries with a lifecycle rule"
            }
            Refusal::DuplicateId { .. } => {
                "list the prefix again; if it stays, look for two copies"
            }
            Refusal::NoVerified { .. } => {
                "take a backup first; if there are some, check the cluster id and verify them"
            }
            Refusal::ClockBehind { .. } => {
                "compare this machine's clock, and that of the machine that took the backup, with NTP"
            }
            Refusal::Stale { .. } => "find out why backups stopped, and take one; then prune again",
            Refusal::LargeRemoval { .. } => {
                "read the list of removals; if they are right, allow a large removal for this once"
            }
        }
    }

    /// Whether the policy itself is at fault, and no catalogue would have been accepted.
    #[must_use]
    pub fn is_policy_fault(&self) -> bool {
        matches!(
            self,
            Refusal::EmptyPolicy | Refusal::BadDuration { .. } | Refusal::BadFraction { .. }
        )
    }
}
