//! A program of ours that is still at work, and the processes that it started.
//!
//! Invariants: a process is only ever found as a child of one that the test itself started, never
//! by its name alone, and known by its id together with its start, so that a reused id is not
//! taken for it. What is still running when the handle is dropped is ended.
//! Does not: know what a stage does.

use crate::process::wait_until;
use crate::site::{Ran, Site};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// How long anything awaited may take. A hang is a failure; a slow machine is none.
const LIMIT: Duration = Duration::from_secs(60);

/// A program of ours at work. What it says goes into files of its own.
#[derive(Debug)]
pub struct Running {
    program: String,
    home: PathBuf,
    child: Child,
    seen: Vec<Process>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// One process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it began, in the kernel's own ticks.
    started: u64,
    parent: u32,
    /// Each step leads a process group; a program of the user's is in that of its step.
    group: u32,
    /// Its command line.
    pub words: Vec<String>,
}

impl Process {
    /// A process that runs now. A zombie does not.
    fn of(pid: u32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Process {
            pid,
            started: fields.get(19)?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            words: words.split(|b| *b == 0).filter(|w| !w.is_empty()).map(word).collect(),
        })
    }

    /// Those that `parent` started and that still run.
    #[must_use]
    pub fn children_of(parent: u32) -> Vec<Process> {
        Process::all().filter(|p| p.parent == parent).collect()
    }

    /// Those that run in this folder, whoever started them.
    #[must_use]
    pub fn working_in(folder: &Path) -> Vec<Process> {
        Process::all().filter(|p| p.works_in(folder)).collect()
    }

    fn all() -> impl Iterator<Item = Process> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter_map(Process::of)
    }

    fn works_in(&self, folder: &Path) -> bool {
        std::fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok_and(|cwd| cwd == folder)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        Process::of(self.pid).is_none_or(|now| now.started != self.started)
    }

    /// Whether it has a file open whose path ends like this.
    #[must_use]
    pub fn has_open(&self, ending: &str) -> bool {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten();
        let paths = open.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        paths.into_iter().any(|path| path.ends_with(ending))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        assert!(!self.has_ended(), "{:?} has ended already", self.words);
        send(self.pid, signal);
    }

    /// Whether it is the step `name` of a run.
    fn is_step(&self, name: &str) -> bool {
        let word = |at: usize| self.words.get(at).map(String::as_str).unwrap_or_default();
        let program = word(0).rsplit('/').next().unwrap_or_default();
        program == format!("lifeboat-{name}")
            || (program == "lifeboat" && word(1) == "wrap" && word(2) == name)
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = pid.map(|pid| kill_process(pid, signal));
    assert_eq!(sent, Some(Ok(())), "signal {signal:?}");
}

impl Site {
    /// Starts a program of ours and comes back at once.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, program: &str, arguments: &[&str]) -> Running {
        let logs = tempfile::Builder::new()
            .prefix("log-")
            .tempdir_in(self.path(""))
            .unwrap_or_else(|e| panic!("a folder for logs: {e}"));
        let logs = logs.keep();
        let (stdout, stderr) = (logs.join("stdout"), logs.join("stderr"));
        let open = |path: &PathBuf| {
            File::options().write(true).create_new(true).open(path).unwrap_or_else(|e| {
                panic!("{}: {e}", path.display());
            })
        };
        let mut command = self.command(program);
        command.args(arguments).stdout(open(&stdout)).stderr(open(&stderr));
        let child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"));
        let program = program.to_owned();
        let home = self.path("").canonicalize().unwrap_or_else(|e| panic!("{program}: {e}"));
        Running { program, home, child, seen: Vec::new(), stdout, stderr }
    }
}

impl Running {
    /// Waits until this program has a file open whose path ends like this.
    ///
    /// # Panics
    /// When it has not in time.
    pub fn wait_open(&mut self, ending: &str) {
        self.wait(&format!("to open {ending}"), |running| {
            Process::of(running.child.id())?.has_open(ending).then_some(())
        });
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this program alone.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Its children that run now. They are remembered for [`Self::wait_children_gone`].
    pub fn children(&mut self) -> Vec<Process> {
        let now = Process::children_of(self.child.id());
        self.seen
            .extend(now.iter().filter(|p| !self.seen.contains(p)).cloned().collect::<Vec<_>>());
        now
    }

    /// The process of a step, once it runs.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn step(&mut self, name: &str) -> Process {
        self.wait(&format!("step {name}"), |running| {
            running.children().into_iter().find(|p| p.is_step(name))
        })
    }

    /// Waits until `probe` gives something, and fails at once when the program ends before.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub fn wait<T>(&mut self, what: &str, mut probe: impl FnMut(&mut Self) -> Option<T>) -> T {
        let program = self.program.clone();
        let waited = wait_until(&format!("{program}: {what}"), LIMIT, || {
            // Looked at first: what it did last still counts.
            let ended = self.child.try_wait().map_err(|e| e.to_string())?;
            match (probe(self), ended) {
                (Some(value), _) => Ok(Ok(value)),
                (None, Some(status)) => Ok(Err(status)),
                (None, None) => Err(self.said()),
            }
        });
        match waited.unwrap_or_else(|e| panic!("{e:?}")) {
            Ok(value) => value,
            Err(status) => panic!("{program} ended with {status} before {what}:\n{}", self.said()),
        }
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not in time.
    #[must_use]
    pub fn end(&mut self) -> Ran {
        let ended = wait_until(&format!("{} to end", self.program), LIMIT, || {
            let status = self.child.try_wait().map_err(|e| e.to_string())?;
            status.ok_or_else(|| self.said())
        });
        self.ran(ended.unwrap_or_else(|e| panic!("{e:?}")))
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        let code = status.code().or(status.signal().map(|n| 128 + n));
        Ran { code: code.unwrap_or(-1), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// Waits until every child that was ever seen has ended.
    ///
    /// # Panics
    /// When one does not in time.
    pub fn wait_children_gone(&self) {
        self.wait_gone(&self.seen);
    }

    /// Waits until all of these have ended.
    ///
    /// # Panics
    /// When one does not in time.
    pub fn wait_gone(&self, all: &[Process]) {
        let gone =
            wait_until("processes to end", LIMIT, || match all.iter().find(|p| !p.has_ended()) {
                None => Ok(()),
                Some(left) => Err(format!("{left:?} still runs")),
            });
        gone.unwrap_or_else(|e| panic!("{e:?}\n{}", self.said()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // They may all have ended; there is nobody to tell.
        let _ = self.children();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let groups: Vec<u32> = self.seen.iter().map(|p| p.pid).collect();
        let is_left = |p: &Process| groups.contains(&p.group) && p.works_in(&self.home);
        for process in Process::all().filter(is_left) {
            if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
