//! `lifeboat doctor`: what is the matter with the cluster, and is there a backup?
//!
//! The cluster is looked at by `lifeboat-doctor`, which has etcd's client key; the catalogue by
//! `lifeboat-catalogue`, which has the stores' credentials. They work at the same time, and what the
//! second says goes to the first by a pipe, because the advice depends on it.
//!
//! Invariant: whatever is wrong with the catalogue, the cluster is still looked at.

mod args;
mod backup;

pub(crate) use args::{AFTER, DoctorArgs};

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use contract::Exit;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, Stdio};

const PROGRAM: &str = "lifeboat-doctor";

pub(crate) fn doctor(common: &Common, args: &DoctorArgs) -> Result<ExitCode, Error> {
    let is_replacing = args.replace_member.is_some();
    let mut child = start(common, args, is_replacing)?;
    if let Some(mut pipe) = child.stdin.take() {
        let backup = backup::newest(common);
        let text = serde_json::to_vec(&backup).map_err(|e| Error::Output(e.into()))?;
        // A doctor that ended meanwhile, of a mistake in its settings, says so itself.
        let _ = pipe.write_all(&text);
    }
    let source = |source| Error::Start { program: PROGRAM.into(), source };
    let status = child.wait().map_err(source)?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(Exit::Bug.code()))),
        (None, Some(signal)) => Err(Error::Killed { program: PROGRAM.into(), signal }),
        (None, None) => Ok(Exit::Bug.into()),
    }
}

/// Starts it. A person who is asked whether a member may be replaced answers it directly.
fn start(common: &Common, args: &DoctorArgs, is_replacing: bool) -> Result<Child, Error> {
    let mut command = Command::new(find::stage("doctor")?);
    command.args(args.words());
    // Without a configuration etcdctl's variables and kubeadm's files are enough.
    if let Ok(config) = common.config_path() {
        command.arg("--config").arg(config);
    }
    let shown = common.config_to_name()?.map(OsString::from).unwrap_or_default();
    command.arg("--shown-config").arg(shown);
    command.args(["--log", if common.logs_are_human() { "human" } else { "json" }]);
    command.env_clear().envs(environment::of("doctor"));
    match is_replacing {
        true => command.stdin(Stdio::inherit()),
        false => command.arg("--backup-from-stdin").stdin(Stdio::piped()),
    };
    command.spawn().map_err(|source| Error::Start { program: PROGRAM.into(), source })
}
