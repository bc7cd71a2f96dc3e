//! What a drill is told to expect and what it found: the JSON between `lifeboat drill` and
//! `lifeboat-drill`.
//!
//! Shapes only; `lifeboat-drill` decides what they mean. Ids of etcd are lower-case hex.

use crate::facts::{MemberHashKv, RestoreFacts, VerifyFacts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of both formats.
pub const DRILL_VERSION: u32 = 1;

/// What the restored directory has to hold. Written for `lifeboat-drill --expect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillExpectation {
    /// Version of this format.
    pub version: u32,
    /// The backup's name, for messages.
    pub backup: String,
    /// What its manifest says that the snapshot holds.
    pub snapshot: VerifyFacts,
    /// What the live members answered to HashKV while the snapshot was taken, as the manifest has
    /// it.
    #[serde(default)]
    pub hashkv: Vec<MemberHashKv>,
    /// What `lifeboat-restore` says that it wrote; absent in a run, where its receipt says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreFacts>,
}

/// What a drill found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFacts {
    /// Version of this format.
    pub version: u32,
    /// `native`, `etcd` or `three-members`.
    pub depth: String,
    /// The etcd that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdProgram>,
    /// Everything that was compared, in this order.
    pub checks: Vec<DrillCheck>,
    /// How long each phase took (`read`, `start`, `compare`, `write`, `stop`), in milliseconds.
    pub phases_ms: BTreeMap<String, u64>,
}

/// An etcd on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdProgram {
    /// Where it is.
    pub path: String,
    /// What it says its version is.
    pub version: String,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillCheck {
    /// What was compared.
    pub name: String,
    /// What it has to be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// Whether that is the same.
    pub passed: bool,
}

/// What `lifeboat-drill --find` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundEtcd {
    /// The etcd that a drill would start, if there is one.
    pub etcd: Option<EtcdProgram>,
}
