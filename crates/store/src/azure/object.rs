//! What the store says of a blob, and whether that is what was asked for.

use super::Container;
use super::customer_key::CustomerKey;
use super::error::{READ, READ_TAGS};
use crate::error::one_line;
use crate::{
    AzureSettings, CredentialsProblem, ErrorKind, Keeping, LockMode, ObjectInfo, Operation, Result,
    Sse,
};
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::time::OffsetDateTime;
use azure_storage_blob::models::{BlobClientDownloadOptions, HttpRange};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What an encryption scope is called in descriptions.
const SCOPE: &str = "encryption scope ";

impl Container {
    /// The store's description of an object, `None` if there is none.
    pub(super) async fn look(&self, operation: Operation, key: &str) -> Result<Option<ObjectInfo>> {
        let name = self.name_of(operation, key)?;
        match self.client.blob_client(&name).get_properties(None).await {
            Ok(found) => {
                let described = describe(key, found.headers(), self.customer_key.as_ref());
                described.map(Some).map_err(|kind| self.error(operation, key, kind))
            }
            Err(e) => match self.kind(&e, READ) {
                ErrorKind::NotFound => Ok(None),
                kind => {
                    let kind = self.reason(&name, &kind).await.unwrap_or(kind);
                    Err(self.error(operation, key, kind))
                }
            },
        }
    }
}

impl Container {
    /// The tags must be there, which only a question of their own tells; that there are others
    /// besides is nobody's loss.
    pub(super) async fn check_tags(
        &self,
        name: &str,
        keeping: &Keeping,
    ) -> std::result::Result<(), ErrorKind> {
        if keeping.tags.is_empty() {
            return Ok(());
        }
        let asked = self.client.blob_client(name).get_tags(None).await;
        let answer = asked.map_err(|e| self.kind(&e, READ_TAGS))?;
        let found = answer.into_model().map_err(|e| self.kind(&e, READ_TAGS))?;
        let found: BTreeMap<String, String> = found
            .blob_tag_set
            .into_iter()
            .flatten()
            .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
            .collect();
        match keeping.tags.iter().find(|(key, value)| found.get(*key) != Some(value)) {
            None => Ok(()),
            Some((key, value)) => {
                let found = found.get(key).map(|found| format!("{key} = {}", one_line(found)));
                let found = found.unwrap_or_else(|| "none".to_owned());
                downgrade("tags", format!("{key} = {value}"), found)
            }
        }
    }

    /// Until when a blob is locked whose removal was refused for it, as far as the store tells.
    pub(super) async fn locked_until(&self, key: &str, refused: ErrorKind) -> ErrorKind {
        let ErrorKind::Locked { until: None } = refused else {
            return refused;
        };
        let looked = self.look(Operation::Delete, key).await;
        let lock = looked.ok().flatten().and_then(|info| info.lock_at(Timestamp::MIN));
        lock.unwrap_or(refused)
    }

    /// Why a look was refused. Its answer has no body, so that a key that is wrong, an expired
    /// signature and a clock that is off all look alike; a read of one byte is told the difference.
    async fn reason(&self, name: &str, refused: &ErrorKind) -> Option<ErrorKind> {
        let ErrorKind::Credentials { problem: CredentialsProblem::Invalid, .. } = refused else {
            return None;
        };
        let options = BlobClientDownloadOptions {
            range: Some(HttpRange::from(0..1_u64)),
            ..BlobClientDownloadOptions::default()
        };
        let refused = self.client.blob_client(name).download(Some(options)).await.err()?;
        match self.kind(&refused, READ) {
            kind @ ErrorKind::Credentials { .. } => Some(kind),
            _ => None,
        }
    }
}

fn text<'a>(headers: &'a Headers, name: &'static str) -> Option<&'a str> {
    headers.get_optional_str(&HeaderName::from_static(name))
}

/// A length as a header tells it.
pub(super) fn length(headers: &Headers) -> std::result::Result<u64, ErrorKind> {
    text(headers, "content-length").and_then(|length| length.parse().ok()).ok_or_else(|| {
        ErrorKind::Transient { said: "the store did not tell the object's length".into() }
    })
}

