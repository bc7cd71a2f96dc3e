//! `lifeboat sync`: every destination brought level with the others.

use super::args::SyncArgs;
use super::program::ask;
use super::screen;
use crate::cli::Common;
use crate::error::Error;
use crate::views::print_json;
use crate::{lock, way_back};
use level::SyncReport;
use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn sync(common: &Common, args: &SyncArgs) -> Result<ExitCode, Error> {
    let pipeline = common.pipeline()?;
    for name in &args.destination {
        way_back::must_know(&pipeline, Some(name))?;
    }
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    // Whoever only looks is in nobody's way.
    let _lock = match args.dry_run {
        true => None,
        false => Some(lock::take(&home, &pipeline.cluster)?),
    };
    let mut arguments: Vec<OsString> = Vec::new();
    arguments.extend(args.destination.iter().flat_map(|d| ["--destination".into(), d.into()]));
    arguments.extend(args.all.then(|| "--all".into()));
    arguments.extend(args.dry_run.then(|| "--dry-run".into()));
    arguments.extend(args.budget.iter().flat_map(|b| ["--budget".into(), b.to_string().into()]));
    let answer = ask::<SyncReport>(common, "sync", &arguments, None)?;
    if let Some(report) = &answer.said {
        match args.json {
            true => print_json(report)?,
            false => screen::of_sync(report)?,
        }
    }
    Ok(ExitCode::from(answer.code))
}
