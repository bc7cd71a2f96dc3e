//! One command, run and measured.
//!
//! Totals come from the kernel's own accounts of ended children (`cutime`, `cstime` and the input
//! and output of `/proc/self`), which hold every process that the command started and waited for,
//! to its very end. So nothing else may be started, or written, by this program meanwhile.
//! What etcd did comes from etcd's own process and metrics.
//!
//! Does not: choose what to run; see `contestants`.

use crate::Error;
use crate::database::Database;
use crate::tree::{self, Output, Program, Seen, TICKS_PER_SECOND};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How much of what a failed command said is shown.
const SAID_BYTES_MAX: usize = 4_000;

/// What a command took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// From start to end.
    pub(crate) wall_seconds: f64,
    /// User and system time of the whole tree of processes.
    pub(crate) cpu_seconds: f64,
    /// The same of etcd, meanwhile.
    pub(crate) etcd_cpu_seconds: f64,
    /// The same of this program: what watching cost, which no contestant is charged with.
    pub(crate) watching_cpu_seconds: f64,
    /// How long etcd's handler of the snapshot ran, and with it a read transaction, by etcd's
    /// own metric. While it is open, etcd cannot reuse pages that writes set free.
    pub(crate) held_seconds: f64,
    /// The largest sum of resident memory of the tree that was seen.
    pub(crate) peak_rss_bytes: u64,
    /// A sum that no moment can have exceeded: of the peaks of processes that ran together.
    pub(crate) peak_rss_bound_bytes: u64,
    /// What the tree gave to file systems on disks.
    pub(crate) handed_bytes: u64,
    /// Of these, what was not removed before it came to the disk.
    pub(crate) written_bytes: u64,
    /// What lies in the destinations at the end.
    pub(crate) stored_bytes: u64,
    /// Each process of the tree.
    #[serde(skip)]
    pub(crate) programs: Vec<Program>,
}

impl Measured {
    /// What was given to a file system and is in no destination, even if only for a moment.
    pub(crate) fn elsewhere_bytes(&self) -> u64 {
        self.handed_bytes.saturating_sub(self.stored_bytes)
    }
}

/// The accounts at one moment.
struct Accounts {
    at: Instant,
    tree_ticks: u64,
    etcd_ticks: u64,
    own_ticks: u64,
    output: Output,
    held_seconds: f64,
}

impl Accounts {
    fn now(database: &Database) -> Result<Self, Error> {
        let missing = |what: &str| Error::Unmeasured {
            what: what.to_owned(),
            why: "the kernel does not tell it in /proc".to_owned(),
        };
        let etcd_ticks = database.pid().and_then(tree::cpu_ticks);
        let own_ticks = tree::cpu_ticks(std::process::id());
        let output = tree::output_with_ended_children();
        Ok(Accounts {
            tree_ticks: tree::ended_children_ticks().ok_or_else(|| missing("CPU time"))?,
            etcd_ticks: etcd_ticks.ok_or_else(|| missing("etcd's CPU time"))?,
            own_ticks: own_ticks.ok_or_else(|| missing("its own CPU time"))?,
            output: output.ok_or_else(|| missing("bytes written"))?,
            held_seconds: database.held_seconds()?,
            at: Instant::now(),
        })
    }
}

/// Runs `command` to its end. What it says goes to `log`; `destinations` is where its copies go.
pub(crate) fn measure(
    what: &str,
    command: &mut Command,
    database: &Database,
    places: (&Path, &Path),
) -> Result<Measured, Error> {
    measure_ending(0, what, command, database, places)
}

/// The same, with a command that must end with this code.
pub(crate) fn measure_ending(
    code: i32,
    what: &str,
    command: &mut Command,
    database: &Database,
    (log, destinations): (&Path, &Path),
) -> Result<Measured, Error> {
    settle();
    let before = Accounts::now(database)?;
    let (status, ended, seen) = run(command, log)?;
    if status.code() != Some(code) {
        let said = fs::read(log).unwrap_or_default();
        let said = &said[said.len().saturating_sub(SAID_BYTES_MAX)..];
        let said = String::from_utf8_lossy(said).into_owned();
        return Err(Error::Failed { what: what.to_owned(), status: status.to_string(), said });
    }
    let after = Accounts::now(database)?;
    let handed_bytes = after.output.handed_bytes - before.output.handed_bytes;
    let cancelled_bytes = after.output.cancelled_bytes - before.output.cancelled_bytes;
    Ok(Measured {
        wall_seconds: ended.duration_since(before.at).as_secs_f64(),
        cpu_seconds: seconds(after.tree_ticks - before.tree_ticks),
        etcd_cpu_seconds: seconds(after.etcd_ticks - before.etcd_ticks),
        watching_cpu_seconds: seconds(after.own_ticks - before.own_ticks),
        held_seconds: after.held_seconds - before.held_seconds,
        peak_rss_bytes: seen.peak_rss_bytes,
        peak_rss_bound_bytes: seen.peak_rss_bound_bytes,
        handed_bytes,
        written_bytes: handed_bytes.saturating_sub(cancelled_bytes),
        stored_bytes: disk_bytes(destinations),
        programs: seen.programs,
    })
}

fn run(command: &mut Command, log: &Path) -> Result<(ExitStatus, Instant, Seen), Error> {
    let out =
        File::options().create(true).append(true).open(log).map_err(Error::io("open", log))?;
    let err = out.try_clone().map_err(Error::io("open", log))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    let program = Path::new(command.get_program()).to_path_buf();
    let mut child = command.spawn().map_err(Error::io("start", &program))?;
    let (root, done) = (child.id(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| tree::watch(root, &done));
        let status = child.wait();
        let ended = Instant::now();
        done.store(true, Ordering::Relaxed);
        let seen = watcher.join().unwrap_or_default();
        Ok((status.map_err(Error::io("wait for", &program))?, ended, seen))
    })
}

/// What earlier runs left to be written is written now, not while the next one is measured.
fn settle() {
    rustix::fs::sync();
}

#[expect(clippy::cast_precision_loss, reason = "no process lives for 2^53 ticks")]
pub(crate) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// The disk space of a file, or of everything in a folder.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entry) = fs::symlink_metadata(path) else { return 0 };
    if !entry.is_dir() {
        // A block is 512 bytes here, whatever the file system's own blocks are.
        return entry.blocks() * 512;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| disk_bytes(&entry.path())).sum()
}
