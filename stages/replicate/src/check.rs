//! `--check`: whether every destination can take the next backup and give it back.

use crate::args::Args;
use crate::error::Error;
use config::Pipeline;
use contract::{CheckReport, Clock, Exit, Finding};
use std::process::ExitCode;

/// Prints the answer and says it again as an exit code.
///
/// # Errors
/// When the configuration cannot be read, or standard output not be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let mut report = CheckReport::new("replicate");
    let clock = Clock::system();
    let checked = destinations::block_on(destinations::check_all(&pipeline, clock))?;
    checked.findings.into_iter().for_each(|finding| report.add(finding));
    report.capabilities = checked.capabilities;
    let count = pipeline.destinations.len();
    if count == 1 {
        let detail = "there is only one destination: when it is lost, every backup is";
        let next = "add a second one, in another place and under another account";
        report.add(Finding::warning("copies", detail, next));
    }
    let exit: Exit = report.print().map_err(Error::Print)?;
    Ok(exit.into())
}
