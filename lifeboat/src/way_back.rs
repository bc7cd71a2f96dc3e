//! The way back of one backup: fetch → decrypt → decompress → a last step, from one copy after
//! the other.
//!
//! Owns: which steps undo what the manifest says was done, which copies may be tried, and the
//! rule by which a damaged copy leads to the next one. The last step is the caller's: `verify`
//! writes a file (`lifeboat fetch`), `restore` a data directory (`lifeboat restore`).
//!
//! Invariants: what `verify` proved is what comes back, so only steps after it are undone; the
//! last step is told that digest and publishes nothing before every step has signed.

use crate::chain::{self, Drawing, Outcome};
use crate::cli::Common;
use crate::error::Error;
use crate::planning::new_run_id;
use catalogue::{Backup, BackupName, Catalogue, Manifest, ManifestStep};
use contract::{Clock, Digest, Exit, Plan, Receipt, RunDir, Step};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// No snapshot is larger, whatever a manifest says; `lifeboat-compress` has the same limit.
const SNAPSHOT_BYTES_MAX: u64 = 64 << 30;

/// A copy: the name of its destination, and its manifest.
pub(crate) type Copy<'a> = (&'a str, &'a Manifest);

/// What is brought back, and what becomes of it.
pub(crate) struct WayBack<'a> {
    pub(crate) common: &'a Common,
    /// Where run directories are made; they are removed when the chain has ended.
    pub(crate) home: PathBuf,
    pub(crate) backup: &'a BackupName,
    pub(crate) identities: &'a [PathBuf],
    /// The step at the end, `verify` or `restore`; none brings the artifact back as it is stored.
    pub(crate) last: Option<&'a str>,
    /// Further arguments for it.
    pub(crate) last_arguments: Vec<OsString>,
    pub(crate) deadline: Instant,
    pub(crate) draws_progress: bool,
    /// Whether only one destination was asked for, by name.
    pub(crate) one_destination: bool,
}

/// How it ended.
pub(crate) enum Ended {
    /// It is back.
    Done(Box<Done>),
    /// It is not, and that has been told; this is the exit code.
    Failed(u8),
}

/// What it came from.
pub(crate) struct Done {
    pub(crate) destination: String,
    /// The destinations that were tried before, each with what was wrong.
    pub(crate) passed_over: Vec<(String, String)>,
    /// The receipt of the last step.
    pub(crate) receipt: Option<Receipt>,
}

