//! What every destination should hold of a cluster, and which of them lag behind.
//!
//! Owns: the comparison of catalogues with each other and with the retention policy, and the words
//! for its outcome. [`compare`] tells for each backup which destinations lack it, why, and which
//! others have a healthy copy, the nearest first. It is pure: whoever asks has read the catalogues.
//!
//! Invariants: a copy is healthy when its state is trusted and its manifest is, byte for byte, that
//! of all others; of a backup of which two manifests differ nothing is said to be lacking, because
//! nobody here knows which one is right; nothing is said to be missing where the destination's own
//! policy would remove it again; what nobody encrypted is brought to no destination on the network
//! that is not meant to have it.
//!
//! Does not: talk to any store, or copy anything (that is `repair`).

mod aim;
mod compare;
mod policy;
mod report;
mod story;
#[cfg(test)]
mod tests;

pub use aim::{Aim, Past};
pub use compare::{Kind, Lack, Level, Remark, Why, Work, compare};
pub use policy::{BadPolicy, candidate, candidates, newest_cluster_id, policy};
pub use report::{Copied, Found, ScrubReport, Scrubbed, SyncReport, Synced};
