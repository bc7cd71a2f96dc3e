//! `lifeboat run`: one backup, from the live cluster to its destinations.
//!
//! Owns: the lock, the run directories, beginning anew from another member when a stream broke,
//! and the report that every run leaves. The commit itself is `replicate`'s.

use crate::chain::{self, COMMIT, Drawing, Outcome};
use crate::cli::{Common, PlanArgs, RunArgs};
use crate::copies;
use crate::error::Error;
use crate::notify::Notices;
use crate::planning::Seen;
use crate::views::{print, print_json};
use crate::{check, find, lock, planning, tampering};
use catalogue::{BackupName, Manifest};
use config::Pipeline;
use contract::{Clock, Exit, Failure, Plan, RunDir};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// How often bytes that fail a check are captured, the first time included. Two members, or one
/// member twice, that send wrong bytes are no accident: a person has to look.
const CORRUPT_ATTEMPTS_MAX: u32 = 2;

/// The name of the report in a run's directory.
const REPORT: &str = "report.json";

/// What a run leaves behind: `report.json` in its directory, and the JSON of `run --json`.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    cluster: String,
    run: String,
    /// The backup, if it was committed.
    backup: Option<BackupName>,
    exit: u8,
    attempts: u32,
    started_at: jiff::Timestamp,
    finished_at: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<chain::Cause>,
    /// What was made good afterwards, where something lagged behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<copies::Repair>,
}

pub(crate) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    let clock = Clock::system();
    if args.dry_run {
        let seen = Seen::look_for_tier(common, &pipeline);
        return dry_run(&pipeline, &planning::plan(&pipeline, clock, &seen), args.json);
    }
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    check::must_be_fit(&pipeline)?;
    let _lock = lock::take(&home, &pipeline.cluster)?;
    failpoint::pass("run.locked");
    let drawing = Drawing::new(common.logs_are_human(), !args.no_progress);
    let attempts = Attempts { common, pipeline: &pipeline, home: &home, clock, json: args.json };
    let notices = Notices::begin(common, &pipeline);
    let ended = attempts.run(&drawing);
    notices.end(&match &ended {
        Ok(report) => serde_json::to_vec(report).unwrap_or_default(),
        Err(e) => without_report(&pipeline.cluster, e),
    });
    let report = ended?;
    forget_old_runs(&home, pipeline.run.keep_runs);
    Ok(ExitCode::from(report.exit))
}

/// What is told of a run whose report could not be made. It says nothing about the backup.
fn without_report(cluster: &str, error: &Error) -> Vec<u8> {
    let cause = serde_json::json!({ "stage": "lifeboat", "message": error.to_string() });
    let exit = error.exit().code();
    serde_json::json!({ "version": 1, "cluster": cluster, "exit": exit, "cause": cause })
        .to_string()
        .into_bytes()
}

/// `lifeboat plan`: the first step of a run whose stages are started one by one.
pub(crate) fn plan(common: &Common, args: &PlanArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    let seen = Seen::look(common);
    let mut plan = planning::plan(&pipeline, Clock::system(), &seen);
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    plan.previous = planning::previous(&seen, &home);
    RunDir::create(&args.run_dir, &plan)?;
    if let Some(dir) = &args.fifos {
        make_fifos(dir, &plan)?;
    }
    print(&format!("{}\n", BackupName::new(plan.started_at, &plan.run)))?;
    Ok(Exit::Ok.into())
}

/// One FIFO between every two steps, named after the one that writes to it.
fn make_fifos(dir: &Path, plan: &Plan) -> Result<(), Error> {
    durable::create_private_dir(dir)?;
    let writers = plan.steps.len().saturating_sub(1);
    for (position, step) in plan.steps.iter().enumerate().take(writers) {
        let path = dir.join(format!("{position:02}-{}.pipe", step.name));
        let mode = rustix::fs::Mode::from_raw_mode(durable::FILE_MODE);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .map_err(|e| Error::Fifo { path, source: e.into() })?;
    }
    Ok(())
}

struct Attempts<'a> {
    common: &'a Common,
    pipeline: &'a Pipeline,
    home: &'a Path,
    clock: Clock,
    json: bool,
}