impl WayBack<'_> {
    /// Tries one copy after the other.
    pub(crate) fn run(&self, copies: Vec<Copy<'_>>) -> Result<Ended, Error> {
        let drawing = Drawing::new(self.common.logs_are_human(), self.draws_progress);
        let mut passed_over = Vec::new();
        let mut copies = copies.into_iter().peekable();
        while let Some(copy) = copies.next() {
            let (outcome, receipt) = self.attempt(copy, &drawing)?;
            let destination = copy.0.to_owned();
            if outcome.cause.is_none() {
                return Ok(Ended::Done(Box::new(Done { destination, passed_over, receipt })));
            }
            match self.tell(&destination, &outcome, copies.peek().is_some()) {
                Some(problem) => passed_over.push((destination, problem)),
                None => return Ok(Ended::Failed(outcome.code)),
            }
        }
        Ok(Ended::Failed(Exit::Bug.code()))
    }

    /// Tries one copy, whatever comes of it.
    pub(crate) fn try_out(&self, copy: Copy<'_>, drawing: &Drawing) -> Result<Outcome, Error> {
        self.attempt(copy, drawing).map(|(outcome, _)| outcome)
    }

    /// Says why a copy did not come back. What was wrong with it, if the next one may be better.
    fn tell(&self, destination: &str, outcome: &Outcome, has_next: bool) -> Option<String> {
        let cause = outcome.cause.as_ref()?;
        let may_help = another_copy_may_help(outcome);
        let goes_on = has_next && may_help;
        let (causes, code) = (&cause.causes, outcome.code);
        let hint = match may_help && !goes_on && !self.one_destination {
            // The stage knows of one destination; here all of them have been tried.
            true => NO_COPY_LEFT,
            false => &cause.hint,
        };
        let problem = format!("{} failed: {}", cause.stage, cause.message);
        let backup = self.backup;
        let what = format!("{backup} could not be brought back from {destination}: {problem}");
        // What another copy may make good is no failure yet.
        match goes_on {
            true => tracing::warn!(code, causes, "{what}; trying the next copy"),
            false => tracing::error!(code, causes, hint, "{what}"),
        }
        goes_on.then_some(problem)
    }

    fn attempt(
        &self,
        copy: Copy<'_>,
        drawing: &Drawing,
    ) -> Result<(Outcome, Option<Receipt>), Error> {
        let (now, manifest) = (Clock::system().now(), copy.1);
        let steps = match self.last {
            None => vec![step("fetch")],
            Some(last) => steps(manifest, last)?,
        };
        let (cluster, tier) = (manifest.cluster.clone(), manifest.tier.clone());
        let plan = Plan::new(new_run_id(now), cluster, tier, now, steps);
        let run_dir = RunDir::create(&self.home.join(plan.run.as_str()), &plan)?;
        let links: Result<Vec<_>, Error> = (0..plan.steps.len())
            .map(|at| {
                chain::link(self.common, &plan, &run_dir, at, &self.arguments(&plan, at, copy))
            })
            .collect();
        let outcome = links.and_then(|links| chain::run(&links, self.deadline, drawing));
        failpoint::pass("fetch.chain_ended");
        let last = plan.steps.len() - 1;
        let receipt = run_dir.receipt(last, &plan.steps[last].name);
        // Receipts of the way back prove nothing to anybody later.
        if let Err(e) = std::fs::remove_dir_all(run_dir.path()) {
            tracing::warn!("cannot remove {}: {e}", run_dir.path().display());
        }
        Ok((outcome?, receipt?))
    }

    fn arguments(&self, plan: &Plan, at: usize, copy: Copy<'_>) -> Vec<OsString> {
        let (destination, manifest) = copy;
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| all.extend([flag.into(), value]);
        match plan.steps[at].name.as_str() {
            "fetch" => {
                add("--destination", destination.into());
                add("--manifest", manifest.object_name().key(&plan.cluster).into());
            }
            // Not a byte more than was proved: a frame that unpacks to more is another one.
            "decompress" => {
                let bytes = proved(manifest).map_or(SNAPSHOT_BYTES_MAX, |digest| digest.bytes);
                add("--bytes-max", bytes.min(SNAPSHOT_BYTES_MAX).to_string().into());
            }
            "decrypt" => self.identities.iter().for_each(|file| add("--identity", file.into())),
            name if self.last == Some(name) => {
                if let Some(proved) = proved(manifest) {
                    add("--expect-sha256", proved.sha256.clone().into());
                }
            }
            _ => {}
        }
        if at + 1 == plan.steps.len() {
            all.extend_from_slice(&self.last_arguments);
        }
        all
    }
}

const NO_COPY_LEFT: &str = "no copy of it is left to try: `lifeboat list` shows older backups; \
                            bring one of them back by its name";

/// Another copy has other bytes and another store, but the same recipients, identities, disk and
/// target.
fn another_copy_may_help(outcome: &Outcome) -> bool {
    let of_store = [Exit::Corrupt, Exit::Forged, Exit::Transient, Exit::Credentials, Exit::Config];
    let of_bytes = [Exit::Corrupt];
    let stage = outcome.cause.as_ref().map_or("", |cause| cause.stage.as_str());
    let codes: &[Exit] = if stage == "fetch" { &of_store } else { &of_bytes };
    codes.iter().any(|exit| exit.code() == outcome.code)
}

