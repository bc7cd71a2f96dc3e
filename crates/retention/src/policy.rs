//! What the owner of the backups asks for.
//!
//! Owns: the rules, the guards, their defaults and which of them make no sense. Rules are joined
//! by "or": a backup stays when any of them wants it. Everything off is not "keep nothing" but an
//! error, because it is how a misspelt configuration looks.
//!
//! Does not: parse text. Spans come parsed; calendar units in them count in `time_zone`.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use crate::{Period, Refusal};

/// The rules and guards for one catalogue. A count of 0 and an absent span mean "no such rule";
/// `u32::MAX` means "without limit".
///
/// Where backups of a tier of their own were made for days or months, one of those stands for its day,
/// week, month or year, even where a newer one of a lesser tier is there.
///
/// Whoever can add verified backups can use up the places of a count, and so make old backups go
/// early; a window has no places to use up. Where that matters, set at least `within`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The newest `last` backups.
    pub last: u32,
    /// The newest backup of each of the last `hourly` hours that have one.
    pub hourly: u32,
    /// The same for days.
    pub daily: u32,
    /// The same for ISO weeks.
    pub weekly: u32,
    /// The same for months.
    pub monthly: u32,
    /// The same for years.
    pub yearly: u32,
    /// Every backup less than this older than the newest one.
    pub within: Option<Span>,
    /// The newest backup of each hour, less than this older than the newest one.
    pub within_hourly: Option<Span>,
    /// The same for days.
    pub within_daily: Option<Span>,
    /// The same for ISO weeks.
    pub within_weekly: Option<Span>,
    /// The same for months.
    pub within_monthly: Option<Span>,
    /// The same for years.
    pub within_yearly: Option<Span>,
    /// This many of the newest verified backups stay, whatever the rules say. 0 counts as 1.
    pub min_keep: u32,
    /// Nothing is removed while the newest verified backup is older than this.
    pub stale_after: Span,
    /// Whose calendar hours, days, weeks, months and years are counted.
    pub time_zone: TimeZone,
    /// How much one plan may remove.
    pub guards: Guards,
}

/// How much one plan may remove before a person has to agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guards {
    /// The largest share of the competing backups (verified, of our cluster) that may go, 0 to 1.
    pub max_fraction: f64,
    /// Removals up to this many are too few to be measured as a share: with three backups, one
    /// is a third. `max_count` still holds.
    pub small_count: u32,
    /// The largest number of backups that may go, if there is one. 0 removes nothing, ever.
    pub max_count: Option<u32>,
    /// A person has seen the plan and agrees: neither the share nor the number is limited.
    pub allow_large_removal: bool,
}

// === impl Guards ===

impl Default for Guards {
    fn default() -> Self {
        Guards { max_fraction: 0.5, small_count: 3, max_count: None, allow_large_removal: false }
    }
}

// === impl Policy ===

impl Default for Policy {
    /// No rule at all, which [`crate::plan`] refuses, and the guards at their defaults.
    fn default() -> Self {
        Policy {
            last: 0,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            within: None,
            within_hourly: None,
            within_daily: None,
            within_weekly: None,
            within_monthly: None,
            within_yearly: None,
            min_keep: 3,
            stale_after: 24.hours(),
            time_zone: TimeZone::UTC,
            guards: Guards::default(),
        }
    }
}

impl Policy {
    /// Whether no rule is on. The guards alone are no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last == 0
            && self.within.is_none()
            && Period::ALL.iter().all(|&p| self.count(p) == 0 && self.window(p).is_none())
    }

    /// How many buckets of this length are kept.
    #[must_use]
    pub fn count(&self, period: Period) -> u32 {
        match period {
            Period::Hourly => self.hourly,
            Period::Daily => self.daily,
            Period::Weekly => self.weekly,
            Period::Monthly => self.monthly,
            Period::Yearly => self.yearly,
        }
    }

    /// How far back every bucket of this length is kept.
    #[must_use]
    pub fn window(&self, period: Period) -> Option<Span> {
        match period {
            Period::Hourly => self.within_hourly,
            Period::Daily => self.within_daily,
            Period::Weekly => self.within_weekly,
            Period::Monthly => self.within_monthly,
            Period::Yearly => self.within_yearly,
        }
    }

    /// Refuses what cannot be meant, before any backup is looked at.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.is_empty() {
            return Err(Refusal::EmptyPolicy);
        }
        for (setting, span) in self.spans() {
            if !span.is_positive() {
                return Err(Refusal::BadDuration { setting, found: format!("{span:#}") });
            }
        }
        let fraction = self.guards.max_fraction;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Refusal::BadFraction { found: fraction });
        }
        Ok(())
    }

    /// Every span that is set, with the name of its field.
    fn spans(&self) -> impl Iterator<Item = (&'static str, Span)> {
        [
            ("within", self.within),
            ("within_hourly", self.within_hourly),
            ("within_daily", self.within_daily),
            ("within_weekly", self.within_weekly),
            ("within_monthly", self.within_monthly),
            ("within_yearly", self.within_yearly),
            ("stale_after", Some(self.stale_after)),
        ]
        .into_iter()
        .filter_map(|(setting, span)| Some((setting, span?)))
    }

    /// The moment one `span` before `at`, by the policy's calendar. A span that reaches beyond the
    /// calendar reaches to its first moment.
    pub(crate) fn before(&self, at: Timestamp, span: Span) -> Timestamp {
        let cutoff = at.to_zoned(self.time_zone.clone()).checked_sub(span);
        cutoff.map_or(Timestamp::MIN, |zoned| zoned.timestamp())
    }
}

/// One line for people: every rule that is on, then `min_keep` and the time zone.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keep")?;
        if self.last > 0 {
            write!(f, " last {},", Count(self.last))?;
        }
        for period in Period::ALL.into_iter().filter(|&p| self.count(p) > 0) {
            write!(f, " {period} {},", Count(self.count(period)))?;
        }
        if let Some(span) = self.within {
            write!(f, " all within {span:#},")?;
        }
        for period in Period::ALL {
            if let Some(span) = self.window(period) {
                write!(f, " {period} within {span:#},")?;
            }
        }
        write!(f, " at least {}; calendar of ", self.min_keep.max(1))?;
        match (self.time_zone.iana_name(), self.time_zone.to_fixed_offset()) {
            (Some(name), _) => f.write_str(name),
            (None, Ok(offset)) => write!(f, "UTC{offset}"),
            (None, Err(_)) => f.write_str("an unnamed time zone"),
        }
    }
}

/// A count of a rule, with the largest one spelt out.
pub(crate) struct Count(pub(crate) u32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u32::MAX => f.write_str("unlimited"),
            count => write!(f, "{count}"),
        }
    }
}
