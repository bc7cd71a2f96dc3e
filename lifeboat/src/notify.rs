//! Tells others that a run begins, and how it went: `lifeboat-notify`, before and after.
//!
//! Invariant: nothing here delays the data or changes how a run ends. The first notice goes its
//! own way while the run is at work; for the last one there is a limit.

use crate::cli::Common;
use crate::{environment, find};
use config::Pipeline;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the program may need beyond the limits of its requests.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The notices of one run.
pub(crate) struct Notices<'a> {
    common: &'a Common,
    /// For the last notice, to everybody; none when nobody is to be told.
    limit: Option<Duration>,
    first: Option<Child>,
}

impl<'a> Notices<'a> {
    /// Says that a run begins, and does not wait.
    pub(crate) fn begin(common: &'a Common, pipeline: &Pipeline) -> Self {
        let settings = &pipeline.notify;
        // A heartbeat and a webhook, one after the other.
        let limit = settings.is_wanted().then(|| settings.timeout.get() * 2 + GRACE);
        let mut notices = Notices { common, limit, first: None };
        if settings.heartbeat_file.is_some() {
            notices.first = notices.start("start");
        }
        notices
    }

    /// Says how it went. `report` is the JSON of `report.json`.
    pub(crate) fn end(mut self, report: &[u8]) {
        let Some(limit) = self.limit else { return };
        let deadline = Instant::now() + limit;
        // The order matters to whoever listens.
        if let Some(first) = self.first.take() {
            wait(first, deadline);
        }
        let Some(mut child) = self.start("end") else { return };
        if let Some(mut input) = child.stdin.take()
            && let Err(e) = input.write_all(report)
        {
            tracing::warn!("lifeboat-notify does not take the report: {e}");
        }
        wait(child, deadline);
    }

    fn start(&self, event: &str) -> Option<Child> {
        let started = find::stage("notify").and_then(|program| {
            let config = self.common.config_path()?;
            let mut command = Command::new(&program);
            command.arg("--config").arg(config).args(["--event", event]);
            command.args(["--log", if self.common.logs_are_human() { "human" } else { "json" }]);
            command.env_clear().envs(environment::of("notify"));
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
            let program = program.display().to_string();
            command.spawn().map_err(|source| crate::error::Error::Start { program, source })
        });
        started.map_err(|e| tracing::warn!("nobody is told about this run: {e}")).ok()
    }
}

/// Waits, but not for ever. What it could not do, it has said itself.
fn wait(mut child: Child, deadline: Instant) {
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            Ok(None) => {
                tracing::warn!("lifeboat-notify takes too long and is ended");
                // It may have ended meanwhile; then there is nothing to end.
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            Ok(Some(_)) | Err(_) => return,
        }
    }
}
