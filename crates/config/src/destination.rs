//! `[destinations.NAME]`: one bucket with its prefix, or one directory.
//!
//! The scheme of `url` decides which keys have an effect; another one is an error, because a key
//! that is silently ignored is how plaintext gets shipped for months.

use crate::values::Duration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One destination, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// `file:DIR` or `s3://BUCKET/PREFIX`.
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
    /// The profile of the SDK's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A file in the format of `~/.aws/credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// The storage class of the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Encryption by the store, on top of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse: Option<Sse>,
    /// The key for `sse = "kms"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
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
    /// Without progress for so long, the destination has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
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
}

/// Encryption by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sse {
    /// With the store's own key.
    S3,
    /// With a key of the key management service.
    Kms,
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
        match (parsed.scheme(), parsed.host_str()) {
            ("s3", Some(bucket)) => Ok(Location::S3 {
                bucket: bucket.to_owned(),
                prefix: parsed.path().trim_matches('/').to_owned(),
            }),
            ("s3", None) => Err("it names no bucket; write s3://BUCKET/PREFIX".into()),
            (scheme, _) => Err(format!("scheme {scheme:?} is not known; use file: or s3:")),
        }
    }

    /// Whether the bytes leave this machine.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !self.url.starts_with("file:")
    }

    /// The keys that are set, apart from those that every destination has.
    pub(crate) fn remote_keys(&self) -> Vec<&'static str> {
        let set = [
            ("region", self.region.is_some()),
            ("endpoint", self.endpoint.is_some()),
            ("path_style", self.path_style.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("profile", self.profile.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
            ("storage_class", self.storage_class.is_some()),
            ("sse", self.sse.is_some()),
            ("kms_key", self.kms_key.is_some()),
            ("checksum", self.checksum.is_some()),
            ("part_bytes", self.part_bytes.is_some()),
            ("parts_in_flight", self.parts_in_flight.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }
}
