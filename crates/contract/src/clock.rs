//! The clock as a parameter, so that a test decides what time it is.
//!
//! Owns the only call to the system's wall clock. Durations are not its business: they are
//! measured with the monotonic `Instant`, which no clock step can bend.

use jiff::Timestamp;

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    fixed: Option<Timestamp>,
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        Clock { fixed: None }
    }

    /// A clock that stands still.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Clock { fixed: Some(at) }
    }

    /// The time of day, to the millisecond: finer digits would only make names and JSON longer.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.fixed.unwrap_or_else(system_time);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The machine's time, bent in debug builds by as much as a test asks for.
fn system_time() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = Timestamp::now();
    let offset = jiff::SignedDuration::from_secs(failpoint::clock_offset_seconds());
    now.checked_add(offset).unwrap_or(now)
}
