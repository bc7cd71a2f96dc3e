//! Settings to client.
//!
//! Everything that can be wrong in the settings is found here, before the first request.

use super::Bucket;
use super::credentials::Identity;
use super::encryption::CustomerKey;
use super::sdk::Reader;
use crate::clock::StoreClock;
use crate::settings::ATTEMPTS_MAX;
use crate::{Endpoint, ErrorKind, GcsSettings, PART_BYTES_MAX};
use std::time::Duration;
use url::Url;

/// Google's own server.
const GOOGLE: &str = "https://storage.googleapis.com";
/// A chunk is given its request's timeout and a second for every so many bytes.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 256 << 10;
/// A chunk of an upload is a multiple of this, all but the last.
pub(super) const CHUNK_STEP_BYTES: u64 = 256 << 10;

/// The bucket, with its client.
pub(super) fn bucket(settings: GcsSettings) -> Result<Bucket, ErrorKind> {
    check(&settings)?;
    let silence = limit(&settings, settings.part_bytes.next_multiple_of(CHUNK_STEP_BYTES));
    let ca_file = settings.ca_file.as_deref();
    let http = crate::http::client(ca_file, settings.proxy.as_ref(), silence)?;
    let address = settings.endpoint_url.as_ref().map_or(GOOGLE, Endpoint::as_str);
    let base = Url::parse(address).map_err(|e| config(e.to_string(), "correct endpoint"))?;
    let prefix = match settings.prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Bucket {
        http,
        base,
        prefix,
        identity: Identity::new(&settings),
        key: settings.customer_key_file.as_deref().map(CustomerKey::read).transpose()?,
        reader: Reader::default(),
        clock: StoreClock::default(),
        settings,
    })
}

/// The limit of one attempt of a request that carries so many bytes.
pub(super) fn limit(settings: &GcsSettings, body_bytes: u64) -> Duration {
    settings.timeout + Duration::from_secs(body_bytes / UPLOAD_BYTES_PER_SECOND_MIN)
}

/// Whether the settings are within range.
pub(super) fn check(settings: &GcsSettings) -> Result<(), ErrorKind> {
    let GcsSettings { bucket, part_bytes, attempts, .. } = settings;
    if bucket.is_empty() || bucket.contains(['/', ' ', '?', '#', ':']) {
        return Err(config(format!("{bucket:?} is not a bucket name"), "give the name, not a URL"));
    }
    crate::key::check_prefix(settings.prefix.trim_matches('/'))?;
    if !(CHUNK_STEP_BYTES..=PART_BYTES_MAX).contains(part_bytes) {
        return Err(config(format!("part_bytes is {part_bytes}"), "use 256 KiB to 5 GiB"));
    }
    if !(1..=ATTEMPTS_MAX).contains(attempts) {
        return Err(config(format!("attempts is {attempts}"), "use 1 to 20"));
    }
    if settings.timeout < Duration::from_secs(1) {
        return Err(config(format!("timeout is {:?}", settings.timeout), "use a second or more"));
    }
    if settings.customer_key_file.is_some() {
        Endpoint::must_be_private(settings.endpoint_url.as_ref())?;
    }
    if settings.kms_key.is_some() && settings.customer_key_file.is_some() {
        let said = "an object has one key: kms_key or customer_key_file".to_owned();
        return Err(config(said, "leave one of them out"));
    }
    Ok(())
}

fn config(said: String, hint: &'static str) -> ErrorKind {
    ErrorKind::Config { said, hint }
}
