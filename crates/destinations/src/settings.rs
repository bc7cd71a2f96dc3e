//! From `[destinations.NAME]` to an open destination.

use crate::Error;
use crate::memory::Share;
use crate::mounts::Mounts;
use catalogue::TIER_DEFAULT;
use config::{Checksum, Destination, Location, LockSpan, Pipeline, ReadBack, Sse};
use contract::Clock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{
    AzureCredentials, AzureSettings, DestinationSettings, ErrorKind, FileSettings, GcsSettings,
    Keeping, Lock, LockMode, Operation, ReadBackMode, S3Settings, StoreError, Throttled,
};
use trust::Trust;

/// How long a destination may go without progress, unless its settings say otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// How long opening one may take, in which nothing is asked but the region of a bucket, and nothing
/// touched but the directory itself.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A destination, ready for use.
#[derive(Clone)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn store::Destination>,
    /// How a copy is read back before it counts.
    pub read_back: ReadBackMode,
    /// How long it may go without progress.
    pub timeout: Duration,
    /// Whether the bytes leave this machine.
    pub is_remote: bool,
    /// As written in the configuration.
    pub written: Destination,
    /// How long its objects are locked, where they are.
    pub lock_span: LockSpan,
    /// What tells whether a lock would have ended already.
    pub clock: Clock,
    /// Whose backups are believed.
    pub trust: Arc<Trust>,
}

impl Opened {
    /// How the store is to keep the artifact of a backup of this tier, taken at this time.
    #[must_use]
    pub fn keeping(&self, tier: &str, taken_at: Timestamp) -> Keeping {
        Keeping {
            storage_class: self.written.storage_class.as_ref().and_then(|c| c.of(tier)).cloned(),
            lock: self.lock(tier, taken_at),
            tags: self.written.tags.clone().unwrap_or_default(),
        }
    }

    /// One that has ended already, of a copy of an old backup, is none: a store would refuse it.
    fn lock(&self, tier: &str, taken_at: Timestamp) -> Option<Lock> {
        let mode = match self.written.lock? {
            config::Lock::Governance => LockMode::Governance,
            config::Lock::Compliance => LockMode::Compliance,
        };
        let until = self.lock_span.until(tier, taken_at)?;
        (until > self.clock.now()).then_some(Lock { mode, until })
    }

    /// How a probe's object is to be kept: as an artifact of the first tier, but without a lock, so
    /// that it can be taken away again.
    pub(crate) fn probed(&self) -> Keeping {
        Keeping { lock: None, ..self.keeping(TIER_DEFAULT, Timestamp::UNIX_EPOCH) }
    }
}

/// Opens every destination of the configuration, all at once and each by itself: one that cannot be
/// opened, or hangs, does not keep the others from being used. Of two that are the same place only
/// the first is opened, because two names do not make two copies.
pub async fn open_all(pipeline: &Pipeline) -> Vec<(String, Result<Opened, Error>)> {
    open_all_on(pipeline, &Mounts::system()).await
}

async fn open_all_on(pipeline: &Pipeline, mounts: &Mounts) -> Vec<(String, Result<Opened, Error>)> {
    let opening = pipeline.destinations.iter().map(|(name, destination)| async move {
        (name, open_in_time(name, destination, pipeline, mounts).await)
    });
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let opened = futures::future::join_all(opening).await.into_iter().map(|(name, opened)| {
        let opened = opened.and_then(|opened| {
            let place = opened.store.location();
            match places.get(&place) {
                Some(other) => Err(same_place(name, other, &place)),
                None => {
                    places.insert(place, name.clone());
                    Ok(opened)
                }
            }
        });
        (name.clone(), opened)
    });
    opened.collect()
}

fn same_place(name: &str, other: &str, place: &str) -> Error {
    let said = format!("it is the same place as {other:?}, {place}: one copy, not two");
    let kind = ErrorKind::Config { said, hint: "delete one of the two from pipeline.toml" };
    StoreError::new(name, Operation::Open, "", kind).into()
}

