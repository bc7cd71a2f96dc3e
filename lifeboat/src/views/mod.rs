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
use catalogue::{Backup, BackupName, Catalogue, State};
use contract::Exit;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// How long a destination may take to be read.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// What `lifeboat-catalogue` may take beyond that: to start, to open every destination, to print.
const GRACE: Duration = Duration::from_secs(60);

/// Asks `lifeboat-catalogue` what all destinations hold.
pub(crate) fn read_catalogue(common: &Common) -> Result<Catalogue, Error> {
    read_catalogue_within(common, READ_LIMIT)
}

/// The same, giving each destination only so long.
pub(crate) fn read_catalogue_within(common: &Common, limit: Duration) -> Result<Catalogue, Error> {
    // A mistake in the configuration is told once, by the program that was typed.
    common.pipeline()?;
    let limit_text = format!("{}s", limit.as_secs());
    ask_within(common, &["--timeout".as_ref(), limit_text.as_ref()], limit + GRACE)
}

/// Runs `lifeboat-catalogue`, and reads its answer.
pub(crate) fn ask_catalogue<T: DeserializeOwned>(
    common: &Common,
    arguments: &[&OsStr],
) -> Result<T, Error> {
    ask_within(common, arguments, READ_LIMIT + GRACE)
}

fn ask_within<T: DeserializeOwned>(
    common: &Common,
    arguments: &[&OsStr],
    limit: Duration,
) -> Result<T, Error> {
    let name = "lifeboat-catalogue".to_owned();
    let mut command = Command::new(find::stage("catalogue")?);
    command
        .arg("--config")
        .arg(common.config_path()?)
        .args(arguments)
        .args(["--log", if common.logs_are_human() { "human" } else { "json" }])
        .env_clear()
        .envs(environment::of("catalogue"));
    let output = output_within(command, &name, limit)?;
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

/// What it prints, unless it takes longer: it has limits of its own for whatever it asks, so that it
/// stands still only where no limit reaches, as in a file system that does not answer.
fn output_within(mut command: Command, name: &str, limit: Duration) -> Result<Output, Error> {
    let failed = |source| Error::Start { program: name.to_owned(), source };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.kill_on_drop(true);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Pipe)?;
    let ended = runtime.block_on(async { tokio::time::timeout(limit, command.output()).await });
    match ended {
        Ok(output) => output.map_err(failed),
        Err(_) => Err(Error::NoAnswer { program: name.to_owned(), seconds: limit.as_secs() }),
    }
}

/// The name of the backup that somebody means by `latest`, by its name or by how it begins.
/// `latest` is the newest with a copy that is verified or proven.
pub(crate) fn choose(catalogue: &Catalogue, wanted: &str) -> Result<BackupName, Error> {
    let is_wanted = |backup: &Backup| match wanted {
        "latest" => backup.state.is_trusted(),
        name => backup.name.as_str().starts_with(name),
    };
    let mut copies: Vec<&Backup> =
        catalogue.copies().map(|(_, backup)| backup).filter(|b| is_wanted(b)).collect();
    // What somebody forged makes nothing else ambiguous.
    if copies.iter().any(|backup| backup.state != State::Forged) {
        copies.retain(|backup| backup.state != State::Forged);
    }
    let mut names: Vec<&BackupName> = copies.into_iter().map(|backup| &backup.name).collect();
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
        let exit = crate::way_back::exit_of(catalogue.copies().map(|(_, backup)| backup));
        return Error::NoneVerified { cluster, copies, exit };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_i24_a_program_that_never_answers_is_ended_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let mut command = Command::new("sh");
        command.arg("-c").arg("echo $$ >\"$0\"; exec sleep 600").arg(&pid);
        let limit = Duration::from_millis(500);
        let refused = output_within(command, "lifeboat-catalogue", limit).unwrap_err();
        assert!(refused.to_string().contains("\"lifeboat-catalogue\" gave no answer"), "{refused}");
        assert_eq!(contract::Failure::exit(&refused), Exit::Transient);
        let Ok(pid) = std::fs::read_to_string(&pid) else { return };
        let Ok(pid) = pid.trim().parse::<i32>() else { return };
        let is_there =
            || rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid)?).ok();
        while is_there().is_some() && !is_zombie(pid) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Nobody waits for it any more: it has ended all the same.
    fn is_zombie(pid: i32) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'))
    }
}
