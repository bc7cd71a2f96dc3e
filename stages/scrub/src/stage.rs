//! The core: read all catalogues, read the copies, repair, tell.

use crate::args::Args;
use crate::choice;
use crate::error::Error;
use crate::read::{self, Read};
use catalogue::{Catalogue, Depth, Looked, State};
use config::Pipeline;
use contract::{Clock, Exit, worse};
use level::{Aim, Copied, Found, ScrubReport, Scrubbed, Work};
use repair::{Crew, Halt};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// The version of the JSON.
const VERSION: u32 = 1;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let known = |name: &&String| !pipeline.destinations.contains_key(*name);
    if let Some(unknown) = args.destination.iter().find(known) {
        return Err(destinations::Error::Unknown(unknown.clone()).into());
    }
    let halt = Halt::default();
    let work = scrub(args, &pipeline, halt.clone());
    let ended = destinations::block_on(repair::until_stopped(&halt, work))?;
    match ended.map_err(Error::Signals)? {
        Ok(report) => print(&report?),
        Err(signal) => {
            tracing::error!(code = 128 + signal, "stopped by signal {signal}");
            Ok(ExitCode::from(128 + signal))
        }
    }
}

async fn scrub(args: &Args, pipeline: &Pipeline, halt: Halt) -> Result<ScrubReport, Error> {
    let deadline = args.budget.map(|budget| Instant::now() + budget.get());
    let clock = Clock::system();
    let (mut crew, mut catalogue) =
        Crew::gather(pipeline, "scrub", clock, halt, args.timeout.get()).await;
    failpoint::pass("scrub.read");
    if args.no_record {
        crew.keep_no_records();
    }
    let started_at = catalogue.read_at;
    let chosen = choice::copies(&catalogue, args, started_at);
    if let (Some(name), true) = (&args.backup, chosen.iter().all(|(_, all)| all.is_empty())) {
        return Err(Error::NoBackup(name.clone()));
    }
    // Each destination at its own pace.
    let reads = chosen
        .iter()
        .map(|(destination, backups)| read::all(&crew, args, destination, backups, deadline));
    let reads = futures::future::join_all(reads).await;
    let reads: Vec<Read> = reads.into_iter().flatten().collect();
    let trouble = reads.iter().fold(Exit::Ok.code(), |all, read| worse(all, read.trouble));
    let mut copies: Vec<Scrubbed> = reads.into_iter().map(|read| read.copy).collect();
    let repairs = match args.no_repair {
        true => Vec::new(),
        false => {
            mark(&mut catalogue, &copies);
            let works = works(&catalogue, pipeline, &copies);
            crew.carry_out(&works, deadline).await
        }
    };
    take(&mut copies, &repairs);
    copies.sort_by(|a, b| (&b.backup, &a.destination).cmp(&(&a.backup, &b.destination)));
    failpoint::pass("scrub.done");
    let is_wanted =
        |name: &str| args.destination.is_empty() || args.destination.iter().any(|d| d == name);
    let dark = catalogue.destinations.iter().filter(|d| is_wanted(&d.destination));
    let dark = dark.filter_map(|d| d.exit).fold(trouble, worse);
    Ok(ScrubReport {
        version: VERSION,
        cluster: pipeline.cluster.clone(),
        started_at,
        finished_at: clock.now(),
        exit: copies.iter().map(|copy| exit(copy.result).code()).fold(dark, worse),
        copies,
        repairs,
        unreadable: unreadable(&catalogue),
    })
}

fn unreadable(catalogue: &Catalogue) -> BTreeMap<String, String> {
    let dark = catalogue.destinations.iter();
    dark.filter_map(|d| Some((d.destination.clone(), d.problem.clone()?))).collect()
}

fn exit(found: Found) -> Exit {
    match found {
        // One that could not be read has a code of its own.
        Found::Whole | Found::Repaired | Found::Unread | Found::Archived => Exit::Ok,
        Found::Damaged => Exit::Corrupt,
        Found::Left => Exit::Partial,
    }
}

/// Takes what was found into the catalogue that was read before.
fn mark(catalogue: &mut Catalogue, copies: &[Scrubbed]) {
    let looked = Looked { at: catalogue.read_at, depth: Depth::Digest };
    for destination in &mut catalogue.destinations {
        for backup in destination.backups.iter_mut().filter(|b| b.state.is_usable()) {
            let is_it = |copy: &&Scrubbed| {
                copy.backup == backup.name
                    && copy.destination == destination.destination
                    && copy.result == Found::Damaged
            };
            if let Some(copy) = copies.iter().find(is_it) {
                (backup.state, backup.doubt) = (State::Suspect, Some(looked));
                backup.problem.clone_from(&copy.problem);
            }
        }
    }
}

/// What is to be repaired: of the copies that were read, the damaged ones.
fn works(catalogue: &Catalogue, pipeline: &Pipeline, copies: &[Scrubbed]) -> Vec<Work> {
    let mut level = level::compare(catalogue, &Aim::new(pipeline, None), catalogue.read_at);
    for work in &mut level.works {
        let is_damaged = |destination: &str| {
            let mut of_it = copies.iter().filter(|copy| copy.backup == work.backup);
            of_it.any(|copy| copy.destination == destination && copy.result == Found::Damaged)
        };
        work.lacks.retain(|lack| is_damaged(&lack.destination));
    }
    level.works.retain(|work| !work.lacks.is_empty());
    level.works
}

/// Takes in what became of the damaged ones, and of sources that turned out to be damaged.
fn take(copies: &mut [Scrubbed], repairs: &[Copied]) {
    for copy in copies {
        let is_it = |r: &&Copied| r.backup == copy.backup && r.destination == copy.destination;
        match repairs.iter().rfind(is_it) {
            Some(repair) if repair.result.is_there() => copy.result = Found::Repaired,
            Some(_) => copy.result = Found::Damaged,
            None => {}
        }
    }
}

fn print(report: &ScrubReport) -> Result<ExitCode, Error> {
    let mut text = serde_json::to_vec(report).map_err(|e| Error::Print(e.into()))?;
    text.push(b'\n');
    contract::print(text).map_err(Error::Print)?;
    Ok(ExitCode::from(report.exit))
}
