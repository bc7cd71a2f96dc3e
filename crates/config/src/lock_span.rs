//! How long a backup is locked: as long as `lock_for` says, else as long as `[prune]` is going to keep
//! every backup of its tier.
//!
//! A rule promises that for the tier whose backups are one to its period: the hourly rule for
//! frequent ones, the daily rule for daily ones, the monthly rule for monthly ones; `within` for all.
//! The weekly and the yearly rule keep one of several, and nobody knows yet which; `last` counts
//! backups and not time. A lock from those would hold what `prune` wants to remove, so they promise
//! nothing here. See `docs/decisions/0011`.
//!
//! Does not: lock anything, or know what time it is.

use crate::check::Problem;
use crate::destination::{ByTier, Destination};
use crate::sections::{Pipeline, Prune};
use crate::values::Duration;
use crate::{Checksum, TIERS};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Unit, Zoned};

/// How long backups of one destination are locked.
#[derive(Debug, Clone)]
pub struct LockSpan {
    lock_for: Option<ByTier<Duration>>,
    prune: Option<Prune>,
    /// A lock lasts as long as the run that sets it: stores refuse one that has ended already.
    at_least: Duration,
}

impl LockSpan {
    /// What the configuration says of this destination.
    #[must_use]
    pub fn of(destination: &Destination, pipeline: &Pipeline) -> Self {
        LockSpan {
            lock_for: destination.lock_for.clone(),
            prune: pipeline.prune.clone(),
            at_least: pipeline.run.deadline,
        }
    }

    /// Until when a backup of this tier, taken at this time, is locked, to the second; `None` when
    /// nothing says so.
    #[must_use]
    pub fn until(&self, tier: &str, taken_at: Timestamp) -> Option<Timestamp> {
        let after = |length: Duration| {
            let length = jiff::SignedDuration::try_from(length.get()).ok()?;
            taken_at.checked_add(length).ok()
        };
        let until = match self.lock_for.as_ref().and_then(|lock_for| lock_for.of(tier)) {
            Some(length) => after(*length)?,
            None => self.prune.as_ref()?.keeps_until(tier, taken_at)?.max(after(self.at_least)?),
        };
        until.round(Unit::Second).ok()
    }
}

impl Prune {
    /// The moment until which the policy keeps every backup of this tier that was taken at this time,
    /// if there is never more than one to an hour; `None` when no rule promises it.
    fn keeps_until(&self, tier: &str, taken_at: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.time_zone).ok()?;
        let taken_at = taken_at.to_zoned(zone);
        let within = self.within.as_ref().and_then(|span| span.parse::<Span>().ok());
        let within = within.and_then(|span| taken_at.checked_add(span).ok());
        let by_rule =
            self.rule_of(tier, &taken_at).and_then(|(begin, span)| begin.checked_add(span).ok());
        within.into_iter().chain(by_rule).map(|end| end.timestamp()).max()
    }

    /// The beginning of the period that a backup of this tier stands for, and how many periods the
    /// rule keeps, that one included.
    fn rule_of(&self, tier: &str, taken_at: &Zoned) -> Option<(Zoned, Span)> {
        let [frequent, daily, monthly] = TIERS;
        let (count, begin, unit) = match tier {
            t if t == frequent => (self.hourly, taken_at.round(floor(Unit::Hour)).ok()?, 1.hour()),
            t if t == daily => (self.daily, taken_at.start_of_day().ok()?, 1.day()),
            t if t == monthly => {
                let first = taken_at.first_of_month().ok()?.start_of_day().ok()?;
                (self.monthly, first, 1.month())
            }
            _ => return None,
        };
        let span = unit.checked_mul(i64::from(count)).ok()?;
        (count > 0).then_some((begin, span))
    }
}

fn floor(unit: Unit) -> jiff::ZonedRound {
    jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)
}

/// The first destination whose locks cannot be set.
pub(crate) fn check(pipeline: &Pipeline) -> Option<Problem> {
    pipeline.destinations.iter().filter(|(_, d)| d.lock.is_some()).find_map(
        |(name, destination)| {
            let key = format!("destinations.{name}.lock");
            if destination.checksum == Some(Checksum::None) {
                let text = "a store takes nothing that is to be locked without a checksum";
                let hint = "set checksum to \"full\" or \"part\", or delete lock";
                return Some(Problem::new(key, text).hint(hint));
            }
            let span = LockSpan::of(destination, pipeline);
            let tiers = pipeline.replicate.tiers.iter();
            let open = tiers
                .map(String::as_str)
                .find(|tier| span.until(tier, Timestamp::UNIX_EPOCH).is_none())?;
            let text = format!("nothing says how long a backup of tier {open:?} is to be locked");
            let hint =
                format!("set lock_for, or {}", RULES[TIERS.iter().position(|t| *t == open)?]);
            Some(Problem::new(key, text).hint(hint))
        },
    )
}

/// What would say so, in the order of [`TIERS`].
const RULES: [&str; 3] = [
    "prune.hourly or prune.within",
    "prune.daily or prune.within",
    "prune.monthly or prune.within",
];

#[cfg(test)]
mod tests;
