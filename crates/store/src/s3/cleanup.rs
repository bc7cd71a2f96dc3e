//! Uploads that were begun and never completed: invisible in listings, and paid for.

use super::Bucket;
use super::object::timestamp;
use crate::{ErrorKind, Operation, Result};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::types::MultipartUpload;
use jiff::Timestamp;

/// How many pages of unfinished uploads are looked at (a page has up to 1,000).
const PAGES_MAX: usize = 1_000;

/// Aborts uploads under `prefix` that were begun before the given time, by the store's clock.
pub(super) async fn abort_stale_uploads(
    bucket: &Bucket,
    prefix: &str,
    begun_before: Timestamp,
) -> Result<Vec<String>> {
    let wanted = bucket.prefix_of(Operation::CleanUp, prefix)?;
    let fail = |kind| bucket.error(Operation::CleanUp, prefix, kind);
    let stale = find(bucket, &wanted, begun_before).await.map_err(fail)?;
    let mut aborted = Vec::new();
    for (name, upload_id) in stale {
        let key = name.strip_prefix(&bucket.prefix).unwrap_or(&name).to_owned();
        abort(bucket, &name, &upload_id)
            .await
            .map_err(|kind| bucket.error(Operation::CleanUp, &key, kind))?;
        aborted.push(key);
    }
    Ok(aborted)
}

type Marker = Option<(String, Option<String>)>;

async fn find(
    bucket: &Bucket,
    wanted: &str,
    begun_before: Timestamp,
) -> std::result::Result<Vec<(String, String)>, ErrorKind> {
    let mut found = Vec::new();
    let mut marker: Marker = None;
    for _ in 0..PAGES_MAX {
        let page = page(bucket, wanted, marker.clone()).await?;
        let stale = page.uploads().iter().filter(|u| is_stale(u, wanted, begun_before));
        found.extend(stale.filter_map(|u| Some((u.key.clone()?, u.upload_id.clone()?))));
        if page.is_truncated() != Some(true) {
            return Ok(found);
        }
        let next = page
            .next_key_marker()
            .map(|key| (key.to_owned(), page.next_upload_id_marker().map(str::to_owned)));
        if next.is_none() || next == marker {
            let problem = "the unfinished uploads are cut off without a new marker".to_owned();
            return Err(ErrorKind::Listing { problem });
        }
        marker = next;
    }
    let problem = format!("there are more than {PAGES_MAX} pages of unfinished uploads");
    Err(ErrorKind::Listing { problem })
}

/// What the store gives no time for is left alone.
fn is_stale(upload: &MultipartUpload, wanted: &str, begun_before: Timestamp) -> bool {
    let begun = upload.initiated().and_then(timestamp);
    let ours = upload.key().is_some_and(|name| name.starts_with(wanted));
    ours && begun.is_some_and(|begun| begun < begun_before)
}

async fn page(
    bucket: &Bucket,
    wanted: &str,
    marker: Marker,
) -> std::result::Result<ListMultipartUploadsOutput, ErrorKind> {
    let (key, upload_id) = match marker {
        Some((key, upload_id)) => (Some(key), upload_id),
        None => (None, None),
    };
    let request = bucket
        .client
        .list_multipart_uploads()
        .bucket(&bucket.settings.bucket)
        .prefix(wanted)
        .set_key_marker(key)
        .set_upload_id_marker(upload_id)
        .customize()
        .config_override(bucket.limits(0));
    request.send().await.map_err(|e| bucket.kind(&e, "s3:ListBucketMultipartUploads"))
}

pub(super) async fn abort(
    bucket: &Bucket,
    name: &str,
    upload_id: &str,
) -> std::result::Result<(), ErrorKind> {
    let request = bucket
        .client
        .abort_multipart_upload()
        .bucket(&bucket.settings.bucket)
        .key(name)
        .upload_id(upload_id)
        .customize()
        .config_override(bucket.limits(0));
    match request.send().await {
        Ok(_) => Ok(()),
        // Somebody else was quicker.
        Err(e) if e.code() == Some("NoSuchUpload") => Ok(()),
        Err(e) => Err(bucket.kind(&e, "s3:AbortMultipartUpload")),
    }
}
