//! Listing, which must be complete or an error: backups are deleted on its word.
//!
//! Refused: what is no listing, a page that breaks off, a token seen before, an object twice, without
//! a name or outside the prefix, more objects or pages than fit.

use super::Bucket;
use super::attempts::Refusal;
use super::object::Resource;
use super::request::Purpose;
use crate::error::one_line;
use crate::{ErrorKind, ObjectInfo, Operation, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

/// How many objects a listing may have; beyond that it is an error, never cut short.
const LISTED_OBJECTS_MAX: usize = 500_000;
/// How many pages: Google may send some that are empty.
const PAGES_MAX: usize = 5_000;
/// What Google calls a page of a listing.
const KIND: &str = "storage#objects";
/// What is asked for of each object.
const FIELDS: &str = "kind,nextPageToken,items(name,size,generation,etag,storageClass,timeCreated)";
const LIST: Purpose = Purpose { place: "store.listing.asking", verb: "storage.objects.list" };

type Checked<T> = std::result::Result<T, ErrorKind>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    kind: Option<String>,
    next_page_token: Option<String>,
    /// Google leaves it out where there is nothing.
    #[serde(default)]
    items: Vec<Resource>,
}

/// All objects under a prefix, in key order.
pub(super) async fn list(bucket: &Bucket, prefix: &str) -> Result<Vec<ObjectInfo>> {
    let wanted = bucket.prefix_of(Operation::List, prefix)?;
    let fail = |kind| bucket.error(Operation::List, prefix, kind);
    let mut listing = Listing::default();
    let mut token = None;
    loop {
        let page = page(bucket, &wanted, token.as_deref()).await.map_err(fail)?;
        for object in &page.items {
            listing.add(bucket, &wanted, object).map_err(fail)?;
        }
        token = listing.continuation(page.next_page_token).map_err(fail)?;
        if token.is_none() {
            return Ok(listing.objects.into_values().collect());
        }
    }
}

async fn page(bucket: &Bucket, wanted: &str, token: Option<&str>) -> Checked<Page> {
    let limit = bucket.limit(0);
    let attempt = async || {
        let query = [("prefix", wanted), ("fields", FIELDS), ("maxResults", "1000")];
        let request = bucket.http.get(bucket.objects_url()).query(&query);
        let token = token.map(|token| [("pageToken", token)]);
        let request = request.query(token.as_ref().map_or(&[][..], |pair| pair));
        let page: Page = bucket.once(LIST, limit, request).await?.json()?;
        match page.kind.as_deref() {
            Some(KIND) => Ok(page),
            _ => Err(Refusal::of(untrusted("an answer is not a page of a listing"))),
        }
    };
    // A listing exists even of nothing.
    bucket.patiently(limit, attempt).await.map_err(|kind| bucket.or_no_bucket(kind))
}

#[derive(Default)]
struct Listing {
    objects: BTreeMap<String, ObjectInfo>,
    tokens: HashSet<String>,
}

impl Listing {
    fn add(&mut self, bucket: &Bucket, wanted: &str, object: &Resource) -> Checked<()> {
        let Some(name) = object.name.as_deref() else {
            return Err(untrusted("an object without a name"));
        };
        if !name.starts_with(wanted) {
            let problem = format!("{:?} does not start with {wanted:?}", one_line(name));
            return Err(untrusted(&problem));
        }
        if self.objects.len() == LISTED_OBJECTS_MAX {
            return Err(untrusted(&format!("there are more than {LISTED_OBJECTS_MAX} objects")));
        }
        let key = name.strip_prefix(&bucket.prefix).unwrap_or(name).to_owned();
        // Markers of folders, and names that this crate could not have written.
        if crate::check_key(&key).is_err() {
            return Ok(());
        }
        let Ok(info) = bucket.describe(&key, object) else {
            return Err(untrusted(&format!("{:?} has no length", one_line(name))));
        };
        match self.objects.insert(key, info) {
            None => Ok(()),
            Some(twice) => Err(untrusted(&format!("{:?} is in it twice", twice.key))),
        }
    }

    /// The token of the next page, if there is one.
    fn continuation(&mut self, token: Option<String>) -> Checked<Option<String>> {
        let Some(token) = token else {
            return Ok(None);
        };
        if self.tokens.len() == PAGES_MAX {
            return Err(untrusted(&format!("there are more than {PAGES_MAX} pages")));
        }
        if token.is_empty() || !self.tokens.insert(token.clone()) {
            return Err(untrusted("a token of a next page came twice, or is empty"));
        }
        Ok(Some(token))
    }
}

fn untrusted(problem: &str) -> ErrorKind {
    ErrorKind::Listing { problem: problem.to_owned() }
}