/// Opens one of them.
///
/// # Errors
/// [`Error::Unknown`] when there is none of that name; [`Error::Store`] otherwise.
pub async fn open_one(pipeline: &Pipeline, name: &str) -> Result<Opened, Error> {
    match pipeline.destinations.get(name) {
        Some(destination) => open_in_time(name, destination, pipeline, &Mounts::system()).await,
        None => Err(Error::Unknown(name.to_owned())),
    }
}

/// A directory that is mounted from elsewhere may be away, and whoever touches it then hangs. The
/// thread that does stays behind; the program goes on, and its end is the end of the thread.
async fn open_in_time(
    name: &str,
    destination: &Destination,
    pipeline: &Pipeline,
    mounts: &Mounts,
) -> Result<Opened, Error> {
    let after = destination.timeout.map_or(OPEN_TIMEOUT, |t| t.get().min(OPEN_TIMEOUT));
    let opening = open(name, destination, Share::of(destination, pipeline), pipeline, mounts);
    let opened = tokio::time::timeout(after, opening).await;
    opened.unwrap_or_else(|_| {
        Err(StoreError::new(name, Operation::Open, "", ErrorKind::Stalled { after }).into())
    })
}

async fn open(
    name: &str,
    destination: &Destination,
    share: Share,
    pipeline: &Pipeline,
    mounts: &Mounts,
) -> Result<Opened, Error> {
    let settings = settings(name, destination, share)?;
    if let DestinationSettings::File(directory) = &settings {
        must_be_mounted(name, &directory.path, mounts).await?;
    }
    let store = store::open(settings).await?;
    let store = match destination.bytes_per_second_max {
        Some(limit) => Arc::new(Throttled::new(store, limit)),
        None => store,
    };
    Ok(Opened {
        store,
        read_back: match destination.read_back.unwrap_or_default() {
            ReadBack::Full => ReadBackMode::Full,
            ReadBack::Checksum => ReadBackMode::Checksum,
        },
        timeout: destination.timeout.map_or(TIMEOUT_DEFAULT, config::Duration::get),
        is_remote: destination.is_remote(),
        written: destination.clone(),
        lock_span: LockSpan::of(destination, pipeline),
        clock: Clock::system(),
        trust: Arc::new(pipeline.trust.clone()),
    })
}

/// Nothing is made where nothing is mounted: copies there would count, and be hidden later.
async fn must_be_mounted(name: &str, path: &Path, mounts: &Mounts) -> Result<(), StoreError> {
    let (path, mounts) = (path.to_path_buf(), mounts.clone());
    let looked = tokio::task::spawn_blocking(move || mounts.missing(&path)).await;
    let kind = match looked {
        Ok(None) => return Ok(()),
        Ok(Some(point)) => ErrorKind::NotMounted { point },
        Err(e) => ErrorKind::Transient { said: format!("the look at its mounts broke off: {e}") },
    };
    Err(StoreError::new(name, Operation::Open, "", kind))
}

fn settings(
    name: &str,
    destination: &Destination,
    share: Share,
) -> Result<DestinationSettings, StoreError> {
    let written = Written { name, destination, share };
    match destination.location().map_err(|said| written.wrong(said))? {
        Location::Directory(path) => {
            let path = std::path::absolute(&path).map_err(|e| written.wrong(e.to_string()))?;
            Ok(DestinationSettings::File(FileSettings { name: name.to_owned(), path }))
        }
        Location::S3 { bucket, prefix } => {
            Ok(DestinationSettings::S3(Box::new(written.s3(bucket, prefix)?)))
        }
        Location::Gcs { bucket, prefix } => {
            Ok(DestinationSettings::Gcs(Box::new(written.gcs(bucket, prefix)?)))
        }
        Location::Azure { account, container, prefix } => {
            Ok(DestinationSettings::Azure(Box::new(written.azure(account, container, prefix)?)))
        }
    }
}

/// A destination as it stands in the configuration.
struct Written<'a> {
    name: &'a str,
    destination: &'a Destination,
    share: Share,
}

