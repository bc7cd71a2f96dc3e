//! What a bucket does by itself: requests without the looks that make ordinary writes safe.
//!
//! Only `probe` uses these, on objects of its own.

use super::GcsDestination;
use super::object::DELETE_VERB;
use super::request::Purpose;
use super::session::Session;
use crate::{ErrorKind, Examine, Keeping, Operation, Protection, Result, Summary};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

/// Google's document of a bucket, as far as it is of use here. What is not in it is off.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    versioning: Option<Versioning>,
    object_retention: Option<ObjectRetention>,
}

#[derive(Deserialize)]
struct Versioning {
    #[serde(default)]
    enabled: bool,
}

#[derive(Deserialize)]
struct ObjectRetention {
    #[serde(default)]
    mode: String,
}

#[async_trait]
impl Examine for GcsDestination {
    async fn refuses_overwrite(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let name = self.0.name_of(Operation::Put, key)?;
        let crc = Summary::of(&bytes).crc32c;
        match self.0.put(&name, &Keeping::default(), bytes, crc).await {
            Ok(_) => Ok(false),
            Err(ErrorKind::AlreadyExists | ErrorKind::Conflict { .. }) => Ok(true),
            // Who may not delete may not write over an object either.
            Err(ErrorKind::Denied { verb: DELETE_VERB, .. }) => Ok(true),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn refuses_wrong_checksum(&self, key: &str, bytes: Bytes) -> Result<Option<bool>> {
        let name = self.0.name_of(Operation::Put, key)?;
        let wrong = !Summary::of(&bytes).crc32c;
        match self.0.put(&name, &Keeping::default(), bytes, wrong).await {
            Ok(_) => Ok(Some(false)),
            Err(ErrorKind::Corrupt { .. } | ErrorKind::Rejected { .. }) => Ok(Some(true)),
            // One that an earlier probe could not take away again.
            Err(ErrorKind::AlreadyExists) => Ok(Some(false)),
            Err(kind) => Err(self.0.error(Operation::Put, key, kind)),
        }
    }

    async fn begins_parts(&self, key: &str) -> Result<()> {
        let name = self.0.name_of(Operation::Create, key)?;
        let begun = Session::begin(self.0.clone(), &name, &Keeping::default()).await;
        let session = begun.map_err(|kind| self.0.error(Operation::Create, key, kind))?;
        session.cancel().await.map_err(|kind| self.0.error(Operation::CleanUp, key, kind))
    }

    async fn time(&self, key: &str) -> Option<Timestamp> {
        let name = self.0.name_of(Operation::Head, key).ok()?;
        // A refusal has a date as well.
        let _ = self.0.resource(&name).await;
        self.0.clock.now()
    }

    async fn protection(&self) -> Protection {
        const LOOK: Purpose =
            Purpose { place: "store.bucket.looking", verb: "storage.buckets.get" };
        let fields = [("fields", "versioning,objectRetention")];
        let request = || self.0.http.get(self.0.bucket_url()).query(&fields);
        let asked = self.0.ask(LOOK, 0, request).await;
        let Some(told) = asked.ok().and_then(|reply| reply.json::<Told>().ok()) else {
            // Most roles may not look at the bucket.
            return Protection::default();
        };
        let locks = told.object_retention.is_some_and(|retention| retention.mode == "Enabled");
        let versions = told.versioning.is_some_and(|versioning| versioning.enabled);
        Protection { locks: Some(locks), versions: Some(versions) }
    }

    fn leftover_hint(&self) -> &'static str {
        "grant storage.objects.create; what is left costs nothing and ends within a week"
    }
}
