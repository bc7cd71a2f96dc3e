//! `[destinations.NAME]`: one bucket with its prefix, or one directory.
//!
//! The scheme of `url` decides which keys have an effect; another one is an error, because a key
//! that is silently ignored is how plaintext gets shipped for months.

use crate::values::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One destination, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// `file:DIR`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`.
    pub url: String,
    /// The region of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The endpoint of a compatible store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path and not in the host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// The certificate authority of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy on the way to the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The profile of the SDK's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A file in the format of `~/.aws/credentials`, or Google's JSON of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// `none` for a server that asks for none: an emulator, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// A file with a shared access signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sas_file: Option<PathBuf>,
    /// A file with one of the storage account's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_key_file: Option<PathBuf>,
    /// Which of several identities of the machine or the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The storage class or access tier of the artifact, one for all tiers of backups or by tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<ByTier<String>>,
    /// Encryption by the store, on top of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse: Option<Sse>,
    /// The key for `sse = "kms"`; on Azure an encryption scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The file with the key for `sse = "customer"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_key_file: Option<PathBuf>,
    /// Who may remove a backup before its time: nobody, or who has a permission of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// How long a backup is locked; by default as long as the retention policy keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_for: Option<ByTier<Duration>>,
    /// Tags, or metadata where the store has no tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// How the store checks what it receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// How a copy is read back before it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBack>,
    /// Size of the first parts of an upload, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_bytes: Option<u64>,
    /// How many parts are on their way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_in_flight: Option<usize>,
    /// How fast bytes may go there and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second_max: Option<u64>,
    /// Without progress for so long, the destination has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// One value for all tiers of backups, or one for each of some tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ByTier<T> {
    /// For all of them.
    All(T),
    /// For those that are named.
    Each(BTreeMap<String, T>),
}

impl<T> ByTier<T> {
    /// The value for this tier.
    #[must_use]
    pub fn of(&self, tier: &str) -> Option<&T> {
        match self {
            ByTier::All(value) => Some(value),
            ByTier::Each(values) => values.get(tier),
        }
    }

    /// The tiers that are named.
    pub fn tiers(&self) -> impl Iterator<Item = &str> {
        let each = match self {
            ByTier::All(_) => None,
            ByTier::Each(values) => Some(values),
        };
        each.into_iter().flat_map(|values| values.keys().map(String::as_str))
    }
}

/// Who may remove a backup before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// Who has a permission of its own for it.
    Governance,
    /// Nobody, the owner of the account included.
    Compliance,
}

/// Whether somebody signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// Nobody does.
    None,
}

/// Where a destination is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// A bucket and the prefix in it (without a slash at either end; may be empty).
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage, likewise.
    Gcs {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// A container of Azure Blob Storage, likewise.
    Azure {
        /// The storage account.
        account: String,
        /// The container in it.
        container: String,
        /// The prefix.
        prefix: String,
    },
}

/// Encryption by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sse {
    /// With the store's own key.
    S3,
    /// With a key of the key management service.
    Kms,
    /// With a key of one's own, sent with every request.
    Customer,
}

/// How the store checks what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// One CRC-64/NVME over the whole object.
    #[default]
    Full,
    /// One for each part.
    Part,
    /// None, for a store that rejects them.
    None,
}

/// How a copy is read back before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// Every byte, compared by SHA-256.
    #[default]
    Full,
    /// The store's full-object checksum where it reports one, else every byte.
    Checksum,
}

