//! Applies the plans: oldest first, and of each backup the manifest first, then the artifact, then
//! the records of its drills.
//!
//! Of a backup that stays only records go that newer ones make superfluous.
//!
//! Without its manifest a backup does not exist. A prune that is killed between the two leaves an
//! orphan, which costs space and nothing else; the other way round it would leave a backup that
//! is listed and cannot be restored. Records that such a death leaves behind go with the next prune.
//!
//! A backup of which anything is locked is left whole. That is asked before the first removal: a
//! bucket that keeps versions hides a locked object behind a marker instead of refusing, and then
//! the lock would protect bytes that nobody lists.

use crate::error::Error;
use crate::plans::Plans;
use catalogue::{Backup, DestinationCatalogue, Manifest};
use contract::Failure;
use destinations::Opened;
use jiff::Timestamp;
use std::collections::BTreeMap;
use store::{ErrorKind, Operation, StoreError};

/// Records that one sweep takes away; the next prune goes on with the rest.
const SWEPT_AT_ONCE_MAX: usize = 1_000;

/// Names of the backups that were removed, for each destination.
pub(crate) type Removed = BTreeMap<String, Vec<String>>;

/// Removes what the plans say. One backup that cannot be removed does not keep the others.
pub(crate) async fn apply(
    plans: &Plans,
    catalogues: &[DestinationCatalogue],
    opened: &BTreeMap<String, Opened>,
    now: Timestamp,
) -> Result<Removed, Error> {
    let mut removed = Removed::new();
    let mut failures: Vec<destinations::Error> = Vec::new();
    for catalogue in catalogues {
        let name = &catalogue.destination;
        let (Some(plan), Some(opened)) = (plans.get(name), opened.get(name)) else { continue };
        let gone = removed.entry(name.clone()).or_default();
        sweep(opened, &catalogue.stray_records).await;
        for backup in catalogue.backups.iter().filter(|backup| !is_going(plan, backup)) {
            sweep_superfluous(opened, &backup.superfluous).await;
        }
        for decision in plan.removals() {
            let is_it = |b: &&Backup| b.name.as_str() == decision.id && b.state.is_usable();
            let Some(backup) = catalogue.backups.iter().find(is_it) else { continue };
            match remove_in_time(opened, backup, now).await {
                Ok(()) => {
                    tracing::info!("removed {} from {name}", decision.id);
                    gone.push(decision.id.clone());
                }
                // That a lock holds is no failure: it is what it was set for.
                Err(e) if is_locked(&e) => {
                    tracing::warn!(hint = e.hint().unwrap_or_default(), "{e}");
                }
                Err(e) => {
                    tracing::warn!("{e}");
                    failures.push(e);
                }
            }
        }
    }
    match failures.first() {
        None => Ok(removed),
        Some(first) => Err(Error::NotRemoved {
            failed: failures.len(),
            planned: plans.values().map(|plan| plan.removals().len()).sum(),
            why: first.to_string(),
            exit: first.exit(),
        }),
    }
}

fn is_going(plan: &retention::Plan, backup: &Backup) -> bool {
    plan.removals().iter().any(|decision| decision.id == backup.name.as_str())
}

fn is_locked(e: &destinations::Error) -> bool {
    matches!(e, destinations::Error::Store(e) if matches!(e.kind(), ErrorKind::Locked { .. }))
}

async fn remove_in_time(
    opened: &Opened,
    backup: &Backup,
    now: Timestamp,
) -> Result<(), destinations::Error> {
    match tokio::time::timeout(opened.timeout, remove(opened, backup, now)).await {
        Ok(removed) => removed,
        Err(_) => {
            let (name, kind) = (opened.store.name(), ErrorKind::Stalled { after: opened.timeout });
            Err(StoreError::new(name, Operation::Delete, &backup.manifest_key, kind).into())
        }
    }
}

async fn remove(
    opened: &Opened,
    backup: &Backup,
    now: Timestamp,
) -> Result<(), destinations::Error> {
    must_not_be_locked(opened, backup, now).await?;
    failpoint::pass("prune.removing");
    opened.store.delete(&backup.manifest_key).await?;
    failpoint::pass("prune.manifest.removed");
    if let Some(manifest) = &backup.manifest {
        opened.store.delete(&manifest.artifact_key()).await?;
        failpoint::pass("prune.artifact.removed");
    }
    sweep(opened, &backup.records).await;
    Ok(())
}

/// What cannot be looked at is not removed. A store that says nothing of locks may still refuse; one
/// that keeps versions would not, so that where locks were asked for it is asked for them.
async fn must_not_be_locked(
    opened: &Opened,
    backup: &Backup,
    now: Timestamp,
) -> Result<(), destinations::Error> {
    // Whose clock decides is the store's; without one there are no locks either.
    let now = opened.store.store_time().unwrap_or(now);
    let artifact = backup.manifest.as_ref().map(Manifest::artifact_key);
    for key in artifact.iter().chain([&backup.manifest_key]) {
        opened.store.must_not_be_locked(key, now, opened.written.lock.is_some()).await?;
    }
    Ok(())
}

/// Removes records of drills of a backup that is no more. One that stays is some hundred bytes, and
/// the next prune finds it.
async fn sweep(opened: &Opened, records: &[String]) {
    for key in records.iter().take(SWEPT_AT_ONCE_MAX) {
        match tokio::time::timeout(opened.timeout, opened.store.delete(key)).await {
            Ok(Ok(())) => failpoint::pass("prune.record.removed"),
            Ok(Err(e)) => tracing::warn!("{e}"),
            Err(_) => tracing::warn!("{}: {key} was not removed in time", opened.store.name()),
        }
    }
}

/// Removes records of a backup that stays which newer ones make superfluous. They harm nobody: one
/// that is locked, or may not be removed, is not worth a word each time.
async fn sweep_superfluous(opened: &Opened, records: &[String]) {
    for key in records {
        match tokio::time::timeout(opened.timeout, opened.store.delete(key)).await {
            Ok(Ok(())) => failpoint::pass("prune.record.superfluous"),
            Ok(Err(e)) => return tracing::debug!("{e}"),
            Err(_) => return tracing::debug!("{key} was not removed in time"),
        }
    }
}
