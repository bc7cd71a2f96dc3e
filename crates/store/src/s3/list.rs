//! Listing, which must be complete or an error: backups are deleted on its word.
//!
//! Refused: a page that breaks off or does not say whether it is the last, a continuation without
//! a token or with one seen before, an object twice or outside the prefix, more objects than fit.

use super::Bucket;
use super::ending::Ending;
use super::object::{length, timestamp};
use crate::error::one_line;
use crate::{ErrorKind, ObjectInfo, Operation, Result};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// How many objects a listing may have; beyond that it is an error, never cut short.
const LISTED_OBJECTS_MAX: usize = 500_000;

type Checked<T> = std::result::Result<T, ErrorKind>;

/// All objects under a prefix, in key order.
pub(super) async fn list(bucket: &Bucket, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let wanted = bucket.prefix_of(Operation::List, prefix)?;
    let fail = |kind| bucket.error(Operation::List, prefix, kind);
    let mut listing = Listing::default();
    let mut token = None;
    loop {
        let page = page(bucket, &wanted, token).await.map_err(fail)?;
        for object in page.contents() {
            listing.add(&bucket.prefix, &wanted, object).map_err(fail)?;
        }
        token = listing.continuation(&page).map_err(fail)?;
        if token.is_none() {
            return Ok(listing.objects.into_values().collect());
        }
    }
}

async fn page(
    bucket: &Bucket,
    wanted: &str,
    token: Option<String>,
) -> Checked<ListObjectsV2Output> {
    let request = bucket
        .client
        .list_objects_v2()
        .bucket(&bucket.settings.bucket)
        .prefix(wanted)
        .set_continuation_token(token)
        .customize()
        .config_override(bucket.limits(0));
    let ending = Ending::of("ListBucketResult");
    let answer = request.interceptor(ending.clone()).send().await;
    let page = answer.map_err(|e| match bucket.kind(&e, "s3:ListBucket") {
        // A listing exists even of nothing, so what is not found is the bucket.
        ErrorKind::NotFound => {
            let (bucket, answer) = (bucket.settings.bucket.clone(), crate::Answer::default());
            ErrorKind::BucketMissing { bucket, answer }
        }
        kind => kind,
    })?;
    if ending.is_whole() { Ok(page) } else { untrusted("a page breaks off before its end") }
}

#[derive(Default)]
struct Listing {
    objects: BTreeMap<String, ObjectInfo>,
    tokens: HashSet<String>,
}

impl Listing {
    fn add(&mut self, root: &str, wanted: &str, object: &Object) -> Checked<()> {
        let Some(name) = object.key() else {
            return untrusted("an object without a key");
        };
        if !name.starts_with(wanted) {
            return untrusted(&format!("{:?} does not start with {wanted:?}", one_line(name)));
        }
        if self.objects.len() == LISTED_OBJECTS_MAX {
            return untrusted(&format!("there are more than {LISTED_OBJECTS_MAX} objects"));
        }
        let key = name.strip_prefix(root).unwrap_or(name).to_owned();
        // Markers of folders, and names that this crate could not have written.
        if crate::check_key(&key).is_err() {
            return Ok(());
        }
        let class = object.storage_class().map(|c| c.as_str().to_owned());
        let info = ObjectInfo {
            key: key.clone(),
            bytes: length(object.size())?,
            modified: object.last_modified().and_then(timestamp),
            storage_class: class.filter(|c| c != "STANDARD"),
            etag: object.e_tag().map(str::to_owned),
            ..ObjectInfo::default()
        };
        match self.objects.insert(key, info) {
            None => Ok(()),
            Some(twice) => untrusted(&format!("{:?} is in it twice", twice.key)),
        }
    }

    /// The token of the next page, if there is one.
    fn continuation(&mut self, page: &ListObjectsV2Output) -> Checked<Option<String>> {
        match (page.is_truncated(), page.next_continuation_token()) {
            (Some(false), _) => Ok(None),
            (None, _) => untrusted("a page does not say whether it is the last one"),
            (Some(true), None) => untrusted("it is cut off without a continuation token"),
            (Some(true), Some(token)) => {
                if self.tokens.insert(token.to_owned()) {
                    Ok(Some(token.to_owned()))
                } else {
                    untrusted("a continuation token came twice")
                }
            }
        }
    }
}

fn untrusted<T>(problem: &str) -> Checked<T> {
    Err(ErrorKind::Listing { problem: problem.to_owned() })
}
