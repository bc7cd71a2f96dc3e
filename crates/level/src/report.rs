//! What `lifeboat-sync` and `lifeboat-scrub` print, and `lifeboat` shows: their JSON.

use crate::compare::{Remark, Why};
use catalogue::{BackupName, Depth};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The JSON of `lifeboat sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// Version of this format.
    pub version: u32,
    /// The cluster.
    pub cluster: String,
    /// When the destinations were read.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The exit code.
    pub exit: u8,
    /// What was, or would be, copied, the newest backup first.
    pub copies: Vec<Copied>,
    /// What no copy makes good.
    pub remarks: Vec<Remark>,
    /// Destinations that could not be read, with the problem.
    pub unreadable: BTreeMap<String, String>,
}

/// One copy that was lacking, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The backup.
    pub backup: BackupName,
    /// Where it was lacking.
    pub destination: String,
    /// Why.
    pub why: Why,
    /// What was wrong with what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The length of its artifact.
    pub artifact_bytes: u64,
    /// What was done.
    pub result: Synced,
    /// Where it was, or would be, copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the stores copied it among themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_side: bool,
    /// Keys of the damaged bytes that were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// Why it is still lacking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a copy that was lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synced {
    /// It was copied.
    Copied,
    /// Damaged bytes were kept in quarantine, and a good copy is in their place.
    Replaced,
    /// The right artifact was there already, and got its manifest.
    Adopted,
    /// It was read, and nothing is wrong with its bytes.
    Whole,
    /// It could not be made good.
    Failed,
    /// There was no time left for it, or its destination had failed before.
    Left,
    /// It would be copied.
    Planned,
}

impl Synced {
    /// Whether the copy is there now.
    #[must_use]
    pub fn is_there(self) -> bool {
        matches!(self, Synced::Copied | Synced::Replaced | Synced::Adopted | Synced::Whole)
    }
}

/// The JSON of `lifeboat scrub`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Version of this format.
    pub version: u32,
    /// The cluster.
    pub cluster: String,
    /// When the destinations were read.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The exit code.
    pub exit: u8,
    /// The copies that were chosen, the newest backup first.
    pub copies: Vec<Scrubbed>,
    /// What was done about those that were damaged.
    pub repairs: Vec<Copied>,
    /// Destinations that could not be read, with the problem.
    pub unreadable: BTreeMap<String, String>,
}

/// One copy that was to be read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The backup.
    pub backup: BackupName,
    /// Which copy.
    pub destination: String,
    /// The key of its manifest.
    pub manifest_key: String,
    /// How deep it was read.
    pub depth: Depth,
    /// What was found.
    pub result: Found,
    /// The length of its artifact, by its manifest.
    pub artifact_bytes: u64,
    /// What is wrong, or why it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The key of the record of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// What a scrub found of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// It is what its manifest says.
    Whole,
    /// It is not.
    Damaged,
    /// It was not, and is now.
    Repaired,
    /// It could not be read, which says nothing of its bytes.
    Unread,
    /// It lies in an archive, where nobody reads it without asking for it first.
    Archived,
    /// There was no time left for it.
    Left,
}
