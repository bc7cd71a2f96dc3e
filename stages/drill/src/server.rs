//! One etcd that a drill starts.
//!
//! Invariants: it listens on 127.0.0.1 only; its environment is empty; every address on its command
//! line is on loopback; it does not outlive its handle.
//!
//! Does not: ask it anything.

use crate::directory::Member;
use crate::error::Error;
use crate::{ports, program};
use contract::brief;
use contract::drill::EtcdProgram;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;

/// The least quota. A database that the cluster took for full must not keep the copy from
/// accepting a write.
const QUOTA_BYTES_MIN: u64 = 8 << 30;
/// A longer line of its log is cut.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// How many lines of its log are remembered.
const LINES_MAX: usize = 12;
/// How long etcd may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long its last words are waited for after it has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running etcd.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) client_url: String,
    child: Child,
    last_lines: Arc<Mutex<Vec<String>>>,
    listener: tokio::task::JoinHandle<()>,
}

/// How it was started: what is the same for all members.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) etcd: &'a EtcdProgram,
    pub(crate) initial_cluster: &'a str,
    pub(crate) token: &'a str,
    pub(crate) db_bytes: u64,
}

impl Launch<'_> {
    /// The arguments for a member; only flags that etcd 3.4 to 3.7 all know.
    fn arguments(&self, member: &Member, client_url: &str, peer_url: &str) -> Vec<String> {
        let quota = QUOTA_BYTES_MIN.max(self.db_bytes.saturating_mul(2));
        let data_dir = member.data_dir.display().to_string();
        let quota = quota.to_string();
        [
            ("--name", member.name.as_str()),
            ("--data-dir", &data_dir),
            ("--listen-client-urls", client_url),
            ("--advertise-client-urls", client_url),
            ("--listen-peer-urls", peer_url),
            ("--initial-advertise-peer-urls", &member.peer_url),
            ("--initial-cluster", self.initial_cluster),
            ("--initial-cluster-token", self.token),
            ("--initial-cluster-state", "new"),
            ("--quota-backend-bytes", &quota),
            ("--logger", "zap"),
            ("--log-level", "warn"),
            ("--log-outputs", "stderr"),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()])
        .collect()
    }

    /// Starts a member.
    pub(crate) fn start(&self, member: &Member, peer_url: &str) -> Result<Server, Error> {
        let client_url = ports::url(ports::free(1)?[0]);
        let mut command = program::command(&self.etcd.path);
        command.args(self.arguments(member, &client_url, peer_url));
        command.current_dir(&member.data_dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start { path: PathBuf::from(&self.etcd.path), source })?;
        failpoint::pass("drill.etcd.started");
        let last_lines = Arc::default();
        let listener = tokio::spawn(listen(child.stderr.take(), Arc::clone(&last_lines)));
        Ok(Server { name: member.name.clone(), client_url, child, last_lines, listener })
    }
}

/// Remembers the last lines, and reads on: a full pipe would stop etcd.
async fn listen(stderr: Option<tokio::process::ChildStderr>, last: Arc<Mutex<Vec<String>>>) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= LINES_MAX {
            last.remove(0);
        }
        last.push(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// How a server came to its end.
#[derive(Debug)]
pub(crate) enum Death {
    /// By itself: it cannot live on these bytes.
    Own(String),
    /// For a reason of this machine.
    Machine(Error),
}

impl Server {
    /// How it ended, if it has.
    pub(crate) async fn death(&mut self) -> Option<Death> {
        let status = self.child.try_wait().ok().flatten()?;
        // What it said last explains it; a program that it left behind may hold the pipe open.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.listener).await;
        Some(judge(status, &self.last_words()))
    }

    /// What it said last, on one line.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        // The fatal line is the last one of its log; a panic has its message first.
        let telling = |line: &&String| ["fatal", "panic"].iter().any(|word| line.contains(word));
        let line = lines.iter().rev().find(telling).or(lines.last());
        line.map_or_else(|| "it said nothing".to_owned(), |line| brief(line))
    }

    /// Asks it to end, and waits until it has. Whether it did so in good order.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let Some(pid) = pid else { return Err("it had ended before".into()) };
        kill_process(pid, Signal::TERM).map_err(|e| e.to_string())?;
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            // etcd ends itself by the very signal, after it has closed everything.
            Ok(Ok(status))
                if status.success() || status.signal() == Some(Signal::TERM.as_raw()) =>
            {
                Ok(())
            }
            Ok(Ok(status)) => Err(format!("it ended with {status}: {}", self.last_words())),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(format!("it had not ended after {} s", STOP_LIMIT.as_secs())),
        }
    }
}

/// Whose fault an end was. What this machine did to it says nothing of the backup.
fn judge(status: ExitStatus, last_words: &str) -> Death {
    const DISK: [&str; 3] =
        ["no space left on device", "disk quota exceeded", "read-only file system"];
    let said = last_words.to_ascii_lowercase();
    if said.contains("address already in use") {
        return Death::Machine(Error::PortTaken(last_words.to_owned()));
    }
    if DISK.iter().any(|text| said.contains(text)) {
        return Death::Machine(Error::Disk(last_words.to_owned()));
    }
    // A full disk under a mapped file comes as SIGBUS, a full memory as SIGKILL.
    let of_machine = [Signal::KILL, Signal::TERM, Signal::INT, Signal::BUS, Signal::HUP];
    match status.signal().filter(|n| of_machine.iter().any(|signal| signal.as_raw() == *n)) {
        Some(signal) => Death::Machine(Error::Killed { signal, last_words: last_words.to_owned() }),
        None => Death::Own(format!("it ended with {status}: {last_words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        Member {
            name: "drill-1".into(),
            id: "a".into(),
            peer_url: "http://127.0.0.1:7".into(),
            data_dir: "/scratch/drill-1".into(),
        }
    }

    #[test]
    fn i20_every_address_on_the_command_line_is_on_loopback() {
        let etcd = EtcdProgram { path: "/bin/etcd".into(), version: "3.6.0".into() };
        let launch = Launch {
            etcd: &etcd,
            initial_cluster: "drill-1=http://127.0.0.1:7",
            token: "t",
            db_bytes: 20 << 30,
        };
        let all = launch.arguments(&member(), "http://127.0.0.1:8", "http://127.0.0.1:9");
        let urls = all.iter().filter_map(|word| Some(&word[word.find("http")?..]));
        assert_eq!(urls.filter(|url| ports::is_loopback(url)).count(), 5);
        assert!(all.contains(&(40_u64 << 30).to_string()), "room for twice of what is there");
    }

    #[test]
    fn f56_only_what_etcd_did_by_itself_is_the_backups_fault() {
        let own = |code: i32, words: &str| {
            matches!(judge(ExitStatus::from_raw(code), words), Death::Own(_))
        };
        assert!(own(1 << 8, "panic: freepages: failed to get all reachable pages"));
        assert!(own(Signal::SEGV.as_raw(), ""));
        assert!(!own(Signal::KILL.as_raw(), ""));
        assert!(!own(Signal::BUS.as_raw(), ""));
        assert!(!own(1 << 8, "listen tcp 127.0.0.1:1: bind: address already in use"));
        assert!(!own(1 << 8, "write: No space left on device"));
    }
}
