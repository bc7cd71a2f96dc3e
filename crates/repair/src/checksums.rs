//! The checksums that stores keep of whole objects, compared with each other where several keep the
//! same kind: one of two copies that differ is another object than was stored.
//!
//! Does not: find bytes that rotted under a checksum that did not; `lifeboat scrub` does.

use crate::crew::{Crew, in_time};
use crate::note::Note;
use catalogue::{Backup, BackupName, Catalogue, Depth, Finding, Looked, State};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use store::Operation;

/// Objects that are asked about at once.
const HEADS_AT_ONCE: usize = 16;

/// What one store keeps of one artifact.
struct Kept {
    backup: BackupName,
    destination: String,
    crc64nvme: Option<u64>,
    crc32c: Option<u32>,
}

impl Crew {
    /// Asks the stores, reads what they disagree about, and marks what is damaged: in its
    /// destination and in `catalogue`.
    pub async fn compare_checksums(&self, catalogue: &mut Catalogue) {
        for (backup, destination) in self.in_doubt(catalogue).await {
            let copies = catalogue.destinations.iter_mut().filter(|d| d.destination == destination);
            let copy = copies.flat_map(|d| d.backups.iter_mut()).find(|b| b.name == backup);
            if let Some(copy) = copy {
                self.judge(&destination, copy).await;
            }
        }
    }

    /// The copies that another one contradicts.
    async fn in_doubt(&self, catalogue: &Catalogue) -> BTreeSet<(BackupName, String)> {
        let mut copies: BTreeMap<&BackupName, Vec<(&str, &Backup)>> = BTreeMap::new();
        for (destination, backup) in catalogue.copies().filter(|(_, b)| b.state.is_trusted()) {
            // A directory keeps none.
            if self.opened.get(destination).is_some_and(|opened| opened.is_remote) {
                copies.entry(&backup.name).or_default().push((destination, backup));
            }
        }
        let several = copies.into_values().filter(|copies| copies.len() > 1).flatten();
        let heads = several.map(|(destination, backup)| self.ask(destination, backup));
        let heads: Vec<_> = heads.collect();
        let kept: Vec<Kept> = futures::stream::iter(heads)
            .buffer_unordered(HEADS_AT_ONCE)
            .filter_map(async |kept| kept)
            .collect()
            .await;
        let mut doubted = BTreeSet::new();
        for one in &kept {
            let others = kept.iter().filter(|other| other.backup == one.backup);
            let differs = |other: &Kept| {
                let differ = |a: Option<u64>, b: Option<u64>| a.is_some() && b.is_some() && a != b;
                differ(one.crc64nvme, other.crc64nvme)
                    || differ(one.crc32c.map(u64::from), other.crc32c.map(u64::from))
            };
            if others.into_iter().any(differs) {
                doubted.insert((one.backup.clone(), one.destination.clone()));
            }
        }
        doubted
    }

    async fn ask(&self, destination: &str, backup: &Backup) -> Option<Kept> {
        let (opened, manifest) = (self.destination(destination).ok()?, backup.manifest.as_ref()?);
        let key = manifest.artifact_key();
        let asking = opened.store.head(&key);
        // Whoever cannot answer now contradicts nobody.
        let info = in_time(opened, Operation::Head, &key, asking).await.ok()??;
        Some(Kept {
            backup: backup.name.clone(),
            destination: destination.to_owned(),
            crc64nvme: info.crc64nvme,
            crc32c: info.crc32c,
        })
    }

    /// Reads a copy that is contradicted.
    async fn judge(&self, destination: &str, copy: &mut Backup) {
        let Some(manifest) = copy.manifest.clone() else { return };
        let problem = match self.read_whole(destination, &manifest).await {
            Ok(Some(Err(problem))) => problem,
            Ok(_) => return,
            Err(e) => return tracing::warn!("{}", e.told()),
        };
        tracing::warn!("the copy of {} in {destination} is damaged: {problem}", copy.name);
        let note = Note {
            manifest: &manifest,
            manifest_sha256: &copy.manifest_sha256,
            finding: Finding::Suspect,
            depth: Depth::Digest,
            summary: &problem,
        };
        if let Err(e) = self.note(destination, note).await {
            tracing::warn!("it could not be marked: {}", e.told());
        }
        copy.state = State::Suspect;
        copy.doubt = Some(Looked { at: self.now(), depth: Depth::Digest });
        copy.problem = Some(problem);
    }
}
