//! Plain settings of destinations; whoever reads `pipeline.toml` maps its own structures here.
//!
//! `Debug` of everything in this file is safe to print: secrets are [`Secret`], and an
//! [`Endpoint`] cannot contain a user name, password or query.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Default size of a part of a multipart upload.
pub const PART_BYTES_DEFAULT: u64 = 8 << 20;
/// The smallest part that S3 takes (but for the last one).
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// The largest part that S3 takes.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// The largest object that Amazon copies in one request.
pub const COPY_BYTES_MAX: u64 = 5 << 30;
/// How many parts may be in flight at once, at most: each of them is held in memory.
pub const PARTS_IN_FLIGHT_MAX: usize = 16;
/// How long a write is insisted on without progress.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(270);
/// How often a request is tried, at most.
pub(crate) const ATTEMPTS_MAX: u32 = 20;

/// One destination of any kind.
#[derive(Debug, Clone)]
pub enum DestinationSettings {
    /// A directory.
    File(FileSettings),
    /// A bucket of S3 or of a server that speaks its language.
    S3(Box<S3Settings>),
    /// A bucket of Google Cloud Storage.
    Gcs(Box<GcsSettings>),
    /// A container of Azure Blob Storage.
    Azure(Box<AzureSettings>),
}

/// A directory, on a local or a mounted file system. Every write is synced.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// The name in `pipeline.toml`.
    pub name: String,
    /// The directory; it is made (mode 0700) if it is not there.
    pub path: PathBuf,
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The name in `pipeline.toml`.
    pub name: String,
    /// The bucket; it must exist.
    pub bucket: String,
    /// Put before every key, with a `/` between; empty for none. Slashes at its ends are
    /// ignored.
    pub prefix: String,
    /// The region; `None` asks the SDK's own chain (environment, profile, metadata), or is
    /// `us-east-1` if there is an endpoint.
    pub region: Option<String>,
    /// The server, if it is not Amazon's own.
    pub endpoint_url: Option<Endpoint>,
    /// `https://server/bucket/key` instead of `https://bucket.server/key`.
    pub path_style: bool,
    /// PEM certificates; if given, exactly these are trusted for the endpoint.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy for requests to the bucket; `None` leaves it to the environment
    /// (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<Endpoint>,
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// A file in the format of `~/.aws/credentials`, instead of that one.
    pub credentials_file: Option<PathBuf>,
    /// Explicit credentials; `None` leaves it to the SDK's chain (environment, profile, web
    /// identity, `credential_process`, SSO, container and instance metadata).
    pub credentials: Option<StaticCredentials>,
    /// Encryption at rest by the store.
    pub sse: Option<Sse>,
    /// Which checksums travel with the bytes.
    pub checksum: Checksum,
    /// Size of the first 5,000 parts; they grow after that. 5 MiB to 5 GiB.
    pub part_bytes: u64,
    /// Parts in flight at once, 1 to [`PARTS_IN_FLIGHT_MAX`]. An upload holds one part more
    /// than this in memory.
    pub parts_in_flight: usize,
    /// How often a request is tried in all, 1 to 20.
    pub attempts: u32,
    /// Limit of one attempt of a small request. A part gets more, by its size.
    pub timeout: Duration,
    /// How long a write is insisted on without progress, beyond these attempts; zero not to.
    pub patience: Duration,
    /// The largest object that the store copies in one request.
    pub copy_bytes_max: u64,
}

