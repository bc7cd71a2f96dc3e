//! An etcd that was left behind in a scratch directory.
//!
//! `lifeboat-drill` ends its etcd however it ends itself, unless it is killed by force. Then etcd
//! would go on for ever, on loopback and on data that are about to be removed.
//!
//! Invariant: a process is ended only when its own command line has a data directory below the
//! scratch directory, whose name is that of one drill and of nothing else.

use crate::drill::scratch;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process may take to be gone after it was killed.
const GONE_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What stands before the data directory on the command line that `lifeboat-drill` makes.
const FLAG: &str = "--data-dir";

/// Removes what killed drills have left below `parent`, and ends what still runs there.
pub(crate) fn sweep(parent: &Path) {
    scratch::remove_left_over(parent);
}

/// Ends every process that works on data below `scratch`, and waits until it is gone.
pub(super) fn end(scratch: &Path) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(|pid| works_on(*pid, scratch)) {
        // From here on it is this very process, even if its number is given to another one.
        let Some(process) = Pid::from_raw(pid) else { continue };
        let Ok(handle) = pidfd_open(process, PidfdFlags::empty()) else { continue };
        if !works_on(pid, scratch) {
            continue;
        }
        tracing::warn!("ending process {pid}, which a killed drill has left behind");
        // It may have ended meanwhile; then there is nothing to end.
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        let begun = Instant::now();
        while works_on(pid, scratch) && begun.elapsed() < GONE_LIMIT {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Whether its command line has a data directory below `scratch`. A process that has ended has no
/// command line any more.
fn works_on(pid: i32, scratch: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let words: Vec<String> =
        line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    // Programs of ours end by themselves, and one of them is this one.
    let program = words.first().and_then(|word| Path::new(word).file_name());
    let is_ours = program.is_none_or(|name| name.to_string_lossy().starts_with("lifeboat"));
    let has_data = |pair: &[String]| pair[0] == FLAG && Path::new(&pair[1]).starts_with(scratch);
    !is_ours && words.windows(2).any(has_data)
}
