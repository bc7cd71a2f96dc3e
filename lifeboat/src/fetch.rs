//! `lifeboat fetch`: one backup back to a file, through the same contract as the way out.
//!
//! The chain is fetch → decrypt → decompress → verify. Its last step writes the file, which gets
//! its name only when every step before it left a receipt and the bytes are those that the
//! manifest names. A copy that turns out damaged is not the end: the next destination is tried.

use crate::chain::{self, Drawing, Outcome};
use crate::cli::{Common, FetchArgs};
use crate::error::Error;
use crate::planning::new_run_id;
use crate::views::{choose, read_catalogue};
use catalogue::{BackupName, Catalogue, Manifest, State};
use contract::{Clock, Exit, Plan, RunDir, Step};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn fetch(common: &Common, args: &FetchArgs) -> Result<ExitCode, Error> {
    if args.output.symlink_metadata().is_ok() {
        return Err(durable::Error::AlreadyExists(args.output.clone()).into());
    }
    let output = std::path::absolute(&args.output)
        .map_err(|source| Error::Directory { path: args.output.clone(), source })?;
    if let Some(directory) = output.parent().filter(|directory| !directory.is_dir()) {
        let (file, directory) = (args.output.clone(), directory.to_path_buf());
        return Err(Error::NoDirectory { file, directory });
    }
    let pipeline = common.pipeline()?;
    if let Some(name) = args.from.as_ref().filter(|name| !pipeline.destinations.contains_key(*name))
    {
        let known = pipeline.destinations.keys().cloned().collect();
        return Err(Error::UnknownDestination { name: name.clone(), known });
    }
    let catalogue = read_catalogue(common)?;
    let backup = choose(&catalogue, &args.backup)?;
    let copies = verified_copies(&catalogue, &backup, args.from.as_deref())?;
    let needed = copies.iter().map(|(_, manifest)| bytes_of(manifest, args.raw)).max();
    must_fit(&output, needed.unwrap_or_default())?;
    let deadline = Instant::now() + pipeline.run.deadline.get();
    let drawing = Drawing::new(common.logs_are_human(), !args.no_progress);
    let home = pipeline.run.state_dir.join(&pipeline.cluster).join("fetches");
    let mut last = Exit::Bug.code();
    let mut copies = copies.into_iter().peekable();
    while let Some((destination, manifest)) = copies.next() {
        let outcome =
            Attempt { common, args, home: &home, destination, manifest }.run(deadline, &drawing)?;
        let Some(cause) = &outcome.cause else {
            tracing::info!("{backup} from {destination} is in {}", args.output.display());
            return Ok(Exit::Ok.into());
        };
        last = outcome.code;
        let may_help = another_copy_may_help(&outcome);
        let goes_on = copies.peek().is_some() && may_help;
        let causes = &cause.causes;
        let hint = match may_help && !goes_on && args.from.is_none() {
            // The stage knows of one destination; here all of them have been tried.
            true => NO_COPY_LEFT,
            false => &cause.hint,
        };
        let what = format!(
            "{backup} could not be brought back from {destination}: {} failed: {}",
            cause.stage, cause.message
        );
        // What another copy may make good is no failure yet.
        match goes_on {
            true => tracing::warn!(code = last, causes, hint, "{what}; trying the next copy"),
            false => tracing::error!(code = last, causes, hint, "{what}"),
        }
        if !goes_on {
            break;
        }
    }
    Ok(ExitCode::from(last))
}

const NO_COPY_LEFT: &str =
    "no copy of it is left to try: `lifeboat list` shows older backups; fetch one by its name";

/// How large the file will be.
fn bytes_of(manifest: &Manifest, raw: bool) -> u64 {
    let captured = manifest.steps.iter().find(|step| step.stage == "capture");
    match captured.filter(|_| !raw) {
        Some(step) => step.output.bytes,
        None => manifest.artifact.bytes,
    }
}

/// An hour of downloading for a file that does not fit is an hour too much.
fn must_fit(output: &Path, needed: u64) -> Result<(), Error> {
    let Some(directory) = output.parent() else { return Ok(()) };
    // Where nobody can tell how much is free, the write will.
    match contract::Place::look(directory) {
        Ok(place) if place.free_bytes < needed => {
            let free = place.free_bytes;
            Err(Error::NoRoom { directory: directory.to_path_buf(), needed, free })
        }
        _ => Ok(()),
    }
}

