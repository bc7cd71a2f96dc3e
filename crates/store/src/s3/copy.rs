//! A copy from one bucket to another of the same provider, made by the store itself.
//!
//! Owns: when there is such a way, and the two forms of it: one request for an object of up to 5 GiB,
//! ranges as parts of an upload for a larger one. Both are bound to the very version of the source
//! that was looked at, and create-only like any other write.
//!
//! Does not: prove the copy. Nobody here has seen its bytes, so it has to be read back; nor name a
//! kind of checksum: Amazon keeps the source's or makes its own, MinIO demands of ranges what it does
//! not tell of them, and moto computes a wrong one.

use super::customer::CustomerKey;
use super::parts::PARTS_MAX;
use super::{Bucket, S3Destination, begin, cleanup, keep};
use crate::{Checksum, ErrorKind, Keeping, ObjectInfo, Operation, PART_BYTES_MIN, Result, Stored};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, MetadataDirective, StorageClass, TaggingDirective,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt::Write as _;
use std::ops::Range;

/// The size of the ranges of a large object, where they are not too many.
const RANGE_BYTES: u64 = 256 << 20;
/// Reading one side and writing the other are two permissions; the answer does not say which.
const VERB: &str = "s3:PutObject here and s3:GetObject at the source";

/// Copies `key`, where the two buckets are within each other's reach.
pub(super) async fn copy_from(
    to: &S3Destination,
    from: &S3Destination,
    key: &str,
    bytes: u64,
    keeping: &Keeping,
) -> Result<Option<Stored>> {
    if !are_neighbours(&to.0, &from.0) {
        return Ok(None);
    }
    let Some(source) = from.0.look(Operation::Copy, key).await? else {
        return Err(from.0.error(Operation::Copy, key, ErrorKind::NotFound));
    };
    if source.bytes != bytes {
        let (expected, found) = (bytes.to_string(), source.bytes.to_string());
        let check = "length of the source";
        return Err(from.0.error(
            Operation::Copy,
            key,
            ErrorKind::Corrupt { check, expected, found },
        ));
    }
    let copy = Copying {
        to: &to.0,
        name: to.0.name_of(Operation::Copy, key)?,
        place: place(&from.0, key, &source),
        customer: from.0.customer_key.clone(),
        source,
        keeping,
    };
    copy.create().await.map(Some)
}

/// The same server; or two regions of Amazon's that know each other.
fn are_neighbours(to: &Bucket, from: &Bucket) -> bool {
    let endpoint = |bucket: &Bucket| bucket.settings.endpoint_url.clone();
    let partition = |bucket: &Bucket| {
        let region = bucket.client.config().region().map(|region| region.as_ref().to_owned());
        let apart = ["cn-", "us-gov-", "us-iso", "eusc-"];
        apart.into_iter().find(|begin| region.as_ref().is_some_and(|r| r.starts_with(begin)))
    };
    endpoint(to) == endpoint(from) && partition(to) == partition(from)
}

/// Bucket, name and version, as a header that must be plain ASCII.
fn place(from: &Bucket, key: &str, source: &ObjectInfo) -> String {
    let mut place = String::new();
    for byte in format!("{}/{}{key}", from.settings.bucket, from.prefix).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                place.push(byte.into());
            }
            // Writing to a string cannot fail.
            _ => drop(write!(place, "%{byte:02X}")),
        }
    }
    if let Some(version) = &source.version_id {
        let _ = write!(place, "?versionId={version}");
    }
    place
}

struct Copying<'a> {
    to: &'a Bucket,
    /// The object's name here.
    name: String,
    /// The object there.
    place: String,
    customer: Option<CustomerKey>,
    source: ObjectInfo,
    keeping: &'a Keeping,
}

