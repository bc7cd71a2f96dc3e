//! An upload into a directory: a file that gets its name when it is whole.

use super::{FileDestination, io, summary_of};
use crate::error::local;
use crate::summary::Tally;
use crate::{
    Acknowledged, Destination, ErrorKind, Operation, Result, StoreError, Stored, Summary, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use durable::NewFile;
use std::io::Write;

/// So much is left to the file system before it is synced. A later sync has to be waited for by a
/// whole run that has nothing else left to do.
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;

pub(super) struct FileUpload {
    destination: FileDestination,
    key: String,
    /// Absent while a write is under way, and for good after one that failed.
    file: Option<NewFile>,
    tally: Tally,
    unsynced_bytes: u64,
    acknowledged: Acknowledged,
}

impl FileUpload {
    pub(super) fn new(
        destination: FileDestination,
        key: &str,
        file: NewFile,
        acknowledged: Acknowledged,
    ) -> Self {
        let (key, tally) = (key.to_owned(), Tally::new());
        FileUpload { destination, key, file: Some(file), tally, unsynced_bytes: 0, acknowledged }
    }

    fn error(&self, operation: Operation, kind: ErrorKind) -> StoreError {
        self.destination.error(operation, &self.key, kind)
    }

    fn take(&mut self, operation: Operation) -> Result<NewFile> {
        let said = "an earlier write of this upload failed".to_owned();
        self.file.take().ok_or_else(|| self.error(operation, ErrorKind::Transient { said }))
    }
}

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        let mut file = self.take(Operation::Write)?;
        let length = block.len() as u64;
        self.tally.update(&block);
        self.unsynced_bytes += length;
        let is_due = self.unsynced_bytes >= UNSYNCED_BYTES_MAX;
        let written = io::blocking(move || {
            file.write_all(&block).map_err(|e| local("write", file.path(), e))?;
            if is_due {
                file.sync_so_far().map_err(ErrorKind::Local)?;
            }
            Ok(file)
        });
        if is_due {
            self.unsynced_bytes = 0;
        }
        self.file = Some(written.await.map_err(|kind| self.error(Operation::Write, kind))?);
        let before = self.acknowledged.bytes();
        self.acknowledged.add(length);
        let count = usize::try_from(length).unwrap_or(usize::MAX);
        failpoint::pass_bytes("store.file.written", before, count);
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let file = self.take(Operation::Complete)?;
        self.tally.check(summary).map_err(|kind| self.error(Operation::Complete, kind))?;
        match io::blocking(move || file.publish_new().map_err(io::taken_or_local)).await {
            Ok(()) => {}
            Err(ErrorKind::AlreadyExists) => {
                let found = summary_of(&self.destination, &self.key).await?;
                let info = self.destination.head(&self.key).await?;
                return match info {
                    Some(info) if found == *summary => Ok(Stored::found(&info)),
                    _ => Err(self.error(Operation::Complete, ErrorKind::AlreadyExists)),
                };
            }
            Err(kind) => return Err(self.error(Operation::Complete, kind)),
        }
        Ok(Stored { bytes: summary.bytes, etag: None, version_id: None, existed: false })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let file = self.file.take();
        io::blocking(move || {
            drop(file);
            Ok(())
        })
        .await
        .map_err(|kind| self.error(Operation::Abort, kind))
    }
}
