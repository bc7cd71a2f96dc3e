//! What a container does by itself: requests without the looks that make ordinary writes safe.
//!
//! Only `probe` uses these, on objects of its own.

use super::AzureDestination;
use super::commit;
use super::parts::BlockIds;
use super::upload::stage;
use crate::{ErrorKind, Examine, Keeping, ObjectInfo, Operation, Protection, Result, Summary};
use async_trait::async_trait;
use azure_storage_blob::models::BlobContainerClientGetPropertiesResultHeaders as _;
use bytes::Bytes;
use jiff::Timestamp;

/// The content of a block that nobody will commit.
const BLOCK: &[u8] = b"Lifeboat wrote this to see whether it can.";

#[async_trait]
impl Examine for AzureDestination {
    async fn refuses_overwrite(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let name = self.0.name_of(Operation::Put, key)?;
        let wanted = Summary::of(&bytes);
        match commit::put(&self.0, &name, &Keeping::default(), bytes, &wanted).await {
            Ok(_) => Ok(false),
            Err(ErrorKind::AlreadyExists | ErrorKind::Conflict { .. }) => Ok(true),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn refuses_wrong_checksum(&self, key: &str, bytes: Bytes) -> Result<Option<bool>> {
        let name = self.0.name_of(Operation::Put, key)?;
        let right = Summary::of(&bytes);
        let wrong = Summary { crc64nvme: !right.crc64nvme, ..right };
        match commit::put(&self.0, &name, &Keeping::default(), bytes, &wrong).await {
            Ok(_) => Ok(Some(false)),
            Err(ErrorKind::Corrupt { .. } | ErrorKind::Rejected { .. }) => Ok(Some(true)),
            // One that an earlier probe could not take away again.
            Err(ErrorKind::AlreadyExists) => Ok(Some(false)),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    /// Azure throws the block away by itself, within a week.
    async fn begins_parts(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Create, key)?;
        let id = BlockIds::new().id(1);
        let staged = stage(&self.0, &name, &id, Bytes::from_static(BLOCK)).await;
        staged.map_err(|kind| self.0.error(Operation::Create, key, kind))
    }

    async fn time(&self, key: &str) -> Option<Timestamp> {
        // A refusal has a date as well.
        let _ = self.0.look(Operation::Head, key).await;
        self.0.clock.now()
    }

    /// Locks of single blobs need support for versions in the container, or in the whole account.
    async fn protection(&self) -> Protection {
        let Ok(answer) = self.0.client.get_properties(None).await else {
            // Not permitted, or not known to the server.
            return Protection::default();
        };
        let enabled = answer.is_immutable_storage_with_versioning_enabled().ok().flatten();
        Protection { locks: enabled, versions: enabled.filter(|enabled| *enabled) }
    }

    fn keeps_versions(&self, info: &ObjectInfo) -> Option<bool> {
        Some(info.version_id.is_some())
    }

    fn leftover_hint(&self) -> &'static str {
        "nothing: Azure throws blocks away that nobody commits within a week"
    }
}
