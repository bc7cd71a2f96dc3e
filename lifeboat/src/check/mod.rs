//! `lifeboat check`: everything that can be wrong, found before it is needed, on one screen.
//!
//! Owns: asking every stage of the chain for its own part (`--check`), all at once, what only this
//! machine can be asked (directories, files, limits), and what the whole comes to. A stage that
//! dies or says something unintelligible is a finding like any other.
//!
//! Does not: know etcd, keys or stores: whoever has the secrets of a job looks at that job. A
//! wrong configuration ends it as it ends every verb: nothing else can be looked at then.

mod ask;
mod local;
mod matrix;
mod screen;
mod would;

pub(crate) use local::must_be_fit;

use crate::cli::{Common, OutputArgs};
use crate::error::Error;
use crate::planning;
use crate::views::print_json;
use config::Pipeline;
use contract::{CheckReport, Clock, Exit, Finding, Level, worse};
use serde::{Serialize, Serializer};
use std::process::ExitCode;
use would::Would;

/// The part of this machine, among those of the stages.
const HERE: &str = "here";

/// The JSON of `lifeboat check --json`.
#[derive(Debug, Serialize)]
struct Answer {
    version: u32,
    cluster: String,
    checked_at: jiff::Timestamp,
    /// The highest level of all parts.
    level: Level,
    exit: u8,
    /// This machine first, then the stages in the order of the data.
    parts: Vec<CheckReport>,
    would: Would,
    /// What to do, failures first.
    #[serde(serialize_with = "without_levels")]
    next: Vec<(Level, String)>,
}

fn without_levels<S: Serializer>(
    next: &[(Level, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(next.iter().map(|(_, step)| step))
}

pub(crate) fn check(common: &Common, args: &OutputArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    let clock = Clock::system();
    let mut parts = vec![local::look(common, &pipeline)?];
    parts.extend(ask::all(common, &pipeline)?);
    let snapshot_bytes = parts.iter().find_map(|part| part.numbers.get("snapshot_bytes").copied());
    if let Some(finding) = local::room(&pipeline, snapshot_bytes) {
        parts[0].add(finding);
    }
    let seen = planning::Seen::look_for_tier(common, &pipeline);
    let plan = planning::plan(&pipeline, clock, &seen);
    let answer = Answer {
        version: 1,
        cluster: pipeline.cluster.clone(),
        checked_at: clock.now(),
        level: parts.iter().map(|part| part.level).max().unwrap_or(Level::Ok),
        exit: parts.iter().fold(Exit::Ok.code(), |exit, part| worse(exit, part.exit)),
        next: next_steps(&parts),
        would: Would::of(&pipeline, &plan, snapshot_bytes),
        parts,
    };
    match args.json {
        true => print_json(&answer)?,
        false => screen::show(&answer)?,
    }
    Ok(ExitCode::from(answer.exit))
}

/// What to do, each step once, those of failures first.
fn next_steps(parts: &[CheckReport]) -> Vec<(Level, String)> {
    let mut steps: Vec<(Level, String)> = Vec::new();
    for level in [Level::Failed, Level::Warning] {
        for part in parts {
            for finding in part.checks.iter().filter(|finding| finding.level == level) {
                let next = finding.next.as_ref().unwrap_or(&finding.detail);
                let step = format!("{}: {next}", subject(part, finding));
                if !steps.iter().any(|(_, known)| *known == step) {
                    steps.push((level, step));
                }
            }
        }
    }
    steps
}

/// What a finding is about, or else whose it is.
fn subject<'a>(part: &'a CheckReport, finding: &'a Finding) -> &'a str {
    if finding.about.is_empty() { &part.stage } else { &finding.about }
}

/// The steps of the chain that are stages of ours, with the program that each of them is.
fn stages(pipeline: &Pipeline) -> impl Iterator<Item = &str> {
    let ours = |name: &&String| !pipeline.programs.contains_key(*name);
    pipeline.stages.iter().filter(ours).map(String::as_str)
}
