//! The plan of one run: which steps, in which order, under which name. Written once, before
//! anything else happens; every stage follows it.

use crate::facts::TimeFrom;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The version of the plan's and the receipts' JSON.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The unique name of one run: a ULID in lower case, so that names sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Made of a time and 80 random bits.
    #[must_use]
    pub fn new(at: Timestamp, random: u128) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        RunId(ulid::Ulid::from_parts(millis, random).to_string().to_ascii_lowercase())
    }

    /// The 26 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        match ulid::Ulid::from_string(&upper) {
            // Only the canonical spelling: the text becomes part of object names.
            Ok(id) if id.to_string() == upper && text == text.to_ascii_lowercase() => {
                Ok(RunId(text.to_owned()))
            }
            _ => Err(format!("{text:?} is not a run id (26 characters of 0-9 and a-z)")),
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The stage's name, unique in its plan.
    pub name: String,
    /// The user's own program and its arguments; absent for a stage of Lifeboat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Vec<String>>,
    /// What the step appends to the artifact's name, such as `.zst`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
}

/// What one run is going to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format.
    pub version: u32,
    /// The run's unique name.
    pub run: RunId,
    /// The cluster's name, as in `pipeline.toml`.
    pub cluster: String,
    /// The retention class that the backup will belong to.
    pub tier: String,
    /// When the run was planned. It is part of the backup's name.
    pub started_at: Timestamp,
    /// The steps, in the order of the data.
    pub steps: Vec<Step>,
    /// The newest backup of the cluster when the run was planned, if any could be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Public keys of those who are believed to sign for it; empty where nobody has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// What the first step reads; absent for a run that begins with the live cluster or a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<PlannedInput>,
}

/// A file that the first step of a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedInput {
    /// Its name, without its folder.
    pub file: String,
    /// What `started_at` of the plan was taken from.
    pub time_from: TimeFrom,
}

/// What a run knows of the backup before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Its name.
    pub backup: String,
    /// SHA-256 of its manifest, in hex: the link of the chain.
    pub manifest_sha256: String,
    /// etcd's own id of its cluster, in hex.
    pub cluster_id: String,
    /// Its revision.
    pub revision: i64,
}

impl Plan {
    /// A plan of the current format.
    #[must_use]
    pub fn new(
        run: RunId,
        cluster: String,
        tier: String,
        started_at: Timestamp,
        steps: Vec<Step>,
    ) -> Self {
        Plan {
            version: FORMAT_VERSION,
            run,
            cluster,
            tier,
            started_at,
            steps,
            previous: None,
            signers: Vec::new(),
            input: None,
        }
    }

    /// The same, for a backup that one of these signs.
    #[must_use]
    pub fn believed_by(mut self, signers: Vec<String>) -> Self {
        self.signers = signers;
        self
    }

    /// The position of a stage, counted from 0.
    #[must_use]
    pub fn position(&self, stage: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == stage)
    }

    /// What the steps up to and without `position` append to the artifact's name.
    #[must_use]
    pub fn suffixes_before(&self, position: usize) -> String {
        self.steps.iter().take(position).map(|step| step.suffix.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_time_and_reject_what_could_escape_a_name() {
        let early = RunId::new(Timestamp::from_second(1_000).unwrap(), u128::MAX);
        let late = RunId::new(Timestamp::from_second(1_001).unwrap(), 0);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<RunId>().unwrap(), early);
        for bad in ["", "../etc", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fa/"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
