//! The calls that make an object appear: Put Blob and Put Block List, each on the condition that
//! the key is free, and within the order of calls of [`CreateOnly`].
//!
//! Azure answers a taken key with 409 `BlobAlreadyExists`.

use super::error::write_verb;
use super::object::lock_end;
use super::parts::BlockIds;
use super::upload::stage;
use super::{AzureDestination, Container};
use crate::create_only::CreateOnly;
use crate::{ErrorKind, Keeping, LockMode, Operation, Result, Stored, Summary};
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{
    ClientMethodOptions, Context, NoFormat, Request, RequestContent, XmlFormat,
};
use azure_core::time::OffsetDateTime;
use azure_storage_blob::models::{
    AccessTier, BlockBlobClientCommitBlockListOptions, BlockBlobClientUploadOptions,
    BlockLookupList, ImmutabilityPolicyMode,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use std::num::NonZero;
use std::sync::Arc;

/// What every object is, whatever its name ends with.
const CONTENT_TYPE: &str = "application/octet-stream";
/// The words of Azure for the tiers that its blobs may be in.
const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];

/// CRC-64 of the body of a request whose options have no place for it.
#[derive(Debug, Clone, Copy)]
struct Crc64(u64);

/// The bytes of a CRC-64 as Azure wants them: its polynomial is that of CRC-64/NVME, its order is
/// little-endian.
pub(super) fn crc_bytes(crc: u64) -> Vec<u8> {
    crc.to_le_bytes().to_vec()
}

/// Puts the checksum of a whole blob on its way: the SDK's call for it takes none.
#[derive(Debug)]
pub(super) struct Checksums;

#[async_trait::async_trait]
impl Policy for Checksums {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        if let Some(crc) = context.value::<Crc64>() {
            request.insert_header("x-ms-content-crc64", BASE64.encode(crc_bytes(crc.0)));
        }
        next[0].send(context, request, &next[1..]).await
    }
}

/// Writes a small object in one request.
pub(super) async fn put_new(
    destination: &AzureDestination,
    operation: Operation,
    key: &str,
    bytes: Bytes,
    keeping: &Keeping,
) -> Result<Stored> {
    let name = destination.0.name_of(operation, key)?;
    let wanted = &Summary::of(&bytes);
    let create = CreateOnly { destination, operation, key, wanted };
    let staged = Staged { destination, key, name: &name, ids: BlockIds::new(), blocks: 0, keeping };
    create.write(|| staged.put(bytes.clone(), wanted)).await
}

pub(super) async fn put(
    container: &Container,
    name: &str,
    keeping: &Keeping,
    bytes: Bytes,
    wanted: &Summary,
) -> std::result::Result<Stored, ErrorKind> {
    let keep = Keep::of(keeping)?;
    let context = Context::new().with_value(Crc64(wanted.crc64nvme));
    // One byte more than there are: the SDK then sends them in one request.
    let whole = NonZero::<u64>::MIN.saturating_add(bytes.len() as u64);
    let options = BlockBlobClientUploadOptions {
        blob_content_type: Some(CONTENT_TYPE.to_owned()),
        blob_tags_string: keep.tags,
        encryption_scope: container.settings.encryption_scope.clone(),
        if_none_match: Some("*".into()),
        immutability_policy_expiry: keep.locked_until,
        immutability_policy_mode: keep.lock_mode,
        partition_size: Some(whole),
        tier: keep.tier,
        method_options: ClientMethodOptions { context },
        ..BlockBlobClientUploadOptions::default()
    };
    let body: RequestContent<Bytes, NoFormat> = bytes.into();
    let client = container.client.blob_client(name).block_blob_client();
    let put = client.upload(body, Some(options)).await;
    let put = put.map_err(|e| container.kind(&e, write_verb(keeping)))?;
    let etag = put.etag.map(|etag| etag.to_string());
    Ok(Stored { bytes: wanted.bytes, etag, version_id: put.version_id, existed: false })
}

/// The blocks of an upload, all of them in the store.
pub(super) struct Staged<'a> {
    pub(super) destination: &'a AzureDestination,
    pub(super) key: &'a str,
    pub(super) name: &'a str,
    pub(super) ids: BlockIds,
    /// They are numbered from 1.
    pub(super) blocks: u32,
    pub(super) keeping: &'a Keeping,
}

