//! What is inside a backup that a scrub has read: decrypted, decompressed and verified, and thrown
//! away.
//!
//! One copy of each backup is enough: all that are whole have the same bytes, by their SHA-256. For
//! the same reason what is not sound inside one of them is sound in none, and all are marked; only
//! bytes that differ when they are fetched are those of one copy.
//!
//! Invariant: a backup is called suspect only for what its own bytes did, never for what this
//! machine, a store or a key lacks.

use super::args::ScrubArgs;
use crate::chain::{Cause, Drawing, Outcome};
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

/// What the stages of the way back say of a copy.
enum Verdict {
    Sound,
    /// Its bytes are other ones than they have to be.
    Damaged,
    /// Its bytes are right, and what they hold is not sound.
    Unsound,
    /// They came to no verdict, for a reason that is none of the backup's.
    None,
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
    let looks = Looks { common, pipeline, catalogue: &catalogue, records: !args.no_record };
    let drawing = Drawing::new(common.logs_are_human(), false);
    let mut seen: BTreeSet<BackupName> = BTreeSet::new();
    let mut exit = report.exit;
    for at in 0..report.copies.len() {
        let copy = report.copies[at].clone();
        if !is_whole(&copy) || !seen.insert(copy.backup.clone()) {
            continue;
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            exit = worse(exit, Exit::Partial.code());
            continue;
        }
        let Some((backup, manifest)) = find(&catalogue, &copy) else { continue };
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
        report.copies[at].problem = outcome.cause.as_ref().map(told);
        let verdict = judge(&copy, &outcome);
        exit = worse(exit, outcome.code);
        exit = worse(exit, looks.take(report, at, backup, &verdict));
        // Whoever ended this one means all of them.
        if outcome.code > 128 {
            break;
        }
    }
    (report.exit, report.finished_at) = (exit, Clock::system().now());
    Ok(())
}

fn is_whole(copy: &Scrubbed) -> bool {
    matches!(copy.result, Found::Whole | Found::Repaired)
}

fn find<'a>(catalogue: &'a Catalogue, copy: &Scrubbed) -> Option<(&'a Backup, &'a Manifest)> {
    let is_it = |(destination, backup): &(&str, &Backup)| {
        *destination == copy.destination && backup.manifest_key == copy.manifest_key
    };
    let (_, backup) = catalogue.copies().find(is_it)?;
    Some((backup, backup.manifest.as_ref()?))
}

fn told(cause: &Cause) -> String {
    format!("{} failed: {}", cause.stage, cause.message)
}

/// What the end of the chain says of the backup.
fn judge(copy: &Scrubbed, outcome: &Outcome) -> Verdict {
    let (name, destination) = (&copy.backup, &copy.destination);
    let Some(cause) = &outcome.cause else {
        tracing::info!("what is inside {name} in {destination} is sound");
        return Verdict::Sound;
    };
    let verdict = match cause.stage.as_str() {
        _ if outcome.code != Exit::Corrupt.code() => Verdict::None,
        "fetch" => Verdict::Damaged,
        "decrypt" | "decompress" | "verify" => Verdict::Unsound,
        // The programs of the user's are none that judge.
        _ => Verdict::None,
    };
    let what = match verdict {
        Verdict::None => "could not be looked into",
        Verdict::Sound | Verdict::Damaged | Verdict::Unsound => "is not sound",
    };
    let (causes, hint, code, problem) = (&cause.causes, &cause.hint, outcome.code, told(cause));
    tracing::error!(code, causes, hint, "{name} in {destination} {what}: {problem}");
    verdict
}

/// What all looks of one scrub have in common.
struct Looks<'a> {
    common: &'a Common,
    pipeline: &'a Pipeline,
    catalogue: &'a Catalogue,
    records: bool,
}