impl Destination {
    /// Parses `url`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn location(&self) -> Result<Location, String> {
        if let Some(path) = self.url.strip_prefix("file:") {
            // file:DIR is relative, file:///DIR is absolute.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err("it names no directory; write file:DIR".into()),
                path => Ok(Location::Directory(path.into())),
            };
        }
        let parsed = url::Url::parse(&self.url).map_err(|e| format!("it is not a URL: {e}"))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("it holds credentials; name a profile or a credentials_file instead".into());
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err("it has a query or a fragment; use the keys of the destination".into());
        }
        let prefix = parsed.path().trim_matches('/').to_owned();
        match (parsed.scheme(), parsed.host_str()) {
            ("s3", Some(bucket)) => Ok(Location::S3 { bucket: bucket.to_owned(), prefix }),
            ("gs", Some(bucket)) => Ok(Location::Gcs { bucket: bucket.to_owned(), prefix }),
            ("az", Some(account)) => {
                let (container, prefix) = prefix.split_once('/').unwrap_or((&prefix, ""));
                if container.is_empty() {
                    return Err("it names no container; write az://ACCOUNT/CONTAINER/PREFIX".into());
                }
                Ok(Location::Azure {
                    account: account.to_owned(),
                    container: container.to_owned(),
                    prefix: prefix.trim_start_matches('/').to_owned(),
                })
            }
            ("s3", None) => Err("it names no bucket; write s3://BUCKET/PREFIX".into()),
            ("gs", None) => Err("it names no bucket; write gs://BUCKET/PREFIX".into()),
            ("az", None) => Err("it names no account; write az://ACCOUNT/CONTAINER/PREFIX".into()),
            (scheme, _) => {
                Err(format!("scheme {scheme:?} is not known; use file:, s3:, gs: or az:"))
            }
        }
    }

    /// Whether the bytes leave this machine.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !self.url.starts_with("file:")
    }

    /// The keys that are set and have no effect at a place of this kind.
    pub(crate) fn idle_keys(&self, location: &Location) -> Vec<&'static str> {
        const S3: u8 = 1;
        const GCS: u8 = 2;
        const AZURE: u8 = 4;
        let here = match location {
            Location::Directory(_) => 0,
            Location::S3 { .. } => S3,
            Location::Gcs { .. } => GCS,
            Location::Azure { .. } => AZURE,
        };
        let set = [
            ("region", self.region.is_some(), S3),
            ("endpoint", self.endpoint.is_some(), S3 | GCS | AZURE),
            ("path_style", self.path_style.is_some(), S3),
            ("ca_file", self.ca_file.is_some(), S3 | GCS | AZURE),
            ("proxy", self.proxy.is_some(), S3 | GCS | AZURE),
            ("profile", self.profile.is_some(), S3),
            ("credentials_file", self.credentials_file.is_some(), S3 | GCS),
            ("credentials", self.credentials.is_some(), GCS),
            ("sas_file", self.sas_file.is_some(), AZURE),
            ("account_key_file", self.account_key_file.is_some(), AZURE),
            ("client_id", self.client_id.is_some(), AZURE),
            ("storage_class", self.storage_class.is_some(), S3 | GCS | AZURE),
            ("sse", self.sse.is_some(), S3 | GCS | AZURE),
            ("kms_key", self.kms_key.is_some(), S3 | GCS | AZURE),
            ("customer_key_file", self.customer_key_file.is_some(), S3 | GCS | AZURE),
            ("lock", self.lock.is_some(), S3 | GCS | AZURE),
            ("lock_for", self.lock_for.is_some(), S3 | GCS | AZURE),
            ("tags", self.tags.is_some(), S3 | GCS | AZURE),
            ("checksum", self.checksum.is_some(), S3),
            ("part_bytes", self.part_bytes.is_some(), S3 | GCS | AZURE),
            ("parts_in_flight", self.parts_in_flight.is_some(), S3 | AZURE),
            ("bytes_per_second_max", self.bytes_per_second_max.is_some(), S3 | GCS | AZURE),
        ];
        let is_idle = |(_, is_set, places): &(_, bool, u8)| *is_set && places & here == 0;
        set.into_iter().filter(is_idle).map(|(key, ..)| key).collect()
    }
}

impl Location {
    /// The words for it in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Location::Directory(_) => "a directory",
            Location::S3 { .. } => "an S3 bucket",
            Location::Gcs { .. } => "a bucket of Google Cloud Storage",
            Location::Azure { .. } => "a container of Azure",
        }
    }
}