impl Written<'_> {
    fn wrong(&self, said: String) -> StoreError {
        let kind = ErrorKind::Config { said, hint: "correct it in pipeline.toml" };
        StoreError::new(self.name, Operation::Open, "", kind)
    }

    fn server(&self, url: Option<&String>) -> Result<Option<store::Endpoint>, StoreError> {
        let parsed = url.map(|url| store::Endpoint::parse(url)).transpose();
        parsed.map_err(|e| self.wrong(e.to_string()))
    }

    /// A request that outlives the patience of this destination is not worth waiting for.
    fn timeout(&self, usual: Duration) -> Duration {
        self.destination.timeout.map_or(usual, |timeout| usual.min(timeout.get()))
    }

    /// A little less than what the whole may take without progress, so that the store's own words
    /// are told, and not that time is up.
    fn patience(&self) -> Duration {
        self.destination.timeout.map_or(TIMEOUT_DEFAULT, config::Duration::get).mul_f64(0.9)
    }

    fn s3(&self, bucket: String, prefix: String) -> Result<S3Settings, StoreError> {
        let written = self.destination;
        let usual = S3Settings::new(self.name, bucket);
        Ok(S3Settings {
            prefix,
            region: written.region.clone(),
            endpoint_url: self.server(written.endpoint.as_ref())?,
            path_style: written.path_style.unwrap_or(false),
            ca_file: written.ca_file.clone(),
            proxy: self.server(written.proxy.as_ref())?,
            profile: written.profile.clone(),
            credentials_file: written.credentials_file.clone(),
            sse: written.sse.map(|sse| match sse {
                Sse::S3 => store::Sse::S3,
                Sse::Kms => store::Sse::Kms { key_id: written.kms_key.clone() },
                Sse::Customer => {
                    let key_file = written.customer_key_file.clone().unwrap_or_default();
                    store::Sse::Customer { key_file }
                }
            }),
            checksum: match written.checksum.unwrap_or_default() {
                Checksum::Full => store::Checksum::Full,
                Checksum::Part => store::Checksum::Part,
                Checksum::None => store::Checksum::None,
            },
            timeout: self.timeout(usual.timeout),
            patience: self.patience(),
            part_bytes: self.share.part_bytes,
            parts_in_flight: self.share.parts_in_flight,
            ..usual
        })
    }

    /// Google takes one chunk after the other: the memory of several parts makes two large ones.
    fn chunk_bytes(&self) -> u64 {
        let parts = self.share.parts_in_flight as u64 + 1;
        self.destination.part_bytes.unwrap_or(self.share.part_bytes * parts / 2)
    }

    fn gcs(&self, bucket: String, prefix: String) -> Result<GcsSettings, StoreError> {
        let written = self.destination;
        let usual = GcsSettings::new(self.name, bucket);
        Ok(GcsSettings {
            prefix,
            endpoint_url: self.server(written.endpoint.as_ref())?,
            ca_file: written.ca_file.clone(),
            proxy: self.server(written.proxy.as_ref())?,
            credentials_file: written.credentials_file.clone(),
            anonymous: written.credentials == Some(config::Credentials::None),
            kms_key: written.kms_key.clone(),
            customer_key_file: written.customer_key_file.clone(),
            timeout: self.timeout(usual.timeout),
            patience: self.patience(),
            part_bytes: self.chunk_bytes(),
            ..usual
        })
    }

    fn azure(
        &self,
        account: String,
        container: String,
        prefix: String,
    ) -> Result<AzureSettings, StoreError> {
        let written = self.destination;
        let usual = AzureSettings::new(self.name, account, container);
        Ok(AzureSettings {
            prefix,
            endpoint_url: self.server(written.endpoint.as_ref())?,
            ca_file: written.ca_file.clone(),
            proxy: self.server(written.proxy.as_ref())?,
            credentials: match (&written.sas_file, &written.account_key_file) {
                (Some(file), _) => AzureCredentials::SasFile(file.clone()),
                (None, Some(file)) => AzureCredentials::AccountKeyFile(file.clone()),
                (None, None) => AzureCredentials::Chain { client_id: written.client_id.clone() },
            },
            encryption_scope: written.kms_key.clone(),
            customer_key_file: written.customer_key_file.clone(),
            timeout: self.timeout(usual.timeout),
            patience: self.patience(),
            part_bytes: self.share.part_bytes,
            parts_in_flight: self.share.parts_in_flight,
            ..usual
        })
    }
}

#[cfg(test)]
mod tests;
