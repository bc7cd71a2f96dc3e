//! A process and everything that it started, watched through `/proc`.
//!
//! Owns: finding the tree, its resident memory, and what each program in it used. One thread looks
//! every [`INTERVAL`]; what a process does after the last look at it is missed, so the totals of a
//! run come from `account`, and these numbers say how they spread over the programs.
//! Resident memory is VmRSS: pages that two programs share count twice, so sums are too high
//! rather than too low.
//!
//! Does not: count the servers, nor anything that is not below the watched process.

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the tree is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// Nothing that is measured takes so long; it is ended then.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Ticks of `/proc/PID/stat` in a second: `USER_HZ`, the same on every Linux that etcd runs on.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// What one program of the tree was seen to use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Program {
    /// Its file name, such as `lifeboat-verify`.
    pub(crate) name: String,
    /// User and system time, in ticks.
    pub(crate) cpu_ticks: u64,
    /// The most memory that it ever had resident, by the kernel's own count (VmHWM), in bytes.
    pub(crate) peak_rss_bytes: u64,
    /// What it, and those of its children that had ended, gave to file systems, in bytes.
    pub(crate) handed_bytes: u64,
}

/// What was seen of a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The largest sum of resident memory at one look, in bytes.
    pub(crate) peak_rss_bytes: u64,
    /// The largest sum of the peaks of the processes that were there at one look, in bytes.
    /// No moment between two looks can have had more than this.
    pub(crate) peak_rss_bound_bytes: u64,
    /// Each process, in the order of their ids.
    pub(crate) programs: Vec<Program>,
}

/// Watches the process group that `root` leads until `done`, and ends it when it takes too long.
pub(crate) fn watch(root: u32, done: &AtomicBool) -> Seen {
    let started = Instant::now();
    let mut seen = Seen::default();
    let mut known = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        look(root, &mut known, &mut seen);
        if started.elapsed() > RUN_LIMIT {
            end_group(root);
        }
        thread::sleep(INTERVAL);
    }
    seen.programs = known.into_values().collect();
    seen
}

fn look(root: u32, known: &mut BTreeMap<u32, Program>, seen: &mut Seen) {
    let (mut rss, mut peaks) = (0, 0);
    for pid in tree(root) {
        // It may end at any moment; then what was seen before stands.
        let Some((now, peak)) = memory(pid) else { continue };
        rss += now;
        peaks += peak;
        let program = known.entry(pid).or_default();
        program.peak_rss_bytes = peak;
        if let Some(name) = name(pid) {
            program.name = name;
        }
        if let Some(ticks) = cpu_ticks(pid) {
            program.cpu_ticks = ticks;
        }
        if let Some(output) = output(Path::new(&format!("/proc/{pid}/io"))) {
            program.handed_bytes = output.handed_bytes;
        }
    }
    seen.peak_rss_bytes = seen.peak_rss_bytes.max(rss);
    seen.peak_rss_bound_bytes = seen.peak_rss_bound_bytes.max(peaks);
}

/// `root` and all below it. A child is listed at the thread that made it.
fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    all
}

/// Resident memory now and at most, in bytes. A process that has ended has none.
fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some((kilobytes(&status, "VmRSS:")?, kilobytes(&status, "VmHWM:")?))
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn name(pid: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(program.file_name()?.to_string_lossy().into_owned())
}

/// User and system time of a process so far, its children not included.
pub(crate) fn cpu_ticks(pid: u32) -> Option<u64> {
    stat_fields(Path::new(&format!("/proc/{pid}/stat")), 11)
}

/// User and system time of the children of this process that have ended, and of theirs.
pub(crate) fn ended_children_ticks() -> Option<u64> {
    stat_fields(Path::new("/proc/self/stat"), 13)
}

/// The sum of two neighbouring numbers of a `stat` file, counted after the program's name.
fn stat_fields(path: &Path, first: usize) -> Option<u64> {
    let stat = fs::read_to_string(path).ok()?;
    // The name stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(first);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

/// What a process gave to file systems on disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    /// In bytes, also what was removed before it came to the disk.
    pub(crate) handed_bytes: u64,
    /// Of these, what was removed in time.
    pub(crate) cancelled_bytes: u64,
}

/// The output of this process and of its children that have ended, and of theirs.
pub(crate) fn output_with_ended_children() -> Option<Output> {
    output(Path::new("/proc/self/io"))
}

fn output(io: &Path) -> Option<Output> {
    let text = fs::read_to_string(io).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    Some(Output {
        handed_bytes: field("write_bytes:")?,
        cancelled_bytes: field("cancelled_write_bytes:")?,
    })
}

fn end_group(root: u32) {
    let pid = i32::try_from(root).ok().and_then(Pid::from_raw);
    // It may have ended by itself; either way the wait for it comes back.
    let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_tree_holds_children_of_children() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'read x; true'; true"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let found = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            tree(child.id()).len() == 2
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }

    #[test]
    fn this_process_has_memory_and_a_name() {
        let pid = std::process::id();
        let (now, peak) = memory(pid).unwrap();
        assert!(0 < now && now <= peak);
        assert!(name(pid).unwrap().starts_with("lifeboat_bench"));
        assert!(cpu_ticks(pid).is_some());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test writes without care")]
    fn what_was_removed_in_time_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let io = dir.path().join("io");
        fs::write(&io, "wchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n").unwrap();
        let expected = Output { handed_bytes: 8192, cancelled_bytes: 4096 };
        assert_eq!(output(&io), Some(expected));
    }
}
