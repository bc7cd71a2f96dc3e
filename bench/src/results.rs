//! The numbers of all scenes, as `result.json` holds them.
//!
//! Invariants: a scene that is run again replaces its own numbers and no others; raw numbers of
//! every run are kept, so that any other statistic can be made of them.
//! Does not: hold a path, an address or a name of the machine, because tables of it are published.

use crate::Error;
use crate::contestants::Contestant;
use crate::database::Content;
use crate::destinations::Destinations;
use crate::download::Download;
use crate::measure::Measured;
use crate::profile::StageUse;
use crate::restore::Restore;
use crate::summary::Summary;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Version of the file.
const VERSION: u32 = 1;

/// Everything that was measured last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    version: u32,
    /// The contestants side by side.
    pub(crate) compare: Option<Compare>,
    /// Lifeboat on databases of several sizes, by the megabytes asked for.
    pub(crate) memory: BTreeMap<usize, Memory>,
    /// Lifeboat with a destination behind a slow link.
    pub(crate) slow_link: Option<SlowLink>,
    /// The way back, by the megabytes asked for.
    #[serde(default)]
    pub(crate) restore: BTreeMap<usize, Restore>,
    /// Five destinations, one of them slow and one dead.
    #[serde(default)]
    pub(crate) destinations: Option<Destinations>,
    /// The read path, beside rclone.
    #[serde(default)]
    pub(crate) download: Option<Download>,
}

/// When and on what a scene ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// When it began.
    pub(crate) at: Timestamp,
    /// Version of Lifeboat.
    pub(crate) lifeboat: String,
    /// Version of etcd, of its client and of its offline tool.
    pub(crate) etcd: String,
    /// The model of the CPU.
    pub(crate) cpu: String,
    /// How many of them.
    pub(crate) cores: usize,
    /// Memory of the machine.
    pub(crate) memory_bytes: u64,
    /// Version of the kernel.
    pub(crate) kernel: String,
    /// What etcd held.
    pub(crate) content: Content,
}

/// The contestants side by side.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Compare {
    pub(crate) setting: Setting,
    /// How many rounds were counted.
    pub(crate) rounds: usize,
    /// What they come to.
    pub(crate) summary: Summary,
    /// Each run, in the order of time.
    pub(crate) runs: Vec<Run>,
}

/// One run of one contestant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Counted from 1.
    pub(crate) round: usize,
    pub(crate) contestant: Contestant,
    pub(crate) measured: Measured,
    /// Of Lifeboat only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stages: Vec<StageUse>,
}

/// Lifeboat on a database of one size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) setting: Setting,
    pub(crate) runs: Vec<Staged>,
}

/// One run of Lifeboat.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) measured: Measured,
    pub(crate) stages: Vec<StageUse>,
}

/// Lifeboat with a destination behind a slow link, and behind a fast one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SlowLink {
    pub(crate) setting: Setting,
    /// The slow one, in bytes a second.
    pub(crate) bytes_per_second: f64,
    pub(crate) fast: Vec<Staged>,
    pub(crate) slow: Vec<Staged>,
}

impl Default for Results {
    fn default() -> Self {
        Results {
            version: VERSION,
            compare: None,
            memory: BTreeMap::new(),
            slow_link: None,
            restore: BTreeMap::new(),
            destinations: None,
            download: None,
        }
    }
}

impl Results {
    /// Those of earlier runs; empty if there are none, or of another version.
    pub(crate) fn load(path: &Path) -> Self {
        let found = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        found.filter(|results: &Results| results.version == VERSION).unwrap_or_default()
    }

    /// Keeps them.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Unreadable { path: path.to_path_buf(), why: e.to_string() })?;
        Ok(durable::replace(path, &text)?)
    }
}
