//! Writing an object, create-only: what is asked of the store with it, a small one in one request,
//! and whether what the store then describes is what was sent.

use super::object::{Resource, encode_crc};
use super::request::Purpose;
use super::{Bucket, GcsDestination};
use crate::create_only::CreateOnly;
use crate::{ErrorKind, Keeping, LockMode, Operation, Result, StoreError, Stored, Summary};
use bytes::{BufMut, Bytes, BytesMut};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// What every object is, whatever its name ends with.
const CONTENT_TYPE: &str = "application/octet-stream";
/// What separates the two parts of a request; it needs to be new to the description only, because
/// the bytes come last.
const BOUNDARY: &str = "lifeboat-4f1c6a0e9b7d";
pub(super) const CREATE_VERB: &str = "storage.objects.create";
const PUT: Purpose = Purpose { place: "store.object.sending", verb: CREATE_VERB };

/// Writes a small object in one request.
pub(super) async fn put_new(
    destination: &GcsDestination,
    operation: Operation,
    key: &str,
    bytes: Bytes,
    keeping: &Keeping,
) -> Result<Stored> {
    let bucket = &destination.0;
    let name = bucket.name_of(operation, key)?;
    let wanted = &Summary::of(&bytes);
    let create = CreateOnly { destination, operation, key, wanted };
    let made = Made::default();
    let attempt = async || {
        let resource = bucket.put(&name, keeping, bytes.clone(), wanted.crc32c).await?;
        made.note(resource, wanted)
    };
    let stored = create.write(attempt).await?;
    made.confirm(bucket, operation, key, &name, wanted).await.map(|()| stored)
}

impl Bucket {
    /// The description of an object that is to be made.
    pub(super) fn description(&self, keeping: &Keeping) -> Value {
        let mut description = json!({ "contentType": CONTENT_TYPE });
        if let Some(class) = &keeping.storage_class {
            description["storageClass"] = json!(class);
        }
        if !keeping.tags.is_empty() {
            description["metadata"] = json!(keeping.tags);
        }
        if let Some(lock) = &keeping.lock {
            let mode = match lock.mode {
                LockMode::Governance => "Unlocked",
                LockMode::Compliance => "Locked",
            };
            description["retention"] =
                json!({ "mode": mode, "retainUntilTime": lock.until.to_string() });
        }
        description
    }

    /// A request that makes an object, if there is none of its name.
    pub(super) fn making(&self, name: &str, way: &str) -> RequestBuilder {
        let query = [("uploadType", way), ("name", name), ("ifGenerationMatch", "0")];
        let request = self.http.post(self.upload_url()).query(&query);
        let key = self.settings.kms_key.as_deref().map(|key| [("kmsKeyName", key)]);
        let request = request.query(key.as_ref().map_or(&[][..], |pair| pair));
        match &self.key {
            Some(key) => key.on(request),
            None => request,
        }
    }

    /// One request with the description and the bytes.
    pub(super) async fn put(
        &self,
        name: &str,
        keeping: &Keeping,
        bytes: Bytes,
        crc32c: u32,
    ) -> std::result::Result<Resource, ErrorKind> {
        let mut description = self.description(keeping);
        description["crc32c"] = json!(encode_crc(crc32c));
        let body = two_parts(&description, &bytes);
        let limit = self.limit(body.len());
        let attempt = async || {
            let request = self.making(name, "multipart");
            let kind = format!("multipart/related; boundary={BOUNDARY}");
            let request = request.header("content-type", kind).body(body.clone());
            self.once(PUT, limit, request).await?.json()
        };
        self.patiently(limit, attempt).await.map_err(|kind| self.or_no_bucket(kind))
    }
}

fn two_parts(description: &Value, bytes: &Bytes) -> Bytes {
    let mut body = BytesMut::with_capacity(bytes.len() + 1_024);
    let head = format!(
        "--{BOUNDARY}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{description}\r\n\
         --{BOUNDARY}\r\ncontent-type: {CONTENT_TYPE}\r\n\r\n"
    );
    body.put_slice(head.as_bytes());
    body.put_slice(bytes);
    body.put_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body.freeze()
}

/// What the store says that it made of an upload.
#[derive(Default)]
pub(super) struct Made(std::sync::Mutex<Option<Resource>>);

impl Made {
    pub(super) fn note(
        &self,
        resource: Resource,
        wanted: &Summary,
    ) -> std::result::Result<Stored, ErrorKind> {
        let (etag, version_id) = (resource.etag(), resource.generation.clone());
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(resource);
        Ok(Stored { bytes: wanted.bytes, etag, version_id, existed: false })
    }

    /// Whether that is what was sent. An object that is not is taken back, by its generation, so
    /// that it can be no other.
    pub(super) async fn confirm(
        self,
        bucket: &Bucket,
        operation: Operation,
        key: &str,
        name: &str,
        wanted: &Summary,
    ) -> Result<()> {
        let made = self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(resource) = made else {
            return Ok(());
        };
        let Err(kind) = fits(&resource, wanted) else {
            return Ok(());
        };
        let error: StoreError = bucket.error(operation, key, kind);
        let Some(generation) = resource.generation.as_deref() else {
            return Err(error.leaving_behind("possibly the object itself".to_owned()));
        };
        Err(match bucket.remove(name, Some(generation)).await {
            Ok(()) => error,
            Err(kind) => error.leaving_behind(format!("the object itself ({kind})")),
        })
    }
}

fn fits(resource: &Resource, wanted: &Summary) -> std::result::Result<(), ErrorKind> {
    let bytes = resource.bytes()?;
    if bytes != wanted.bytes {
        let (expected, found) = (wanted.bytes.to_string(), bytes.to_string());
        return Err(ErrorKind::Corrupt { check: "length in the store", expected, found });
    }
    match resource.crc32c() {
        Some(crc) if crc != wanted.crc32c => {
            let (expected, found) = (format!("{:08x}", wanted.crc32c), format!("{crc:08x}"));
            Err(ErrorKind::Corrupt { check: "CRC-32C in the store", expected, found })
        }
        _ => Ok(()),
    }
}
