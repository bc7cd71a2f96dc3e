//! `lifeboat adopt`: backups of files that other tools made, so that nobody begins with an empty
//! catalogue.
//!
//! Owns: one file after the other, each with a run of its own and a verdict of its own. The chain is
//! [decrypt →] adopt → verify → compress → encrypt → replicate: what `lifeboat run` does after
//! `capture`, without `prune`. The commit is `replicate`'s, as ever.
//!
//! Invariants: bytes that are a backup already are not stored again; nothing is removed; whatever
//! happens to one file, the next one is looked at.
//! Does not: read a byte of any file itself.

mod args;
mod attempt;
mod file;
mod history;
mod told;

pub(crate) use args::{AFTER, AdoptArgs};

use crate::chain::Drawing;
use crate::cli::Common;
use crate::error::Error;
use crate::views::{print, print_json, read_catalogue};
use crate::{check, lock};
use attempt::Attempt;
use contract::{Clock, Exit, worse};
use history::History;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use told::{Told, Verdict};

/// Codes from here on are of signals: whoever sent one wants no further file looked at.
const SIGNALS_FROM: u8 = 128;

/// The JSON of `lifeboat adopt --json`.
#[derive(Debug, Serialize)]
struct Answer {
    version: u32,
    cluster: String,
    /// The code that speaks for all files.
    exit: u8,
    /// Whether nothing was to be stored.
    dry_run: bool,
    files: Vec<Told>,
}

pub(crate) fn adopt(common: &Common, args: &AdoptArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    if args.files.len() > 1 && (args.taken_at.is_some() || args.name.is_some()) {
        return Err(Error::OneFile);
    }
    check::must_be_fit(&pipeline)?;
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    let _lock = (!args.dry_run).then(|| lock::take(&home, &pipeline.cluster)).transpose()?;
    let catalogue = read_catalogue(common)?;
    for dark in catalogue.destinations.iter().filter(|d| d.problem.is_some()) {
        let problem = dark.problem.as_deref().unwrap_or_default();
        let name = &dark.destination;
        tracing::warn!("{name} could not be read: what it holds is not compared ({problem})");
    }
    let attempt = Attempt {
        common,
        args,
        pipeline: &pipeline,
        home: home.join("adoptions"),
        clock: Clock::system(),
        drawing: Drawing::new(common.logs_are_human(), !args.no_progress),
    };
    let mut history = History::of(&catalogue);
    let (exit, dry_run) = (Exit::Ok.code(), args.dry_run);
    let mut answer =
        Answer { version: 1, cluster: pipeline.cluster.clone(), exit, dry_run, files: Vec::new() };
    for file in &args.files {
        let told = one(&attempt, file, &mut history);
        answer.exit = worse(answer.exit, told.exit);
        if !args.json {
            print(&told.text())?;
        }
        let is_over = told.exit >= SIGNALS_FROM;
        answer.files.push(told);
        if is_over {
            break;
        }
    }
    end(&answer, args.json)?;
    Ok(ExitCode::from(answer.exit))
}

/// What became of one file. Errors of this program are the file's, as those of the stages are.
fn one(attempt: &Attempt<'_>, file: &Path, history: &mut History) -> Told {
    let told = attempt.run(file, history).unwrap_or_else(|e| Told::failed(file, &e));
    if let Some(cause) = &told.cause {
        let (causes, hint) = (&cause.causes, &cause.hint);
        let (shown, stage, message) = (file.display(), &cause.stage, &cause.message);
        tracing::error!(code = told.exit, causes, hint, "{shown}: {stage} failed: {message}");
    }
    for doubt in &told.doubts {
        tracing::warn!("{}: {doubt}", file.display());
    }
    told
}

fn end(answer: &Answer, json: bool) -> Result<(), Error> {
    if json {
        return print_json(answer);
    }
    let count = |wanted: Verdict| answer.files.iter().filter(|told| told.verdict == wanted).count();
    if answer.files.len() > 1 {
        let counts = [Verdict::Adopted, Verdict::WouldAdopt, Verdict::Already, Verdict::Failed]
            .map(|verdict| (verdict, count(verdict)));
        let words = counts.iter().filter(|(_, count)| *count > 0);
        let words: Vec<String> =
            words.map(|(verdict, n)| format!("{n} {}", verdict.name())).collect();
        print(&format!("{}\n", words.join(", ")))?;
    }
    Ok(())
}
