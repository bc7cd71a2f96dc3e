//! `lifeboat scrub`: copies read back, compared, and repaired.

use super::args::ScrubArgs;
use super::content;
use super::program::ask;
use super::screen;
use crate::cli::Common;
use crate::error::Error;
use crate::views::print_json;
use crate::{lock, way_back};
use level::ScrubReport;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn scrub(common: &Common, args: &ScrubArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    for name in &args.destination {
        way_back::must_know(&pipeline, Some(name))?;
    }
    let deadline = args.budget.map(|budget| Instant::now() + budget.get());
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    let _lock = lock::take(&home, &pipeline.cluster)?;
    let mut answer = ask::<ScrubReport>(common, "scrub", &arguments(args), None)?;
    let Some(report) = &mut answer.said else { return Ok(ExitCode::from(answer.code)) };
    if args.content || !args.identity.is_empty() {
        content::look(common, args, &pipeline, deadline, report)?;
    }
    match args.json {
        true => print_json(report)?,
        false => screen::of_scrub(report)?,
    }
    Ok(ExitCode::from(report.exit))
}

fn arguments(args: &ScrubArgs) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |flag: &str, value: String| all.extend([flag.into(), value.into()]);
    args.sample.iter().for_each(|sample| add("--sample", sample.clone()));
    args.destination.iter().for_each(|name| add("--destination", name.clone()));
    args.backup.iter().for_each(|name| add("--backup", name.clone()));
    args.newest.iter().for_each(|count| add("--newest", count.to_string()));
    args.budget.iter().for_each(|budget| add("--budget", budget.to_string()));
    all.extend(args.no_repair.then(|| "--no-repair".into()));
    all.extend(args.no_record.then(|| "--no-record".into()));
    all
}
