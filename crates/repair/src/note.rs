//! Records of what was found of a copy, written beside its manifest.

use crate::crew::{Crew, in_time, put};
use crate::error::Error;
use bytes::Bytes;
use catalogue::{Depth, Finding, Manifest, Record};
use store::{ErrorKind, Keeping, Operation};

/// What is to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// The manifest of the backup.
    pub manifest: &'a Manifest,
    /// SHA-256 of its bytes, in hex.
    pub manifest_sha256: &'a str,
    /// What was found.
    pub finding: Finding,
    /// How deep somebody looked.
    pub depth: Depth,
    /// For people.
    pub summary: &'a str,
}

impl Crew {
    /// Records it in this destination, and gives the key of the record.
    ///
    /// # Errors
    /// When it cannot be written, or not be read back.
    pub async fn note(&self, destination: &str, note: Note<'_>) -> Result<String, Error> {
        let opened = self.destination(destination)?;
        let (run, at, how) = (self.new_run(), self.clock.now(), (note.finding, note.depth));
        let tool = self.tool.clone();
        let record = Record::new(note.manifest, note.manifest_sha256, &run, at, how, tool);
        let record = record.saying(note.summary);
        let name = record.object_name(&note.manifest.tier).map_err(Error::Record)?;
        let (key, bytes) = (name.key(&self.cluster), Bytes::from(record.to_bytes()));
        // Not locked: a record goes as soon as a newer one says the same.
        let keeping = opened.keeping(&note.manifest.tier, note.manifest.taken_at).of_record();
        put(opened, &key, &bytes, Keeping { lock: None, ..keeping }).await?;
        failpoint::pass("repair.noted");
        Ok(key)
    }

    /// Removes records that newer ones make superfluous. Where that is not permitted they stay until
    /// their backup goes.
    pub async fn sweep(&self, destination: &str, keys: &[String]) {
        let Ok(opened) = self.destination(destination) else { return };
        for key in keys {
            let removing = opened.store.delete(key);
            match in_time(opened, Operation::Delete, key, removing).await {
                Ok(()) => failpoint::pass("repair.swept"),
                Err(e) if matches!(e.kind(), ErrorKind::Denied { .. }) => return,
                Err(e) => {
                    tracing::warn!("{e}");
                    return;
                }
            }
        }
    }
}