impl Staged<'_> {
    /// Puts a small object. Where blocks lie under the key that nobody committed, some servers
    /// take it for taken, though it shows nothing: a commit, then, does what Put Blob does not.
    async fn put(&self, bytes: Bytes, wanted: &Summary) -> std::result::Result<Stored, ErrorKind> {
        let container = &self.destination.0;
        let taken = match put(container, self.name, self.keeping, bytes.clone(), wanted).await {
            Err(ErrorKind::AlreadyExists) => ErrorKind::AlreadyExists,
            result => return result,
        };
        match container.look(Operation::Put, self.key).await {
            Ok(None) if bytes.is_empty() => self.commit(0).await,
            Ok(None) => {
                stage(container, self.name, &self.ids.id(1), bytes).await?;
                Staged { blocks: 1, ..*self }.commit(wanted.bytes).await
            }
            _ => Err(taken),
        }
    }

    /// Makes them one object.
    pub(super) async fn complete(&self, wanted: &Summary) -> Result<Stored> {
        let (destination, operation, key) = (self.destination, Operation::Complete, self.key);
        let create = CreateOnly { destination, operation, key, wanted };
        create.write(|| self.commit(wanted.bytes)).await
    }

    /// One attempt.
    pub(super) async fn commit(&self, bytes: u64) -> std::result::Result<Stored, ErrorKind> {
        let container = &self.destination.0;
        let keep = Keep::of(self.keeping)?;
        let ids = (1..=self.blocks).map(|number| self.ids.id(number)).collect();
        let list = BlockLookupList { latest: Some(ids), ..BlockLookupList::default() };
        let options = BlockBlobClientCommitBlockListOptions {
            blob_content_type: Some(CONTENT_TYPE.to_owned()),
            blob_tags_string: keep.tags,
            encryption_scope: container.settings.encryption_scope.clone(),
            if_none_match: Some("*".into()),
            immutability_policy_expiry: keep.locked_until,
            immutability_policy_mode: keep.lock_mode,
            tier: keep.tier,
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        let fail = |e| container.kind(&e, write_verb(self.keeping));
        let list: RequestContent<BlockLookupList, XmlFormat> = list.try_into().map_err(fail)?;
        let client = container.client.blob_client(self.name).block_blob_client();
        let done = client.commit_block_list(list, Some(options)).await.map_err(fail)?;
        let (etag, version_id) = (text(done.headers(), "etag"), "x-ms-version-id");
        let version_id = text(done.headers(), version_id);
        Ok(Stored { bytes, etag, version_id, existed: false })
    }
}

fn text(headers: &Headers, name: &'static str) -> Option<String> {
    headers.get_optional_string(&HeaderName::from_static(name))
}

/// How an object is to be kept, in the SDK's words.
#[derive(Default)]
struct Keep {
    tier: Option<AccessTier>,
    locked_until: Option<OffsetDateTime>,
    lock_mode: Option<ImmutabilityPolicyMode>,
    tags: Option<String>,
}

impl Keep {
    fn of(keeping: &Keeping) -> std::result::Result<Self, ErrorKind> {
        let mut keep = Keep::default();
        if let Some(class) = &keeping.storage_class {
            let known = TIERS.into_iter().find(|tier| tier.eq_ignore_ascii_case(class));
            keep.tier = known.and_then(|tier| tier.parse().ok());
            if keep.tier.is_none() {
                let said = format!("storage_class {class:?} is not one of Azure's");
                return Err(ErrorKind::Config { said, hint: "use Hot, Cool, Cold or Archive" });
            }
        }
        if let Some(lock) = keeping.lock {
            keep.locked_until = lock_end(lock.until);
            keep.lock_mode = Some(match lock.mode {
                LockMode::Governance => ImmutabilityPolicyMode::Unlocked,
                LockMode::Compliance => ImmutabilityPolicyMode::Locked,
            });
        }
        if !keeping.tags.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            keep.tags = Some(query.extend_pairs(&keeping.tags).finish());
        }
        Ok(keep)
    }
}
