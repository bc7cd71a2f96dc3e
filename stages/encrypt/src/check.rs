//! `--check`: whether recipients or identities are good.
//!
//! For the way out it also asks whether the identities of `[decrypt]` lie on this machine and open
//! what is encrypted here: then whoever takes the machine has every backup. Nobody is asked for a
//! passphrase, and no plugin is started.

use crate::args::Args;
use crate::decrypt;
use crate::error::Error;
use crate::identities::Keyring;
use crate::passphrase::Passphrases;
use crate::recipients::Recipients;
use crate::signing;
use crate::stage;
use config::Pipeline;
use contract::{CheckReport, Exit, Finding, StreamError};
use std::io::Write as _;
use std::path::PathBuf;

/// What is encrypted to see who can open it.
const SAMPLE: &[u8] = b"lifeboat";

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
    let detail = format!("recipients, {}: {}", names.len(), names.join(", "));
    report.add(match names.len() {
        1 => Finding::warning(
            "recipients",
            format!("{detail}; if its identity is lost, every backup is"),
            "add a second recipient whose identity is kept offline",
        ),
        _ => Finding::good("recipients", detail),
    });
    for name in recipients.plugins() {
        match recipients.plugin(name) {
            Ok(_) => {
                report.good(format!("plugin {name}"), format!("age-plugin-{name} is on the PATH"));
            }
            Err(e) => report.failed(format!("plugin {name}"), &e),
        }
    }
    sample(args, &recipients, report);
    signing_key(args, report);
}

/// Whose name stands under the next backup, if anybody's.
fn signing_key(args: &Args, report: &mut CheckReport) {
    // What is wrong with the configuration is told where it is needed.
    let Ok(pipeline) = Pipeline::load(args.stage.config.as_deref()) else { return };
    match signing::key(&pipeline) {
        Ok(Some(key)) => {
            report.good("signing key", format!("signs as {}, which [trust] lists", key.public()));
        }
        // Nobody asked for it.
        Ok(None) => {}
        Err(e) => report.failed("signing key", &Error::from(e)),
    }
}

/// Encrypts a few bytes, and tries whether an identity on this machine opens them.
fn sample(args: &Args, recipients: &Recipients, report: &mut CheckReport) {
    if !recipients.plugins().is_empty() {
        // A plugin may ask for a touch or a PIN.
        return;
    }
    let sealed = match seal(recipients) {
        Ok(sealed) => sealed,
        Err(e) => return report.failed("sample", &e),
    };
    for path in identities_here(args) {
        report.add(match opens(&path, &sealed) {
            true => Finding::warning(
                "identities",
                format!("{} lies here and opens every backup", path.display()),
                "keep it away from the machine that makes backups; `fetch --identity` takes it",
            )
            .about(path.display().to_string()),
            false => Finding::good(
                "identities",
                format!("{} does not open by itself what is encrypted here", path.display()),
            )
            .about(path.display().to_string()),
        });
    }
}

fn seal(recipients: &Recipients) -> Result<Vec<u8>, Error> {
    let mut sealed = Vec::new();
    let mut writer =
        recipients.encryptor()?.wrap_output(&mut sealed).map_err(StreamError::Write)?;
    writer.write_all(SAMPLE).map_err(StreamError::Write)?;
    writer.finish().map_err(StreamError::Write)?;
    Ok(sealed)
}

/// The identity files of the configuration that are on this machine.
fn identities_here(args: &Args) -> Vec<PathBuf> {
    let pipeline = Pipeline::load(args.stage.config.as_deref());
    let files = pipeline.map(|pipeline| pipeline.decrypt.identities_files).unwrap_or_default();
    files.into_iter().filter(|path| path.is_file()).collect()
}

fn opens(path: &PathBuf, sealed: &[u8]) -> bool {
    let keyring = Keyring::read(std::slice::from_ref(path), Passphrases::new(None));
    let Ok(decryptor) = age::Decryptor::new(sealed) else { return false };
    keyring.is_ok_and(|keyring| decryptor.decrypt(keyring.unlocked()).is_ok())
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
