//! Settings to client: address, credentials, TLS, retries.
//!
//! Everything that can be wrong in the settings is found here, before the first request.

use super::credentials::{Watched, check_key, check_sas};
use super::customer_key::CustomerKey;
use super::entra::Chain;
use super::parts::{BLOCK_BYTES_MAX, BLOCK_BYTES_MIN};
use super::retry::Attempts;
use super::sign::{Sign, Signer};
use super::wire::Wire;
use crate::clock::StoreClock;
use crate::pace::Pace;
use crate::settings::ATTEMPTS_MAX;
use crate::{AzureCredentials, AzureSettings, Endpoint, ErrorKind, PARTS_IN_FLIGHT_MAX};
use azure_core::credentials::TokenCredential;
use azure_core::http::policies::Policy;
use azure_core::http::{ClientOptions, RetryOptions, Transport, Url};
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use std::sync::Arc;
use std::time::Duration;

/// How long the wire may be silent. Attempts and downloads have limits of their own, which know
/// how long a request is.
const SILENCE: Duration = Duration::from_secs(3_600);
/// Names of accounts and containers, by Microsoft's rules.
const ACCOUNT_CHARS: std::ops::RangeInclusive<usize> = 3..=24;
const CONTAINER_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

type Checked<T> = Result<T, ErrorKind>;

/// Whether the settings are within range.
pub(super) fn check(settings: &AzureSettings) -> Checked<()> {
    let AzureSettings { account, container, part_bytes, parts_in_flight, attempts, .. } = settings;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !ACCOUNT_CHARS.contains(&account.len()) || !account.chars().all(is_plain) {
        let hint = "give its name: 3 to 24 lower-case letters and digits";
        return config(format!("{account:?} is not a storage account"), hint);
    }
    // `$root` and `$logs` are containers of the service's own.
    let is_name = |c: char| is_plain(c) || c == '-';
    if !CONTAINER_CHARS.contains(&container.len()) || !container.chars().all(is_name) {
        let hint = "give its name: 3 to 63 lower-case letters, digits and hyphens";
        return config(format!("{container:?} is not a container"), hint);
    }
    crate::key::check_prefix(settings.prefix.trim_matches('/'))?;
    if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(part_bytes) {
        return config(format!("part_bytes is {part_bytes}"), "use 64 KiB to 4,000 MiB");
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
    let is_open = settings.endpoint_url.as_ref().is_some_and(|e| e.as_str().starts_with("http://"));
    if is_open && matches!(settings.credentials, AzureCredentials::Chain { .. }) {
        let said = "a token of Entra is only sent over https".to_owned();
        let hint = "use an https endpoint, or sas_file or account_key_file";
        return config(said, hint);
    }
    if settings.customer_key_file.is_some() {
        Endpoint::must_be_private(settings.endpoint_url.as_ref())?;
    }
    if settings.encryption_scope.is_some() && settings.customer_key_file.is_some() {
        let said = "an encryption scope and a customer's key exclude each other".to_owned();
        return config(said, "leave out kms_key or customer_key_file");
    }
    Ok(())
}

fn config(said: String, hint: &'static str) -> Checked<()> {
    Err(ErrorKind::Config { said, hint })
}

/// The parts of a destination that are made from its settings.
pub(super) struct Built {
    pub(super) client: BlobContainerClient,
    pub(super) pace: Pace,
    pub(super) clock: StoreClock,
    pub(super) signer: Arc<Signer>,
    pub(super) customer_key: Option<CustomerKey>,
}

pub(super) fn build(settings: &AzureSettings) -> Checked<Built> {
    let (pace, clock) = (Pace::new(settings.parts_in_flight), StoreClock::default());
    let (signer, token) = credentials(settings);
    let signer = Arc::new(signer);
    let customer_key = settings.customer_key_file.as_deref().map(CustomerKey::read).transpose()?;
    let attempts = Attempts {
        attempts: settings.attempts,
        timeout: settings.timeout,
        pace: pace.clone(),
        signer: signer.clone(),
    };
    let proxy = settings.proxy.as_ref();
    let http = crate::http::client(settings.ca_file.as_deref(), proxy, SILENCE)?;
    let mut per_call: Vec<Arc<dyn Policy>> = vec![Arc::new(super::commit::Checksums)];
    if let Some(key) = &customer_key {
        per_call.push(Arc::new(key.clone()));
    }
    per_call.push(Arc::new(attempts));
    let client_options = ClientOptions {
        per_call_policies: per_call,
        per_try_policies: vec![Arc::new(Sign(signer.clone()))],
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(Wire {
            client: http,
            clock: clock.clone(),
            proxy: settings.proxy.clone(),
        }))),
        ..ClientOptions::default()
    };
    let options = BlobContainerClientOptions { client_options, ..Default::default() };
    let client = BlobContainerClient::new(address(settings)?, token, Some(options));
    let client = client.map_err(|e| {
        let said = format!("the client cannot be made: {}", crate::error::innermost(&e));
        ErrorKind::Config { said, hint: "correct the account or the endpoint" }
    })?;
    Ok(Built { client, pace, clock, signer, customer_key })
}

fn credentials(settings: &AzureSettings) -> (Signer, Option<Arc<dyn TokenCredential>>) {
    match &settings.credentials {
        AzureCredentials::Chain { client_id } => {
            let chain = Arc::new(Chain::new(client_id.clone()));
            (Signer::Entra(chain.clone()), Some(chain))
        }
        AzureCredentials::SasFile(file) => {
            (Signer::Sas(Watched::new(file.clone(), check_sas)), None)
        }
        AzureCredentials::AccountKeyFile(file) => {
            let key = Watched::new(file.clone(), check_key);
            (Signer::Key { account: settings.account.clone(), key }, None)
        }
    }
}

/// The container's address.
fn address(settings: &AzureSettings) -> Checked<Url> {
    let AzureSettings { account, container, .. } = settings;
    let base = match &settings.endpoint_url {
        Some(endpoint) => Endpoint::as_str(endpoint).to_owned(),
        None => format!("https://{account}.blob.core.windows.net"),
    };
    Url::parse(&format!("{base}/{container}")).map_err(|_| {
        let said = "the container's address is not a URL".to_owned();
        ErrorKind::Config { said, hint: "correct the account or the endpoint" }
    })
}
