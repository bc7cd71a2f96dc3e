//! The receipt of one step: what it read, what it wrote, what it learned. A step without a
//! receipt did not happen.

use crate::{RunId, Tally, Written};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a stage says that it did, written before its output closes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this format.
    pub version: u32,
    /// The run that it belongs to.
    pub run: RunId,
    /// Position in the plan, counted from 0.
    pub step: usize,
    /// The stage's name.
    pub stage: String,
    /// Program and version, such as `lifeboat-verify 0.1.0`.
    pub tool: String,
    /// When the stage began.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Timestamp,
    /// What it read; absent for the first stage.
    pub input: Option<Tally>,
    /// What it wrote. A stage that ends the chain wrote zero bytes.
    pub output: Written,
    /// How long it stood still for its neighbours.
    pub waited: Waited,
    /// What it learned; [`crate::facts`] has the shapes.
    pub facts: serde_json::Value,
}

/// Time that a stage spent waiting for its neighbours, in milliseconds. The rest is its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waited {
    /// For bytes to arrive.
    pub input_ms: u64,
    /// For bytes to be taken.
    pub output_ms: u64,
}
