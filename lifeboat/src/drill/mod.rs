//! `lifeboat drill`: a rehearsed restore, and what it found out.
//!
//! Owns: which copies are drilled, the chain fetch → decrypt → decompress → restore → drill into a
//! scratch directory, the judgement of how that ended, the evidence, and that the copy is marked.
//!
//! Invariants: a backup is called proven only after a real etcd served what was restored from it; it
//! is called suspect only for what its own bytes did, never for what this machine, a store or a key
//! lacks; nothing of the restored data is left behind.
//!
//! Does not: start etcd (`lifeboat-drill` does) or talk to a store (`lifeboat-catalogue` stores the
//! record).

mod args;
mod attempt;
mod choice;
mod evidence;
mod junit;
mod markdown;
mod orphans;
mod record;
mod report;
mod scratch;
mod screen;

pub(crate) use args::{AFTER, DrillArgs};

use crate::chain::Drawing;
use crate::cli::Common;
use crate::error::Error;
use crate::planning::new_run_id;
use crate::views::{print_json, read_catalogue};
use crate::{environment, find, way_back};
use attempt::Attempt;
use config::Pipeline;
use contract::Clock;
use contract::drill::{EtcdProgram, FoundEtcd};
use report::{Drilled, Report};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

pub(crate) fn drill(common: &Common, args: &DrillArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    way_back::must_know(&pipeline, args.from.as_deref())?;
    let clock = Clock::system();
    let started_at = clock.now();
    let run = new_run_id(started_at);
    let etcd = etcd(common, args, &pipeline)?;
    if etcd.is_none() && !args.native_only {
        tracing::warn!(
            hint = "install etcd, or name its program with --etcd or drill.etcd",
            "there is no etcd here: what is restored is only read again, and nothing is called proven"
        );
    }
    let catalogue = read_catalogue(common)?;
    let seed = u64::try_from(started_at.as_millisecond()).unwrap_or_default();
    let copies = choice::copies(&catalogue, args, seed)?;
    let attempt = Attempt {
        common,
        args,
        etcd: etcd.as_ref(),
        scratch: scratch_parent(args, &pipeline)?,
        drawing: Drawing::new(common.logs_are_human(), !args.no_progress),
        deadline: Instant::now() + pipeline.run.deadline.get(),
    };
    orphans::sweep(&attempt.scratch);
    let mut drills: Vec<Drilled> = Vec::with_capacity(copies.len());
    for copy in copies {
        drills.push(attempt.of(&copy, clock)?);
        // Whoever ended this one means all of them.
        if drills.last().is_some_and(Drilled::was_stopped) {
            break;
        }
    }
    let report = Report::new(&pipeline.cluster, &run, (started_at, clock.now()), drills);
    let directory = evidence::write(&report, args.evidence.as_deref(), &pipeline)?;
    failpoint::pass("drill.evidence_written");
    match args.json {
        true => print_json(&report)?,
        false => screen::show(&report, &directory)?,
    }
    screen::tell(&report);
    Ok(ExitCode::from(report.exit))
}

/// The etcd that is going to be started. `lifeboat-drill` looks for it, as it will start it.
fn etcd(
    common: &Common,
    args: &DrillArgs,
    pipeline: &Pipeline,
) -> Result<Option<EtcdProgram>, Error> {
    if args.native_only {
        return Ok(None);
    }
    let name = "lifeboat-drill".to_owned();
    let mut command = Command::new(find::stage("drill")?);
    command.arg("--find").args(["--log", common.log_format()]);
    if let Some(path) = args.etcd.as_ref().or(pipeline.drill.etcd.as_ref()) {
        command.arg("--etcd").arg(path);
    }
    command.env_clear().envs(environment::of("drill"));
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output =
        command.output().map_err(|source| Error::Start { program: name.clone(), source })?;
    match output.status.code() {
        Some(0) => {}
        code => return Err(Error::Program { program: name, code: code.unwrap_or(1) }),
    }
    let found: FoundEtcd = serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::Garbled { program: name, problem: e.to_string() })?;
    if found.etcd.is_none() && args.three_members {
        return Err(Error::NoEtcd);
    }
    Ok(found.etcd)
}

fn scratch_parent(args: &DrillArgs, pipeline: &Pipeline) -> Result<PathBuf, Error> {
    let named = args.scratch.as_ref().or(pipeline.drill.scratch_dir.as_ref());
    let path = named.cloned().unwrap_or_else(|| way_back::home(pipeline, "drills"));
    // Programs that are started there must not take it from their own directory.
    std::path::absolute(&path).map_err(|source| Error::Directory { path, source })
}
