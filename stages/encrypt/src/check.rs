//! `--check`: one JSON object that says whether recipients or identities are good.

use crate::args::Args;
use crate::error::Error;
use crate::{decrypt, stage};
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
    name: String,
    ok: bool,
    detail: String,
}

impl Check {
    fn of(name: impl Into<String>, result: Result<String, Error>) -> Self {
        let (ok, detail) = match result {
            Ok(detail) => (true, detail),
            Err(e) => (false, explained(&e)),
        };
        Check { name: name.into(), ok, detail }
    }
}

/// Prints the answer and says it again as an exit code: 0 or 3.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let checks = if args.decrypt { vec![identities(args)] } else { recipients(args) };
    let report =
        Report { stage: args.stage_name(), ok: checks.iter().all(|check| check.ok), checks };
    print(&report)?;
    Ok(if report.ok { Exit::Ok } else { Exit::Config })
}

fn recipients(args: &Args) -> Vec<Check> {
    let recipients = match stage::recipients(args) {
        Ok(recipients) => recipients,
        Err(e) => return vec![Check::of("recipients", Err(e))],
    };
    let names = recipients.names();
    let mut detail = format!("{}: {}", names.len(), names.join(", "));
    if names.len() == 1 {
        detail.push_str(" (only one: if its identity is lost, every backup is)");
    }
    let mut checks = vec![Check::of("recipients", Ok(detail))];
    for name in recipients.plugins() {
        let found = recipients.plugin(name);
        let result = found.map(|_| format!("age-plugin-{name} is on the PATH"));
        checks.push(Check::of(format!("plugin {name}"), result));
    }
    checks
}

fn identities(args: &Args) -> Check {
    let result = decrypt::keyring(args).map(|keyring| {
        let (all, locked) = (keyring.len(), keyring.locked());
        format!("{all} identities, {locked} of them protected by a passphrase that was not tried")
    });
    Check::of("identities", result)
}

/// The message with its first cause, which is the system's answer.
fn explained(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn print(report: &Report) -> Result<(), Error> {
    let mut sink = Sink::open(None)?;
    let written = serde_json::to_vec(report).map_err(std::io::Error::from).and_then(|mut line| {
        line.push(b'\n');
        sink.write_all(&line)
    });
    written.map_err(|e| sink.write_error(e).into())
}
