//! The core: open, fan out, confirm, commit.

use crate::args::Args;
use crate::carry::Carrier;
use crate::check;
use crate::commit::{Aim, Commit, Copies};
use crate::error::Error;
use crate::lineage;
use crate::pump::Pumped;
use catalogue::Manifest;
use config::Pipeline;
use contract::facts::{Copy, ReplicateFacts};
use contract::{Blame, Clock, Digest, Exit, Failure, Job, Plan};
use destinations::Opened;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;
use store::{Endpoint, FanoutOptions, FanoutRun, FanoutSender, Target};

/// How far two clocks may be apart before somebody should look; as `prune` has it.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.check {
        return check::run(args);
    }
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let job = Job::open("replicate", &args.common.streams, Clock::system())?;
    destinations::block_on(replicate(job, pipeline))?
}

async fn replicate(job: Job, pipeline: Pipeline) -> Result<ExitCode, Error> {
    let plan = job.plan().ok_or(Error::NoRun)?.clone();
    lineage::must_be_believed(&plan, &pipeline)?;
    let all = destinations::open_all(&pipeline).await;
    lineage::must_be_encrypted(&plan, &pipeline, &all)?;
    let key = Manifest::artifact_name(&plan).key(&plan.cluster);
    let mut unopened = Copies::new();
    let mut opened = BTreeMap::new();
    let required = pipeline.replicate.require.of(all.len());
    for (name, result) in all {
        match result {
            Ok(destination) => drop(opened.insert(name, destination)),
            Err(e) => drop(unopened.insert(name, Err(e))),
        }
    }
    let (source, sink) = (job.input()?, job.signal_output()?);
    let (sender, fanout) = fan_out(&job, &pipeline, &opened, &plan, &key);
    let began = Instant::now();
    let aim = Aim {
        opened: &opened,
        artifact_key: &key,
        required,
        locations: locations(&pipeline),
        run_dir: job.run_dir().map(|dir| dir.path().to_path_buf()),
    };
    let commit = Commit::new(aim, unopened);
    let mut carrier = Carrier::start(job, source, sender, fanout, &opened, &pipeline, commit)?;
    let ended = carrier.carry().await;
    let Carrier { mut commit, pumped, .. } = carrier;
    if let Some(signal) = ended?.filter(|_| !commit.is_done()) {
        let number = u8::try_from(signal.as_raw_value()).unwrap_or(0);
        tracing::error!(code = 128 + number, blame = Blame::Own.name(), "{}", Error::Stopped);
        return Ok(ExitCode::from(128 + number));
    }
    failpoint::pass("replicate.carried");
    let (Some(Pumped { job, source, .. }), Some(manifest)) =
        (pumped.filter(|_| commit.is_done()), commit.manifest())
    else {
        commit.undo().await;
        return Err(too_few(commit.copies(), required));
    };
    compare_clocks(&opened, job.now());
    failpoint::pass("replicate.committed");
    let exit = say(commit.copies());
    let facts = facts(manifest, required, commit.copies(), began);
    let (backup, now) = (manifest.backup.to_string(), job.now());
    let unrecorded = |source| Error::Unrecorded { backup, source: Box::new(source) };
    job.finish(Some(&source), sink, &facts).map_err(unrecorded)?;
    // Last of all: whatever becomes of it, the backup is made and on record.
    crate::sweep::sweep(&pipeline, &opened, now).await;
    Ok(exit.into())
}

fn fan_out(
    job: &Job,
    pipeline: &Pipeline,
    opened: &BTreeMap<String, Opened>,
    plan: &Plan,
    key: &str,
) -> (FanoutSender, FanoutRun) {
    let settings = &pipeline.replicate;
    let scratch = settings.spool_dir.clone();
    let scratch = scratch.or_else(|| job.run_dir().map(|dir| dir.path().to_path_buf()));
    let mut options = FanoutOptions::new(scratch.unwrap_or_else(std::env::temp_dir));
    options.ram_bytes_max = destinations::log_bytes_max(pipeline);
    options.spool_bytes_max = settings.spool_bytes_max;
    let target = |opened: &Opened| Target {
        destination: opened.store.clone(),
        key: key.to_owned(),
        keeping: opened.keeping(&plan.tier, plan.started_at),
        read_back: opened.read_back,
        stall_timeout: opened.timeout,
    };
    store::fanout(opened.values().map(target).collect(), options)
}

/// Where every destination is, for people: the configuration keeps credentials out of it.
fn locations(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let written = pipeline.destinations.iter();
    let place = |(name, written): (&String, &config::Destination)| {
        // One with a password in it is no endpoint, and is not repeated.
        let endpoint = written.endpoint.as_deref().and_then(|text| Endpoint::parse(text).ok());
        let at = endpoint.map(|endpoint| format!(" at {}", endpoint.as_str()));
        (name.clone(), written.url.clone() + &at.unwrap_or_default())
    };
    written.map(place).collect()
}

/// Names and ages are made with this machine's clock. One that is off does no harm to this
/// backup, and `prune` will refuse to work with it.
fn compare_clocks(all: &BTreeMap<String, Opened>, now: Timestamp) {
    for (name, opened) in all {
        let Some(theirs) = opened.store.store_time() else { continue };
        if now.duration_since(theirs).abs() > CLOCK_SKEW_MAX {
            tracing::warn!(
                hint = "set this machine's clock (chronyc tracking, timedatectl)",
                "the clock here says {now}, that of destination {name} says {theirs}"
            );
        }
    }
}

/// One line for each destination that has no copy; partial success has a code of its own.
fn say(copies: &Copies) -> Exit {
    let mut exit = Exit::Ok;
    for (name, copy) in copies {
        match copy {
            Ok(_) => tracing::info!("destination {name} holds a proved copy"),
            Err(e) => {
                tracing::warn!(hint = e.hint().unwrap_or_default(), "{e}");
                exit = Exit::Partial;
            }
        }
    }
    exit
}

fn facts(manifest: &Manifest, required: usize, copies: &Copies, began: Instant) -> ReplicateFacts {
    let milliseconds =
        |at: &Instant| u64::try_from(at.duration_since(began).as_millis()).unwrap_or(u64::MAX);
    let copy = |(name, copy): (&String, &Result<Instant, destinations::Error>)| Copy {
        destination: name.clone(),
        stored: copy.is_ok(),
        problem: copy.as_ref().err().map(ToString::to_string),
        after_ms: copy.as_ref().ok().map(milliseconds),
    };
    ReplicateFacts {
        backup: manifest.backup.to_string(),
        manifest_sha256: Digest::of(&manifest.to_bytes()).sha256,
        required,
        copies: copies.iter().map(copy).collect(),
    }
}

/// The failure of too few copies: with the exit code of what most needs a person, because a
/// refused credential will not come right by itself while a slow network may.
fn too_few(copies: &Copies, required: usize) -> Error {
    let errors: Vec<&destinations::Error> =
        copies.values().filter_map(|copy| copy.as_ref().err()).collect();
    let worst = errors.iter().find(|e| e.exit() != Exit::Transient).or(errors.first());
    Error::TooFew {
        kept: copies.len() - errors.len(),
        all: copies.len(),
        required,
        why: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        exit: worst.map_or(Exit::Transient, |e| e.exit()),
        hint: worst.and_then(|e| e.hint()).unwrap_or_default(),
    }
}
