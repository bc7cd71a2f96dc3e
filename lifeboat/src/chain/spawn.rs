//! Starts the programs of a chain, each reading what the one before writes.

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use contract::{Plan, RunDir};
use std::ffi::OsString;
use std::io::{PipeReader, PipeWriter};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// The kernel's default of 64 KiB makes the stages wake each other far too often.
const PIPE_BYTES: usize = 1 << 20;

/// One program of a chain.
#[derive(Debug)]
pub(crate) struct Link {
    /// The step's name in the plan.
    pub(crate) name: String,
    program: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// Where the step leaves its receipt.
    pub(super) receipt: PathBuf,
}

/// The program of one step of a plan, with `extra` arguments of its own.
pub(crate) fn link(
    common: &Common,
    plan: &Plan,
    run_dir: &RunDir,
    position: usize,
    extra: &[OsString],
) -> Result<Link, Error> {
    let step = &plan.steps[position];
    let mut args: Vec<OsString> = Vec::new();
    let program = match (&step.program, step.name.as_str()) {
        (Some(_), name) => {
            args.extend(["wrap".into(), name.into()]);
            find::lifeboat()?
        }
        (None, "decrypt") => find::stage("encrypt")?,
        (None, "decompress") => find::stage("compress")?,
        (None, name) => find::stage(name)?,
    };
    if matches!(step.name.as_str(), "decrypt" | "decompress") {
        args.push(format!("--{}", step.name).into());
    }
    args.extend(["--config".into(), common.config_path()?.into_os_string()]);
    args.extend(["--run-dir".into(), run_dir.path().as_os_str().to_owned()]);
    args.extend(["--log".into(), "json".into()]);
    if position > 0 {
        args.extend(["--input".into(), "-".into()]);
    }
    args.extend_from_slice(extra);
    let mut environment: Vec<_> = environment::of(&step.name).collect();
    environment.push(("LIFEBOAT_PROGRESS".into(), "1".into()));
    let receipt = run_dir.receipt_path(position, &step.name);
    Ok(Link { name: step.name.clone(), program, args, environment, receipt })
}

/// Starts all of them. A child that is dropped is killed, so that none outlives a failed start.
pub(super) fn all(links: &[Link]) -> Result<Vec<Child>, Error> {
    let mut children = Vec::with_capacity(links.len());
    let mut before: Option<PipeReader> = None;
    for (position, link) in links.iter().enumerate() {
        let (after, output) = match position + 1 < links.len() {
            true => pipe().map(|(reader, writer)| (Some(reader), Stdio::from(writer)))?,
            false => (None, Stdio::null()),
        };
        let input = before.take().map_or_else(Stdio::null, Stdio::from);
        children.push(start(link, input, output)?);
        failpoint::pass("chain.step_started");
        before = after;
    }
    Ok(children)
}

fn start(link: &Link, input: Stdio, output: Stdio) -> Result<Child, Error> {
    Command::new(&link.program)
        .args(&link.args)
        .env_clear()
        .envs(link.environment.iter().cloned())
        .stdin(input)
        .stdout(output)
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal must reach this process alone, which then ends its children.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Start { program: link.program.display().to_string(), source })
}

fn pipe() -> Result<(PipeReader, PipeWriter), Error> {
    let (reader, writer) = std::io::pipe().map_err(Error::Pipe)?;
    // Only a matter of speed: an unprivileged user may be over the system's limit.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
    Ok((reader, writer))
}
