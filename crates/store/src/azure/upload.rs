//! An upload of unknown length, in blocks, with a bounded number of them in flight.
//!
//! Until the first block is full nothing is sent: an object smaller than a block is one request.
//! Memory: the block being filled and `parts_in_flight` more.
//!
//! There is no call that takes blocks back. What an upload leaves that was given up is invisible,
//! and Azure throws it away a week after the last block, or when the key is written; so giving up
//! is only to stop sending, and nothing is reported as left behind.

use super::commit::{self, Staged, crc_bytes};
use super::error::WRITE;
use super::parts::{BLOCKS_MAX, BlockIds, block_bytes};
use super::{AzureDestination, Container};
use crate::patience::Patience;
use crate::summary::Tally;
use crate::{Acknowledged, ErrorKind, Keeping, Operation, Result, StoreError, Stored, Summary};
use async_trait::async_trait;
use azure_storage_blob::models::BlockBlobClientStageBlockOptions;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};

pub(super) struct AzureUpload {
    destination: AzureDestination,
    key: String,
    name: String,
    keeping: Keeping,
    acknowledged: Acknowledged,
    tally: Tally,
    filling: BytesMut,
    ids: BlockIds,
    /// The number of the last block that was sent.
    sent: u32,
    in_flight: JoinSet<Result<()>>,
}

impl AzureUpload {
    pub(super) fn new(
        destination: AzureDestination,
        key: &str,
        name: String,
        keeping: Keeping,
        acknowledged: Acknowledged,
    ) -> Self {
        AzureUpload {
            destination,
            key: key.to_owned(),
            name,
            keeping,
            acknowledged,
            tally: Tally::new(),
            filling: BytesMut::new(),
            ids: BlockIds::new(),
            sent: 0,
            in_flight: JoinSet::new(),
        }
    }

    fn container(&self) -> &Arc<Container> {
        &self.destination.0
    }

    fn error(&self, operation: Operation, kind: impl Into<ErrorKind>) -> StoreError {
        self.container().error(operation, &self.key, kind)
    }

    fn patience(&self) -> Patience {
        Patience::new(self.container().settings.patience, &self.acknowledged)
    }

    /// Sends a full block, waiting for a free place first.
    async fn send_block(&mut self, body: Bytes) -> Result<()> {
        if self.sent == BLOCKS_MAX {
            let said = format!("the object needs more than {BLOCKS_MAX} blocks");
            let hint = "raise part_bytes";
            return Err(self.error(Operation::Write, ErrorKind::Config { said, hint }));
        }
        while self.in_flight.len() >= self.container().pace.allowed() {
            self.collect_block().await?;
        }
        self.sent += 1;
        let block = Block {
            container: self.container().clone(),
            key: self.key.clone(),
            name: self.name.clone(),
            id: self.ids.id(self.sent),
            acknowledged: self.acknowledged.clone(),
        };
        let patience = self.patience();
        self.in_flight
            .spawn(async move { patience.insist_to_the_end(|| block.send(body.clone())).await });
        Ok(())
    }

    async fn collect_block(&mut self) -> Result<bool> {
        let Some(joined) = self.in_flight.join_next().await else {
            return Ok(false);
        };
        joined.unwrap_or_else(|e| self.not_joined(e))?;
        self.container().pace.faster();
        Ok(true)
    }

    fn not_joined<T>(&self, e: JoinError) -> Result<T> {
        match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => {
                let said = "the program is shutting down".to_owned();
                Err(self.error(Operation::Write, ErrorKind::Transient { said }))
            }
        }
    }

    async fn finish(&mut self, summary: &Summary) -> Result<Stored> {
        self.tally.check(summary).map_err(|kind| self.error(Operation::Complete, kind))?;
        let rest = std::mem::take(&mut self.filling).freeze();
        if self.sent == 0 {
            let (destination, key, keeping) = (&self.destination, &self.key, &self.keeping);
            let operation = Operation::Complete;
            let put = || commit::put_new(destination, operation, key, rest.clone(), keeping);
            let stored = self.patience().insist(put).await?;
            self.acknowledged.add(rest.len() as u64);
            return Ok(stored);
        }
        if !rest.is_empty() {
            self.send_block(rest).await?;
        }
        while self.collect_block().await? {}
        let staged = Staged {
            destination: &self.destination,
            key: &self.key,
            name: &self.name,
            ids: self.ids,
            blocks: self.sent,
            keeping: &self.keeping,
        };
        self.patience().insist(|| staged.complete(summary)).await
    }
}

#[async_trait]
impl crate::Upload for AzureUpload {
    async fn write(&mut self, mut block: Bytes) -> Result<()> {
        self.tally.update(&block);
        while !block.is_empty() {
            let size = block_bytes(self.container().settings.part_bytes, self.sent + 1);
            if self.filling.is_empty() && block.len() >= size {
                self.send_block(block.split_to(size)).await?;
                continue;
            }
            let piece = block.split_to(block.len().min(size - self.filling.len()));
            if self.filling.is_empty() {
                // Untouched memory costs nothing, and growing step by step would copy.
                self.filling.reserve(size);
            }
            self.filling.extend_from_slice(&piece);
            if self.filling.len() == size {
                let body = std::mem::take(&mut self.filling).freeze();
                self.send_block(body).await?;
            }
        }
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let finished = self.finish(summary).await;
        self.in_flight.shutdown().await;
        finished
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.in_flight.shutdown().await;
        Ok(())
    }
}

/// One block on its way.
struct Block {
    container: Arc<Container>,
    key: String,
    name: String,
    id: Vec<u8>,
    acknowledged: Acknowledged,
}

impl Block {
    /// A block that is sent again replaces itself.
    async fn send(&self, body: Bytes) -> Result<()> {
        let length = body.len() as u64;
        let staged = stage(&self.container, &self.name, &self.id, body).await;
        staged.map_err(|kind| self.container.error(Operation::Write, &self.key, kind))?;
        self.acknowledged.add(length);
        Ok(())
    }
}

/// Sends one block, with its checksum.
pub(super) async fn stage(
    container: &Container,
    name: &str,
    id: &[u8],
    body: Bytes,
) -> std::result::Result<(), ErrorKind> {
    let mut tally = Tally::new();
    tally.update(&body);
    let options = BlockBlobClientStageBlockOptions {
        encryption_scope: container.settings.encryption_scope.clone(),
        transactional_content_crc64: Some(crc_bytes(tally.crc64nvme())),
        ..BlockBlobClientStageBlockOptions::default()
    };
    let client = container.client.blob_client(name).block_blob_client();
    let staged = client.stage_block(id, body.len() as u64, body.into(), Some(options)).await;
    staged.map(drop).map_err(|e| container.kind(&e, WRITE))
}
