//! Which copies are read today.

use crate::args::Args;
use catalogue::{Backup, BackupName, Catalogue};
use contract::Digest;
use jiff::Timestamp;
use std::collections::BTreeSet;
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

/// The copies of each destination, in the order in which they are read: those first that nobody has
/// read back, then those that nobody has read back for longest. What a budget cuts off today is read
/// first the next time.
pub(crate) fn copies<'a>(
    catalogue: &'a Catalogue,
    args: &Args,
    now: Timestamp,
) -> Vec<(&'a str, Vec<&'a Backup>)> {
    let mut names: Vec<&BackupName> = catalogue.copies().map(|(_, backup)| &backup.name).collect();
    names.dedup();
    match args.backup.as_deref() {
        None => {}
        Some("latest") => {
            let trusted = catalogue.copies().find(|(_, backup)| backup.state.is_trusted());
            let latest = trusted.map(|(_, backup)| &backup.name);
            names.retain(|name| Some(*name) == latest);
        }
        Some(wanted) => names.retain(|name| name.as_str().starts_with(wanted)),
    }
    if let Some(count) = args.newest {
        // Names alone take nobody's place; what is wrong with such copies is told all the same.
        let usable = catalogue.copies().filter(|(_, backup)| backup.state.is_usable());
        let usable: BTreeSet<&BackupName> = usable.map(|(_, backup)| &backup.name).collect();
        let mut ends = (1..=names.len()).filter(|end| usable.contains(names[end - 1]));
        let end = count.checked_sub(1).map_or(Some(0), |before| ends.nth(before));
        names.truncate(end.unwrap_or(names.len()));
    }
    names.retain(|name| args.sample.has(name, now));
    let names: BTreeSet<&BackupName> = names.into_iter().collect();
    let is_wanted =
        |name: &str| args.destination.is_empty() || args.destination.iter().any(|d| d == name);
    let wanted = catalogue.destinations.iter().filter(|d| is_wanted(&d.destination));
    let of = |d: &'a catalogue::DestinationCatalogue| {
        let mut backups: Vec<&Backup> =
            d.backups.iter().rev().filter(|b| names.contains(&b.name)).collect();
        // Of those that were read at the same time, or never, the newest backup comes first.
        backups.sort_by_key(|backup| last_read(backup));
        (d.destination.as_str(), backups)
    };
    wanted.map(of).collect()
}

/// When somebody last read all of it, whatever was found.
fn last_read(backup: &Backup) -> Option<Timestamp> {
    let whole = backup.verified.map(|looked| looked.at);
    whole.max(backup.doubt.map(|looked| looked.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalogue::{Depth, DestinationCatalogue, Looked, State};
    use clap::Parser;
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

    fn copy(name: &BackupName, looked: Option<i64>) -> Backup {
        let looked = looked.map(|day| Timestamp::from_second(day * SECONDS_OF_A_DAY).unwrap());
        Backup {
            name: name.clone(),
            state: State::Verified,
            problem: None,
            exit: None,
            manifest_key: String::new(),
            manifest_sha256: String::new(),
            manifest: None,
            signed: None,
            proven_at: None,
            drill: None,
            verified: looked.map(|at| Looked { at, depth: Depth::Digest }),
            doubt: None,
            records: vec![],
            superfluous: vec![],
            notes: vec![],
        }
    }

    fn catalogue(backups: Vec<Backup>) -> Catalogue {
        let destination = DestinationCatalogue {
            destination: "near".into(),
            location: String::new(),
            problem: None,
            exit: None,
            backups,
            orphans: vec![],
            stray_records: vec![],
        };
        let read_at = Timestamp::from_second(0).unwrap();
        Catalogue { version: 1, cluster: "prod".into(), read_at, destinations: vec![destination] }
    }

    fn chosen(catalogue: &Catalogue, arguments: &[&str]) -> Vec<BackupName> {
        let args = Args::parse_from([&["lifeboat-scrub"], arguments].concat());
        let now = Timestamp::from_second(123_456 * SECONDS_OF_A_DAY).unwrap();
        let (_, backups) = copies(catalogue, &args, now).remove(0);
        backups.into_iter().map(|backup| backup.name.clone()).collect()
    }

    /// A budget that lets one copy be read each day would never come to the oldest ones.
    #[test]
    fn f45_a_budget_comes_round_to_every_copy() {
        let names = names();
        let looked = [Some(5), None, Some(3), None, Some(4)];
        let mut backups: Vec<Backup> =
            names.iter().zip(looked).map(|(name, day)| copy(name, day)).collect();
        let order = |backups: &[Backup]| chosen(&catalogue(backups.to_vec()), &[]);
        let expected = [3, 1, 2, 4, 0].map(|n: usize| names[n].clone());
        assert_eq!(order(&backups), expected);
        let mut read = BTreeSet::new();
        for day in 10..15 {
            let first = order(&backups).remove(0);
            let at = Timestamp::from_second(day * SECONDS_OF_A_DAY).unwrap();
            let it = backups.iter_mut().find(|backup| backup.name == first).unwrap();
            match day % 2 {
                0 => it.verified = Some(Looked { at, depth: Depth::Digest }),
                _ => it.doubt = Some(Looked { at, depth: Depth::Digest }),
            }
            read.insert(first);
        }
        assert_eq!(read.len(), 5, "each was read once in as many days");
    }

    #[test]
    fn which_backups_are_meant() {
        let names = names();
        let mut backups: Vec<Backup> = names.iter().map(|name| copy(name, None)).collect();
        backups[499].state = State::Suspect;
        let catalogue = catalogue(backups);
        assert_eq!(chosen(&catalogue, &["--backup", "latest"]), [names[498].clone()]);
        assert_eq!(chosen(&catalogue, &["--backup", names[7].as_str()]), [names[7].clone()]);
        let newest = [499, 498].map(|n: usize| names[n].clone());
        assert_eq!(chosen(&catalogue, &["--newest", "2"]), newest);
        assert_eq!(chosen(&catalogue, &["--backup", "2001"]), []);
    }
}
