//! The core: open, fan out, confirm, commit.

use crate::args::Args;
use crate::check;
use crate::commit::{self, Copies};
use crate::error::Error;
use crate::lineage;
use crate::pump::{Pumped, pump};
use catalogue::Manifest;
use config::Pipeline;
use contract::facts::{Copy, ReplicateFacts};
use contract::{Blame, Clock, Digest, Exit, Failure, Job, Plan, Progress, Sink, Source};
use destinations::Opened;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use store::{Acknowledged, ErrorKind, FanoutOptions, FanoutRun, FanoutSender, Outcome, Target};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How far two clocks may be apart before somebody should look; as `prune` has it.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);
/// How long the uploads may take to be aborted, or taken back, after a signal.
const ABORT_GRACE: Duration = Duration::from_secs(15);

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
    let all = destinations::open_all(&pipeline).await;
    lineage::must_be_encrypted(&plan, &pipeline, &all)?;
    let key = Manifest::artifact_name(&plan).key(&plan.cluster);
    let mut copies = Copies::new();
    let mut opened = BTreeMap::new();
    for (name, result) in all {
        match result {
            Ok(destination) => drop(opened.insert(name, destination)),
            Err(e) => drop(copies.insert(name, Err(e))),
        }
    }
    let streams = (job.input()?, job.signal_output()?);
    let (sender, fanout) = fan_out(&job, &pipeline, &opened, &plan, &key);
    let carried = carry(job, streams.0, sender, fanout, &opened, &pipeline, &key).await?;
    let (outcomes, pumped) = match carried {
        Ok(carried) => carried,
        Err(signal) => return Ok(ExitCode::from(128 + signal)),
    };
    failpoint::pass("replicate.carried");
    commit::take_back(&opened, &commit::spoilt(&outcomes), None, &key).await;
    let made = commit::made(&outcomes);
    copies.extend(commit::artifacts(outcomes));
    let commit = Commit { pipeline: &pipeline, opened: &opened, key: &key, made };
    commit.finish(copies, pumped, streams.1).await
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

/// What the fan-out made of the source, or the number of the signal that stopped it.
type Carried = Result<(Vec<Outcome>, Option<Pumped>), u8>;

/// Carries the bytes to all destinations. After a signal to end, every upload has been aborted.
async fn carry(
    job: Job,
    source: Source,
    sender: FanoutSender,
    fanout: FanoutRun,
    opened: &BTreeMap<String, Opened>,
    pipeline: &Pipeline,
    key: &str,
) -> Result<Carried, Error> {
    let breaker = sender.breaker();
    let shower = tokio::spawn(show(opened.keys().cloned().collect(), fanout.acknowledged()));
    let (done, pumped) = oneshot::channel();
    let settings = pipeline.clone();
    // Not a blocking task of the runtime: one that waits for standard input has no end.
    std::thread::spawn(move || done.send(pump(job, source, sender, &settings)).is_ok());
    let on = |kind| signal(kind).map_err(destinations::Error::Runtime);
    let (mut terminate, mut interrupt) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut running = std::pin::pin!(fanout.run());
    let stopped_by = tokio::select! {
        outcomes = &mut running => {
            shower.abort();
            // Where every destination failed by itself the source may have long to go, and what
            // it says changes nothing.
            let pumped = match outcomes.iter().all(failed_by_itself) {
                true => None,
                false => pumped.await.map_err(|_| Error::ReaderLost)??,
            };
            return Ok(Ok((outcomes, pumped)));
        }
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    };
    breaker.break_off();
    // The source may have come to its end before the signal: what was completed since then is of
    // no use without a manifest.
    let undone =
        async { commit::take_back(opened, &commit::made(&running.await), None, key).await };
    if tokio::time::timeout(ABORT_GRACE, undone).await.is_err() {
        tracing::warn!("some uploads could not be aborted in time; a later run will");
    }
    let number = u8::try_from(stopped_by.as_raw_value()).unwrap_or(0);
    tracing::error!(code = 128 + number, blame = Blame::Own.name(), "{}", Error::Stopped);
    Ok(Err(number))
}

