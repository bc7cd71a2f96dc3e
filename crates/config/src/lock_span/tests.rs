use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn span(prune: Prune) -> LockSpan {
    let at_least = Duration::from_secs(7_200);
    LockSpan { lock_for: None, prune: Some(prune), at_least }
}

#[test]
fn a_lock_lasts_as_long_as_the_policy_keeps_that_tier() {
    let berlin = || Prune { time_zone: "Europe/Berlin".into(), ..Prune::default() };
    let taken_at = "2026-11-20T23:40:00.123Z";
    for (prune, tier, until) in [
        (Prune { hourly: 24, ..Prune::default() }, "frequent", "2026-11-21T23:00:00Z"),
        (Prune { daily: 14, ..Prune::default() }, "daily", "2026-12-04T00:00:00Z"),
        (Prune { monthly: 12, ..Prune::default() }, "monthly", "2027-11-01T00:00:00Z"),
        // There it is the 21st already, and winter at both ends.
        (Prune { daily: 2, ..berlin() }, "daily", "2026-11-22T23:00:00Z"),
        // In July the clocks there are an hour ahead of those of November.
        (Prune { monthly: 8, ..berlin() }, "monthly", "2027-06-30T22:00:00Z"),
        (
            Prune { within: Some("2d".into()), ..Prune::default() },
            "monthly",
            "2026-11-22T23:40:00Z",
        ),
        // The longest promise counts.
        (
            Prune { within: Some("1mo".into()), hourly: 24, ..Prune::default() },
            "frequent",
            "2026-12-20T23:40:00Z",
        ),
        // Never shorter than a run.
        (Prune { hourly: 1, ..Prune::default() }, "frequent", "2026-11-21T01:40:00Z"),
    ] {
        let found = span(prune.clone()).until(tier, at(taken_at));
        assert_eq!(found, Some(at(until)), "{tier} {prune:?}");
    }
}

/// The rules of which a backup may lose its place to another of its tier promise nothing.
#[test]
fn what_is_not_promised_is_not_locked() {
    let vague = Prune { last: 9, weekly: 9, yearly: 9, ..Prune::default() };
    for tier in TIERS {
        assert_eq!(span(vague.clone()).until(tier, at("2026-11-20T00:00:00Z")), None, "{tier}");
    }
    let endless = Prune { monthly: u32::MAX, ..Prune::default() };
    assert_eq!(span(endless).until("monthly", at("2026-11-20T00:00:00Z")), None);
}

#[test]
fn lock_for_goes_before_the_policy() {
    let mut span = span(Prune { daily: 14, hourly: 24, ..Prune::default() });
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    span.lock_for = Some(ByTier::All(hour));
    assert_eq!(span.until("daily", at("2026-11-20T00:00:00Z")), Some(at("2026-11-20T01:00:00Z")));
    span.lock_for = Some(ByTier::Each([("daily".to_owned(), day)].into()));
    assert_eq!(span.until("daily", at("2026-11-20T05:00:00Z")), Some(at("2026-11-21T05:00:00Z")));
    let by_policy = span.until("frequent", at("2026-11-20T05:30:00Z"));
    assert_eq!(by_policy, Some(at("2026-11-21T05:00:00Z")));
}

/// For any time of day, the policy would not have wanted the backup gone a day before the lock ends.
#[test]
fn a_lock_never_outlives_the_policy_by_a_day() {
    for minute in (0..60 * 24 * 40).step_by(37) {
        let taken_at = at("2026-10-10T00:00:00Z") + i64::from(minute).minutes();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let prune = Prune {
            daily: 7,
            hourly: 3,
            monthly: 2,
            time_zone: "Europe/Berlin".into(),
            ..Prune::default()
        };
        let day = taken_at.to_zoned(zone).date();
        let ends = |tier| {
            let until = span(prune.clone()).until(tier, taken_at).unwrap();
            until.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).date()
        };
        assert!(ends("daily") <= day + 7.days());
        assert!(ends("frequent") <= day + 1.day());
        assert_eq!(ends("monthly"), day.first_of_month() + 2.months());
    }
}