impl Copying<'_> {
    async fn create(&self) -> Result<Stored> {
        let key = &self.source.key;
        if let Some(stored) = self.found().await? {
            return Ok(stored);
        }
        let copied = match self.source.bytes <= self.to.settings.copy_bytes_max {
            true => self.whole().await,
            false => self.in_ranges().await,
        };
        let kind = match copied {
            Ok(stored) => return Ok(stored),
            Err(kind) => kind,
        };
        // The answer may have been lost after the store acted.
        match self.found().await {
            Ok(Some(stored)) => Ok(stored),
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists) => Err(e),
            _ => Err(self.to.error(Operation::Copy, key, kind)),
        }
    }

    /// What lies under the key here. What cannot be told apart by length and checksum passes: it is
    /// read back, like the copy.
    async fn found(&self) -> Result<Option<Stored>> {
        let key = &self.source.key;
        let Some(info) = self.to.look(Operation::Copy, key).await? else {
            return Ok(None);
        };
        let differs = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        if info.bytes != self.source.bytes || differs(info.crc64nvme, self.source.crc64nvme) {
            return Err(self.to.error(Operation::Copy, key, ErrorKind::AlreadyExists));
        }
        Ok(Some(Stored::found(&info)))
    }

    /// The key that opens the source goes with each request that reads it.
    fn source_key(&self) -> Vec<(String, String)> {
        self.customer.iter().flat_map(|key| key.headers("copy-source-")).collect()
    }

    async fn whole(&self) -> std::result::Result<Stored, ErrorKind> {
        let settings = &self.to.settings;
        let (sse, kms_key) = begin::sse_headers(settings.sse.as_ref());
        let keys = self.source_key();
        let request = self
            .to
            .client
            .copy_object()
            .bucket(&settings.bucket)
            .key(&self.name)
            .copy_source(&self.place)
            .set_copy_source_if_match(self.source.etag.clone())
            .if_none_match("*")
            .metadata_directive(MetadataDirective::Copy)
            // To copy tags would take a permission at the source; those that are wanted are known.
            .tagging_directive(TaggingDirective::Replace)
            .set_tagging(keep::tagging(self.keeping))
            .set_storage_class(self.keeping.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(sse)
            .set_ssekms_key_id(kms_key)
            .set_object_lock_mode(keep::lock_mode(self.keeping))
            .set_object_lock_retain_until_date(keep::locked_until(self.keeping))
            .customize()
            .mutate_request(move |request| {
                for (name, value) in keys.clone() {
                    request.headers_mut().insert(name, value);
                }
            })
            .config_override(self.to.copy_limits(self.source.bytes));
        let copied = request.send().await.map_err(|e| self.to.kind(&e, VERB))?;
        let etag = copied.copy_object_result.and_then(|result| result.e_tag);
        let version_id = copied.version_id;
        Ok(Stored { bytes: self.source.bytes, etag, version_id, existed: false })
    }

    async fn in_ranges(&self) -> std::result::Result<Stored, ErrorKind> {
        let upload_id =
            self.to.begin_upload(self.name.clone(), self.keeping, Checksum::None).await?;
        let stored = self.fill(&upload_id).await;
        if stored.is_err() {
            // The failure counts; what stays of the parts, a later run throws away.
            let _ = cleanup::abort(self.to, &self.name, &upload_id).await;
        }
        stored
    }

    async fn fill(&self, upload_id: &str) -> std::result::Result<Stored, ErrorKind> {
        let settings = &self.to.settings;
        let ranges = (1..).zip(ranges(self.source.bytes, settings.copy_bytes_max));
        let parts = ranges.map(|(number, range)| self.range(upload_id, number, range));
        let parts: Vec<CompletedPart> =
            stream::iter(parts).buffered(settings.parts_in_flight).try_collect().await?;
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self
            .to
            .client
            .complete_multipart_upload()
            .bucket(&settings.bucket)
            .key(&self.name)
            .upload_id(upload_id)
            .multipart_upload(upload)
            .set_mpu_object_size(i64::try_from(self.source.bytes).ok())
            .if_none_match("*")
            .customize()
            .config_override(self.to.limits(0));
        let done = request.send().await.map_err(|e| self.to.kind(&e, VERB))?;
        let (etag, version_id) = (done.e_tag, done.version_id);
        Ok(Stored { bytes: self.source.bytes, etag, version_id, existed: false })
    }

    async fn range(
        &self,
        upload_id: &str,
        number: i32,
        range: Range<u64>,
    ) -> std::result::Result<CompletedPart, ErrorKind> {
        let keys = self.source_key();
        let request = self
            .to
            .client
            .upload_part_copy()
            .bucket(&self.to.settings.bucket)
            .key(&self.name)
            .upload_id(upload_id)
            .part_number(number)
            .copy_source(&self.place)
            .set_copy_source_if_match(self.source.etag.clone())
            .copy_source_range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))
            .customize()
            .mutate_request(move |request| {
                for (name, value) in keys.clone() {
                    request.headers_mut().insert(name, value);
                }
            })
            .config_override(self.to.copy_limits(range.end - range.start));
        let copied = request.send().await.map_err(|e| self.to.kind(&e, VERB))?;
        let etag = copied.copy_part_result.and_then(|result| result.e_tag);
        Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
    }
}

/// The ranges of an object of so many bytes, none larger than one request copies.
fn ranges(bytes: u64, copy_bytes_max: u64) -> impl Iterator<Item = Range<u64>> {
    let least = bytes.div_ceil(PARTS_MAX.unsigned_abs().into());
    let size = RANGE_BYTES.max(least).min(copy_bytes_max).max(PART_BYTES_MIN);
    (0..bytes.div_ceil(size)).map(move |n| n * size..((n + 1) * size).min(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COPY_BYTES_MAX;

    #[test]
    fn ranges_cover_the_largest_object_in_ten_thousand_parts() {
        for bytes in [COPY_BYTES_MAX + 1, 1 << 40, 5 << 40] {
            let all: Vec<Range<u64>> = ranges(bytes, COPY_BYTES_MAX).collect();
            assert!(all.len() <= 10_000, "{}", all.len());
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, bytes));
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(all.iter().all(|range| range.end - range.start <= COPY_BYTES_MAX));
        }
    }
}
