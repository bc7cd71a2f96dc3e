//! `[prune]` and a catalogue, as the `retention` crate wants them.

use catalogue::{Backup, BackupName, DestinationCatalogue, State};
use config::{Pipeline, Prune};
use jiff::tz::TimeZone;
use retention::{Guards, Policy, Tier};
use std::collections::{BTreeMap, BTreeSet};

/// A policy that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("prune.{key} = {value:?}: {problem}")]
pub struct BadPolicy {
    /// The key in `[prune]`.
    pub key: &'static str,
    /// What stands there.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The policy of `[prune]`, if there is one.
///
/// # Errors
/// [`BadPolicy`].
pub fn policy(pipeline: &Pipeline, allow_large_removal: bool) -> Result<Option<Policy>, BadPolicy> {
    let Some(prune) = &pipeline.prune else { return Ok(None) };
    let stale_after = pipeline.run.stale_after.get();
    Ok(Some(Policy {
        last: prune.last,
        hourly: prune.hourly,
        daily: prune.daily,
        weekly: prune.weekly,
        monthly: prune.monthly,
        yearly: prune.yearly,
        within: within(prune)?,
        min_keep: prune.min_keep,
        stale_after: jiff::Span::new()
            .seconds(i64::try_from(stale_after.as_secs()).unwrap_or(i64::from(i32::MAX))),
        time_zone: TimeZone::get(&prune.time_zone)
            .map_err(|e| bad("time_zone", &prune.time_zone, &e))?,
        guards: Guards {
            max_fraction: prune.max_fraction,
            allow_large_removal,
            ..Guards::default()
        },
        ..Policy::default()
    }))
}

fn within(prune: &Prune) -> Result<Option<jiff::Span>, BadPolicy> {
    let Some(text) = &prune.within else { return Ok(None) };
    text.parse().map(Some).map_err(|e| bad("within", text, &e))
}

fn bad(key: &'static str, value: &str, problem: &jiff::Error) -> BadPolicy {
    BadPolicy { key, value: value.to_owned(), problem: problem.to_string() }
}

/// The cluster is the one of the newest trusted backup of all destinations that knows its cluster.
/// One that was adopted does not.
#[must_use]
pub fn newest_cluster_id(catalogues: &[DestinationCatalogue]) -> Option<u64> {
    let all = catalogues.iter().flat_map(|c| &c.backups);
    let known = all.filter(|b| b.state.is_trusted() && cluster_id(b).is_some());
    cluster_id(known.max_by_key(|b| &b.name)?)
}

fn cluster_id(backup: &Backup) -> Option<u64> {
    u64::from_str_radix(backup.manifest.as_ref()?.cluster_id()?, 16).ok()
}

/// Of several manifests of one backup those that are usable, or else any one of them. Whoever can write to a
/// destination can put names there that stand for nothing; they must not bring pruning to a stop.
#[must_use]
pub fn candidates(backups: &[Backup]) -> Vec<&Backup> {
    let mut usable: BTreeMap<&BackupName, usize> = BTreeMap::new();
    for backup in backups {
        *usable.entry(&backup.name).or_default() += usize::from(backup.state.is_usable());
    }
    let mut told: BTreeSet<&BackupName> = BTreeSet::new();
    let mut standing = Vec::new();
    for backup in backups {
        let stands = match usable[&backup.name] {
            0 => told.insert(&backup.name),
            _ => backup.state.is_usable(),
        };
        if stands {
            standing.push(backup);
        }
    }
    standing
}

/// A backup as one that competes for its place.
#[must_use]
pub fn candidate(backup: &Backup) -> retention::Backup {
    let manifest = backup.manifest.as_ref();
    retention::Backup {
        id: backup.name.to_string(),
        cluster_id: cluster_id(backup),
        is_adopted: manifest.is_some_and(|m| m.etcd.adopted.is_some()),
        // A backup without a readable manifest is broken: neither date nor revision counts.
        taken_at: manifest.map_or(jiff::Timestamp::UNIX_EPOCH, |m| m.taken_at),
        revision: manifest.map_or(0, |m| m.snapshot.revision),
        state: match backup.state {
            State::Proven => retention::State::Proven,
            State::Verified => retention::State::Verified,
            State::Suspect => retention::State::Suspect,
            State::Broken | State::Forged => retention::State::Broken,
        },
        tier: manifest.map_or(Tier::Frequent, |m| tier(&m.tier)),
    }
}

/// A tier that this version does not know was made for no day or month that it knows.
pub(crate) fn tier(name: &str) -> Tier {
    match name {
        "daily" => Tier::Daily,
        "monthly" => Tier::Monthly,
        _ => Tier::Frequent,
    }
}
