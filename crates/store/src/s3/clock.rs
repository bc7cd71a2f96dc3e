//! The store's clock, as its answers tell it.
//!
//! Owns: the last `Date` header of any answer and the moment it came, so that "what time is it
//! over there" needs no request and no clock of ours. A second is as precise as HTTP is.
//! Does not: compare it with anything.

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

static PARSER: DateTimeParser = DateTimeParser::new();

/// What the store last said of the time; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl StoreClock {
    /// What time it is over there, if it ever said so.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let (said, heard) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        said.checked_add(heard.elapsed()).ok()
    }

    fn note(&self, said: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
    }
}

/// The time in a `Date` header.
pub(super) fn parse(date: &str) -> Option<Timestamp> {
    PARSER.parse_timestamp(date).ok()
}

impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "StoreClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        // An answer out of a cache (RFC 9111, section 5.1) tells an old time.
        let date = headers.get("date").filter(|_| headers.get("age").is_none());
        if let Some(said) = date.and_then(parse) {
            self.note(said);
        }
        Ok(())
    }
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
        assert_eq!(clock.now(), None);
        let said = parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        clock.note(said);
        assert!(clock.clone().now() >= Some(said));
    }
}