/// The copies of a backup that can be tried, in the order of the destinations; those that somebody
/// has called suspect are the last.
pub(crate) fn usable_copies<'a>(
    catalogue: &'a Catalogue,
    backup: &BackupName,
    from: Option<&str>,
) -> Result<Vec<Copy<'a>>, Error> {
    let all: Vec<_> = catalogue
        .copies()
        .filter(|(destination, b)| b.name == *backup && from.is_none_or(|f| f == *destination))
        .collect();
    // A suspect copy is still the right bytes; whoever asks for it by name shall have it.
    let mut there: Vec<_> = all.iter().filter(|(_, b)| b.state.is_usable()).collect();
    there.sort_by_key(|(_, b)| !b.state.is_trusted());
    let usable: Vec<Copy<'a>> = there
        .into_iter()
        .filter_map(|(destination, b)| Some((*destination, b.manifest.as_ref()?)))
        .collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    let problems = all.iter().filter_map(|(d, b)| Some(format!("{d}: {}", b.problem.as_ref()?)));
    let why = problems.collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { format!("{} has none", from.unwrap_or("no one")) } else { why };
    let exit = exit_of(all.iter().map(|(_, b)| *b));
    Err(Error::NoCopy { backup: backup.to_string(), why, exit })
}

/// Why none of these copies can be used. That this program is too old, or that nobody who is trusted
/// signed, is the reason only where it is the reason everywhere.
pub(crate) fn exit_of<'a>(copies: impl Iterator<Item = &'a Backup>) -> Exit {
    let codes: BTreeSet<Option<u8>> = copies.map(|copy| copy.exit).collect();
    let is_only = |exit: &Exit| codes.len() == 1 && codes.contains(&Some(exit.code()));
    [Exit::Unsupported, Exit::Forged].into_iter().find(is_only).unwrap_or(Exit::Corrupt)
}

/// An hour of downloading for what does not fit is an hour too much. `directory` need not be there.
pub(crate) fn must_fit(directory: &Path, needed: u64) -> Result<(), Error> {
    // Where nobody can tell how much is free, the write will.
    match contract::Place::look(directory) {
        Ok(place) if place.free_bytes < needed => {
            let free = place.free_bytes;
            Err(Error::NoRoom { directory: directory.to_path_buf(), needed, free })
        }
        _ => Ok(()),
    }
}

/// Refuses a destination that the configuration does not have.
pub(crate) fn must_know(pipeline: &config::Pipeline, from: Option<&str>) -> Result<(), Error> {
    match from.filter(|name| !pipeline.destinations.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let known = pipeline.destinations.keys().cloned().collect();
            Err(Error::UnknownDestination { name: name.to_owned(), known })
        }
    }
}

/// Where run directories of the way back are, below the state directory.
pub(crate) fn home(pipeline: &config::Pipeline, verb: &str) -> PathBuf {
    Path::new(&pipeline.run.state_dir).join(&pipeline.cluster).join(verb)
}

/// The bytes that `verify` proved: those that come back.
pub(crate) fn proved(manifest: &Manifest) -> Option<&Digest> {
    Some(&manifest.steps.get(proved_at(&manifest.steps))?.output)
}

/// Where `verify` stood. Steps before it, as of a backup that was adopted, made the bytes that it
/// proved, and stay.
fn proved_at(steps: &[ManifestStep]) -> usize {
    steps.iter().position(|step| step.stage == "verify").unwrap_or(0)
}

/// The steps that undo what the manifest says was done after `verify`. A program of the user's own
/// that changed the bytes cannot be undone here.
pub(crate) fn steps(manifest: &Manifest, last: &str) -> Result<Vec<Step>, Error> {
    let mut steps = vec![step("fetch")];
    let from = proved_at(&manifest.steps);
    for pair in manifest.steps.get(from..).unwrap_or_default().windows(2).rev() {
        let (before, made) = (&pair[0], &pair[1]);
        match made.stage.as_str() {
            "encrypt" => steps.push(step("decrypt")),
            "compress" => steps.push(step("decompress")),
            _ if made.output == before.output => {}
            program => {
                return Err(Error::CannotUndo {
                    backup: manifest.backup.to_string(),
                    program: program.to_owned(),
                });
            }
        }
    }
    steps.push(step(last));
    Ok(steps)
}

pub(crate) fn step(name: &str) -> Step {
    Step { name: name.to_owned(), program: None, suffix: String::new() }
}

#[cfg(test)]
mod tests;
