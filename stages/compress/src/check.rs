//! `--check`: one JSON object that says whether this stage's settings are good.

use crate::args::Args;
use crate::error::Error;
use crate::stage::settings;
use contract::{Exit, Sink};
use serde::Serialize;
use std::io::Write;

/// The whole answer.
#[derive(Serialize)]
struct Report {
    stage: &'static str,
    ok: bool,
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Prints the answer and says it again as an exit code: 0 or 3.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let check = match settings(args) {
        Ok(settings) => Check {
            name: "settings",
            ok: true,
            detail: format!("level {}, {} threads", settings.level, settings.threads),
        },
        Err(e) => Check { name: "settings", ok: false, detail: e.to_string() },
    };
    let report = Report { stage: args.stage_name(), ok: check.ok, checks: vec![check] };
    print(&report)?;
    Ok(if report.ok { Exit::Ok } else { Exit::Config })
}

fn print(report: &Report) -> Result<(), Error> {
    let mut sink = Sink::open(None)?;
    let written = serde_json::to_vec(report).map_err(std::io::Error::from).and_then(|mut line| {
        line.push(b'\n');
        sink.write_all(&line)
    });
    written.map_err(|e| sink.write_error(e).into())
}
