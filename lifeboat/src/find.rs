//! Finds the programs of the stages: beside this one first, then on the PATH.

use crate::cli::Common;
use crate::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The program of a stage.
pub(crate) fn stage(name: &str) -> Result<PathBuf, Error> {
    let file = format!("lifeboat-{name}");
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(&file)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join(&file));
    beside.into_iter().chain(on_path).find(|p| p.is_file()).ok_or(Error::NoProgram(file))
}

/// This program itself.
pub(crate) fn lifeboat() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|source| Error::Start { program: "lifeboat".into(), source })
}

/// `lifeboat VERB …` for a verb that is a stage: becomes that program, with its own environment.
pub(crate) fn become_stage(common: &Common, words: &[OsString]) -> Result<ExitCode, Error> {
    let verb = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    // A key is made by the stage that uses it.
    let (name, first) = match verb.as_str() {
        "keygen" => ("encrypt", Some("--keygen")),
        other => (other, None),
    };
    let program = stage(name)?;
    let mut command = Command::new(&program);
    if let Ok(config) = common.config_path() {
        command.env("LIFEBOAT_CONFIG", config);
    }
    command.args(first).args(&words[1..]);
    let source = command.exec();
    Err(Error::Start { program: program.display().to_string(), source })
}
