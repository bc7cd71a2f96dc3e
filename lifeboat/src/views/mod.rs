//! What people and scripts see of the catalogue: tables or JSON, on standard output.
//!
//! The catalogue itself is read by `lifeboat-catalogue`, which has the stores' credentials; this
//! program has none.

mod format;
mod list;
mod show;
mod status;

pub(crate) use format::{age, bytes, plural};
pub(crate) use list::list;
pub(crate) use show::{quoted, show};
pub(crate) use status::status;

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use catalogue::{Backup, BackupName, Catalogue};
use contract::Exit;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// Asks `lifeboat-catalogue` what all destinations hold.
pub(crate) fn read_catalogue(common: &Common) -> Result<Catalogue, Error> {
    read_catalogue_within(common, "60s")
}

/// The same, giving each destination only so long.
pub(crate) fn read_catalogue_within(common: &Common, limit: &str) -> Result<Catalogue, Error> {
    // A mistake in the configuration is told once, by the program that was typed.
    common.pipeline()?;
    ask_catalogue(common, &["--timeout".as_ref(), limit.as_ref()])
}

/// Runs `lifeboat-catalogue`, and reads its answer.
pub(crate) fn ask_catalogue<T: DeserializeOwned>(
    common: &Common,
    arguments: &[&OsStr],
) -> Result<T, Error> {
    let name = "lifeboat-catalogue".to_owned();
    let output = Command::new(find::stage("catalogue")?)
        .arg("--config")
        .arg(common.config_path()?)
        .args(arguments)
        .args(["--log", if common.logs_are_human() { "human" } else { "json" }])
        .env_clear()
        .envs(environment::of("catalogue"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { program: name.clone(), source })?;
    if let Some(signal) = output.status.signal() {
        return Err(Error::Killed { program: name, signal });
    }
    let code = output.status.code().unwrap_or(Exit::Bug.code().into());
    if code != 0 {
        return Err(Error::Program { program: name, code });
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::Garbled { program: name, problem: e.to_string() })
}

/// The name of the backup that somebody means by `latest`, by its name or by how it begins.
/// `latest` is the newest with a copy that is verified or proven.
pub(crate) fn choose(catalogue: &Catalogue, wanted: &str) -> Result<BackupName, Error> {
    let is_wanted = |backup: &Backup| match wanted {
        "latest" => backup.state.is_trusted(),
        name => backup.name.as_str().starts_with(name),
    };
    let mut names: Vec<&BackupName> =
        catalogue.copies().filter(|(_, b)| is_wanted(b)).map(|(_, b)| &b.name).collect();
    names.dedup();
    match names.as_slice() {
        [] => Err(none(catalogue, wanted)),
        [one] => Ok((*one).clone()),
        [newest, ..] if wanted == "latest" => Ok((*newest).clone()),
        many => Err(Error::Ambiguous { wanted: wanted.to_owned(), count: many.len() }),
    }
}

/// Why there is nothing to choose: nothing there, nothing to be seen, or nothing that is whole.
fn none(catalogue: &Catalogue, wanted: &str) -> Error {
    let cluster = catalogue.cluster.clone();
    let dark = catalogue
        .destinations
        .iter()
        .filter_map(|d| Some((d.destination.clone(), d.problem.clone()?)));
    let unreadable: Vec<(String, String)> = dark.collect();
    let copies = catalogue.copies().count();
    if wanted == "latest" && copies > 0 && unreadable.is_empty() {
        return Error::NoneVerified { cluster, copies };
    }
    let exit = exit_of_unreadable(catalogue).unwrap_or(Exit::Stale);
    Error::NoBackup { cluster, wanted: wanted.to_owned(), unreadable, exit }
}

/// The code of a destination that could not be read: of what most needs a person, because a
/// refused credential will not come right by itself while a slow network may.
pub(crate) fn exit_of_unreadable(catalogue: &Catalogue) -> Option<Exit> {
    let codes = catalogue.destinations.iter().filter_map(|d| d.exit);
    let exits: Vec<Exit> = codes.filter_map(|code| Exit::from_code(code.into())).collect();
    exits.iter().find(|exit| **exit != Exit::Transient).or(exits.first()).copied()
}

/// Prints to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(&contract::visible(text))
}

fn write(text: &str) -> Result<(), Error> {
    contract::print(text).map_err(Error::Output)
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Output(e.into()))?;
    write(&format!("{text}\n"))
}
