//! Where the time of a Lifeboat run goes: each stage's receipt, beside what its process used.
//!
//! Does not: judge; the receipt's own words are taken.

use crate::Error;
use crate::measure::{Measured, seconds};
use crate::workplace::Workplace;
use contract::Receipt;
use contract::facts::ReplicateFacts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One stage of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StageUse {
    /// Its name.
    pub(crate) stage: String,
    /// From its beginning to its receipt.
    pub(crate) wall_seconds: f64,
    /// User and system time of its process, as last seen.
    pub(crate) cpu_seconds: f64,
    /// How long it stood still for bytes to arrive.
    pub(crate) waited_input_seconds: f64,
    /// How long it stood still for bytes to be taken.
    pub(crate) waited_output_seconds: f64,
    /// The most memory that its process had.
    pub(crate) peak_rss_bytes: u64,
    /// What its process gave to file systems on disks, even if only for a moment.
    pub(crate) handed_bytes: u64,
}

/// The stages of the only run in the workplace, in order; last of all the runner itself.
pub(crate) fn profile(work: &Workplace, measured: &Measured) -> Result<Vec<StageUse>, Error> {
    let mut stages = Vec::new();
    for receipt in receipts(work)? {
        let lasted = receipt.finished_at.duration_since(receipt.started_at);
        stages.push(StageUse {
            wall_seconds: lasted.as_secs_f64(),
            waited_input_seconds: milliseconds(receipt.waited.input_ms),
            waited_output_seconds: milliseconds(receipt.waited.output_ms),
            ..used(&format!("lifeboat-{}", receipt.stage), &receipt.stage, measured)
        });
    }
    let runner = used("lifeboat", "(runner)", measured);
    // The kernel adds to a process what its ended children gave.
    let of_stages: u64 = stages.iter().map(|stage| stage.handed_bytes).sum();
    stages.push(StageUse {
        wall_seconds: measured.wall_seconds,
        handed_bytes: runner.handed_bytes.saturating_sub(of_stages),
        ..runner
    });
    Ok(stages)
}

/// How long each destination took from the beginning of `replicate` until its copy counted, in
/// seconds; a destination without a copy is not in it.
pub(crate) fn copies(work: &Workplace) -> Result<BTreeMap<String, f64>, Error> {
    let replicate = receipts(work)?.into_iter().find(|receipt| receipt.stage == "replicate");
    let facts = replicate.map(|receipt| receipt.facts).unwrap_or_default();
    let facts: ReplicateFacts = serde_json::from_value(facts).map_err(|e| Error::Unreadable {
        path: work.path("state"),
        why: format!("the receipt of replicate: {e}"),
    })?;
    let counted = facts.copies.into_iter().filter_map(|copy| {
        let after = copy.after_ms.filter(|_| copy.stored)?;
        Some((copy.destination, milliseconds(after)))
    });
    Ok(counted.collect())
}

/// How long the capture took, by its own receipt.
pub(crate) fn capture_seconds(stages: &[StageUse]) -> Option<f64> {
    stages.iter().find(|s| s.stage == "capture").map(|s| s.wall_seconds)
}

fn used(program: &str, stage: &str, measured: &Measured) -> StageUse {
    let found: Vec<_> = measured.programs.iter().filter(|p| p.name == program).collect();
    StageUse {
        stage: stage.to_owned(),
        wall_seconds: 0.0,
        cpu_seconds: seconds(found.iter().map(|p| p.cpu_ticks).sum()),
        waited_input_seconds: 0.0,
        waited_output_seconds: 0.0,
        peak_rss_bytes: found.iter().map(|p| p.peak_rss_bytes).sum(),
        handed_bytes: found.iter().map(|p| p.handed_bytes).sum(),
    }
}

fn milliseconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn receipts(work: &Workplace) -> Result<Vec<Receipt>, Error> {
    let runs = work.path("state").join(lifeboat_tests::site::CLUSTER).join("runs");
    let run = match entries(&runs)?.as_slice() {
        [only] => only.clone(),
        several => {
            let why = format!("{} runs instead of one", several.len());
            return Err(Error::Unreadable { path: runs, why });
        }
    };
    let mut paths = entries(&run.join("receipts"))?;
    paths.sort();
    paths.iter().map(|path| receipt(path)).collect()
}

fn receipt(path: &Path) -> Result<Receipt, Error> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|e| Error::Unreadable { path: path.to_path_buf(), why: e.to_string() })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let found = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    found.map(|entry| Ok(entry.map_err(Error::io("list", folder))?.path())).collect()
}
