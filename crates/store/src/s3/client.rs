//! Settings to client: credentials, region, endpoint, TLS, retries.
//!
//! Everything that can be wrong in the settings is found here, before the first request.

use super::credentials::{FromFile, explicit};
use super::customer::CustomerKey;
use super::retry::Classifier;
use crate::clock::StoreClock;
use crate::http::certificates;
use crate::pace::Pace;
use crate::settings::ATTEMPTS_MAX;
use crate::{
    Checksum, Endpoint, ErrorKind, PART_BYTES_MAX, PART_BYTES_MIN, PARTS_IN_FLIGHT_MAX, S3Settings,
    Sse,
};
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::{
    IdentityCache, ProvideCredentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use std::sync::Arc;
use std::time::Duration;

/// A stream that stands still for so long is broken off and tried again.
const STALL_GRACE: Duration = Duration::from_secs(20);
/// Pauses between attempts grow up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// The region that servers other than Amazon's expect in signatures, if none is set.
const ENDPOINT_REGION: &str = "us-east-1";

/// Whether the settings are within range.
pub(super) fn check(settings: &S3Settings) -> Result<(), ErrorKind> {
    let S3Settings { bucket, part_bytes, parts_in_flight, attempts, .. } = settings;
    if bucket.is_empty() || bucket.contains(['/', ' ', '?', '#']) {
        return config(format!("{bucket:?} is not a bucket name"), "give the name, not a URL");
    }
    crate::key::check_prefix(settings.prefix.trim_matches('/'))?;
    if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(part_bytes) {
        return config(format!("part_bytes is {part_bytes}"), "use 5 MiB to 5 GiB");
    }
    if !(1..=PARTS_IN_FLIGHT_MAX).contains(parts_in_flight) {
        return config(format!("parts_in_flight is {parts_in_flight}"), "use 1 to 16");
    }
    if !(1..=ATTEMPTS_MAX).contains(attempts) {
        return config(format!("attempts is {attempts}"), "use 1 to 20");
    }
    if settings.timeout < Duration::from_secs(1) {
        return config(format!("timeout is {:?}", settings.timeout), "use a second or more");
    }
    match &settings.sse {
        Some(Sse::Other(name)) => {
            config(format!("sse {name:?} cannot be asked for"), "use AES256 or aws:kms")
        }
        _ => Ok(()),
    }
}

fn config(said: String, hint: &'static str) -> Result<(), ErrorKind> {
    Err(ErrorKind::Config { said, hint })
}

/// The client, how many parts it may send at once, and the store's clock. The SDK's own chain
/// serves whatever the settings leave open.
pub(super) async fn build(
    settings: &S3Settings,
    customer_key: Option<CustomerKey>,
) -> Result<(Client, Pace, StoreClock), ErrorKind> {
    let file = match settings.credentials {
        Some(_) => None,
        None => FromFile::new(settings).map(Arc::new),
    };
    let shared = shared(settings, file.clone()).await;
    if shared.region().is_none() {
        let said = "no region is known".to_owned();
        let hint = "set region, or AWS_REGION, or a profile that has one";
        return Err(ErrorKind::Config { said, hint });
    }
    let stall = StalledStreamProtectionConfig::enabled().grace_period(STALL_GRACE).build();
    let retries =
        RetryConfig::standard().with_max_attempts(settings.attempts).with_max_backoff(BACKOFF_MAX);
    let (pace, clock) = (Pace::new(settings.parts_in_flight), StoreClock::default());
    let classifier = Classifier { pace: pace.clone(), credentials: file };
    let mut builder = aws_sdk_s3::config::Builder::from(&shared)
        .retry_classifier(classifier)
        .interceptor(clock.clone())
        .force_path_style(settings.path_style)
        .retry_config(retries)
        // Retries are rationed; the storm of one destination must not use up those of another.
        .retry_partition(RetryPartition::new(format!("lifeboat-{}", settings.name)))
        .stalled_stream_protection(stall);
    if settings.checksum == Checksum::None {
        builder = builder
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    } else {
        builder = builder
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .response_checksum_validation(ResponseChecksumValidation::WhenSupported);
    }
    if settings.ca_file.is_some() || settings.proxy.is_some() {
        builder = builder.http_client(http_client(settings)?);
    }
    if let Some(key) = customer_key {
        builder = builder.interceptor(key);
    }
    #[cfg(debug_assertions)]
    let builder = builder.interceptor(super::failpoints::Failpoints);
    Ok((Client::from_conf(builder.build()), pace, clock))
}

async fn shared(settings: &S3Settings, file: Option<Arc<FromFile>>) -> SdkConfig {
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(explicit(credentials));
    } else if let Some(file) = file {
        let file: Arc<dyn ProvideCredentials> = file;
        // It keeps them itself, and knows when they have to be read anew.
        loader = loader
            .credentials_provider(SharedCredentialsProvider::new(file))
            .identity_cache(IdentityCache::no_cache());
    }
    let region = match (&settings.region, &settings.endpoint_url) {
        (Some(region), _) => Some(region.as_str()),
        (None, Some(_)) => Some(ENDPOINT_REGION),
        (None, None) => None,
    };
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = settings.endpoint_url.as_ref().map(Endpoint::as_str) {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// An HTTP client that trusts the certificates in a file and no others, and goes through a proxy,
/// each if there is one. Only requests to the bucket use it: the SDK's own credential services keep
/// the system's trust and the environment's proxy.
fn http_client(settings: &S3Settings) -> Result<SharedHttpClient, ErrorKind> {
    let mut context = TlsContext::builder();
    if let Some(path) = &settings.ca_file {
        let pem = certificates(path)?;
        context = context.with_trust_store(TrustStore::empty().with_pem_certificate(pem));
    }
    let context = context.build().map_err(|e| {
        let said = format!("TLS cannot be set up: {e}");
        ErrorKind::Config { said, hint: "correct ca_file" }
    })?;
    let proxy = match &settings.proxy {
        Some(proxy) => ProxyConfig::all(proxy.as_str()).map_err(|e| {
            let said = format!("the proxy {} cannot be used: {e}", proxy.as_str());
            ErrorKind::Config { said, hint: "write it like http://proxy.example:3128" }
        })?,
        None => ProxyConfig::from_env(),
    };
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone())
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    }))
}
