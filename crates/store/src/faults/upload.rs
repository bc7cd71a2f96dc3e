//! An upload that goes wrong on purpose.

use super::rules::Fault;
use super::{Answered, FaultStore, created, disturbed};
use crate::create_only::CreateOnly;
use crate::summary::Tally;
use crate::{Acknowledged, ErrorKind, Operation, Result, Stored, Summary, Summer, Upload};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

pub(super) struct FaultUpload {
    store: FaultStore,
    key: String,
    /// Absent once it was completed or given up.
    upload: Mutex<Option<Box<dyn Upload>>>,
    /// What was sent.
    tally: Tally,
    /// What got there, which a store may alter.
    arrived: Summer,
    acknowledged: Acknowledged,
}

impl FaultUpload {
    pub(super) fn new(
        store: FaultStore,
        key: &str,
        upload: Box<dyn Upload>,
        acknowledged: Acknowledged,
    ) -> Self {
        let (key, upload) = (key.to_owned(), Mutex::new(Some(upload)));
        let (tally, arrived) = (Tally::new(), Summer::default());
        FaultUpload { store, key, upload, tally, arrived, acknowledged }
    }

    /// One request to make it an object.
    async fn complete_once(&self, wanted: &Summary) -> Answered<Stored> {
        let fault = self.store.next(Operation::Complete, &self.key);
        if matches!(fault, Some(Fault::Lost)) {
            self.upload.lock().await.take();
            return Ok(self.store.acknowledge_lost(&self.key, wanted.bytes));
        }
        let complete = async {
            let Some(mut upload) = self.upload.lock().await.take() else {
                let said = "there is no such upload any more".to_owned();
                return Err(ErrorKind::Transient { said });
            };
            // What a store was sent altered, it keeps altered.
            let arrived = self.arrived.summary();
            if arrived != *wanted {
                self.store.note_spoilt(&self.key);
            }
            created(upload.complete(&arrived).await)
        };
        let stored = disturbed(fault.as_ref(), complete).await?;
        self.store.spoil(&self.key, fault.as_ref()).await?;
        Ok(stored)
    }
}

#[async_trait]
impl Upload for FaultUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.tally.update(&block);
        let length = block.len() as u64;
        let fault = self.store.next(Operation::Write, &self.key);
        let sent = fault.and_then(|fault| fault.spoilt(&block)).unwrap_or(block);
        let write = async {
            let mut upload = self.upload.lock().await;
            let Some(upload) = upload.as_mut() else {
                let said = "an earlier write of this upload failed".to_owned();
                return Err(ErrorKind::Transient { said });
            };
            upload.write(sent.clone()).await.map_err(crate::StoreError::into_kind)
        };
        let written = disturbed(fault.as_ref(), write).await;
        written.map_err(|kind| self.store.error(Operation::Write, &self.key, kind))?;
        self.arrived.update(&sent);
        self.acknowledged.add(length);
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let operation = Operation::Complete;
        let checked = self.tally.check(summary);
        let create =
            CreateOnly { destination: &self.store, operation, key: &self.key, wanted: summary };
        let done = match checked {
            Ok(()) => create.write(|| self.complete_once(summary)).await,
            Err(kind) => Err(self.store.error(operation, &self.key, kind)),
        };
        if let Some(left) = self.upload.lock().await.take() {
            // Its parts are the wrapped destination's to keep; nothing was published.
            let _ = left.abort().await;
        }
        done
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let fault = self.store.next(Operation::Abort, &self.key);
        let abort = async {
            match self.upload.lock().await.take() {
                Some(upload) => upload.abort().await,
                None => Ok(()),
            }
        };
        self.store.call(Operation::Abort, &self.key, fault.as_ref(), abort).await
    }
}
