//! The repair at the end of a run: within a budget, what lags behind is made good.
//!
//! Invariant: whatever happens here, the run keeps its exit code; its backup is made, and on record.

use super::program::ask;
use crate::cli::Common;
use config::Pipeline;
use contract::{Exit, Failure};
use level::{SyncReport, Synced};
use serde::Serialize;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How much longer than its budget a copy that was begun within it may take. One that takes longer is
/// for `lifeboat sync`, which nobody waits for.
const GRACE: Duration = Duration::from_secs(60);
/// How long a program may take to say what it did after it has given up.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What was made good. This is `repair` in `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Repair {
    /// The exit code of `lifeboat-sync`.
    pub(crate) exit: u8,
    /// Copies that are there now.
    pub(crate) copied: usize,
    /// Copies that are still lacking, as far as it came to know.
    pub(crate) lacking: usize,
    /// The destinations to which the backup of this very run was supplied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) supplied: Vec<String>,
}

/// Starts `lifeboat-sync` with the budget that `[replicate]` gives it. What it began within the budget
/// it gives up a minute after; it is broken off when it does not, or when the deadline of the run has
/// passed.
pub(crate) fn repair(
    common: &Common,
    pipeline: &Pipeline,
    backup: Option<&str>,
    deadline: Instant,
) -> Option<Repair> {
    let budget = pipeline.replicate.repair.get()?;
    let limit = budget.get() + GRACE;
    let arguments: [OsString; 8] = [
        "--quick".into(),
        "--no-history".into(),
        "--budget".into(),
        budget.to_string().into(),
        "--give-up-after".into(),
        config::Duration::from_secs(limit.as_secs()).to_string().into(),
        "--timeout".into(),
        "60s".into(),
    ];
    let deadline = deadline.min(Instant::now() + limit + LAST_WORDS);
    failpoint::pass("run.repairing");
    let answer = match ask::<SyncReport>(common, "sync", &arguments, Some(deadline)) {
        Ok(answer) => answer,
        Err(e) => {
            let hint = e.hint().unwrap_or_default();
            tracing::warn!(hint, "copies that lag behind were not made good: {e}");
            return Some(Repair { exit: e.exit().code(), copied: 0, lacking: 0, supplied: vec![] });
        }
    };
    failpoint::pass("run.repaired");
    let copies = answer.said.map(|report| report.copies).unwrap_or_default();
    let is_there = |result: Synced| result.is_there();
    let copied = copies.iter().filter(|copy| is_there(copy.result)).count();
    let of_run = copies.iter().filter(|c| Some(c.backup.as_str()) == backup && is_there(c.result));
    let repair = Repair {
        exit: answer.code,
        copied,
        lacking: copies.len() - copied,
        supplied: of_run.map(|copy| copy.destination.clone()).collect(),
    };
    tell(&repair);
    Some(repair)
}

fn tell(repair: &Repair) {
    if !repair.supplied.is_empty() {
        tracing::info!("the backup of this run is in {} now too", repair.supplied.join(", "));
    }
    match (repair.copied, repair.lacking, repair.exit) {
        (copied, 0, code) if code == Exit::Ok.code() => {
            tracing::info!(copied, "copies that lagged behind were made good");
        }
        (copied, lacking, code) if code == Exit::Forged.code() => {
            let hint = "`lifeboat list` shows which, `lifeboat sync` what was made good; find out who \
                        can write there";
            tracing::warn!(code, copied, lacking, hint, "there are forged manifests");
        }
        (copied, lacking, code) => {
            let hint = "`lifeboat sync` goes on with it, and so does the next run";
            tracing::warn!(code, copied, lacking, hint, "copies still lag behind");
        }
    }
}