impl Looks<'_> {
    /// Takes a verdict into the report, and records it; gives the exit code of that.
    fn take(&self, report: &mut ScrubReport, at: usize, backup: &Backup, verdict: &Verdict) -> u8 {
        let copy = &mut report.copies[at];
        let (destination, problem) = (copy.destination.clone(), copy.problem.clone());
        match verdict {
            Verdict::None => Exit::Ok.code(),
            Verdict::Damaged => {
                copy.result = Found::Damaged;
                let how = (Finding::Suspect, Depth::Digest);
                self.record(report, &destination, backup, how, problem.as_deref())
            }
            Verdict::Sound => {
                copy.depth = Depth::Content;
                let how = (Finding::Checked, Depth::Content);
                let cleared = self.twins(backup).filter(|(name, twin)| {
                    let mut read = report.copies.iter().filter(|copy| copy.backup == twin.name);
                    *name == destination
                        || twin.is_doubted(Depth::Content)
                            && read.any(|copy| copy.destination == *name && is_whole(copy))
                });
                let cleared: Vec<(&str, &Backup)> = cleared.collect();
                self.record_all(report, &cleared, how, None)
            }
            Verdict::Unsound => {
                copy.depth = Depth::Content;
                let twins: Vec<(&str, &Backup)> = self.twins(backup).collect();
                let holds = |copy: &Scrubbed| twins.iter().any(|(d, _)| *d == copy.destination);
                let all = report.copies.iter_mut().filter(|copy| copy.backup == backup.name);
                for copy in all.filter(|copy| is_whole(copy) && holds(copy)) {
                    (copy.result, copy.problem) = (Found::Damaged, problem.clone());
                }
                let how = (Finding::Suspect, Depth::Content);
                self.record_all(report, &twins, how, problem.as_deref())
            }
        }
    }

    /// All copies of these very bytes, by what their manifests say.
    fn twins<'b>(&'b self, backup: &'b Backup) -> impl Iterator<Item = (&'b str, &'b Backup)> {
        self.catalogue.copies().filter(move |(_, other)| {
            other.name == backup.name && other.story() == backup.story() && other.state.is_usable()
        })
    }

    fn record_all(
        &self,
        report: &mut ScrubReport,
        copies: &[(&str, &Backup)],
        how: (Finding, Depth),
        problem: Option<&str>,
    ) -> u8 {
        let mut exit = Exit::Ok.code();
        for (destination, backup) in copies {
            exit = worse(exit, self.record(report, destination, backup, how, problem));
        }
        exit
    }

    /// Marks a copy, unless it is marked so already. That it could not be marked takes nothing back of
    /// what was found.
    fn record(
        &self,
        report: &mut ScrubReport,
        destination: &str,
        backup: &Backup,
        how: (Finding, Depth),
        problem: Option<&str>,
    ) -> u8 {
        let stands = how.0 == Finding::Suspect && backup.is_doubted(how.1);
        if !self.records || stands {
            return Exit::Ok.code();
        }
        match self.put(destination, backup, how, problem) {
            Ok(key) => {
                let is_it =
                    |c: &&mut Scrubbed| c.backup == backup.name && c.destination == destination;
                if let Some(copy) = report.copies.iter_mut().find(is_it) {
                    copy.record = Some(key);
                }
                Exit::Ok.code()
            }
            Err(e) => {
                let (code, hint) = (e.exit().code(), e.hint().unwrap_or_default());
                tracing::error!(code, hint, "{destination}: what was found is not recorded: {e}");
                code
            }
        }
    }

    fn put(
        &self,
        destination: &str,
        backup: &Backup,
        how: (Finding, Depth),
        problem: Option<&str>,
    ) -> Result<String, Error> {
        let Some(manifest) = &backup.manifest else { return Ok(String::new()) };
        let now = Clock::system().now();
        let run = new_run_id(now);
        let summary = problem.unwrap_or("decrypted, decompressed and verified");
        let tool = format!("lifeboat {}", env!("CARGO_PKG_VERSION"));
        let record = Record::new(manifest, &backup.manifest_sha256, &run, now, how, tool);
        let file = way_back::home(self.pipeline, "scrubs").join(format!("{run}.json"));
        durable::write_new(&file, &record.saying(summary).to_bytes())?;
        failpoint::pass("scrub.recording");
        let arguments: [&OsStr; 6] = [
            "--record".as_ref(),
            file.as_os_str(),
            "--destination".as_ref(),
            destination.as_ref(),
            "--manifest".as_ref(),
            backup.manifest_key.as_ref(),
        ];
        let stored = ask_catalogue::<Stored>(self.common, &arguments);
        durable::remove_file(&file)?;
        Ok(stored?.key)
    }
}
