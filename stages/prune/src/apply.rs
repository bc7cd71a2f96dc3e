//! Applies the plans: oldest first, and of each backup the manifest first, then the artifact, then
//! the records of its drills.
//!
//! Without its manifest a backup does not exist. A prune that is killed between the two leaves an
//! orphan, which costs space and nothing else; the other way round it would leave a backup that
//! is listed and cannot be restored. Records that such a death leaves behind go with the next prune.

use crate::error::Error;
use crate::plans::Plans;
use catalogue::{Backup, DestinationCatalogue};
use contract::Failure;
use destinations::Opened;
use std::collections::BTreeMap;
use store::{ErrorKind, Operation, StoreError};

/// Names of the backups that were removed, for each destination.
pub(crate) type Removed = BTreeMap<String, Vec<String>>;

/// Removes what the plans say. One backup that cannot be removed does not keep the others.
pub(crate) async fn apply(
    plans: &Plans,
    catalogues: &[DestinationCatalogue],
    opened: &BTreeMap<String, Opened>,
) -> Result<Removed, Error> {
    let mut removed = Removed::new();
    let mut failures: Vec<destinations::Error> = Vec::new();
    for catalogue in catalogues {
        let name = &catalogue.destination;
        let (Some(plan), Some(opened)) = (plans.get(name), opened.get(name)) else { continue };
        let gone = removed.entry(name.clone()).or_default();
        sweep(opened, &catalogue.stray_records).await;
        for decision in plan.removals() {
            let is_it = |b: &&Backup| b.name.as_str() == decision.id;
            let Some(backup) = catalogue.backups.iter().find(is_it) else { continue };
            match remove_in_time(opened, backup).await {
                Ok(()) => {
                    tracing::info!("removed {} from {name}", decision.id);
                    gone.push(decision.id.clone());
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

async fn remove_in_time(opened: &Opened, backup: &Backup) -> Result<(), destinations::Error> {
    match tokio::time::timeout(opened.timeout, remove(opened, backup)).await {
        Ok(removed) => removed,
        Err(_) => {
            let (name, kind) = (opened.store.name(), ErrorKind::Stalled { after: opened.timeout });
            Err(StoreError::new(name, Operation::Delete, &backup.manifest_key, kind).into())
        }
    }
}

async fn remove(opened: &Opened, backup: &Backup) -> Result<(), destinations::Error> {
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

/// Removes records of drills of a backup that is no more. One that stays is some hundred bytes, and
/// the next prune finds it.
async fn sweep(opened: &Opened, records: &[String]) {
    for key in records {
        match tokio::time::timeout(opened.timeout, opened.store.delete(key)).await {
            Ok(Ok(())) => failpoint::pass("prune.record.removed"),
            Ok(Err(e)) => tracing::warn!("{e}"),
            Err(_) => tracing::warn!("{}: {key} was not removed in time", opened.store.name()),
        }
    }
}
