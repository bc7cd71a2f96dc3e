//! A program of the stages that works for long: started with the environment of its job, asked to
//! end when this process is, and its answer read.

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use contract::Exit;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// How long it may take to end when it is asked to: it aborts its uploads.
const GRACE: Duration = Duration::from_secs(20);
/// No answer is larger: some hundred bytes for each copy of each backup.
const ANSWER_BYTES_MAX: u64 = 1 << 28;

/// Its exit code, and its answer unless it failed before it had one.
pub(super) struct Answer<T> {
    pub(super) code: u8,
    pub(super) said: Option<T>,
}

/// Runs `lifeboat-STAGE` to its end, or until the deadline.
pub(super) fn ask<T: DeserializeOwned>(
    common: &Common,
    stage: &str,
    arguments: &[OsString],
    deadline: Option<Instant>,
) -> Result<Answer<T>, Error> {
    let name = format!("lifeboat-{stage}");
    let failed = |source| Error::Start { program: name.clone(), source };
    let mut command = Command::new(find::stage(stage)?);
    command.arg("--config").arg(common.config_path()?).args(arguments);
    command.args(["--log", if common.logs_are_human() { "human" } else { "json" }]);
    command.env_clear().envs(environment::of(stage));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // A Ctrl-C in the terminal must reach this process alone, which then ends its child.
    command.process_group(0).kill_on_drop(true);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Pipe)?;
    let (status, text) = runtime.block_on(async {
        let child = command.spawn().map_err(failed)?;
        until_end(child, deadline).await.map_err(failed)
    })?;
    let said = match serde_json::from_slice(&text) {
        Ok(said) => Some(said),
        Err(_) if text.is_empty() => None,
        Err(e) => return Err(Error::Garbled { program: name, problem: e.to_string() }),
    };
    let code = status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(1);
    let code = u8::try_from(code).unwrap_or(Exit::Bug.code());
    Ok(Answer { code, said })
}

async fn until_end(
    mut child: Child,
    deadline: Option<Instant>,
) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stdout = child.stdout.take();
    let reading = async {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            // What was read before an error is no answer, and is told as none.
            let _ = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut text).await;
        }
        text
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let tell = |signal| {
        if let Some(group) = group {
            // It may have ended meanwhile; then there is nothing to end.
            let _ = kill_process_group(group, signal);
        }
    };
    let waiting = async {
        let over = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = over => {}
        }
        tell(Signal::TERM);
        if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
            return status;
        }
        tell(Signal::KILL);
        child.wait().await
    };
    let (status, text) = tokio::join!(waiting, reading);
    Ok((status?, text))
}
