//! Calendar periods and the names of their buckets.
//!
//! Owns: which backups fall into the same hour, day, week, month or year. The name that a person
//! reads is the identity of the bucket, so a plan cannot print one thing and decide another.
//! An hour is named with its offset: the hour that a clock change repeats is two hours.
//!
//! Does not: choose within a bucket.

use std::fmt;

use jiff::Zoned;

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// One hour of the local clock.
    Hourly,
    /// One local day, from midnight to midnight.
    Daily,
    /// One ISO 8601 week, from Monday.
    Weekly,
    /// One calendar month.
    Monthly,
    /// One calendar year.
    Yearly,
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Period; 5] =
        [Period::Hourly, Period::Daily, Period::Weekly, Period::Monthly, Period::Yearly];

    /// The name of the bucket that a local time falls into.
    pub(crate) fn bucket(self, local: &Zoned) -> String {
        match self {
            Period::Hourly => local.strftime("%Y-%m-%dT%H%:z").to_string(),
            Period::Daily => local.date().to_string(),
            Period::Weekly => {
                let week = local.date().iso_week_date();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Period::Monthly => format!("{}-{:02}", local.year(), local.month()),
            Period::Yearly => local.year().to_string(),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Period::Hourly => "hourly",
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Yearly => "yearly",
        })
    }
}
