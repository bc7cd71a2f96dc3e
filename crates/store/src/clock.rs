//! A store's clock, as its answers tell it.
//!
//! Owns: the last `Date` header of any answer and the moment it came, so that "what time is it
//! over there" needs no request and no clock of ours. A second is as precise as HTTP is.
//! Does not: compare it with anything.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

static PARSER: DateTimeParser = DateTimeParser::new();

/// What the store last said of the time; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl StoreClock {
    /// What time it is over there, if it ever said so.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let (said, heard) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        said.checked_add(heard.elapsed()).ok()
    }

    /// Takes an answer's `Date` and `Age` headers. An answer out of a cache (RFC 9111, section
    /// 5.1) tells an old time.
    pub(crate) fn hear(&self, date: Option<&str>, age: Option<&str>) {
        if let Some(said) = date.filter(|_| age.is_none()).and_then(parse) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
        }
    }
}

/// The time in a `Date` header.
pub(crate) fn parse(date: &str) -> Option<Timestamp> {
    PARSER.parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        let date = parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn the_clock_goes_on_from_what_was_said() {
        let clock = StoreClock::default();
        clock.hear(Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some("60"));
        assert_eq!(clock.now(), None, "it came out of a cache");
        clock.hear(Some("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert!(clock.clone().now() >= parse("Sun, 06 Nov 1994 08:49:37 GMT"));
    }
}
