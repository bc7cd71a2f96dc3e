//! A store's clock, as its answers tell it.
//!
//! Owns: the last `Date` header of any answer and the moment it came, so that "what time is it
//! over there" needs no request and no clock of ours. A second is as precise as HTTP is.
//! Does not: set anything by it.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

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

/// What the two clocks say, where they differ by more than so many seconds: a refusal that does not
/// say its reason may have this one.
pub(crate) fn skew(date: Option<&str>, seconds_max: u64) -> Option<String> {
    let theirs = parse(date?)?;
    #[expect(clippy::disallowed_methods, reason = "the time of day is what is compared")]
    let ours = Timestamp::try_from(SystemTime::now()).ok()?;
    let ours = Timestamp::from_second(ours.as_second()).ok()?;
    let apart = ours.as_second().abs_diff(theirs.as_second());
    (apart > seconds_max)
        .then(|| format!("the clock of this machine says {ours}, the store's says {theirs}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a date is compared with the time of day")]

    use super::*;

    #[test]
    fn f40_clocks_that_agree_explain_no_refusal() {
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        let at = |seconds: i64| {
            let time = now + jiff::SignedDuration::from_secs(seconds);
            jiff::fmt::rfc2822::to_string(&time.to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
        };
        assert_eq!(skew(Some(&at(200)), 300), None);
        assert_eq!(skew(Some("soon"), 300), None);
        assert_eq!(skew(None, 300), None);
        assert!(skew(Some(&at(900)), 300).unwrap().contains("the store's says"));
        assert!(skew(Some(&at(-900)), 300).is_some());
    }

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
