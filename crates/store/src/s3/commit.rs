//! The calls that make an object appear: PUT and CompleteMultipartUpload, each on the condition
//! that the key is free, and within the order of calls of [`CreateOnly`].

use super::begin::sse_headers;
use super::object::encode_crc;
use super::{S3Destination, keep};
use crate::create_only::CreateOnly;
use crate::{Checksum, ErrorKind, Keeping, Operation, Result, Stored, Summary};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass,
};
use bytes::Bytes;

/// What every object is, whatever its name ends with.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

/// Writes a small object in one request.
pub(super) async fn put_new(
    destination: &S3Destination,
    operation: Operation,
    key: &str,
    bytes: Bytes,
    keeping: &Keeping,
) -> Result<Stored> {
    let name = destination.0.name_of(operation, key)?;
    let wanted = &Summary::of(&bytes);
    let create = CreateOnly { destination, operation, key, wanted };
    create.write(|| put(destination, &name, keeping, bytes.clone(), wanted)).await
}

pub(super) async fn put(
    destination: &S3Destination,
    name: &str,
    keeping: &Keeping,
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
        .set_storage_class(keeping.storage_class.as_deref().map(StorageClass::from))
        .set_server_side_encryption(sse)
        .set_ssekms_key_id(kms_key)
        .set_object_lock_mode(keep::lock_mode(keeping))
        .set_object_lock_retain_until_date(keep::locked_until(keeping))
        .set_tagging(keep::tagging(keeping))
        .body(ByteStream::from(bytes));
    let request = match settings.checksum {
        Checksum::Full => request.checksum_crc64_nvme(encode_crc(wanted.crc64nvme)),
        Checksum::Part => request.checksum_algorithm(ChecksumAlgorithm::Crc32C),
        Checksum::None => request,
    };
    let answer = request.customize().config_override(limits).send().await;
    let put = answer.map_err(|e| bucket.kind(&e, keep::put_verb(keeping)))?;
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
        let (destination, operation, key) = (self.destination, Operation::Complete, self.key);
        let create = CreateOnly { destination, operation, key, wanted };
        create.write(|| self.attempt(wanted)).await
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