impl Attempts<'_> {
    /// Runs the chain until it succeeds, fails for good, or the attempts are used up, and tells
    /// how that ended.
    fn run(&self, drawing: &Drawing) -> Result<Report, Error> {
        let started_at = self.clock.now();
        let deadline = Instant::now() + self.pipeline.run.deadline.get();
        let seen = Seen::look(self.common);
        if let Some(catalogue) = seen.catalogue() {
            tampering::tell(catalogue, self.home);
        }
        let previous = planning::previous(&seen, self.home);
        let mut avoid = Vec::new();
        let mut attempt = 1;
        let mut corrupt = 0;
        loop {
            let mut plan = planning::plan(self.pipeline, self.clock, &seen);
            plan.previous.clone_from(&previous);
            let run_dir = RunDir::create(&self.home.join("runs").join(plan.run.as_str()), &plan)?;
            let links = links(self.common, &plan, &run_dir, &avoid)?;
            let outcome = chain::run(&links, deadline, drawing)?;
            failpoint::pass("run.chain_ended");
            let mut report = self.report(&plan, &outcome, attempt, started_at);
            let left = leave(&run_dir, &report);
            if outcome.succeeded(COMMIT) {
                planning::remember(self.home, &plan, &run_dir);
            }
            failpoint::pass("run.reported");
            corrupt += u32::from(outcome.code == Exit::Corrupt.code());
            let last = attempt >= self.pipeline.run.attempts
                || corrupt >= CORRUPT_ATTEMPTS_MAX
                || Instant::now() >= deadline;
            match &outcome.cause {
                Some(cause) if left.is_ok() && !last && may_begin_anew(&outcome) => {
                    tracing::warn!(
                        causes = cause.causes,
                        "attempt {attempt} failed in {}: {}; beginning anew",
                        cause.stage,
                        cause.message
                    );
                    avoid.extend(giver(&outcome, &plan, &run_dir));
                }
                _ => {
                    // What became of the backup is told even if there is no room for the report.
                    tell(&report);
                    if left.is_ok() && may_repair(&outcome, deadline) {
                        let lags = seen.shows_lag(self.pipeline)
                            || planning::lacks_a_copy(&plan, &run_dir);
                        self.repair(&mut report, &run_dir, lags, deadline);
                    }
                    if self.json {
                        say(&report);
                    }
                    return left.map(|()| report);
                }
            }
            attempt += 1;
        }
    }

    /// Makes good what lags behind. The backup is made, and told: nothing here changes that.
    fn repair(&self, report: &mut Report, run_dir: &RunDir, lags: bool, deadline: Instant) {
        if !lags {
            return;
        }
        let backup = report.backup.as_ref().map(BackupName::as_str);
        report.repair = copies::repair(self.common, self.pipeline, backup, deadline);
        report.finished_at = self.clock.now();
        let text = serde_json::to_vec_pretty(report).unwrap_or_default();
        let path = run_dir.path().join(REPORT);
        if report.repair.is_some()
            && let Err(e) = durable::replace(&path, &text)
        {
            tracing::warn!("the repair is not in {}: {e}", path.display());
        }
    }

    fn report(
        &self,
        plan: &Plan,
        outcome: &Outcome,
        attempts: u32,
        started_at: jiff::Timestamp,
    ) -> Report {
        let name = BackupName::new(plan.started_at, &plan.run);
        Report {
            version: 1,
            cluster: plan.cluster.clone(),
            run: plan.run.to_string(),
            backup: outcome.succeeded(COMMIT).then_some(name),
            exit: outcome.code,
            attempts,
            started_at,
            finished_at: self.clock.now(),
            cause: outcome.cause.clone(),
            repair: None,
        }
    }
}

/// The backup is committed, whatever came of the stages after that; and nobody asks for the end.
fn may_repair(outcome: &Outcome, deadline: Instant) -> bool {
    outcome.succeeded(COMMIT) && outcome.code <= 128 && Instant::now() < deadline
}

/// A stream that broke, or bytes that were wrong, may come right from another member. Anything
/// else would only fail again.
fn may_begin_anew(outcome: &Outcome) -> bool {
    let stage = outcome.cause.as_ref().map_or("", |cause| cause.stage.as_str());
    let codes = [Exit::Transient.code(), Exit::Corrupt.code()];
    matches!(stage, "capture" | "verify") && codes.contains(&outcome.code)
}

