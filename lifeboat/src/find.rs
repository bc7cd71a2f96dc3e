//! Finds the programs of the stages: beside this one first, then on the PATH.

use crate::cli::{Cli, Common};
use crate::error::Error;
use clap::CommandFactory;
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

/// The verb that was probably meant.
fn nearest(verb: &str) -> Option<String> {
    const ALIKE_MIN: f64 = 0.8;
    let command = Cli::command();
    let own = command.get_subcommands().map(|c| c.get_name().to_owned());
    let stages = config::STAGES.into_iter().chain(["keygen", "keygen-signing"]).map(str::to_owned);
    own.chain(stages)
        .map(|known| (strsim::jaro_winkler(verb, &known), known))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// `lifeboat VERB …` for a verb that is a stage: becomes that program, with its own environment.
pub(crate) fn become_stage(common: &Common, words: &[OsString]) -> Result<ExitCode, Error> {
    let verb = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    // A key is made by the stage that uses it.
    let (name, first) = match verb.as_str() {
        "keygen" => ("encrypt", Some("--keygen")),
        "keygen-signing" => ("encrypt", Some("--keygen-signing")),
        other => (other, None),
    };
    let program = stage(name).map_err(|e| match e {
        Error::NoProgram(_) => Error::UnknownVerb { near: nearest(&verb), verb: verb.clone() },
        e => e,
    })?;
    let mut command = Command::new(&program);
    if let Ok(config) = common.config_path() {
        command.env("LIFEBOAT_CONFIG", config);
    }
    command.env("LIFEBOAT_LOG", common.log_format());
    command.args(first).args(&words[1..]);
    let source = command.exec();
    Err(Error::Start { program: program.display().to_string(), source })
}
