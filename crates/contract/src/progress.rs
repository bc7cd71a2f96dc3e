//! Progress of one stream, as log events that the runner draws. Nothing depends on them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The target (and the JSON `event`) of progress events.
pub const PROGRESS_TARGET: &str = "progress";

const EVERY: Duration = Duration::from_millis(200);

/// Whether anybody asked for progress events: the runner sets `LIFEBOAT_PROGRESS=1`.
fn is_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("LIFEBOAT_PROGRESS").is_some_and(|v| v == "1"))
}

/// Counts bytes and says so a few times a second.
#[derive(Debug)]
pub struct Progress {
    what: String,
    total: Option<u64>,
    last: Option<Instant>,
}

impl Progress {
    /// Progress of `what` (a stage or a destination), of `total` bytes where that is known.
    #[must_use]
    pub fn new(what: impl Into<String>, total: Option<u64>) -> Self {
        Progress { what: what.into(), total, last: None }
    }

    /// Tells how far it is now.
    pub fn at(&mut self, bytes: u64) {
        if !is_wanted() || self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        self.say(bytes);
    }

    /// Tells where it ended.
    pub fn end(&self, bytes: u64) {
        if is_wanted() {
            self.say(bytes);
        }
    }

    fn say(&self, bytes: u64) {
        let total = self.total.unwrap_or(0);
        tracing::info!(target: PROGRESS_TARGET, what = self.what, bytes, total);
    }
}
