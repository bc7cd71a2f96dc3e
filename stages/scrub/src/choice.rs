//! Which copies are read today.

use crate::args::Args;
use catalogue::{Backup, BackupName, Catalogue};
use contract::Digest;
use jiff::Timestamp;
use std::str::FromStr;

const SECONDS_OF_A_DAY: i64 = 86_400;

/// So many parts of all, other ones each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    parts: u64,
    of: u64,
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no part of a whole; write it like 1/7");
        let (parts, of) = text.split_once('/').ok_or_else(wrong)?;
        let (parts, of): (u64, u64) =
            (parts.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        match (1..=of).contains(&parts) && of <= 1_000 {
            true => Ok(Sample { parts, of }),
            false => Err(wrong()),
        }
    }
}

impl Sample {
    /// Whether today is this backup's turn. Every backup belongs to one of the parts by its name,
    /// and the parts take turns by the days of UTC: whoever looks every day has seen all of them
    /// after as many days as there are parts.
    pub(crate) fn has(self, backup: &BackupName, now: Timestamp) -> bool {
        let sha256 = Digest::of(backup.as_str().as_bytes()).sha256;
        let part = u64::from_str_radix(sha256.get(..15).unwrap_or_default(), 16).unwrap_or(0);
        let day = now.as_second().div_euclid(SECONDS_OF_A_DAY).rem_euclid(1 << 40);
        let first = day.unsigned_abs() * self.parts % self.of;
        (part % self.of + self.of - first) % self.of < self.parts
    }
}

/// The copies of each destination, the newest backup first.
pub(crate) fn copies<'a>(
    catalogue: &'a Catalogue,
    args: &Args,
    now: Timestamp,
) -> Vec<(&'a str, Vec<&'a Backup>)> {
    let mut names: Vec<&BackupName> = catalogue
        .copies()
        .filter(|(_, backup)| is_meant(catalogue, backup, args.backup.as_deref()))
        .map(|(_, backup)| &backup.name)
        .collect();
    names.dedup();
    names.truncate(args.newest.unwrap_or(usize::MAX));
    names.retain(|name| args.sample.has(name, now));
    let is_wanted =
        |name: &str| args.destination.is_empty() || args.destination.iter().any(|d| d == name);
    let wanted = catalogue.destinations.iter().filter(|d| is_wanted(&d.destination));
    let of = |d: &'a catalogue::DestinationCatalogue| {
        let backups = d.backups.iter().rev().filter(|b| names.contains(&&b.name));
        (d.destination.as_str(), backups.collect())
    };
    wanted.map(of).collect()
}

fn is_meant(catalogue: &Catalogue, backup: &Backup, wanted: Option<&str>) -> bool {
    match wanted {
        None => true,
        Some("latest") => {
            let newest = catalogue.copies().find(|(_, b)| b.state.is_trusted());
            newest.is_some_and(|(_, newest)| newest.name == backup.name)
        }
        Some(name) => backup.name.as_str().starts_with(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RunId;

    fn names() -> Vec<BackupName> {
        let at = |n| Timestamp::from_second(n * 3_600).unwrap();
        (0..500_i64)
            .map(|n| BackupName::new(at(n), &RunId::new(at(n), n.unsigned_abs().into())))
            .collect()
    }

    #[test]
    fn each_backup_has_its_turn_within_as_many_days_as_there_are_parts() {
        for (text, days) in [("1/7", 7), ("2/7", 4), ("1/1", 1), ("3/3", 1), ("5/6", 2)] {
            let sample: Sample = text.parse().unwrap();
            for start in [0, 20_000, 123_456] {
                let day = |n: i64| Timestamp::from_second((start + n) * SECONDS_OF_A_DAY).unwrap();
                for name in names() {
                    let turns = (0..days).filter(|n| sample.has(&name, day(*n))).count();
                    assert!(turns >= 1, "{text}: {name} was not read in {days} days");
                }
            }
        }
    }

    #[test]
    fn the_parts_are_of_a_size() {
        let sample: Sample = "1/7".parse().unwrap();
        for day in 0..7 {
            let now = Timestamp::from_second(day * SECONDS_OF_A_DAY + 5).unwrap();
            let count = names().iter().filter(|name| sample.has(name, now)).count();
            assert!((40..110).contains(&count), "day {day}: {count} of 500");
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "7", "0/7", "8/7", "1/0", "a/b", "1/2000", "-1/7"] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
    }
}
