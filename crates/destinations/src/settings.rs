//! From `[destinations.NAME]` to an open destination.

use crate::Error;
use crate::memory::Share;
use config::{Checksum, Destination, Location, Pipeline, ReadBack, Sse};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{
    DestinationSettings, ErrorKind, FileSettings, Operation, ReadBackMode, S3Settings, StoreError,
};

/// How long a destination may go without progress, unless its settings say otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

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
}

/// Opens every destination of the configuration, each by itself: one that cannot be opened
/// does not keep the others from being used. Of two that are the same place only the first is
/// opened, because two names do not make two copies.
pub async fn open_all(pipeline: &Pipeline) -> Vec<(String, Result<Opened, Error>)> {
    let mut all = Vec::with_capacity(pipeline.destinations.len());
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for (name, destination) in &pipeline.destinations {
        let share = Share::of(destination, pipeline);
        let opened = open(name, destination, share).await.and_then(|opened| {
            let place = opened.store.location();
            match places.insert(place.clone(), name.clone()) {
                None => Ok(opened),
                Some(other) => Err(same_place(name, &other, &place)),
            }
        });
        all.push((name.clone(), opened));
    }
    all
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
        Some(destination) => open(name, destination, Share::of(destination, pipeline)).await,
        None => Err(Error::Unknown(name.to_owned())),
    }
}

async fn open(name: &str, destination: &Destination, share: Share) -> Result<Opened, Error> {
    let store = store::open(settings(name, destination, share)?).await?;
    Ok(Opened {
        store,
        read_back: match destination.read_back.unwrap_or_default() {
            ReadBack::Full => ReadBackMode::Full,
            ReadBack::Checksum => ReadBackMode::Checksum,
        },
        timeout: destination.timeout.map_or(TIMEOUT_DEFAULT, config::Duration::get),
        is_remote: destination.is_remote(),
    })
}

fn settings(
    name: &str,
    destination: &Destination,
    share: Share,
) -> Result<DestinationSettings, StoreError> {
    let wrong = |said: String| {
        let kind = ErrorKind::Config { said, hint: "correct it in pipeline.toml" };
        StoreError::new(name, Operation::Open, "", kind)
    };
    let (bucket, prefix) = match destination.location().map_err(wrong)? {
        Location::Directory(path) => {
            let path = std::path::absolute(&path).map_err(|e| wrong(e.to_string()))?;
            return Ok(DestinationSettings::File(FileSettings { name: name.to_owned(), path }));
        }
        Location::S3 { bucket, prefix } => (bucket, prefix),
    };
    let mut s3 = S3Settings::new(name, bucket);
    s3.prefix = prefix;
    s3.region.clone_from(&destination.region);
    s3.path_style = destination.path_style.unwrap_or(false);
    s3.ca_file.clone_from(&destination.ca_file);
    s3.profile.clone_from(&destination.profile);
    s3.credentials_file.clone_from(&destination.credentials_file);
    s3.storage_class.clone_from(&destination.storage_class);
    s3.sse = destination.sse.map(|sse| match sse {
        Sse::S3 => store::Sse::S3,
        Sse::Kms => store::Sse::Kms { key_id: destination.kms_key.clone() },
    });
    s3.checksum = match destination.checksum.unwrap_or_default() {
        Checksum::Full => store::Checksum::Full,
        Checksum::Part => store::Checksum::Part,
        Checksum::None => store::Checksum::None,
    };
    if let Some(endpoint) = &destination.endpoint {
        let parsed = store::Endpoint::parse(endpoint).map_err(|e| wrong(e.to_string()))?;
        s3.endpoint_url = Some(parsed);
    }
    if let Some(timeout) = destination.timeout {
        // A request that outlives the patience of this destination is not worth waiting for.
        s3.timeout = s3.timeout.min(timeout.get());
    }
    s3.part_bytes = share.part_bytes;
    s3.parts_in_flight = share.parts_in_flight;
    Ok(DestinationSettings::S3(Box::new(s3)))
}
