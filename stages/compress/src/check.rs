//! `--check`: whether this stage's settings are good.

use crate::args::Args;
use crate::error::Error;
use crate::stage::settings;
use contract::{CheckReport, Exit, StreamError};

/// Prints the answer and says it again as an exit code.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let mut report = CheckReport::new(args.stage_name());
    match settings(args) {
        Ok(settings) => {
            let (level, threads) = (settings.level, settings.threads);
            report.good("settings", format!("level {level}, {threads} threads"));
        }
        Err(e) => report.failed("settings", &e),
    }
    Ok(report.print().map_err(StreamError::Write)?)
}
