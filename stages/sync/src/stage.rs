//! The core: read all catalogues, compare, copy, tell.

use crate::args::Args;
use crate::error::Error;
use catalogue::Catalogue;
use config::Pipeline;
use contract::{Clock, Exit, worse};
use level::{Aim, Copied, Kind, Level, Past, SyncReport, Synced, Why, Work};
use repair::{Crew, Halt};
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
    let work = sync(args, &pipeline, halt.clone());
    let ended = destinations::block_on(repair::until_stopped(&halt, work))?;
    match ended.map_err(Error::Signals)? {
        Ok(report) => print(&report?),
        Err(signal) => {
            tracing::error!(code = 128 + signal, "stopped by signal {signal}");
            Ok(ExitCode::from(128 + signal))
        }
    }
}

async fn sync(args: &Args, pipeline: &Pipeline, halt: Halt) -> Result<SyncReport, Error> {
    let deadline = args.budget.map(|budget| Instant::now() + budget.get());
    if let Some(limit) = args.give_up_after {
        halt.stop_after(limit.get());
    }
    let clock = Clock::system();
    let (mut crew, mut catalogue) =
        Crew::gather(pipeline, "sync", clock, halt, args.timeout.get()).await;
    failpoint::pass("sync.read");
    if !args.quick && !args.dry_run {
        crew.compare_checksums(&mut catalogue).await;
    }
    let started_at = catalogue.read_at;
    let policy = match args.all {
        true => None,
        false => level::policy(pipeline, true)?,
    };
    let past = if args.no_history { Past::None } else { Past::Whole };
    let aim = Aim::new(pipeline, policy).with_past(past);
    let mut level = level::compare(&catalogue, &aim, clock.now());
    let is_wanted =
        |name: &str| args.destination.is_empty() || args.destination.iter().any(|d| d == name);
    keep_only(&mut level, is_wanted);
    let copies = match args.dry_run {
        true => level.works.iter().flat_map(planned).collect(),
        false => crew.carry_out(&level.works, deadline).await,
    };
    failpoint::pass("sync.done");
    for remark in &level.remarks {
        let about = remark.backup.as_ref().map(ToString::to_string);
        let about = about.into_iter().chain(remark.destination.clone()).collect::<Vec<_>>();
        tracing::warn!("{}: {}", about.join(" in "), remark.problem);
    }
    Ok(SyncReport {
        version: VERSION,
        cluster: pipeline.cluster.clone(),
        started_at,
        finished_at: clock.now(),
        exit: exit(&copies, &level, &catalogue, is_wanted),
        copies,
        remarks: level.remarks,
        unreadable: unreadable(&catalogue),
    })
}

fn keep_only(level: &mut Level, is_wanted: impl Fn(&str) -> bool) {
    level.works.iter_mut().for_each(|work| work.lacks.retain(|l| is_wanted(&l.destination)));
    level.works.retain(|work| !work.lacks.is_empty());
    level.remarks.retain(|remark| remark.destination.as_deref().is_none_or(&is_wanted));
}

fn planned(work: &Work) -> impl Iterator<Item = Copied> + '_ {
    work.lacks.iter().map(|lack| Copied {
        backup: work.backup.clone(),
        destination: lack.destination.clone(),
        why: lack.why,
        problem: lack.problem.clone(),
        artifact_bytes: work.manifest.artifact.bytes,
        result: Synced::Planned,
        from: work.sources.first().cloned(),
        server_side: false,
        quarantined: Vec::new(),
        error: None,
    })
}

fn unreadable(catalogue: &Catalogue) -> std::collections::BTreeMap<String, String> {
    let dark = catalogue.destinations.iter();
    dark.filter_map(|d| Some((d.destination.clone(), d.problem.clone()?))).collect()
}

/// Level, or not: with the code of what most needs a person.
fn exit(
    copies: &[Copied],
    level: &Level,
    catalogue: &Catalogue,
    is_wanted: impl Fn(&str) -> bool,
) -> u8 {
    let lacks = copies.iter().any(|copy| !copy.result.is_there())
        || level.remarks.iter().any(|remark| remark.kind.is_lack());
    let dark = catalogue.destinations.iter().filter(|d| is_wanted(&d.destination));
    // Made good or not: somebody has to look who is at work there.
    let is_forged = copies.iter().any(|copy| copy.why == Why::Forged)
        || level.remarks.iter().any(|remark| remark.kind == Kind::Forged);
    let exit = match (is_forged, lacks) {
        (true, _) => Exit::Forged,
        (false, true) => Exit::Partial,
        (false, false) => Exit::Ok,
    };
    dark.filter_map(|d| d.exit).fold(exit.code(), worse)
}

fn print(report: &SyncReport) -> Result<ExitCode, Error> {
    let mut text = serde_json::to_vec(report).map_err(|e| Error::Print(e.into()))?;
    text.push(b'\n');
    contract::print(text).map_err(Error::Print)?;
    Ok(ExitCode::from(report.exit))
}
