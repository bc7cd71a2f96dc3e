//! What Google says of an object, and what it must say.

use super::Bucket;
use super::attempts::Refusal;
use super::request::Purpose;
use crate::{ErrorKind, GcsSettings, Keeping, LockMode, ObjectInfo, Operation, Result, Sse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The class that counts as none.
pub(super) const STANDARD_CLASS: &str = "STANDARD";
pub(super) const DELETE_VERB: &str = "storage.objects.delete";
/// Without `storage.objects.list`, a missing object is answered with 403.
pub(super) const LOOK_VERB: &str =
    "storage.objects.get (or storage.objects.list: without it an absent key is refused)";

/// Google's document of an object, as far as it is of use here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Resource {
    pub(super) name: Option<String>,
    size: Option<String>,
    pub(super) generation: Option<String>,
    crc32c: Option<String>,
    etag: Option<String>,
    storage_class: Option<String>,
    time_created: Option<String>,
    kms_key_name: Option<String>,
    customer_encryption: Option<CustomerEncryption>,
    retention: Option<Retention>,
    retention_expiration_time: Option<String>,
    temporary_hold: bool,
    event_based_hold: bool,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CustomerEncryption {
    key_sha256: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    mode: Option<String>,
    retain_until_time: Option<String>,
}

impl Resource {
    pub(super) fn bytes(&self) -> std::result::Result<u64, ErrorKind> {
        let size = self.size.as_deref().and_then(|text| text.parse().ok());
        size.ok_or_else(|| ErrorKind::Transient {
            said: "the store did not tell the object's length".into(),
        })
    }

    pub(super) fn crc32c(&self) -> Option<u32> {
        self.crc32c.as_deref().and_then(decode_crc)
    }

    pub(super) fn etag(&self) -> Option<String> {
        self.etag.clone()
    }
}

impl Bucket {
    /// Google's document of an object, `None` if there is none.
    pub(super) async fn resource(
        &self,
        name: &str,
    ) -> std::result::Result<Option<Resource>, ErrorKind> {
        const LOOK: Purpose = Purpose { place: "store.object.looking", verb: LOOK_VERB };
        let limit = self.limit(0);
        let attempt = async || {
            let request = self.http.get(self.object_url(name)).query(&[("projection", "noAcl")]);
            let request = match &self.key {
                Some(key) => key.on(request),
                None => request,
            };
            let resource: Resource = self.once(LOOK, limit, request).await?.json()?;
            resource.bytes().map_err(Refusal::of)?;
            Ok(resource)
        };
        match self.patiently(limit, attempt).await {
            Ok(resource) => Ok(Some(resource)),
            Err(ErrorKind::NotFound) => Ok(None),
            Err(kind) => Err(kind),
        }
    }

    /// The store's description of an object, `None` if there is none.
    pub(super) async fn look(&self, operation: Operation, key: &str) -> Result<Option<ObjectInfo>> {
        let name = self.name_of(operation, key)?;
        let found = self.resource(&name).await;
        let described = found.and_then(|found| found.map(|r| self.describe(key, &r)).transpose());
        described.map_err(|kind| self.error(operation, key, kind))
    }

    /// Until when an object is locked whose removal was refused for it, as far as the store tells.
    pub(super) async fn locked_until(&self, name: &str, refused: ErrorKind) -> ErrorKind {
        let ErrorKind::Locked { until: None } = refused else {
            return refused;
        };
        let looked = self.resource(name).await.ok().flatten();
        let described = looked.and_then(|resource| self.describe("", &resource).ok());
        described.and_then(|info| info.lock_at(Timestamp::MIN)).unwrap_or(refused)
    }

    /// Whether the object has the metadata that was asked for, which no description of ours has
    /// room for.
    pub(super) async fn check_tags(
        &self,
        name: &str,
        keeping: &Keeping,
    ) -> std::result::Result<(), ErrorKind> {
        if keeping.tags.is_empty() {
            return Ok(());
        }
        let resource = self.resource(name).await?.ok_or(ErrorKind::NotFound)?;
        let lacks = |(key, value): &(&String, &String)| resource.metadata.get(*key) != Some(*value);
        match keeping.tags.iter().find(lacks) {
            None => Ok(()),
            Some((key, value)) => {
                let found = resource.metadata.get(key).map_or("nothing", String::as_str);
                same("tags", &format!("{key} = {value}"), &crate::error::one_line(found))
            }
        }
    }

    pub(super) fn describe(
        &self,
        key: &str,
        resource: &Resource,
    ) -> std::result::Result<ObjectInfo, ErrorKind> {
        let retention = resource.retention.as_ref();
        let own = retention.and_then(|retention| time(retention.retain_until_time.as_deref()));
        let of_bucket = time(resource.retention_expiration_time.as_deref());
        Ok(ObjectInfo {
            key: key.to_owned(),
            bytes: resource.bytes()?,
            modified: time(resource.time_created.as_deref()),
            crc64nvme: None,
            crc32c: resource.crc32c(),
            storage_class: resource.storage_class.clone().filter(|c| c != STANDARD_CLASS),
            sse: self.encryption(resource),
            etag: resource.etag(),
            version_id: resource.generation.clone(),
            locked_until: own.max(of_bucket),
            lock_mode: retention.and_then(|retention| match retention.mode.as_deref() {
                Some("Locked") => Some(LockMode::Compliance),
                Some("Unlocked") => Some(LockMode::Governance),
                _ => None,
            }),
            is_held: resource.temporary_hold || resource.event_based_hold,
        })
    }

    fn encryption(&self, resource: &Resource) -> Option<Sse> {
        if let Some(customer) = &resource.customer_encryption {
            let print = customer.key_sha256.as_deref().unwrap_or_default();
            let is_ours = self.key.as_ref().is_some_and(|key| key.print == print);
            let key_file = self.settings.customer_key_file.clone().filter(|_| is_ours);
            return Some(match key_file {
                Some(key_file) => Sse::Customer { key_file },
                None => Sse::Other(format!("the customer key {}", crate::error::one_line(print))),
            });
        }
        let key_id = resource.kms_key_name.clone()?;
        Some(Sse::Kms { key_id: Some(key_id) })
    }
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// Google writes a CRC-32C as base64 of its four bytes, the highest first.
pub(super) fn encode_crc(crc: u32) -> String {
    BASE64.encode(crc.to_be_bytes())
}

fn decode_crc(text: &str) -> Option<u32> {
    Some(u32::from_be_bytes(BASE64.decode(text).ok()?.try_into().ok()?))
}

/// What was asked for must be what is reported.
pub(super) fn check(
    settings: &GcsSettings,
    keeping: &Keeping,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    if let Some(asked) = &keeping.storage_class {
        let found = info.storage_class.as_deref().unwrap_or(STANDARD_CLASS);
        same("storage_class", asked, found)?;
    }
    if let Some(asked) = &settings.kms_key {
        match &info.sse {
            // The store adds the version of the key.
            Some(Sse::Kms { key_id: Some(found) }) if is_key(asked, found) => {}
            found => same("kms_key", asked, &shown(found.as_ref()))?,
        }
    }
    if let Some(file) = &settings.customer_key_file {
        match &info.sse {
            Some(Sse::Customer { key_file }) if key_file == file => {}
            found => {
                same("customer_key_file", "a key of the customer's own", &shown(found.as_ref()))?;
            }
        }
    }
    check_lock(keeping, info)
}

fn check_lock(keeping: &Keeping, info: &ObjectInfo) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = &keeping.lock else {
        return Ok(());
    };
    let found = match (info.lock_mode, info.locked_until) {
        // A mode that nobody can lift is more than what was asked for.
        (Some(mode), Some(until))
            if until >= asked.until
                && (mode == asked.mode || asked.mode == LockMode::Governance) =>
        {
            return Ok(());
        }
        (None, None) => "none".to_owned(),
        (mode, until) => format!(
            "{} until {}",
            mode.map_or("no mode", LockMode::name),
            until.map_or_else(|| "no time".to_owned(), |until| until.to_string())
        ),
    };
    same("lock", &format!("{} until {}", asked.mode.name(), asked.until), &found)
}

fn is_key(asked: &str, found: &str) -> bool {
    let rest = found.strip_prefix(asked);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/cryptoKeyVersions/"))
}

fn shown(found: Option<&Sse>) -> String {
    found.map_or_else(|| "Google's own key".to_owned(), Sse::to_string)
}

fn same(setting: &'static str, asked: &str, found: &str) -> std::result::Result<(), ErrorKind> {
    if asked == found {
        return Ok(());
    }
    let (asked, found) = (asked.to_owned(), found.to_owned());
    Err(ErrorKind::SilentDowngrade { setting, asked, found })
}
