//! Listing, which must be complete or an error: backups are deleted on its word.
//!
//! Refused: a page that breaks off or does not say whether it is the last, a marker seen before, an
//! object twice or outside the prefix, more objects than fit.

use super::Container;
use super::error::LIST;
use super::object::timestamp;
use crate::error::one_line;
use crate::xml_end::closes;
use crate::{ErrorKind, ObjectInfo, Operation, Result};
use azure_storage_blob::models::{
    BlobContainerClientListBlobsOptions, BlobItem, ListBlobsResponse,
};
use futures::TryStreamExt as _;
use std::collections::{BTreeMap, HashSet};

/// How many objects a listing may have; beyond that it is an error, never cut short.
const LISTED_OBJECTS_MAX: usize = 500_000;
/// What every page has, an empty one where it is the last.
const NEXT: &[u8] = b"<NextMarker";

type Checked<T> = std::result::Result<T, ErrorKind>;

/// All objects under a prefix, in key order.
pub(super) async fn list(container: &Container, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let wanted = container.prefix_of(Operation::List, prefix)?;
    let fail = |kind| container.error(Operation::List, prefix, kind);
    let mut listing = Listing::default();
    let mut marker = None;
    loop {
        let page = page(container, &wanted, marker).await.map_err(fail)?;
        for blob in &page.blob_items {
            listing.add(&container.prefix, &wanted, blob).map_err(fail)?;
        }
        marker = listing.continuation(page.next_marker).map_err(fail)?;
        if marker.is_none() {
            return Ok(listing.objects.into_values().collect());
        }
    }
}

async fn page(
    container: &Container,
    wanted: &str,
    marker: Option<String>,
) -> Checked<ListBlobsResponse> {
    let prefix = Some(wanted.to_owned()).filter(|prefix| !prefix.is_empty());
    let options = BlobContainerClientListBlobsOptions { marker, prefix, ..Default::default() };
    let fail = |e: azure_core::Error| match container.kind(&e, LIST) {
        // A listing exists even of nothing, so what is not found is the container.
        ErrorKind::NotFound => {
            let (bucket, answer) = (container.settings.container.clone(), Default::default());
            ErrorKind::BucketMissing { bucket, answer }
        }
        kind => kind,
    };
    let mut pages = container.client.list_blobs(Some(options)).map_err(fail)?.into_pages();
    let Some(page) = pages.try_next().await.map_err(fail)? else {
        return untrusted("there is not even a first page");
    };
    let raw = page.to_raw_response();
    let body: &[u8] = raw.body();
    if !closes(body, "EnumerationResults") {
        return untrusted("a page breaks off before its end");
    }
    if !body.windows(NEXT.len()).any(|window| window == NEXT) {
        return untrusted("a page does not say whether it is the last one");
    }
    page.into_model().map_err(fail)
}

#[derive(Default)]
struct Listing {
    objects: BTreeMap<String, ObjectInfo>,
    markers: HashSet<String>,
}

impl Listing {
    fn add(&mut self, root: &str, wanted: &str, blob: &BlobItem) -> Checked<()> {
        let Some(name) = &blob.name else {
            return untrusted("an object without a name");
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
        let info = describe(&key, blob)?;
        match self.objects.insert(key, info) {
            None => Ok(()),
            Some(twice) => untrusted(&format!("{:?} is in it twice", twice.key)),
        }
    }

    /// The marker of the next page, if there is one.
    fn continuation(&mut self, next: Option<String>) -> Checked<Option<String>> {
        let Some(marker) = next.filter(|marker| !marker.is_empty()) else {
            return Ok(None);
        };
        if self.markers.insert(marker.clone()) {
            Ok(Some(marker))
        } else {
            untrusted("a marker came twice")
        }
    }
}

fn describe(key: &str, blob: &BlobItem) -> Checked<ObjectInfo> {
    let Some(properties) = &blob.properties else {
        return untrusted(&format!("{key:?} has no properties"));
    };
    let Some(bytes) = properties.content_length else {
        return untrusted(&format!("{key:?} has no length"));
    };
    let is_given = properties.access_tier_inferred == Some(true);
    let tier = properties.access_tier.as_ref().filter(|_| !is_given);
    Ok(ObjectInfo {
        key: key.to_owned(),
        bytes,
        modified: properties.last_modified.and_then(timestamp),
        storage_class: tier.map(ToString::to_string),
        etag: properties.etag.as_ref().map(ToString::to_string),
        ..ObjectInfo::default()
    })
}

fn untrusted<T>(problem: &str) -> Checked<T> {
    Err(ErrorKind::Listing { problem: problem.to_owned() })
}