fn describe(
    key: &str,
    headers: &Headers,
    customer_key: Option<&CustomerKey>,
) -> std::result::Result<ObjectInfo, ErrorKind> {
    // Every blob has a type; what has none is the page of a proxy.
    if text(headers, "x-ms-blob-type").is_none() {
        let said = "the answer does not describe a blob".to_owned();
        return Err(ErrorKind::Transient { said });
    }
    let date = |name| text(headers, name).and_then(crate::clock::parse);
    // A tier that the account gives by itself is its standard one.
    let is_given = text(headers, "x-ms-access-tier-inferred") == Some("true");
    let tier = text(headers, "x-ms-access-tier").filter(|_| !is_given);
    Ok(ObjectInfo {
        key: key.to_owned(),
        bytes: length(headers)?,
        modified: date("last-modified"),
        crc64nvme: None,
        crc32c: None,
        storage_class: tier.map(str::to_owned),
        sse: encryption(headers, customer_key),
        etag: text(headers, "etag").map(str::to_owned),
        version_id: text(headers, "x-ms-version-id").map(str::to_owned),
        locked_until: date("x-ms-immutability-policy-until-date"),
        lock_mode: text(headers, "x-ms-immutability-policy-mode").and_then(lock_mode),
        is_held: text(headers, "x-ms-legal-hold") == Some("true"),
    })
}

fn encryption(headers: &Headers, customer_key: Option<&CustomerKey>) -> Option<Sse> {
    if let Some(sha256) = text(headers, "x-ms-encryption-key-sha256") {
        let is_ours = customer_key.is_some_and(|key| key.sha256 == sha256);
        return Some(match customer_key.filter(|_| is_ours) {
            Some(key) => Sse::Customer { key_file: key.file.clone() },
            None => Sse::Other("another key of a customer's own".into()),
        });
    }
    if let Some(scope) = text(headers, "x-ms-encryption-scope") {
        return Some(Sse::Other(format!("{SCOPE}{scope}")));
    }
    (text(headers, "x-ms-server-encrypted") == Some("true")).then_some(Sse::S3)
}

fn lock_mode(word: &str) -> Option<LockMode> {
    match word.to_ascii_lowercase().as_str() {
        "locked" => Some(LockMode::Compliance),
        "unlocked" => Some(LockMode::Governance),
        _ => None,
    }
}

pub(super) fn timestamp(time: OffsetDateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.unix_timestamp()).ok()
}

/// A lock ends at a whole second, and never before the time that was asked for.
pub(super) fn lock_end(until: Timestamp) -> Option<OffsetDateTime> {
    let second = until.as_second() + i64::from(until.subsec_nanosecond() > 0);
    OffsetDateTime::from_unix_timestamp(second).ok()
}

fn downgrade(
    setting: &'static str,
    asked: String,
    found: String,
) -> std::result::Result<(), ErrorKind> {
    Err(ErrorKind::SilentDowngrade { setting, asked, found })
}

/// The tier that was asked for must be the reported one.
pub(super) fn check_tier(
    keeping: &Keeping,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = &keeping.storage_class else {
        return Ok(());
    };
    match &info.storage_class {
        Some(found) if found.eq_ignore_ascii_case(asked) => Ok(()),
        found => {
            let found = found.clone().unwrap_or_else(|| "the account's own".into());
            downgrade("storage_class", asked.clone(), found)
        }
    }
}

/// The same for the lock: of the asked kind or a stronger one, and for long enough.
pub(super) fn check_lock(
    keeping: &Keeping,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = keeping.lock else {
        return Ok(());
    };
    let is_strong = match asked.mode {
        LockMode::Governance => info.lock_mode.is_some(),
        LockMode::Compliance => info.lock_mode == Some(LockMode::Compliance),
    };
    let is_long = info.locked_until.is_some_and(|end| end.as_second() >= asked.until.as_second());
    if is_strong && is_long {
        return Ok(());
    }
    let found = match (info.lock_mode, info.locked_until) {
        (Some(mode), Some(until)) => format!("{} until {until}", mode.name()),
        _ => "none".to_owned(),
    };
    downgrade("lock", format!("{} until {}", asked.mode.name(), asked.until), found)
}

/// The same for encryption at rest.
pub(super) fn check_encryption(
    settings: &AzureSettings,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let found = || info.sse.as_ref().map_or_else(|| "none".to_owned(), Sse::to_string);
    if let Some(scope) = &settings.encryption_scope {
        let asked = format!("{SCOPE}{scope}");
        if info.sse != Some(Sse::Other(asked.clone())) {
            return downgrade("kms_key", asked, found());
        }
    }
    if settings.customer_key_file.is_some() && !matches!(info.sse, Some(Sse::Customer { .. })) {
        return downgrade("customer_key_file", "a key of the customer's own".into(), found());
    }
    Ok(())
}
