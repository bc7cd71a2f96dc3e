//! What is inside a backup that a scrub has read: decrypted, decompressed and verified, and thrown
//! away.
//!
//! One copy of each backup is enough: all that are whole have the same bytes, by their SHA-256.
//!
//! Invariant: a backup is called suspect only for what its own bytes did, never for what this
//! machine, a store or a key lacks.

use super::args::ScrubArgs;
use crate::chain::{Drawing, Outcome};
use crate::cli::Common;
use crate::error::Error;
use crate::planning::new_run_id;
use crate::views::{ask_catalogue, read_catalogue};
use crate::way_back::{self, WayBack};
use catalogue::{Backup, BackupName, Catalogue, Depth, Finding, Manifest, Record};
use config::Pipeline;
use contract::{Clock, Exit, Failure, worse};
use level::{Found, ScrubReport, Scrubbed};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Instant;

/// What `lifeboat-catalogue --record` prints.
#[derive(Debug, Deserialize)]
struct Stored {
    key: String,
}

/// Looks inside, and takes what was found into the report.
pub(super) fn look(
    common: &Common,
    args: &ScrubArgs,
    pipeline: &Pipeline,
    deadline: Option<Instant>,
    report: &mut ScrubReport,
) -> Result<(), Error> {
    let catalogue = read_catalogue(common)?;
    let drawing = Drawing::new(common.logs_are_human(), false);
    let mut seen: BTreeSet<BackupName> = BTreeSet::new();
    let mut exit = report.exit;
    for copy in &mut report.copies {
        let is_whole = matches!(copy.result, Found::Whole | Found::Repaired);
        if !is_whole || seen.contains(&copy.backup) {
            continue;
        }
        seen.insert(copy.backup.clone());
        if deadline.is_some_and(|at| Instant::now() >= at) {
            exit = worse(exit, Exit::Partial.code());
            continue;
        }
        let Some((backup, manifest)) = find(&catalogue, copy) else { continue };
        let way_back = WayBack {
            common,
            home: way_back::home(pipeline, "scrubs"),
            backup: &backup.name,
            identities: &args.identity,
            last: Some("verify"),
            last_arguments: Vec::new(),
            deadline: Instant::now() + pipeline.run.deadline.get(),
            draws_progress: false,
            one_destination: true,
        };
        let outcome = way_back.try_out((&copy.destination, manifest), &drawing)?;
        let code = take(copy, &outcome);
        exit = worse(exit, code);
        if copy.depth == Depth::Content && !args.no_record {
            exit = worse(exit, record(common, pipeline, copy, backup, manifest));
        }
        // Whoever ended this one means all of them.
        if outcome.code > 128 {
            break;
        }
    }
    (report.exit, report.finished_at) = (exit, Clock::system().now());
    Ok(())
}

fn find<'a>(catalogue: &'a Catalogue, copy: &Scrubbed) -> Option<(&'a Backup, &'a Manifest)> {
    let is_it = |(destination, backup): &(&str, &Backup)| {
        *destination == copy.destination && backup.manifest_key == copy.manifest_key
    };
    let (_, backup) = catalogue.copies().find(is_it)?;
    Some((backup, backup.manifest.as_ref()?))
}

/// Takes in how the chain ended; gives the exit code that speaks for it.
fn take(copy: &mut Scrubbed, outcome: &Outcome) -> u8 {
    let (name, destination) = (&copy.backup, &copy.destination);
    let Some(cause) = &outcome.cause else {
        tracing::info!("what is inside {name} in {destination} is sound");
        copy.depth = Depth::Content;
        return Exit::Ok.code();
    };
    let (causes, hint, code) = (&cause.causes, &cause.hint, outcome.code);
    let problem = format!("{} failed: {}", cause.stage, cause.message);
    // The programs of the user's are none that judge.
    let judges = ["fetch", "decrypt", "decompress", "verify"].contains(&cause.stage.as_str());
    match code == Exit::Corrupt.code() && judges {
        true => {
            tracing::error!(code, causes, hint, "{name} in {destination} is not sound: {problem}");
            (copy.depth, copy.result) = (Depth::Content, Found::Damaged);
        }
        false => {
            tracing::error!(code, causes, hint, "{name} could not be looked into: {problem}");
        }
    }
    copy.problem = Some(problem);
    code
}

/// Marks the copy. That it could not be marked takes nothing back of what was found.
fn record(
    common: &Common,
    pipeline: &Pipeline,
    copy: &mut Scrubbed,
    backup: &Backup,
    manifest: &Manifest,
) -> u8 {
    match put(common, pipeline, copy, backup, manifest) {
        Ok(key) => {
            copy.record = Some(key);
            Exit::Ok.code()
        }
        Err(e) => {
            let (code, hint) = (e.exit().code(), e.hint().unwrap_or_default());
            tracing::error!(code, hint, "what was found could not be recorded: {e}");
            code
        }
    }
}

fn put(
    common: &Common,
    pipeline: &Pipeline,
    copy: &Scrubbed,
    backup: &Backup,
    manifest: &Manifest,
) -> Result<String, Error> {
    let now = Clock::system().now();
    let run = new_run_id(now);
    let (finding, summary) = match &copy.problem {
        None => (Finding::Checked, "decrypted, decompressed and verified"),
        Some(problem) => (Finding::Suspect, problem.as_str()),
    };
    let tool = format!("lifeboat {}", env!("CARGO_PKG_VERSION"));
    let how = (finding, Depth::Content);
    let record = Record::new(manifest, &backup.manifest_sha256, &run, now, how, tool);
    let file = way_back::home(pipeline, "scrubs").join(format!("{run}.json"));
    durable::write_new(&file, &record.saying(summary).to_bytes())?;
    failpoint::pass("scrub.recording");
    let arguments: [&OsStr; 6] = [
        "--record".as_ref(),
        file.as_os_str(),
        "--destination".as_ref(),
        copy.destination.as_ref(),
        "--manifest".as_ref(),
        copy.manifest_key.as_ref(),
    ];
    let stored = ask_catalogue::<Stored>(common, &arguments);
    durable::remove_file(&file)?;
    Ok(stored?.key)
}