/// The member that gave the bytes: named by `capture` when it failed, and by its receipt when a
/// later stage found the bytes wrong.
fn giver(outcome: &Outcome, plan: &Plan, run_dir: &RunDir) -> Option<String> {
    let named = outcome.member().map(str::to_owned);
    named.or_else(|| {
        let receipt = run_dir.receipt(plan.position("capture")?, "capture").ok()??;
        receipt.facts.get("member_id")?.as_str().map(str::to_owned)
    })
}

fn links(
    common: &Common,
    plan: &Plan,
    run_dir: &RunDir,
    avoid: &[String],
) -> Result<Vec<chain::Link>, Error> {
    let mut links = Vec::with_capacity(plan.steps.len());
    for (position, step) in plan.steps.iter().enumerate() {
        let mut extra: Vec<OsString> = Vec::new();
        if step.name == "capture" {
            extra.extend(avoid.iter().flat_map(|m| ["--avoid-member".into(), m.into()]));
        }
        links.push(chain::link(common, plan, run_dir, position, &extra)?);
    }
    Ok(links)
}

fn leave(run_dir: &RunDir, report: &Report) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(report).map_err(|e| Error::Output(e.into()))?;
    Ok(durable::write_new(&run_dir.path().join(REPORT), &text)?)
}

/// The report as JSON. That nobody can be told changes nothing about the backup.
fn say(report: &Report) {
    if let Err(e) = print_json(report) {
        let causes = std::error::Error::source(&e).map(ToString::to_string);
        tracing::warn!(causes, "{e}; the same is in report.json of the run");
    }
}

/// One line for a success; the root cause and the next step for a failure.
fn tell(report: &Report) {
    let name = report.backup.as_ref().map(ToString::to_string);
    match (&report.cause, &name) {
        (None, Some(name)) if report.exit == Exit::Partial.code() => {
            tracing::warn!("backup {name} is committed, with fewer copies than wanted");
        }
        (None, Some(name)) => tracing::info!("backup {name} is committed and was read back"),
        (None, None) => {}
        (Some(cause), committed) => {
            let kept = match committed {
                Some(name) => format!("backup {name} is committed; after that "),
                // Only the commit itself can fail after a backup was stored.
                None if cause.stage == COMMIT => "no backup can be claimed: ".to_owned(),
                None => "no backup was made: ".to_owned(),
            };
            tracing::error!(
                code = report.exit,
                causes = cause.causes,
                hint = cause.hint,
                "{kept}{} failed: {}",
                cause.stage,
                cause.message
            );
        }
    }
}

/// Takes away the oldest run directories. They are only for looking back: a failure to remove one
/// must not fail a run that succeeded.
fn forget_old_runs(home: &Path, keep: usize) {
    let Ok(entries) = std::fs::read_dir(home.join("runs")) else {
        return;
    };
    let mut runs: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    runs.sort();
    for old in runs.iter().take(runs.len().saturating_sub(keep)) {
        if let Err(e) = std::fs::remove_dir_all(old) {
            tracing::warn!("cannot remove the old run directory {}: {e}", old.display());
        }
        failpoint::pass("run.old_directory_removed");
    }
}

fn dry_run(pipeline: &Pipeline, plan: &Plan, json: bool) -> Result<ExitCode, Error> {
    for step in plan.steps.iter().filter(|step| step.program.is_none()) {
        find::stage(&step.name)?;
    }
    if json {
        print_json(plan)?;
        return Ok(Exit::Ok.into());
    }
    let mut text = format!("would back up cluster {:?}\n", plan.cluster);
    if pipeline.replicate.tiers.len() > 1 {
        text += &format!("as a backup of tier {:?}\n", plan.tier);
    }
    for step in &plan.steps {
        let program = step.program.as_ref().map(|p| format!(" ({})", p.join(" ")));
        text += &format!("  {}{}\n", step.name, program.unwrap_or_default());
    }
    let key = Manifest::artifact_name(plan).key(&plan.cluster);
    for (name, destination) in &pipeline.destinations {
        text += &format!("to {name}: {}/{key}\n", destination.url.trim_end_matches('/'));
    }
    let count = pipeline.destinations.len();
    text += &format!(
        "a backup counts when {} of {count} destinations have read it back\nnothing was done\n",
        pipeline.replicate.require.of(count)
    );
    print(&text)?;
    Ok(Exit::Ok.into())
}