impl S3Settings {
    /// A bucket with default settings.
    #[must_use]
    pub fn new(name: impl Into<String>, bucket: impl Into<String>) -> Self {
        S3Settings {
            name: name.into(),
            bucket: bucket.into(),
            prefix: String::new(),
            region: None,
            endpoint_url: None,
            path_style: false,
            ca_file: None,
            proxy: None,
            profile: None,
            credentials_file: None,
            credentials: None,
            sse: None,
            checksum: Checksum::Full,
            part_bytes: PART_BYTES_DEFAULT,
            parts_in_flight: 3,
            attempts: 5,
            timeout: Duration::from_secs(60),
            patience: PATIENCE_DEFAULT,
            copy_bytes_max: COPY_BYTES_MAX,
        }
    }
}

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone)]
pub struct GcsSettings {
    /// The name in `pipeline.toml`.
    pub name: String,
    /// The bucket; it must exist.
    pub bucket: String,
    /// Put before every key, with a `/` between; empty for none.
    pub prefix: String,
    /// The server, if it is not Google's own.
    pub endpoint_url: Option<Endpoint>,
    /// PEM certificates; if given, exactly these are trusted for the endpoint.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy for requests to the bucket; `None` leaves it to the environment.
    pub proxy: Option<Endpoint>,
    /// A service account's key, or the description of a federated identity, in Google's JSON;
    /// `None` leaves it to the chain (`GOOGLE_APPLICATION_CREDENTIALS`, gcloud's, metadata).
    pub credentials_file: Option<PathBuf>,
    /// No credentials at all: for servers that ask for none. It goes before the file.
    pub anonymous: bool,
    /// Encryption at rest with a key of the key service (`projects/…/cryptoKeys/…`).
    pub kms_key: Option<String>,
    /// A file with a key of the customer's own (32 bytes, base64), sent with every request.
    pub customer_key_file: Option<PathBuf>,
    /// Bytes of one chunk of an upload; a multiple of 256 KiB.
    pub part_bytes: u64,
    /// How often a request is tried in all, 1 to 20.
    pub attempts: u32,
    /// Limit of one attempt of a small request. A chunk gets more, by its size.
    pub timeout: Duration,
    /// How long a write is insisted on without progress, beyond these attempts; zero not to.
    pub patience: Duration,
}

impl GcsSettings {
    /// A bucket with default settings.
    #[must_use]
    pub fn new(name: impl Into<String>, bucket: impl Into<String>) -> Self {
        GcsSettings {
            name: name.into(),
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint_url: None,
            ca_file: None,
            proxy: None,
            credentials_file: None,
            anonymous: false,
            kms_key: None,
            customer_key_file: None,
            part_bytes: PART_BYTES_DEFAULT,
            attempts: 5,
            timeout: Duration::from_secs(60),
            patience: PATIENCE_DEFAULT,
        }
    }
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone)]
pub struct AzureSettings {
    /// The name in `pipeline.toml`.
    pub name: String,
    /// The storage account.
    pub account: String,
    /// The container; it must exist.
    pub container: String,
    /// Put before every key, with a `/` between; empty for none.
    pub prefix: String,
    /// The account's address, if it is not `https://ACCOUNT.blob.core.windows.net`.
    pub endpoint_url: Option<Endpoint>,
    /// PEM certificates; if given, exactly these are trusted for the endpoint.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy for requests to the container; `None` leaves it to the environment.
    pub proxy: Option<Endpoint>,
    /// Who asks.
    pub credentials: AzureCredentials,
    /// An encryption scope of the account.
    pub encryption_scope: Option<String>,
    /// A file with a key of the customer's own (32 bytes, base64), sent with every request.
    pub customer_key_file: Option<PathBuf>,
    /// Bytes of the first blocks; they grow so that 50,000 never run out.
    pub part_bytes: u64,
    /// Blocks in flight at once, 1 to [`PARTS_IN_FLIGHT_MAX`].
    pub parts_in_flight: usize,
    /// How often a request is tried in all, 1 to 20.
    pub attempts: u32,
    /// Limit of one attempt of a small request. A block gets more, by its size.
    pub timeout: Duration,
    /// How long a write is insisted on without progress, beyond these attempts; zero not to.
    pub patience: Duration,
}

impl AzureSettings {
    /// A container with default settings.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        account: impl Into<String>,
        container: impl Into<String>,
    ) -> Self {
        AzureSettings {
            name: name.into(),
            account: account.into(),
            container: container.into(),
            prefix: String::new(),
            endpoint_url: None,
            ca_file: None,
            proxy: None,
            credentials: AzureCredentials::Chain { client_id: None },
            encryption_scope: None,
            customer_key_file: None,
            part_bytes: PART_BYTES_DEFAULT,
            parts_in_flight: 3,
            attempts: 5,
            timeout: Duration::from_secs(60),
            patience: PATIENCE_DEFAULT,
        }
    }
}

/// Who asks a container. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureCredentials {
    /// Entra: a workload identity, a client secret of the environment, the machine's managed
    /// identity; the first of them that there is.
    Chain {
        /// The identity, where the machine or the pod has several.
        client_id: Option<String>,
    },
    /// A file with a shared access signature (`sv=…&sig=…`).
    SasFile(PathBuf),
    /// A file with one of the account's keys.
    AccountKeyFile(PathBuf),
}

/// Encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// With keys of the store (`AES256`).
    S3,
    /// With a key of the key service (`aws:kms`); `None` is the account's default key.
    Kms {
        /// Key id, alias or ARN.
        key_id: Option<String>,
    },
    /// With a key of the customer's own, which is sent with every request (SSE-C).
    Customer {
        /// A file with the key: 32 bytes, base64.
        key_file: PathBuf,
    },
    /// Something else that a store reported; it cannot be asked for.
    Other(String),
}

impl fmt::Display for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sse::S3 => f.write_str("AES256"),
            Sse::Kms { key_id: None } => f.write_str("aws:kms"),
            Sse::Kms { key_id: Some(id) } => write!(f, "aws:kms with key {id}"),
            Sse::Customer { .. } => f.write_str("a key of the customer's own"),
            Sse::Other(name) => f.write_str(name),
        }
    }
}

/// Which checksums travel with the bytes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// CRC-64/NVME of every part and of the whole object, which the store checks and keeps.
    #[default]
    Full,
    /// CRC-32C of every part.
    Part,
    /// None, for servers that refuse them. The read-back still compares SHA-256.
    None,
}

/// Access key and secret.
#[derive(Debug, Clone)]
pub struct StaticCredentials {
    /// The access key id: an identifier, but not shown either.
    pub access_key_id: Secret,
    /// The secret.
    pub secret_access_key: Secret,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The URL of a server: http or https, without user, password, query and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an [`Endpoint`]. The text itself is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointProblem {
    /// Not a URL with a host.
    #[error("the endpoint is not a URL")]
    NotAUrl,
    /// Neither http nor https.
    #[error("the endpoint is neither http:// nor https://")]
    Scheme,
    /// A user name or password.
    #[error("the endpoint contains a user name or password; give credentials separately")]
    UserInfo,
    /// A query or fragment.
    #[error("the endpoint has a query or fragment")]
    Query,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, EndpointProblem> {
        let url = Url::parse(text).map_err(|_| EndpointProblem::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointProblem::Scheme);
        }
        if url.host().is_none() {
            return Err(EndpointProblem::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointProblem::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointProblem::Query);
        }
        Ok(Endpoint(url))
    }

    /// Whether what is said to it is encrypted on its way.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is on this very machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// Refuses a server to which somebody else could listen: neither is what is said to it encrypted,
    /// nor is it on this machine. Without one, the store's own is meant, which is https.
    pub(crate) fn must_be_private(endpoint: Option<&Endpoint>) -> Result<(), crate::ErrorKind> {
        if endpoint.is_none_or(|url| url.is_https() || url.is_loopback()) {
            return Ok(());
        }
        let said = "a key of one's own would travel in the clear".to_owned();
        Err(crate::ErrorKind::Config { said, hint: "use an https:// endpoint" })
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let mut settings = S3Settings::new("site", "bucket");
        settings.endpoint_url = Endpoint::parse("https://s3.example:9000").ok();
        settings.credentials = Some(StaticCredentials {
            access_key_id: Secret::new("CANARY-ID"),
            secret_access_key: Secret::new("CANARY-SECRET"),
            session_token: Some(Secret::new("CANARY-TOKEN")),
        });
        let shown =
            format!("{:?} {:#?}", settings, DestinationSettings::S3(Box::new(settings.clone())));
        assert!(!shown.contains("CANARY"), "{shown}");
        assert!(shown.contains("https://s3.example:9000"), "{shown}");
    }

    #[test]
    fn i23_a_key_of_ones_own_does_not_travel_in_the_clear() {
        for (url, is_private) in [
            ("https://s3.example", true),
            ("http://s3.example", false),
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000", true),
            ("http://10.0.0.1", false),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(Endpoint::must_be_private(Some(&endpoint)).is_ok(), is_private, "{url}");
        }
        assert!(Endpoint::must_be_private(None).is_ok());
    }

    #[test]
    fn endpoints_hold_no_credentials() {
        use EndpointProblem::*;
        for (text, problem) in [
            ("https://user:CANARY@host", UserInfo),
            ("https://user@host", UserInfo),
            ("ftp://host", Scheme),
            ("host:9000", Scheme),
            ("https://host/?sig=CANARY", Query),
            ("nonsense", NotAUrl),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(error, problem, "{text}");
            assert!(!error.to_string().contains("CANARY"));
        }
    }
}
