//! What a bucket does by itself: requests without the looks that make ordinary writes safe.
//!
//! Only `probe` uses these, on objects of its own.

use super::GcsDestination;
use super::object::DELETE_VERB;
use super::session::Session;
use crate::{ErrorKind, Examine, Keeping, Operation, Result, Summary};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

#[async_trait]
impl Examine for GcsDestination {
    async fn refuses_overwrite(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let name = self.0.name_of(Operation::Put, key)?;
        let crc = Summary::of(&bytes).crc32c;
        match self.0.put(&name, &Keeping::default(), bytes, crc).await {
            Ok(_) => Ok(false),
            Err(ErrorKind::AlreadyExists | ErrorKind::Conflict { .. }) => Ok(true),
            // Who may not delete may not write over an object either.
            Err(ErrorKind::Denied { verb: DELETE_VERB, .. }) => Ok(true),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn refuses_wrong_checksum(&self, key: &str, bytes: Bytes) -> Result<Option<bool>> {
        let name = self.0.name_of(Operation::Put, key)?;
        let wrong = !Summary::of(&bytes).crc32c;
        match self.0.put(&name, &Keeping::default(), bytes, wrong).await {
            Ok(_) => Ok(Some(false)),
            Err(ErrorKind::Corrupt { .. } | ErrorKind::Rejected { .. }) => Ok(Some(true)),
            // One that an earlier probe could not take away again.
            Err(ErrorKind::AlreadyExists) => Ok(Some(false)),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn begins_parts(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Create, key)?;
        let begun = Session::begin(self.0.clone(), &name, &Keeping::default()).await;
        let session = begun.map_err(|kind| self.0.error(Operation::Create, key, kind))?;
        session.cancel().await.map_err(|kind| self.0.error(Operation::CleanUp, key, kind))
    }

    async fn time(&self, key: &str) -> Option<Timestamp> {
        let name = self.0.name_of(Operation::Head, key).ok()?;
        // A refusal has a date as well.
        let _ = self.0.resource(&name).await;
        self.0.clock.now()
    }
}
