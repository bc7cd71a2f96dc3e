//! The evidence of a drill, in files: JSON for machines, Markdown for a change record, JUnit for a CI
//! server.
//!
//! Invariants: a file is written once; where nobody said where to, those of the last drills stay and
//! older ones go.

use super::report::Report;
use super::{junit, markdown};
use crate::error::Error;
use crate::way_back;
use config::Pipeline;
use std::path::{Path, PathBuf};

const PREFIX: &str = "drill-";
const KINDS: [&str; 3] = ["json", "md", "xml"];

/// Writes all three, and gives the path that they have in common, without its ending.
pub(crate) fn write(
    report: &Report,
    directory: Option<&Path>,
    pipeline: &Pipeline,
) -> Result<PathBuf, Error> {
    let own = way_back::home(pipeline, "evidence");
    let home = directory.unwrap_or(&own);
    durable::create_private_dir(home)?;
    let stem = home.join(format!("{PREFIX}{}", report.run));
    let mut json = serde_json::to_vec_pretty(report).map_err(|e| Error::Output(e.into()))?;
    json.push(b'\n');
    let files = [json, markdown::page(report).into_bytes(), junit::page(report).into_bytes()];
    for (kind, text) in KINDS.iter().zip(files) {
        durable::write_new(&stem.with_extension(kind), &text)?;
    }
    if directory.is_none() {
        forget(home, pipeline.run.keep_runs);
    }
    Ok(stem)
}

/// Takes away the oldest. A failure to remove one must not fail a drill that succeeded.
fn forget(home: &Path, keep: usize) {
    let Ok(entries) = std::fs::read_dir(home) else { return };
    let is_own = |name: &str| {
        let stem = name.strip_prefix(PREFIX)?.strip_suffix(".json")?;
        stem.parse::<contract::RunId>().ok()
    };
    let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
    let mut runs: Vec<contract::RunId> = names.filter_map(|name| is_own(&name)).collect();
    runs.sort();
    for old in runs.iter().take(runs.len().saturating_sub(keep)) {
        for kind in KINDS {
            let path = home.join(format!("{PREFIX}{old}.{kind}"));
            if let Err(e) = durable::remove_file(&path) {
                tracing::warn!("{e}");
            }
        }
    }
}
