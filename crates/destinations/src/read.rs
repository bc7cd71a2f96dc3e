//! From listings to a catalogue.

use crate::{Error, Opened, open_all};
use bytes::Bytes;
use catalogue::{
    Catalogue, DestinationCatalogue, Looks, MANIFEST_BYTES_MAX, Object, ObjectName,
    RECORD_BYTES_MAX, assemble, mark_forks, newest_records,
};
use config::Pipeline;
use contract::{Clock, Failure};
use futures::StreamExt;
use std::time::Duration;
use store::{Destination, ErrorKind, Operation, StoreError};

/// Manifests and records that are read at once.
const READS_AT_ONCE: usize = 16;
/// The version of the catalogue's JSON.
const VERSION: u32 = 1;

/// Reads what all destinations hold of the cluster. A destination that cannot be read, or not
/// within `limit`, is in the catalogue with its problem.
pub async fn read_all(pipeline: &Pipeline, clock: Clock, limit: Duration) -> Catalogue {
    read_opened(&open_all(pipeline).await, &pipeline.cluster, clock, limit).await
}

/// The same, of destinations that are open already.
pub async fn read_opened(
    opened: &[(String, Result<Opened, Error>)],
    cluster: &str,
    clock: Clock,
    limit: Duration,
) -> Catalogue {
    let reads = opened.iter().map(|(name, opened)| async move {
        match opened {
            Ok(opened) => read_or_say(opened, cluster, limit).await,
            Err(e) => unreadable(name.clone(), String::new(), e),
        }
    });
    let mut destinations = futures::future::join_all(reads).await;
    mark_forks(&mut destinations);
    let (cluster, read_at) = (cluster.to_owned(), clock.now());
    Catalogue { version: VERSION, cluster, read_at, destinations }
}

async fn read_or_say(opened: &Opened, cluster: &str, limit: Duration) -> DestinationCatalogue {
    let (name, location) = (opened.store.name().to_owned(), opened.store.location());
    match tokio::time::timeout(limit, read_one(opened, cluster)).await {
        Ok(Ok(catalogue)) => catalogue,
        Ok(Err(e)) => unreadable(name, location, &e),
        Err(_) => {
            let (prefix, kind) =
                (ObjectName::prefix_of(cluster), ErrorKind::Stalled { after: limit });
            let error = StoreError::new(&name, Operation::List, &prefix, kind);
            unreadable(name, location, &error.into())
        }
    }
}

fn unreadable(destination: String, location: String, error: &Error) -> DestinationCatalogue {
    DestinationCatalogue {
        destination,
        location,
        problem: Some(error.to_string()),
        exit: Some(error.exit().code()),
        backups: Vec::new(),
        orphans: Vec::new(),
        stray_records: Vec::new(),
    }
}

/// Reads what one destination holds of the cluster.
///
/// # Errors
/// When it cannot be listed, or a manifest or a record that it lists cannot be had: half a
/// catalogue is no catalogue.
pub async fn read_one(opened: &Opened, cluster: &str) -> Result<DestinationCatalogue, Error> {
    let store = &*opened.store;
    let listed = store.list(&ObjectName::prefix_of(cluster)).await?;
    let objects: Vec<Object> = listed
        .into_iter()
        .map(|info| Object { key: info.key, bytes: info.bytes, modified: info.modified })
        .collect();
    let is_manifest =
        |key: &str| matches!(ObjectName::parse(cluster, key), Some(ObjectName::Manifest { .. }));
    let keys = || objects.iter().map(|object| object.key.as_str());
    let manifests = keys().filter(|key| is_manifest(key)).map(|key| (key, MANIFEST_BYTES_MAX));
    let records = newest_records(cluster, keys()).into_iter().map(|key| (key, RECORD_BYTES_MAX));
    let wanted: Vec<(String, u64)> =
        manifests.chain(records).map(|(key, bytes_max)| (key.to_owned(), bytes_max)).collect();
    let reads = wanted.into_iter().map(|(key, bytes_max)| read_small(store, key, bytes_max));
    let reads = futures::stream::iter(reads);
    let mut looks = Looks::default();
    let mut answers = reads.buffer_unordered(READS_AT_ONCE);
    while let Some(answer) = answers.next().await {
        if let Some((key, bytes)) = answer? {
            looks.take(cluster, key, &bytes, &opened.trust);
        }
    }
    drop(answers);
    let assembled = assemble(cluster, &objects, looks, opened.clock.now());
    Ok(DestinationCatalogue {
        destination: store.name().to_owned(),
        location: store.location(),
        problem: None,
        exit: None,
        backups: assembled.backups,
        orphans: assembled.orphans,
        stray_records: assembled.stray_records,
    })
}

/// The bytes of a manifest or a record; none when it was removed since it was listed. One that is
/// too large, or not what the store's own checksum says, is read as empty: that makes its backup a
/// broken one, or the record one that decides nothing, and not the whole destination unreadable.
async fn read_small(
    store: &dyn Destination,
    key: String,
    bytes_max: u64,
) -> Result<Option<(String, Bytes)>, StoreError> {
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match store::read_small(store, &key, bytes_max).await {
        Ok(bytes) => Ok(Some((key, bytes))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound) => Ok(None),
        Err(e) if matches!(e.kind(), ErrorKind::TooLarge { .. } | ErrorKind::Corrupt { .. }) => {
            Ok(Some((key, Bytes::new())))
        }
        Err(e) => Err(e),
    }
}
