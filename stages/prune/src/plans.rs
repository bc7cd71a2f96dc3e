//! From catalogues to one plan for each destination.
//!
//! A destination that cannot be read, or one refusal anywhere, means no plan at all: a guard
//! that holds in one place says that something is wrong with the picture as a whole.

use crate::error::Error;
use catalogue::{Backup, DestinationCatalogue, State};
use config::{Pipeline, Prune};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use retention::{Guards, Plan, Policy, Tier};
use std::collections::BTreeMap;

/// The plan of each destination, by its name.
pub(crate) type Plans = BTreeMap<String, Plan>;

/// Plans for all destinations.
pub(crate) fn make(
    pipeline: &Pipeline,
    catalogues: &[DestinationCatalogue],
    now: Timestamp,
    allow_large_removal: bool,
) -> Result<Plans, Error> {
    let policy = policy(pipeline, allow_large_removal)?;
    if let Some(dark) = catalogues.iter().find(|c| c.problem.is_some()) {
        return Err(Error::Unreadable {
            destination: dark.destination.clone(),
            problem: dark.problem.clone().unwrap_or_default(),
        });
    }
    let ours = newest_cluster_id(catalogues).unwrap_or_default();
    let plan = |c: &DestinationCatalogue| {
        let backups: Vec<retention::Backup> = c.backups.iter().map(candidate).collect();
        match retention::plan(&policy, &backups, now, ours) {
            Ok(plan) => Ok((c.destination.clone(), plan)),
            Err(refusal) => Err(Error::Refused {
                destination: c.destination.clone(),
                refusal: Box::new(refusal),
            }),
        }
    };
    catalogues.iter().map(plan).collect()
}

fn policy(pipeline: &Pipeline, allow_large_removal: bool) -> Result<Policy, Error> {
    let prune = pipeline.prune.as_ref().ok_or(Error::NoPolicy)?;
    let stale_after = pipeline.run.stale_after.get();
    Ok(Policy {
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
    })
}

fn within(prune: &Prune) -> Result<Option<jiff::Span>, Error> {
    let Some(text) = &prune.within else { return Ok(None) };
    text.parse().map(Some).map_err(|e| bad("within", text, &e))
}

fn bad(key: &'static str, value: &str, problem: &jiff::Error) -> Error {
    Error::BadPolicy { key, value: value.to_owned(), problem: problem.to_string() }
}

/// The cluster is the one of the newest trusted backup of all destinations that knows its cluster.
/// One that was adopted does not.
fn newest_cluster_id(catalogues: &[DestinationCatalogue]) -> Option<u64> {
    let all = catalogues.iter().flat_map(|c| &c.backups);
    let known = all.filter(|b| b.state.is_trusted() && cluster_id(b).is_some());
    cluster_id(known.max_by_key(|b| &b.name)?)
}

fn cluster_id(backup: &Backup) -> Option<u64> {
    u64::from_str_radix(backup.manifest.as_ref()?.cluster_id()?, 16).ok()
}

fn candidate(backup: &Backup) -> retention::Backup {
    let manifest = backup.manifest.as_ref();
    retention::Backup {
        id: backup.name.to_string(),
        cluster_id: cluster_id(backup),
        is_adopted: manifest.is_some_and(|m| m.etcd.adopted.is_some()),
        // A backup without a readable manifest is broken: neither date nor revision counts.
        taken_at: manifest.map_or(Timestamp::UNIX_EPOCH, |m| m.taken_at),
        revision: manifest.map_or(0, |m| m.snapshot.revision),
        state: match backup.state {
            State::Proven => retention::State::Proven,
            State::Verified => retention::State::Verified,
            State::Suspect => retention::State::Suspect,
            State::Broken => retention::State::Broken,
        },
        tier: manifest.map_or(Tier::Frequent, |m| tier(&m.tier)),
    }
}

/// A tier that this version does not know was made for no day or month that it knows.
fn tier(name: &str) -> Tier {
    match name {
        "daily" => Tier::Daily,
        "monthly" => Tier::Monthly,
        _ => Tier::Frequent,
    }
}

#[cfg(test)]
mod tests;
