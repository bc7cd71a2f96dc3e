//! A chain: the steps of one plan as child processes, joined by pipes.
//!
//! Owns: starting them with just the environment they need, listening to what they say on
//! stderr, waiting for all of them, and ending them when one has failed, the time is up or
//! somebody asks this process to stop. The bytes never pass through here.
//!
//! Does not: decide what a failure means (that is [`outcome`]) or start anything again.

mod draw;
mod events;
mod outcome;
mod spawn;

pub(crate) use draw::Drawing;
pub(crate) use outcome::{Cause, Outcome, StepEnd};
pub(crate) use spawn::{Link, link};

use crate::error::Error;
use events::Event;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How long the others may take to notice that one of them failed, and to clean up. Shorter than
/// the 30 seconds that Kubernetes and systemd give.
const GRACE: Duration = Duration::from_secs(20);
/// How long the last words of the stages are listened to after all of them have ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The step that commits.
pub(crate) const COMMIT: &str = "replicate";
/// Lines that wait to be shown. A stage that says more than this waits with its next line.
const EVENTS_MAX: usize = 1024;

/// Runs the chain to its end.
///
/// # Errors
/// When a program cannot be started. Whatever had been started is ended then.
pub(crate) fn run(links: &[Link], deadline: Instant, drawing: &Drawing) -> Result<Outcome, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Pipe)?;
    runtime.block_on(async { Running::start(links)?.until_end(deadline, drawing).await })
}

struct Running {
    steps: Vec<Step>,
    events: mpsc::Receiver<Event>,
    stop: [(i32, tokio::signal::unix::Signal); 2],
}

struct Step {
    name: String,
    receipt: std::path::PathBuf,
    child: Child,
    status: Option<ExitStatus>,
    failure: Option<events::Failure>,
    ended_by_us: bool,
}

impl Running {
    fn start(links: &[Link]) -> Result<Self, Error> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let on = |kind: SignalKind| signal(kind).map(|s| (kind.as_raw_value(), s));
        let stop = [
            on(SignalKind::terminate()).map_err(Error::Pipe)?,
            on(SignalKind::interrupt()).map_err(Error::Pipe)?,
        ];
        let mut steps: Vec<Step> = Vec::with_capacity(links.len());
        for (position, child) in spawn::all(links)?.into_iter().enumerate() {
            let mut child = child;
            if let Some(stderr) = child.stderr.take() {
                tokio::spawn(events::listen(position, stderr, sender.clone()));
            }
            let (name, receipt) = (links[position].name.clone(), links[position].receipt.clone());
            let (status, failure, ended_by_us) = (None, None, false);
            steps.push(Step { name, receipt, child, status, failure, ended_by_us });
        }
        Ok(Running { steps, events, stop })
    }

    async fn until_end(mut self, deadline: Instant, drawing: &Drawing) -> Result<Outcome, Error> {
        let mut stopped_by = None;
        let mut kill_at: Option<Instant> = None;
        let [mut terminate, mut interrupt] = self.stop;
        let mut timed_out = false;
        while self.steps.iter().any(|step| step.status.is_none()) {
            let limit = kill_at.unwrap_or(deadline);
            let signal = tokio::select! {
                // What is said comes last: a program that never stops talking must not keep this
                // from hearing a signal or the clock.
                biased;
                _ = terminate.1.recv() => Some(terminate.0),
                _ = interrupt.1.recv() => Some(interrupt.0),
                () = tokio::time::sleep_until(limit.into()) => None,
                () = wait_any(&mut self.steps) => {
                    if kill_at.is_none() && cannot_commit(&self.steps) {
                        kill_at = Some(Instant::now() + GRACE);
                    }
                    continue;
                }
                Some(event) = self.events.recv() => {
                    take(&mut self.steps, event, drawing);
                    continue;
                }
            };
            timed_out |= signal.is_none() && kill_at.is_none();
            end(&mut self.steps, signal.is_none() && kill_at.is_some());
            stopped_by = stopped_by.or(signal);
            kill_at = Some(Instant::now() + GRACE);
        }
        // Whatever the stages said last is still to be taken. A program that one of them left
        // behind may hold the pipe open, and even go on talking: nobody waits for that.
        let enough = tokio::time::Instant::now() + LAST_WORDS;
        while let Ok(Some(event)) = tokio::time::timeout_at(enough, self.events.recv()).await {
            take(&mut self.steps, event, drawing);
        }
        drawing.finish();
        let ends = self.steps.into_iter().map(Step::into_end).collect();
        Ok(Outcome::new(ends, stopped_by, timed_out))
    }
}

impl Step {
    fn into_end(self) -> StepEnd {
        StepEnd {
            name: self.name,
            status: self.status,
            failure: self.failure,
            ended_by_us: self.ended_by_us,
            has_receipt: self.receipt.is_file(),
        }
    }
}

/// Success, or success with fewer copies than wanted: the chain goes on after both. Only
/// `replicate` makes copies; the same code from another step is a failure.
fn is_commit(stage: &str, status: ExitStatus) -> bool {
    let partial = Some(contract::Exit::Partial.code().into());
    status.success() || (stage == COMMIT && status.code() == partial)
}

/// Whether a step failed without which there is no backup. What comes after the commit is no
/// reason to give up the backup that is on its way.
fn cannot_commit(steps: &[Step]) -> bool {
    let commit = steps.iter().position(|step| step.name == COMMIT).unwrap_or(steps.len());
    let is_over = steps.get(commit).is_none_or(|step| step.status.is_some());
    let is_failure = |step: &Step| step.status.is_some_and(|s| !is_commit(&step.name, s));
    // One that was killed after it signed its receipt has done its part.
    let failed = |step: &Step| is_failure(step) && !step.receipt.is_file();
    steps.iter().enumerate().any(|(at, step)| failed(step) && (at <= commit || is_over))
}

/// Waits until any running step ends.
async fn wait_any(steps: &mut [Step]) {
    let waits = steps.iter_mut().filter(|step| step.status.is_none()).map(|step| {
        Box::pin(async move {
            // A child that cannot be waited for did not succeed, whatever became of it.
            let status = step.child.wait().await.unwrap_or(ExitStatus::from_raw(1 << 8));
            step.status = Some(status);
            failpoint::pass("chain.step_ended");
        })
    });
    let waits: Vec<_> = waits.collect();
    if !waits.is_empty() {
        let _ = futures::future::select_all(waits).await;
    }
}

/// Ends what still runs: a step, and with it a program of the user's that it started. Each step
/// leads a process group of its own.
fn end(steps: &mut [Step], by_force: bool) {
    for step in steps.iter_mut().filter(|step| step.status.is_none()) {
        step.ended_by_us = true;
        let signal = if by_force { Signal::KILL } else { Signal::TERM };
        if let Some(group) = pid_of(&step.child) {
            // It may have ended meanwhile; then there is nothing to end.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

fn take(steps: &mut [Step], event: Event, drawing: &Drawing) {
    match event {
        Event::Progress { what, bytes, total } => drawing.progress(&what, bytes, total),
        Event::Line { position, line } => drawing.line(&steps[position].name, &line),
        Event::Failure { position, failure } => {
            // The first failure that a stage reports is its cause; a later one is its effect.
            steps[position].failure.get_or_insert(failure);
        }
    }
}
