//! One answer to "am I safe?", computed from the destinations alone.
//!
//! Whether the pipeline ran, failed or never started makes no difference here: only what lies in
//! the destinations counts, so that silence is visible too.

use crate::backup::{Catalogue, State};
use crate::name::BackupName;
use contract::Exit;
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// A backup dated further after now than this comes from a wrong clock, here or there. It would
/// be the newest for as long as its date lies ahead, and hide that no others come.
const CLOCK_SKEW_MAX_SECONDS: i64 = 180;

/// How safe the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// The newest verified backup is young enough and has enough copies.
    Safe,
    /// It is young enough, but copies are missing.
    Partial,
    /// It is too old.
    Stale,
    /// There is none.
    None,
    /// No destination could be read, so nothing is known.
    Unknown,
}

/// The answer, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How safe.
    pub safety: Safety,
    /// The newest backup with a verified copy.
    pub newest: Option<BackupName>,
    /// When it was taken.
    pub taken_at: Option<Timestamp>,
    /// Its age in seconds.
    pub age_seconds: Option<i64>,
    /// Its revision.
    pub revision: Option<i64>,
    /// How many destinations hold a verified copy of it.
    pub copies: usize,
    /// How many should.
    pub copies_wanted: usize,
    /// Destinations that could not be read.
    pub unreadable: Vec<String>,
    /// Backups that are listed but broken or suspect, over all destinations.
    pub not_trusted: usize,
    /// How many of them are forged: nobody who is trusted signed them.
    pub forged: usize,
    /// The newest backup with a copy that a drill proved.
    pub newest_proven: Option<BackupName>,
    /// When the last drill of that backup began that proved it.
    pub proven_at: Option<Timestamp>,
    /// The newest backup of which a copy was ever read back whole, by a scrub or a drill.
    pub newest_read_back: Option<BackupName>,
    /// When a copy of that one was last read back whole.
    pub verified_at: Option<Timestamp>,
}

impl Verdict {
    /// The exit code that says the same. That somebody is at work in a destination who is not trusted
    /// comes before everything that is known of the backups there.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.safety {
            _ if self.forged > 0 => Exit::Forged,
            Safety::Safe => Exit::Ok,
            Safety::Partial => Exit::Partial,
            Safety::Stale | Safety::None => Exit::Stale,
            Safety::Unknown => Exit::Transient,
        }
    }
}

/// Judges a catalogue. `stale_after` is the age at which a backup is too old; `copies_wanted` is
/// how many destinations there are.
#[must_use]
pub fn verdict(
    catalogue: &Catalogue,
    now: Timestamp,
    stale_after: Duration,
    copies_wanted: usize,
) -> Verdict {
    let unreadable: Vec<String> = catalogue
        .destinations
        .iter()
        .filter(|d| d.problem.is_some())
        .map(|d| d.destination.clone())
        .collect();
    let latest = now.as_second().saturating_add(CLOCK_SKEW_MAX_SECONDS);
    let is_past = |m: &crate::Manifest| m.taken_at.as_second() <= latest;
    let newest = catalogue
        .copies()
        .find(|(_, b)| b.state.is_trusted() && b.manifest.as_ref().is_some_and(is_past));
    let manifest = newest.and_then(|(_, backup)| backup.manifest.as_ref());
    let name = newest.map(|(_, backup)| backup.name.clone());
    let holds = |b: &crate::Backup| Some(&b.name) == name.as_ref() && b.state.is_trusted();
    let copies = catalogue.copies().filter(|(_, backup)| holds(backup)).count();
    let age_seconds = manifest.map(|m| now.as_second() - m.taken_at.as_second());
    let limit = i64::try_from(stale_after.as_secs()).unwrap_or(i64::MAX);
    let all_dark = unreadable.len() == catalogue.destinations.len();
    let safety = match age_seconds {
        _ if all_dark => Safety::Unknown,
        None => Safety::None,
        Some(age) if age > limit => Safety::Stale,
        Some(_) if copies < copies_wanted => Safety::Partial,
        Some(_) => Safety::Safe,
    };
    let proven = newest_with(catalogue, |backup| backup.proven_at);
    let read_back = newest_with(catalogue, |backup| Some(backup.verified?.at));
    Verdict {
        safety,
        newest: name,
        taken_at: manifest.map(|m| m.taken_at),
        age_seconds,
        revision: manifest.map(|m| m.snapshot.revision),
        copies,
        copies_wanted,
        unreadable,
        not_trusted: catalogue.copies().filter(|(_, b)| !b.state.is_trusted()).count(),
        forged: catalogue.copies().filter(|(_, b)| b.state == State::Forged).count(),
        proven_at: proven.map(|(_, at)| at),
        verified_at: read_back.map(|(_, at)| at),
        newest_read_back: read_back.map(|(name, _)| name.clone()),
        newest_proven: proven.map(|(name, _)| name.clone()),
    }
}

/// The newest backup of which any copy has such a time, and the last of its times.
fn newest_with(
    catalogue: &Catalogue,
    time: impl Fn(&crate::Backup) -> Option<Timestamp>,
) -> Option<(&BackupName, Timestamp)> {
    let mut all = catalogue.copies().filter_map(|(_, b)| Some((&b.name, time(b)?)));
    let (name, first) = all.next()?;
    let times = all.take_while(|(other, _)| *other == name).map(|(_, at)| at);
    Some((name, times.fold(first, Timestamp::max)))
}
