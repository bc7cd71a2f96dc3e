//! CreateMultipartUpload: where class, lock, tags, encryption and kind of checksum are asked for.

use super::{Bucket, commit, keep};
use crate::{Checksum, ErrorKind, Keeping, Operation, Result, Sse};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, ServerSideEncryption, StorageClass};
use std::sync::Arc;

/// Begins an upload and returns its id.
pub(super) async fn begin(
    bucket: Arc<Bucket>,
    key: String,
    name: String,
    keeping: Keeping,
) -> Result<String> {
    let begun = bucket.begin_upload(name, &keeping, bucket.settings.checksum).await;
    begun.map_err(|kind| bucket.error(Operation::Write, &key, kind))
}

impl Bucket {
    /// The same, without a word about the key, and with any kind of checksum.
    pub(super) async fn begin_upload(
        &self,
        name: String,
        keeping: &Keeping,
        checksum: Checksum,
    ) -> std::result::Result<String, ErrorKind> {
        let settings = &self.settings;
        let (algorithm, kind) = match checksum {
            Checksum::Full => (Some(ChecksumAlgorithm::Crc64Nvme), Some(ChecksumType::FullObject)),
            Checksum::Part => (Some(ChecksumAlgorithm::Crc32C), Some(ChecksumType::Composite)),
            Checksum::None => (None, None),
        };
        let (sse, kms_key) = sse_headers(settings.sse.as_ref());
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&settings.bucket)
            .key(name)
            .content_type(commit::CONTENT_TYPE)
            .set_checksum_algorithm(algorithm)
            .set_checksum_type(kind)
            .set_storage_class(keeping.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(sse)
            .set_ssekms_key_id(kms_key)
            .set_object_lock_mode(keep::lock_mode(keeping))
            .set_object_lock_retain_until_date(keep::locked_until(keeping))
            .set_tagging(keep::tagging(keeping));
        let answer = request.customize().config_override(self.limits(0)).send().await;
        let begun = answer.map_err(|e| self.kind(&e, keep::put_verb(keeping)))?;
        let said = "the store named no upload id".to_owned();
        begun.upload_id.ok_or(ErrorKind::Transient { said })
    }
}

/// The two headers that ask for encryption with a key of the store's side.
pub(super) fn sse_headers(sse: Option<&Sse>) -> (Option<ServerSideEncryption>, Option<String>) {
    match sse {
        Some(Sse::S3) => (Some(ServerSideEncryption::Aes256), None),
        Some(Sse::Kms { key_id }) => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        Some(Sse::Customer { .. } | Sse::Other(_)) | None => (None, None),
    }
}
