//! Which tier the backup of a run belongs to.
//!
//! Owns one rule: the first backup of a month is a monthly one, the first of a day a daily one, and
//! every other a frequent one, as far as `replicate.tiers` names these tiers. Months and days are
//! those of `prune.time_zone`, as `prune` counts them. A monthly backup is the daily one of its day
//! as well. What cannot be trusted does not count: its place is still free.
//!
//! Does not: fail. Destinations that could not be read say nothing about what they hold; if that is
//! all of them the backup is a frequent one, because one more of a dearer tier in every run of a bad
//! day would be worse than one fewer.

use catalogue::{Catalogue, TIER_DEFAULT};
use config::{Pipeline, TIERS};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const DAILY: &str = TIERS[1];
const MONTHLY: &str = TIERS[2];

/// Whether there is anything to choose.
pub(crate) fn is_open(pipeline: &Pipeline) -> bool {
    has(pipeline, DAILY) || has(pipeline, MONTHLY)
}

/// The tier of a backup that is taken now.
pub(crate) fn choose(
    pipeline: &Pipeline,
    seen: Option<&Catalogue>,
    now: Timestamp,
) -> &'static str {
    if !is_open(pipeline) {
        return TIER_DEFAULT;
    }
    let readable = |c: &&Catalogue| c.destinations.iter().any(|d| d.problem.is_none());
    let Some(seen) = seen.filter(readable) else {
        tracing::warn!(
            hint = "the next run that can read them makes up for it",
            "no destination says what it holds: this backup is a {TIER_DEFAULT} one"
        );
        return TIER_DEFAULT;
    };
    let zone = time_zone(pipeline);
    let made = |wanted: &[&str], same: fn(&Zoned, &Zoned) -> bool| {
        let now = now.to_zoned(zone.clone());
        seen.copies().filter(|(_, backup)| backup.state.is_trusted()).any(|(_, backup)| {
            backup.manifest.as_ref().is_some_and(|manifest| {
                wanted.contains(&manifest.tier.as_str())
                    && same(&manifest.taken_at.to_zoned(zone.clone()), &now)
            })
        })
    };
    if has(pipeline, MONTHLY) && !made(&[MONTHLY], |a, b| month(a) == month(b)) {
        return MONTHLY;
    }
    if has(pipeline, DAILY) && !made(&[DAILY, MONTHLY], |a, b| a.date() == b.date()) {
        return DAILY;
    }
    TIER_DEFAULT
}

fn has(pipeline: &Pipeline, tier: &str) -> bool {
    pipeline.replicate.tiers.iter().any(|configured| configured == tier)
}

fn month(time: &Zoned) -> Date {
    time.date().first_of_month()
}

/// The configuration has been checked: a zone that is named is known.
fn time_zone(pipeline: &Pipeline) -> TimeZone {
    let named = pipeline.prune.as_ref().map(|prune| TimeZone::get(&prune.time_zone));
    named.and_then(Result::ok).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests;
