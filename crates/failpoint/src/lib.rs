//! Places where a test may kill the process, and a clock that a test may bend.
//!
//! Owns the switches by which a test breaks a program from inside. They exist in debug builds
//! only: a release build has neither the code nor the variables.
//!
//! - `LIFEBOAT_TEST_FAIL_AT=replicate:7` ends the program `lifeboat-replicate` by SIGKILL at the
//!   seventh failpoint that it passes. A harness counts up until the run completes, and has then
//!   seen a death at every point.
//! - `LIFEBOAT_TEST_TRACE=PATH` appends a line `program number place` for every failpoint passed, so
//!   that a harness knows how many there are, and what they are called.
//! - `LIFEBOAT_TEST_CLOCK_FILE=PATH` names a file with the seconds (which may be negative) that the
//!   wall clock is off by. It is read at every look at the clock, so that a test can step the
//!   clock in the middle of a run.
//!
//! Does not: simulate errors that a real file system, server or network can be made to give.

/// Names the variable that says which program dies, and where: `program:n`, n from 1.
pub const FAIL_AT: &str = "LIFEBOAT_TEST_FAIL_AT";
/// Names the variable with the file to which every failpoint passed is written.
pub const TRACE: &str = "LIFEBOAT_TEST_TRACE";
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

/// A stream gets a failpoint whenever it has grown by so many bytes.
pub const STREAM_STEP_BYTES: u64 = 4 << 20;

/// Passes a failpoint when the stream that had `before` bytes, and now has `count` more, has got
/// its first bytes or has come over the next [`STREAM_STEP_BYTES`].
#[inline]
pub fn pass_bytes(place: &'static str, before: u64, count: usize) {
    let after = before + count as u64;
    let is_first = before == 0 && count > 0;
    if is_first || before / STREAM_STEP_BYTES != after / STREAM_STEP_BYTES {
        pass(place);
    }
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
    static TRACE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(super::TRACE).map(PathBuf::from));
    static CLOCK_FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(super::CLOCK_FILE).map(PathBuf::from));

    pub(super) fn pass(place: &str) {
        if FATAL.is_none() && TRACE.is_none() {
            return;
        }
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(trace) = &*TRACE {
            note(trace, number, place);
        }
        if *FATAL == Some(number) {
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

    /// One short write to a file opened for appending: lines of several programs do not mix.
    fn note(trace: &std::path::Path, number: u64, place: &str) {
        let line = format!("{} {number} {place}\n", own_name().unwrap_or_default());
        let file = std::fs::OpenOptions::new().create(true).append(true).open(trace);
        if let Ok(mut file) = file {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// This program's name, without the `lifeboat-` of a stage.
    fn own_name() -> Option<String> {
        let own = std::env::current_exe().ok()?;
        let own = own.file_name()?.to_str()?;
        Some(own.strip_prefix("lifeboat-").unwrap_or(own).to_owned())
    }

    /// The number in `program:n`, when the program is this one.
    fn fatal() -> Option<u64> {
        let wanted = std::env::var(super::FAIL_AT).ok()?;
        let (program, number) = wanted.split_once(':')?;
        (own_name()? == program).then(|| number.parse().ok()).flatten()
    }
}
