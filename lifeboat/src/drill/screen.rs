//! What people see of a drill.

use super::report::{Drilled, Report, Result};
use crate::error::Error;
use crate::views::{age, print};
use std::path::Path;

/// One line for each copy, on standard output.
pub(super) fn show(report: &Report, evidence: &Path) -> std::result::Result<(), Error> {
    let mut text: String = report.drills.iter().map(|one| format!("{}\n", line(one))).collect();
    text += &format!("evidence: {}.json, .md, .xml\n", evidence.display());
    print(&text)
}

fn line(one: &Drilled) -> String {
    let word = match one.result {
        Result::Proven => "PROVEN",
        Result::Restored => "RESTORED",
        Result::Suspect => "SUSPECT",
        Result::NotTried => "NOT TRIED",
    };
    let how = match (&one.etcd, one.result) {
        (_, Result::Suspect | Result::NotTried) => format!(": {}", one.summary()),
        (Some(etcd), _) => format!(" with etcd {} ({})", etcd.version, one.depth.name()),
        (None, _) => ", but no etcd was started: not proven".to_owned(),
    };
    let times = match one.rto_ms {
        Some(ms) => format!("; served after {}.{} s", ms / 1000, ms % 1000 / 100),
        None => String::new(),
    };
    let old = age(one.rpo_seconds);
    format!("{word}: {} from {}{how}{times}; the backup was {old} old", one.backup, one.destination)
}

/// What went wrong, in the log, with the next step.
pub(super) fn tell(report: &Report) {
    for one in &report.drills {
        let Some(cause) = &one.cause else { continue };
        let what = format!("the drill of {} from {}", one.backup, one.destination);
        let (causes, hint, code) = (&cause.causes, &cause.hint, one.exit);
        let said = format!("{} failed: {}", cause.stage, cause.message);
        match one.result {
            Result::Suspect => {
                let hint = "do not rely on it: drill another copy or an older backup, and make a new one \
                     with `lifeboat run`";
                tracing::error!(code, causes, hint, "{what} failed; it is suspect now: {said}");
            }
            _ => tracing::error!(code, causes, hint, "{what} could not be made: {said}"),
        }
    }
}
