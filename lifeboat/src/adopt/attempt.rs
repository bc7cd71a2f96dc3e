//! One file: its plan, its chain, and what came of it.

use super::args::AdoptArgs;
use super::file::{self, Given, Seen};
use super::history::History;
use super::told::{Found, Told, Verdict};
use crate::chain::{self, COMMIT, Drawing, Outcome};
use crate::cli::Common;
use crate::error::Error;
use crate::planning;
use catalogue::{BackupName, TIER_DEFAULT};
use config::Pipeline;
use contract::facts::{CaptureFacts, VerifyFacts};
use contract::{Clock, Exit, Plan, PlannedInput, RunDir};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

const ADOPT: &str = "adopt";
const VERIFY: &str = "verify";

/// What all files have in common.
pub(super) struct Attempt<'a> {
    pub(super) common: &'a Common,
    pub(super) args: &'a AdoptArgs,
    pub(super) pipeline: &'a Pipeline,
    /// Where run directories are made; they are removed when the chain has ended.
    pub(super) home: PathBuf,
    pub(super) clock: Clock,
    pub(super) drawing: Drawing,
}

impl Attempt<'_> {
    /// Makes a backup of one file.
    pub(super) fn run(&self, file: &Path, history: &mut History) -> Result<Told, Error> {
        let given = Given { taken_at: self.args.taken_at, name: self.args.name.as_deref() };
        let seen = file::look(self.common, file, given, self.clock.now())?;
        let plan = self.plan(&seen);
        let run_dir = RunDir::create(&self.home.join(plan.run.as_str()), &plan)?;
        let ended = self.chain(&plan, &run_dir, &seen, history);
        failpoint::pass("adopt.chain_ended");
        let told = ended.map(|outcome| self.told(file, &plan, &run_dir, outcome, history));
        // What it proved is in the manifest now, or is worth nothing.
        if let Err(e) = std::fs::remove_dir_all(run_dir.path()) {
            tracing::warn!("cannot remove {}: {e}", run_dir.path().display());
        }
        told
    }

    /// What a run does after `capture`, without `prune`. It has no backup before it: of which one it
    /// is the next, nobody can say.
    fn plan(&self, seen: &Seen) -> Plan {
        let first = seen.is_encrypted.then_some("decrypt");
        let mut steps: Vec<_> = first.into_iter().chain([ADOPT]).map(planning::own_step).collect();
        steps.extend(planning::steps_after_capture(self.pipeline));
        if self.args.dry_run {
            let proved = steps.iter().position(|step| step.name == VERIFY);
            steps.truncate(proved.map_or(steps.len(), |at| at + 1));
        }
        let run = planning::new_run_id(self.clock.now());
        let (cluster, tier) = (self.pipeline.cluster.clone(), TIER_DEFAULT.to_owned());
        let signers = self.pipeline.trust.signer_names();
        let mut plan = Plan::new(run, cluster, tier, seen.taken_at, steps).believed_by(signers);
        plan.input = Some(PlannedInput { file: seen.name.clone(), time_from: seen.time_from });
        plan
    }

    fn chain(
        &self,
        plan: &Plan,
        run_dir: &RunDir,
        seen: &Seen,
        history: &History,
    ) -> Result<Outcome, Error> {
        let known = run_dir.path().join("known.json");
        let text = serde_json::to_vec(history.by_sha256()).map_err(|e| Error::Output(e.into()))?;
        durable::write_new(&known, &text)?;
        let mut links = Vec::with_capacity(plan.steps.len());
        for (at, step) in plan.steps.iter().enumerate() {
            let mut extra: Vec<OsString> = Vec::new();
            let mut add = |flag: &str, value: &Path| extra.extend([flag.into(), value.into()]);
            if at == 0 {
                add("--input", &seen.path);
            }
            match step.name.as_str() {
                "decrypt" => self.args.identity.iter().for_each(|file| add("--identity", file)),
                ADOPT => add("--known", &known),
                _ => {}
            }
            links.push(chain::link(self.common, plan, run_dir, at, &extra)?);
        }
        let deadline = Instant::now() + self.pipeline.run.deadline.get();
        chain::run(&links, deadline, &self.drawing)
    }

    fn told(
        &self,
        file: &Path,
        plan: &Plan,
        run_dir: &RunDir,
        outcome: Outcome,
        history: &mut History,
    ) -> Told {
        let name = BackupName::new(plan.started_at, &plan.run).to_string();
        let is_done = match self.args.dry_run {
            true => outcome.cause.is_none(),
            false => outcome.succeeded(COMMIT),
        };
        let mut told = Told {
            file: file.display().to_string(),
            verdict: Verdict::Failed,
            exit: outcome.code,
            backup: None,
            taken_at: Some(plan.started_at),
            time_from: plan.input.as_ref().map(|input| input.time_from),
            found: None,
            doubts: Vec::new(),
            cause: outcome.cause,
        };
        if is_done {
            self.done(&mut told, name, plan, run_dir, history);
        } else if let Some(backup) = already(&told) {
            let (exit, cause) = (Exit::Ok.code(), None);
            told = Told { verdict: Verdict::Already, exit, backup: Some(backup), cause, ..told };
        }
        told
    }

    fn done(
        &self,
        told: &mut Told,
        name: String,
        plan: &Plan,
        run_dir: &RunDir,
        history: &mut History,
    ) {
        let origin: Option<CaptureFacts> = facts(plan, run_dir, ADOPT);
        let proved: Option<VerifyFacts> = facts(plan, run_dir, VERIFY);
        if let (Some(adopted), Some(proved)) = (origin.and_then(|facts| facts.adopted), &proved) {
            told.doubts = history.doubts(plan.started_at, proved);
            history.add(&name, plan.started_at, proved);
            told.found = Some(Found::of(adopted, proved));
        }
        match self.args.dry_run {
            true => told.verdict = Verdict::WouldAdopt,
            false => (told.verdict, told.backup) = (Verdict::Adopted, Some(name)),
        }
    }
}

/// The backup that has these bytes, if that is why `adopt` refused them.
fn already(told: &Told) -> Option<String> {
    let cause = told.cause.as_ref().filter(|_| told.exit == Exit::Refused.code())?;
    let named = cause.message.strip_prefix("these bytes are backup ")?.strip_suffix(" already")?;
    (cause.stage == ADOPT).then(|| named.to_owned())
}

/// What a step learned.
fn facts<T: DeserializeOwned>(plan: &Plan, run_dir: &RunDir, stage: &str) -> Option<T> {
    let receipt = run_dir.receipt(plan.position(stage)?, stage).ok()??;
    serde_json::from_value(receipt.facts).ok()
}
