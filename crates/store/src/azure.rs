//! A container of Azure Blob Storage as a destination.
//!
//! Owns the mapping of keys to blob names. Objects are block blobs; what a container reports of
//! them includes no checksum of the whole, so that a look that has to tell same from other reads
//! the object.
//!
//! Permissions: reading and listing `…/blobs/read` (in a SAS `r`, `l`), writing `…/blobs/write` (`c`,
//! `w`), deleting `…/blobs/delete` (`d`). Tags become tags of the blob index, which need
//! `…/blobs/tags/write` and `…/blobs/tags/read` as well (`t`), and a lock needs that of immutability
//! policies (`i`), in a container with support for them by version.
//!
//! Does not: create containers, change policies or lifecycle rules, or touch versions and snapshots
//! of blobs.

mod body;
mod client;
mod commit;
mod copy;
mod credentials;
mod customer_key;
mod entra;
mod error;
mod examine;
#[cfg(debug_assertions)]
mod failpoints;
mod list;
mod object;
mod parts;
mod retry;
mod sign;
mod upload;
mod wire;

use crate::clock::StoreClock;
use crate::key::{check_key, check_prefix};
use crate::pace::Pace;
use crate::patience::Patience;
use crate::{
    Acknowledged, AzureSettings, Blocks, Destination, ErrorKind, Examine, Keeping, ObjectInfo,
    Operation, Result, StoreError, Stored, Upload,
};
use async_trait::async_trait;
use azure_storage_blob::BlobContainerClient;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A container with a prefix.
#[derive(Clone)]
pub struct AzureDestination(Arc<Container>);

/// What all requests to one container share.
struct Container {
    client: BlobContainerClient,
    settings: AzureSettings,
    /// Empty, or ends with a slash.
    prefix: String,
    pace: Pace,
    clock: StoreClock,
    signer: Arc<sign::Signer>,
    customer_key: Option<customer_key::CustomerKey>,
}

impl AzureDestination {
    /// Prepares the client; contacts nobody, and reads no credentials before they are needed.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for settings out of range, an unusable CA file or customer's key.
    #[expect(clippy::unused_async, reason = "destinations of every kind are opened alike")]
    pub async fn open(settings: AzureSettings) -> Result<Self> {
        let fail = |kind| StoreError::new(&settings.name, Operation::Open, "", kind);
        client::check(&settings).map_err(fail)?;
        let client::Built { client, pace, clock, signer, customer_key } =
            client::build(&settings).map_err(fail)?;
        let prefix = match settings.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let container = Container { client, settings, prefix, pace, clock, signer, customer_key };
        Ok(AzureDestination(Arc::new(container)))
    }
}

impl Container {
    fn error(&self, operation: Operation, key: &str, kind: impl Into<ErrorKind>) -> StoreError {
        const MISSING: &str =
            "name a sas_file or account_key_file, or give this machine an identity";
        const INVALID: &str =
            "correct sas_file or account_key_file, or the identity of this machine";
        StoreError::new(&self.settings.name, operation, key, kind).hinting(MISSING, INVALID)
    }

    /// The blob name of a key.
    fn name_of(&self, operation: Operation, key: &str) -> Result<String> {
        check_key(key).map_err(|e| self.error(operation, key, e))?;
        Ok(format!("{}{key}", self.prefix))
    }

    /// What blob names that belong to `prefix` begin with.
    fn prefix_of(&self, operation: Operation, prefix: &str) -> Result<String> {
        check_prefix(prefix).map_err(|e| self.error(operation, prefix, e))?;
        Ok(format!("{}{prefix}", self.prefix))
    }
}

#[async_trait]
impl Destination for AzureDestination {
    fn name(&self) -> &str {
        &self.0.settings.name
    }

    fn location(&self) -> String {
        let Container { settings, prefix, .. } = &*self.0;
        let object = format!("az://{}/{}/{prefix}", settings.account, settings.container);
        match &settings.endpoint_url {
            Some(endpoint) => format!("{object} at {}", endpoint.as_str()),
            None => object,
        }
    }

    fn store_time(&self) -> Option<jiff::Timestamp> {
        self.0.clock.now()
    }

    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        let name = self.0.name_of(Operation::Create, key)?;
        if self.0.look(Operation::Create, key).await?.is_some() {
            return Err(self.0.error(Operation::Create, key, ErrorKind::AlreadyExists));
        }
        let upload =
            upload::AzureUpload::new(self.clone(), key, name, keeping.clone(), acknowledged);
        Ok(Box::new(upload))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored> {
        let patience = Patience::new(self.0.settings.patience, &Acknowledged::default());
        let put = || commit::put_new(self, Operation::Put, key, bytes.clone(), keeping);
        patience.insist(put).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.0.look(Operation::Head, key).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        body::read(self.0.clone(), key, range).await
    }

    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        bytes: u64,
        keeping: &Keeping,
    ) -> Result<Option<Stored>> {
        match source.as_any().downcast_ref::<AzureDestination>() {
            Some(from) => copy::copy(self, from, key, bytes, keeping).await,
            None => Ok(None),
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        list::list(&self.0, prefix).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Delete, key)?;
        match self.0.client.blob_client(&name).delete(None).await {
            Ok(_) => Ok(()),
            Err(e) => match self.0.kind(&e, error::DELETE) {
                ErrorKind::NotFound => Ok(()),
                kind => {
                    let kind = self.0.locked_until(key, kind).await;
                    Err(self.0.error(Operation::Delete, key, kind))
                }
            },
        }
    }

    /// Azure has no call that takes blocks back, and throws those away by itself that nobody
    /// committed for a week. Committing them in order to delete them would make half an object
    /// visible, so nothing is done and nothing is asked.
    async fn abort_stale_uploads(&self, prefix: &str, _: jiff::Timestamp) -> Result<Vec<String>> {
        self.0.prefix_of(Operation::CleanUp, prefix).map(|_| Vec::new())
    }

    fn examine(&self) -> Option<&dyn Examine> {
        Some(self)
    }

    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        let checked = object::check_tier(keeping, info)
            .and_then(|()| object::check_lock(keeping, info))
            .and_then(|()| object::check_encryption(&self.0.settings, info));
        checked.map_err(|kind| self.0.error(Operation::ReadBack, &info.key, kind))
    }

    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        self.audit(&info, keeping)?;
        let name = self.0.name_of(Operation::ReadBack, &info.key)?;
        let checked = self.0.check_tags(&name, keeping).await;
        checked.map_err(|kind| self.0.error(Operation::ReadBack, &info.key, kind)).map(|()| info)
    }
}

#[cfg(test)]
mod tests;
