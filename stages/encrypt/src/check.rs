//! `--check`: whether recipients or identities are good.

use crate::args::Args;
use crate::error::Error;
use crate::{decrypt, stage};
use contract::{CheckReport, Exit, StreamError};

/// Prints the answer and says it again as an exit code.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let mut report = CheckReport::new(args.stage_name());
    match args.decrypt {
        true => identities(args, &mut report),
        false => recipients(args, &mut report),
    }
    Ok(report.print().map_err(StreamError::Write)?)
}

fn recipients(args: &Args, report: &mut CheckReport) {
    let recipients = match stage::recipients(args) {
        Ok(recipients) => recipients,
        Err(e) => return report.failed("recipients", &e),
    };
    let names = recipients.names();
    let mut detail = format!("{}: {}", names.len(), names.join(", "));
    if names.len() == 1 {
        detail.push_str(" (only one: if its identity is lost, every backup is)");
    }
    report.good("recipients", detail);
    for name in recipients.plugins() {
        match recipients.plugin(name) {
            Ok(_) => {
                report.good(format!("plugin {name}"), format!("age-plugin-{name} is on the PATH"));
            }
            Err(e) => report.failed(format!("plugin {name}"), &e),
        }
    }
}

fn identities(args: &Args, report: &mut CheckReport) {
    match decrypt::keyring(args) {
        Ok(keyring) => report.good(
            "identities",
            format!(
                "{} identities, {} of them protected by a passphrase that was not tried",
                keyring.len(),
                keyring.locked()
            ),
        ),
        Err(e) => report.failed("identities", &e),
    }
}
