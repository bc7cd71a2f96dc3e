//! Which backups to keep, and why: policy, plan, guards.
//!
//! Owns: the decision. [`plan`] takes a [`Policy`], the backups of one catalogue, the time and
//! the cluster's id, and answers with a [`Plan`] (an action and its reasons for every entry) or
//! with a [`Refusal`]. The same input in any order gives the same plan.
//!
//! Invariants: only verified backups of our cluster compete, and only they are ever removed; the
//! newest of them, and never fewer than `min_keep`, stay; one more rule never removes one more
//! backup. Guards come before the policy, and the removal limit comes after it.
//!
//! Does not: read, list or delete anything, look at a clock, or parse settings.

mod backup;
mod decision;
mod order;
mod period;
mod plan;
mod policy;
mod refusal;
mod rules;
#[cfg(test)]
mod tests;

pub use backup::{Backup, State, Tier};
pub use decision::{Action, Decision, Ignored, Plan, Reason};
pub use order::CLOCK_SKEW_MAX;
pub use period::Period;
pub use plan::{BACKUPS_MAX, plan};
pub use policy::{Guards, Policy};
pub use refusal::Refusal;
