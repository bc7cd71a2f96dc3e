//! The calls that make an object appear: PUT and CompleteMultipartUpload, create-only.
//!
//! Each looks first (some servers ignore `If-None-Match`), writes on condition, and after any
//! failure looks again: an answer may have been lost after the store acted. Identical bytes
//! under the key are success, other bytes are `AlreadyExists`, none is the failure itself.

use super::S3Destination;
use super::begin::sse_headers;
use super::object::encode_crc;
use crate::{
    Checksum, Destination, ErrorKind, ObjectInfo, Operation, Result, StoreError, Stored, Summary,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass,
};
use bytes::Bytes;
use std::time::Duration;

/// What every object is, whatever its name ends with.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";
/// How often a write is tried while another writer is at work on the same key.
const CONFLICT_ATTEMPTS_MAX: u32 = 4;
/// The pause after the first conflict; it doubles.
const CONFLICT_PAUSE: Duration = Duration::from_millis(250);

/// What lies under a key, compared with what is to be written.
enum Found {
    Nothing,
    Same(ObjectInfo),
    Other,
}

/// The request that makes an object appear.
enum Write<'a> {
    Put { name: &'a str, class: Option<&'a str>, bytes: Bytes },
    Complete(&'a Parts<'a>),
}

impl Write<'_> {
    async fn attempt(
        &self,
        destination: &S3Destination,
        wanted: &Summary,
    ) -> std::result::Result<Stored, ErrorKind> {
        match self {
            Write::Put { name, class, bytes } => {
                put(destination, name, *class, bytes.clone(), wanted).await
            }
            Write::Complete(parts) => parts.attempt(wanted).await,
        }
    }
}

impl S3Destination {
    /// Looks what lies under the key. Where the store keeps no checksum of the whole object,
    /// an object of the right length is read in full.
    async fn compare(&self, operation: Operation, key: &str, wanted: &Summary) -> Result<Found> {
        let Some(info) = self.0.look(operation, key).await? else {
            return Ok(Found::Nothing);
        };
        let same = if info.bytes != wanted.bytes {
            false
        } else if let Some(crc) = info.crc64nvme {
            crc == wanted.crc64nvme
        } else {
            crate::read_back::summarize(self.read(key, None).await?).await? == *wanted
        };
        Ok(if same { Found::Same(info) } else { Found::Other })
    }

    /// The outcome of a write after `failure`, or of one not yet tried.
    async fn resolve(
        &self,
        operation: Operation,
        key: &str,
        wanted: &Summary,
    ) -> Result<Option<Stored>> {
        match self.compare(operation, key, wanted).await? {
            Found::Nothing => Ok(None),
            Found::Same(info) => Ok(Some(Stored::found(&info))),
            Found::Other => Err(self.0.error(operation, key, ErrorKind::AlreadyExists)),
        }
    }

    /// Tries `write` until it is known what became of the object.
    async fn create_only(
        &self,
        operation: Operation,
        key: &str,
        wanted: &Summary,
        write: Write<'_>,
    ) -> Result<Stored> {
        if let Some(stored) = self.resolve(operation, key, wanted).await? {
            return Ok(stored);
        }
        let mut pause = CONFLICT_PAUSE;
        let mut tries = 1;
        loop {
            let kind = match write.attempt(self, wanted).await {
                Ok(stored) => return Ok(stored),
                Err(kind) => kind,
            };
            let failure = self.0.error(operation, key, kind);
            match self.resolve(operation, key, wanted).await {
                Ok(Some(stored)) => return Ok(stored),
                Ok(None) => {}
                Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists) => return Err(e),
                Err(e) => return Err(unresolved(failure, &e)),
            }
            if !matches!(failure.kind(), ErrorKind::Conflict { .. })
                || tries == CONFLICT_ATTEMPTS_MAX
            {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            (pause, tries) = (pause * 2, tries + 1);
        }
    }
}

/// The first failure counts; that it could not be looked into is worth a word.
fn unresolved(failure: StoreError, look: &StoreError) -> StoreError {
    failure.leaving_behind(format!("possibly the whole object ({})", look.kind()))
}

/// Writes a small object in one request. The storage class is for artifacts: a manifest in an
/// archive could not be read back, nor listed with what it says.
pub(super) async fn put_new(
    destination: &S3Destination,
    operation: Operation,
    key: &str,
    bytes: Bytes,
) -> Result<Stored> {
    let name = destination.0.name_of(operation, key)?;
    let wanted = Summary::of(&bytes);
    let is_artifact = operation == Operation::Complete;
    let class = destination.0.settings.storage_class.as_deref().filter(|_| is_artifact);
    let write = Write::Put { name: &name, class, bytes };
    destination.create_only(operation, key, &wanted, write).await
}

pub(super) async fn put(
    destination: &S3Destination,
    name: &str,
    class: Option<&str>,
    bytes: Bytes,
    wanted: &Summary,
) -> std::result::Result<Stored, ErrorKind> {
    let bucket = &destination.0;
    let settings = &bucket.settings;
    let (sse, kms_key) = sse_headers(settings.sse.as_ref());
    let limits = bucket.limits(bytes.len());
    let request = bucket
        .client
        .put_object()
        .bucket(&settings.bucket)
        .key(name)
        .if_none_match("*")
        .content_type(CONTENT_TYPE)
        .set_storage_class(class.map(StorageClass::from))
        .set_server_side_encryption(sse)
        .set_ssekms_key_id(kms_key)
        .body(ByteStream::from(bytes));
    let request = match settings.checksum {
        Checksum::Full => request.checksum_crc64_nvme(encode_crc(wanted.crc64nvme)),
        Checksum::Part => request.checksum_algorithm(ChecksumAlgorithm::Crc32C),
        Checksum::None => request,
    };
    let answer = request.customize().config_override(limits).send().await;
    let put = answer.map_err(|e| bucket.kind(&e, "s3:PutObject"))?;
    let (etag, version_id) = (put.e_tag, put.version_id);
    Ok(Stored { bytes: wanted.bytes, etag, version_id, existed: false })
}

/// The parts of an upload, all of them in the store.
pub(super) struct Parts<'a> {
    pub(super) destination: &'a S3Destination,
    pub(super) key: &'a str,
    pub(super) name: &'a str,
    pub(super) upload_id: String,
    pub(super) parts: Vec<CompletedPart>,
}

impl Parts<'_> {
    /// Makes them one object.
    pub(super) async fn complete(&self, wanted: &Summary) -> Result<Stored> {
        let write = Write::Complete(self);
        self.destination.create_only(Operation::Complete, self.key, wanted, write).await
    }

    async fn attempt(&self, wanted: &Summary) -> std::result::Result<Stored, ErrorKind> {
        let bucket = &self.destination.0;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone()));
        let mut request = bucket
            .client
            .complete_multipart_upload()
            .bucket(&bucket.settings.bucket)
            .key(self.name)
            .upload_id(&self.upload_id)
            .multipart_upload(parts.build())
            .set_mpu_object_size(i64::try_from(wanted.bytes).ok())
            .if_none_match("*");
        if bucket.settings.checksum == Checksum::Full {
            request = request
                .checksum_crc64_nvme(encode_crc(wanted.crc64nvme))
                .checksum_type(ChecksumType::FullObject);
        }
        let answer = request.customize().config_override(bucket.limits(0)).send().await;
        let done = answer.map_err(|e| bucket.kind(&e, "s3:PutObject"))?;
        let (etag, version_id) = (done.e_tag, done.version_id);
        Ok(Stored { bytes: wanted.bytes, etag, version_id, existed: false })
    }
}
