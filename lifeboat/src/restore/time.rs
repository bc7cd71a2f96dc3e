//! The time that `--at` means.

use super::error::Error;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// A time, and how it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) time: Timestamp,
    /// The time zone that was taken, where the text names none.
    pub(crate) zone: Option<String>,
}

/// Understands RFC 3339, and dates with times that have no zone as of `here`. A time that a change
/// of the clocks skips or repeats is the earlier one: rather a minute less of history.
pub(crate) fn parse(text: &str, here: &TimeZone) -> Result<At, Error> {
    if let Ok(time) = text.trim().parse::<Timestamp>() {
        return Ok(At { time, zone: None });
    }
    let wrong = || Error::BadTime(text.to_owned());
    let civil: civil::DateTime = text.trim().parse().map_err(|_| wrong())?;
    let time = here.to_ambiguous_timestamp(civil).earlier().map_err(|_| wrong())?;
    let zone = here.iana_name().map_or_else(|| "of this machine".to_owned(), str::to_owned);
    Ok(At { time, zone: Some(zone) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str, zone: &str) -> Option<(String, bool)> {
        let at = parse(text, &TimeZone::get(zone).unwrap()).ok()?;
        Some((at.time.to_string(), at.zone.is_some()))
    }

    #[test]
    fn a_time_without_a_zone_is_of_this_machine_and_that_is_said() {
        let berlin = |text| understood(text, "Europe/Berlin");
        let is = |time: &str, said| Some((time.to_owned(), said));
        assert_eq!(berlin("2026-11-20T02:14:00Z"), is("2026-11-20T02:14:00Z", false));
        assert_eq!(berlin("2026-11-20T02:14:00+01:00"), is("2026-11-20T01:14:00Z", false));
        assert_eq!(berlin("2026-11-20 02:14:00Z"), is("2026-11-20T02:14:00Z", false));
        assert_eq!(berlin("2026-11-20 02:14Z"), is("2026-11-20T02:14:00Z", false));
        assert_eq!(berlin("2026-11-20 02:14"), is("2026-11-20T01:14:00Z", true));
        assert_eq!(berlin("2026-11-20T02:14"), is("2026-11-20T01:14:00Z", true));
        assert_eq!(understood("2026-11-20 02:14", "UTC"), is("2026-11-20T02:14:00Z", true));
        for wrong in ["", "yesterday", "02:14", "2026-13-01 00:00", "1700000000"] {
            assert_eq!(berlin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_alone_is_its_midnight_and_a_doubled_hour_its_first() {
        let berlin = |text| understood(text, "Europe/Berlin").map(|(time, _)| time);
        assert_eq!(berlin("2026-11-20").as_deref(), Some("2026-11-19T23:00:00Z"));
        // The clocks go back from 3 to 2.
        assert_eq!(berlin("2026-10-25 02:30").as_deref(), Some("2026-10-25T00:30:00Z"));
    }
}
