//! Children: servers that run until their handle is dropped, and commands that run to their end.
//!
//! Invariants: a server writes into a log file, whose end is part of every error about it;
//! dropping the handle kills the server, also a paused one, and reaps it.
//! Does not: know what a server is for; see `cluster` and `s3`.

use crate::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often something awaited is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a server may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How much of a log an error shows.
const LOG_TAIL_BYTES: usize = 4_000;

/// A running server.
#[derive(Debug)]
pub struct Server {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, whose output is appended to `log`.
    ///
    /// # Errors
    /// [`Error::Io`] when the log cannot be opened or the program not started.
    pub fn spawn(what: &str, command: &mut Command, log: &Path) -> Result<Self, Error> {
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io("open", log))?;
        let err = out.try_clone().map_err(Error::io("open", log))?;
        let program = PathBuf::from(command.get_program());
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(Error::io("start", &program))?;
        Ok(Server { what: what.to_owned(), child, log: log.to_path_buf() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`Error::Io`] when it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|e| Error::io("signal", Path::new(&self.what))(e.into()))
    }

    /// Ends it the hard way (SIGKILL), as a lost node would.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be signalled or reaped.
    pub fn kill(mut self) -> Result<(), Error> {
        let what = PathBuf::from(&self.what);
        self.child.kill().map_err(Error::io("kill", &what))?;
        self.child.wait().map_err(Error::io("wait for", &what))?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not end; it is killed then.
    pub fn stop(mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        let what = format!("{} to end", self.what);
        wait_until(&what, STOP_LIMIT, || self.exit_status()?.ok_or_else(|| "still running".into()))
    }

    /// `None` while it runs.
    ///
    /// # Errors
    /// Never in practice; a text for [`wait_until`].
    fn exit_status(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|e| e.to_string())
    }

    /// Waits until `probe` succeeds; gives up at once if the server ends.
    ///
    /// # Errors
    /// [`Error::NotReady`] with the end of the log.
    pub fn wait_ready<T>(
        &mut self,
        limit: Duration,
        mut probe: impl FnMut() -> Result<T, String>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.exit_status() {
                return Err(self.not_ready(format!("it ended with {status}")));
            }
            match probe() {
                Ok(value) => return Ok(value),
                Err(why) if started.elapsed() > limit => {
                    return Err(self.not_ready(format!("after {} s: {why}", limit.as_secs())));
                }
                Err(_) => thread::sleep(POLL_INTERVAL),
            }
        }
    }

    fn not_ready(&self, why: String) -> Error {
        Error::NotReady { what: self.what.clone(), why, log: log_tail(&self.log) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log, empty if there is none.
pub(crate) fn log_tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

/// Asks `probe` until it succeeds.
///
/// # Errors
/// [`Error::TimedOut`] with what `probe` said last.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(last) if started.elapsed() > limit => {
                let seconds = limit.as_secs();
                return Err(Error::TimedOut { what: what.to_owned(), seconds, last });
            }
            Err(_) => thread::sleep(POLL_INTERVAL),
        }
    }
}

/// Runs a command to its end, with nothing on stdin.
///
/// # Errors
/// [`Error::Io`] when it cannot be started, [`Error::Command`] when it fails.
pub fn run(command: &mut Command) -> Result<Output, Error> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output().map_err(Error::io("start", &program))?;
    if output.status.success() {
        return Ok(output);
    }
    let arguments = command.get_args().map(|a| format!(" {}", a.to_string_lossy()));
    Err(Error::Command {
        command: format!("{}{}", program.display(), arguments.collect::<String>()),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
