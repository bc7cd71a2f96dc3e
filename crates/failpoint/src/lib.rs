//! Places where a test may kill the process, and a clock that a test may bend.
//!
//! Owns the two switches by which a test breaks a program from inside. Both exist in debug
//! builds only: a release build has neither the code nor the variables.
//!
//! - `LIFEBOAT_TEST_FAIL_AT=replicate:7` ends the program `lifeboat-replicate` by SIGKILL at the
//!   seventh failpoint that it passes. A harness counts up until the run completes, and has then
//!   seen a death at every point.
//! - `LIFEBOAT_TEST_CLOCK_FILE=PATH` names a file with the seconds (which may be negative) that the
//!   wall clock is off by. It is read at every look at the clock, so that a test can step the
//!   clock in the middle of a run.
//!
//! Does not: simulate errors that a real file system, server or network can be made to give.

/// Names the variable that says which program dies, and where: `program:n`, n from 1.
pub const FAIL_AT: &str = "LIFEBOAT_TEST_FAIL_AT";
/// Names the variable with the file that says how far the clock is off.
pub const CLOCK_FILE: &str = "LIFEBOAT_TEST_CLOCK_FILE";

/// Passes a failpoint. `place` says which one it is, to whoever reads the last words.
#[inline]
pub fn pass(place: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(place);
    #[cfg(not(debug_assertions))]
    let _ = place;
}

/// How many seconds a test wants the wall clock to be off by; 0 in a release build.
#[must_use]
#[inline]
pub fn clock_offset_seconds() -> i64 {
    #[cfg(debug_assertions)]
    return armed::clock_offset_seconds();
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(debug_assertions)]
mod armed {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static FATAL: LazyLock<Option<u64>> = LazyLock::new(fatal);
    static CLOCK_FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(super::CLOCK_FILE).map(PathBuf::from));

    pub(super) fn pass(place: &str) {
        let Some(fatal) = *FATAL else { return };
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if number == fatal {
            // Last words, for the reader of a failed test; a closed stderr changes nothing.
            let _ = writeln!(std::io::stderr(), "failpoint {number}: {place}");
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }

    pub(super) fn clock_offset_seconds() -> i64 {
        let text = CLOCK_FILE.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// The number in `program:n`, when the program is this one.
    fn fatal() -> Option<u64> {
        let wanted = std::env::var(super::FAIL_AT).ok()?;
        let (program, number) = wanted.split_once(':')?;
        let own = std::env::current_exe().ok()?;
        let own = own.file_name()?.to_str()?;
        let own = own.strip_prefix("lifeboat-").unwrap_or(own);
        (own == program).then(|| number.parse().ok()).flatten()
    }
}
