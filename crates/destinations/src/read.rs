//! From listings to a catalogue.

use crate::{Error, Opened, open_all};
use catalogue::{
    Catalogue, DestinationCatalogue, MANIFEST_BYTES_MAX, Object, ObjectName, assemble, mark_forks,
};
use config::Pipeline;
use contract::{Clock, Failure};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Destination, ErrorKind, Operation, StoreError};

/// Manifests that are read at once.
const READS_AT_ONCE: usize = 16;
/// The version of the catalogue's JSON.
const VERSION: u32 = 1;

/// Reads what all destinations hold of the cluster. A destination that cannot be read, or not
/// within `limit`, is in the catalogue with its problem.
pub async fn read_all(pipeline: &Pipeline, clock: Clock, limit: Duration) -> Catalogue {
    let opened = open_all(pipeline).await;
    let reads = opened.into_iter().map(|(name, opened)| async move {
        match opened {
            Ok(opened) => read_or_say(&opened, &pipeline.cluster, limit).await,
            Err(e) => unreadable(name, String::new(), &e),
        }
    });
    let mut destinations = futures::future::join_all(reads).await;
    mark_forks(&mut destinations);
    Catalogue {
        version: VERSION,
        cluster: pipeline.cluster.clone(),
        read_at: clock.now(),
        destinations,
    }
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
    }
}

/// Reads what one destination holds of the cluster.
///
/// # Errors
/// When it cannot be listed, or a manifest that it lists cannot be had: half a catalogue is no
/// catalogue.
pub async fn read_one(opened: &Opened, cluster: &str) -> Result<DestinationCatalogue, Error> {
    let store = &*opened.store;
    let listed = store.list(&ObjectName::prefix_of(cluster)).await?;
    let objects: Vec<Object> = listed
        .into_iter()
        .map(|info| Object { key: info.key, bytes: info.bytes, modified: info.modified })
        .collect();
    let is_manifest =
        |key: &str| matches!(ObjectName::parse(cluster, key), Some(ObjectName::Manifest { .. }));
    let keys = objects.iter().filter(|o| is_manifest(&o.key)).map(|o| o.key.clone());
    let reads = futures::stream::iter(keys.map(|key| read_manifest(store, key)));
    let mut read = BTreeMap::new();
    let mut answers = reads.buffer_unordered(READS_AT_ONCE);
    while let Some(answer) = answers.next().await {
        read.extend(answer?);
    }
    drop(answers);
    let (backups, orphans) = assemble(cluster, &objects, &read);
    Ok(DestinationCatalogue {
        destination: store.name().to_owned(),
        location: store.location(),
        problem: None,
        exit: None,
        backups,
        orphans,
    })
}

/// The bytes of a manifest; none when it was removed since it was listed. One that is too large,
/// or not what the store's own checksum says, is read as empty: that makes its backup a broken
/// one, and not the whole destination unreadable.
async fn read_manifest(
    store: &dyn Destination,
    key: String,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let bytes_max = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
    match store::read_small(store, &key, bytes_max).await {
        Ok(bytes) => Ok(Some((key, bytes.to_vec()))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound) => Ok(None),
        Err(e) if matches!(e.kind(), ErrorKind::TooLarge { .. } | ErrorKind::Corrupt { .. }) => {
            Ok(Some((key, Vec::new())))
        }
        Err(e) => Err(e),
    }
}
