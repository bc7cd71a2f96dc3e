//! Marks a copy: a record of the drill, stored beside its manifest by the program that has the
//! store's credentials.
//!
//! Invariant: that a record could not be stored takes nothing back of what the drill found; it is
//! told, and makes a success none.

use super::choice::Copy;
use super::report::Drilled;
use super::scratch::Scratch;
use crate::cli::Common;
use crate::error::Error;
use crate::views::ask_catalogue;
use catalogue::{Finding, Record};
use contract::{Failure, RunId};
use serde::Deserialize;
use std::ffi::OsStr;

/// What `lifeboat-catalogue --record` prints.
#[derive(Debug, Deserialize)]
struct Stored {
    key: String,
}

/// Stores what was found, if it is something that a record says.
pub(super) fn store(
    common: &Common,
    copy: &Copy<'_>,
    run: &RunId,
    drilled: &mut Drilled,
    scratch: &Scratch,
) {
    let Some(finding) = drilled.result.finding() else { return };
    let tool = format!("lifeboat {}", env!("CARGO_PKG_VERSION"));
    let how = (finding, drilled.depth_of_record());
    // What is on record already is not said again and again.
    if finding == Finding::Suspect && copy.backup.is_doubted(how.1) {
        return;
    }
    let sha256 = &copy.backup.manifest_sha256;
    let mut record =
        Record::new(copy.manifest, sha256, run, drilled.at, how, tool).saying(&drilled.summary());
    record.etcd_version = drilled.etcd.as_ref().map(|etcd| etcd.version.clone());
    record.rto_ms = drilled.rto_ms;
    record.rpo_seconds = Some(drilled.rpo_seconds);
    match put(common, copy, &record, scratch) {
        Ok(key) => drilled.record = Some(key),
        Err(e) => {
            let hint = e.hint().unwrap_or_default();
            tracing::error!(code = e.exit().code(), hint, "the drill could not be recorded: {e}");
            drilled.exit = contract::worse(drilled.exit, e.exit().code());
            drilled.record_problem = Some(e.to_string());
        }
    }
}

fn put(
    common: &Common,
    copy: &Copy<'_>,
    record: &Record,
    scratch: &Scratch,
) -> Result<String, Error> {
    let file = scratch.path().join("record.json");
    durable::write_new(&file, &record.to_bytes())?;
    failpoint::pass("drill.recording");
    let arguments: [&OsStr; 6] = [
        "--record".as_ref(),
        file.as_os_str(),
        "--destination".as_ref(),
        copy.destination.as_ref(),
        "--manifest".as_ref(),
        copy.backup.manifest_key.as_ref(),
    ];
    let stored: Stored = ask_catalogue(common, &arguments)?;
    Ok(stored.key)
}