fn failed_by_itself(outcome: &Outcome) -> bool {
    outcome.result.as_ref().is_err_and(|e| !matches!(e.kind(), ErrorKind::SourceBroke))
}

/// Tells how far each destination is.
async fn show(names: Vec<String>, acknowledged: Vec<Acknowledged>) {
    const EVERY: Duration = Duration::from_millis(250);
    let mut all: Vec<(Progress, Acknowledged)> =
        names.into_iter().map(|name| Progress::new(name, None)).zip(acknowledged).collect();
    loop {
        tokio::time::sleep(EVERY).await;
        all.iter_mut().for_each(|(progress, so_far)| progress.at(so_far.bytes()));
    }
}

struct Commit<'a> {
    pipeline: &'a Pipeline,
    opened: &'a BTreeMap<String, Opened>,
    key: &'a str,
    /// The destinations in which this process made the artifact.
    made: Vec<String>,
}

impl Commit<'_> {
    async fn finish(
        &self,
        mut copies: Copies,
        pumped: Option<Pumped>,
        sink: Sink,
    ) -> Result<ExitCode, Error> {
        let required = self.pipeline.replicate.require.of(copies.len());
        let Some(Pumped { job, source, manifest }) = pumped else {
            return Err(too_few(&copies, required));
        };
        if kept(&copies).len() < required {
            commit::take_back(self.opened, &self.made, None, self.key).await;
            return Err(too_few(&copies, required));
        }
        commit::manifests(&mut copies, self.opened, &manifest).await;
        let manifest_key = manifest.object_name().key(&manifest.cluster);
        if kept(&copies).len() < required {
            commit::take_back(self.opened, &self.made, Some(&manifest_key), self.key).await;
            return Err(too_few(&copies, required));
        }
        let misrecorded = commit::misrecorded(&copies, &self.made);
        commit::take_back(self.opened, &misrecorded, Some(&manifest_key), self.key).await;
        self.compare_clocks(job.now());
        failpoint::pass("replicate.committed");
        let exit = say(&copies);
        let facts = facts(&manifest, required, &copies);
        let (backup, now) = (manifest.backup.to_string(), job.now());
        let unrecorded = |source| Error::Unrecorded { backup, source: Box::new(source) };
        job.finish(Some(&source), sink, &facts).map_err(unrecorded)?;
        // Last of all: whatever becomes of it, the backup is made and on record.
        crate::sweep::sweep(self.pipeline, self.opened, now).await;
        Ok(exit.into())
    }
}

impl Commit<'_> {
    /// Names and ages are made with this machine's clock. One that is off does no harm to this
    /// backup, and `prune` will refuse to work with it.
    fn compare_clocks(&self, now: Timestamp) {
        for (name, opened) in self.opened {
            let Some(theirs) = opened.store.store_time() else { continue };
            if now.duration_since(theirs).abs() > CLOCK_SKEW_MAX {
                tracing::warn!(
                    hint = "set this machine's clock (chronyc tracking, timedatectl)",
                    "the clock here says {now}, that of destination {name} says {theirs}"
                );
            }
        }
    }
}

fn kept(copies: &Copies) -> Vec<String> {
    copies.iter().filter(|(_, copy)| copy.is_ok()).map(|(name, _)| name.clone()).collect()
}

/// One line for each destination that has no copy; partial success has a code of its own.
fn say(copies: &Copies) -> Exit {
    let mut exit = Exit::Ok;
    for (name, copy) in copies {
        match copy {
            Ok(()) => tracing::info!("destination {name} holds a proved copy"),
            Err(e) => {
                tracing::warn!(hint = e.hint().unwrap_or_default(), "{e}");
                exit = Exit::Partial;
            }
        }
    }
    exit
}

fn facts(manifest: &Manifest, required: usize, copies: &Copies) -> ReplicateFacts {
    let copy = |(name, copy): (&String, &Result<(), destinations::Error>)| Copy {
        destination: name.clone(),
        stored: copy.is_ok(),
        problem: copy.as_ref().err().map(ToString::to_string),
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