/// Another copy has other bytes and another store, but the same recipients and the same disk.
fn another_copy_may_help(outcome: &Outcome) -> bool {
    let codes = [Exit::Corrupt, Exit::Transient, Exit::Credentials, Exit::Config];
    codes.iter().any(|exit| exit.code() == outcome.code)
}

fn verified_copies<'a>(
    catalogue: &'a Catalogue,
    backup: &BackupName,
    from: Option<&str>,
) -> Result<Vec<(&'a str, &'a Manifest)>, Error> {
    let all: Vec<_> = catalogue
        .copies()
        .filter(|(destination, b)| b.name == *backup && from.is_none_or(|f| f == *destination))
        .collect();
    // A suspect copy is still the right bytes; whoever asks for it by name shall have it.
    let usable: Vec<(&str, &Manifest)> = all
        .iter()
        .filter(|(_, b)| b.state != State::Broken)
        .filter_map(|(destination, b)| Some((*destination, b.manifest.as_ref()?)))
        .collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    let problems = all.iter().filter_map(|(d, b)| Some(format!("{d}: {}", b.problem.as_ref()?)));
    let why = problems.collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { format!("{} has none", from.unwrap_or("no one")) } else { why };
    // That this program is too old is only the reason where it is the reason everywhere.
    let newer = |b: &catalogue::Backup| b.exit == Some(Exit::Unsupported.code());
    let all_newer = !all.is_empty() && all.iter().all(|(_, b)| newer(b));
    let exit = if all_newer { Exit::Unsupported } else { Exit::Corrupt };
    Err(Error::NoCopy { backup: backup.to_string(), why, exit })
}

struct Attempt<'a> {
    common: &'a Common,
    args: &'a FetchArgs,
    home: &'a Path,
    destination: &'a str,
    manifest: &'a Manifest,
}

impl Attempt<'_> {
    fn run(&self, deadline: Instant, drawing: &Drawing) -> Result<Outcome, Error> {
        let now = Clock::system().now();
        let manifest = self.manifest;
        let steps = if self.args.raw { vec![step("fetch")] } else { way_back(manifest)? };
        let (cluster, tier) = (manifest.cluster.clone(), manifest.tier.clone());
        let plan = Plan::new(new_run_id(now), cluster, tier, now, steps);
        let run_dir = RunDir::create(&self.home.join(plan.run.as_str()), &plan)?;
        let links: Result<Vec<_>, Error> = (0..plan.steps.len())
            .map(|at| {
                let extra = self.arguments(&plan, at)?;
                chain::link(self.common, &plan, &run_dir, at, &extra)
            })
            .collect();
        let outcome = chain::run(&links?, deadline, drawing);
        failpoint::pass("fetch.chain_ended");
        // Receipts of a fetch prove nothing to anybody later.
        if let Err(e) = std::fs::remove_dir_all(run_dir.path()) {
            tracing::warn!("cannot remove {}: {e}", run_dir.path().display());
        }
        outcome
    }

    fn arguments(&self, plan: &Plan, at: usize) -> Result<Vec<OsString>, Error> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| all.extend([flag.into(), value]);
        match plan.steps[at].name.as_str() {
            "fetch" => {
                add("--destination", self.destination.into());
                add("--manifest", self.manifest.object_name().key(&plan.cluster).into());
            }
            "decrypt" => {
                self.args.identity.iter().for_each(|file| add("--identity", file.into()));
            }
            "verify" => {
                let captured = self.manifest.steps.iter().find(|step| step.stage == "capture");
                if let Some(step) = captured {
                    add("--expect-sha256", step.output.sha256.clone().into());
                }
            }
            _ => {}
        }
        if at + 1 == plan.steps.len() {
            let output = std::path::absolute(&self.args.output)
                .map_err(|source| Error::Directory { path: self.args.output.clone(), source })?;
            add("--output", output.into());
        }
        Ok(all)
    }
}

/// The steps that undo what the manifest says was done. A program of the user's own that changed
/// the bytes cannot be undone here.
fn way_back(manifest: &Manifest) -> Result<Vec<Step>, Error> {
    let mut steps = vec![step("fetch")];
    for pair in manifest.steps.windows(2).rev() {
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
    steps.push(step("verify"));
    Ok(steps)
}

fn step(name: &str) -> Step {
    Step { name: name.to_owned(), program: None, suffix: String::new() }
}
