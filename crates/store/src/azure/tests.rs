use super::commit::crc_bytes;
use super::object::{check_encryption, check_lock, check_tier, lock_end};
use super::*;
use crate::{AzureCredentials, Endpoint, Lock, LockMode, Sse};
use jiff::Timestamp;
use std::time::Duration;

fn settings() -> AzureSettings {
    let mut settings = AzureSettings::new("site", "account", "container");
    settings.credentials = AzureCredentials::SasFile("none".into());
    settings
}

/// The check value of CRC-64/NVME, in the order of Azure's own libraries.
#[test]
fn a_checksum_is_eight_bytes_the_smallest_first() {
    let crc = crate::Summary::of(b"123456789").crc64nvme;
    assert_eq!(crc_bytes(crc), [0x88, 0x98, 0x79, 0x0a, 0x86, 0x14, 0x8b, 0xae]);
}

#[test]
fn a_tier_counts_only_if_the_store_reports_it() {
    let (mut keeping, mut info) = (Keeping::default(), ObjectInfo::default());
    assert!(check_tier(&keeping, &info).is_ok());
    keeping.storage_class = Some("cool".into());
    assert!(check_tier(&keeping, &info).is_err());
    info.storage_class = Some("Hot".into());
    assert!(check_tier(&keeping, &info).is_err());
    info.storage_class = Some("Cool".into());
    assert!(check_tier(&keeping, &info).is_ok());
}

#[test]
fn a_lock_counts_only_if_the_store_reports_one_as_strong_and_as_long() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (asked, later, sooner) =
        (at("2030-01-01T00:00:00.5Z"), at("2030-01-01T00:00:01Z"), at("2029-12-31T00:00:00Z"));
    assert_eq!(lock_end(asked).unwrap().unix_timestamp(), later.as_second());
    let of = |mode| Keeping { lock: Some(Lock { mode, until: asked }), ..Keeping::default() };
    let (weak, strong) = (of(LockMode::Governance), of(LockMode::Compliance));
    let found =
        |lock_mode, locked_until| ObjectInfo { lock_mode, locked_until, ..ObjectInfo::default() };
    for (keeping, lock_mode, until, fits) in [
        (&weak, None, None, false),
        (&weak, Some(LockMode::Governance), Some(later), true),
        (&weak, Some(LockMode::Compliance), Some(later), true),
        (&weak, Some(LockMode::Governance), Some(sooner), false),
        (&strong, Some(LockMode::Governance), Some(later), false),
        (&strong, Some(LockMode::Compliance), Some(later), true),
    ] {
        let info = found(lock_mode, until);
        assert_eq!(check_lock(keeping, &info).is_ok(), fits, "{lock_mode:?} {until:?}");
    }
}

#[test]
fn encryption_counts_only_if_the_store_reports_it() {
    let mut settings = settings();
    let mut info = ObjectInfo { sse: Some(Sse::S3), ..ObjectInfo::default() };
    assert!(check_encryption(&settings, &info).is_ok());
    settings.encryption_scope = Some("tenant".into());
    assert!(check_encryption(&settings, &info).is_err());
    info.sse = Some(Sse::Other("encryption scope tenant".into()));
    assert!(check_encryption(&settings, &info).is_ok());
    settings.encryption_scope = None;
    settings.customer_key_file = Some("key".into());
    assert!(check_encryption(&settings, &info).is_err());
    info.sse = Some(Sse::Customer { key_file: "key".into() });
    assert!(check_encryption(&settings, &info).is_ok());
}

#[test]
fn settings_out_of_range_are_refused() {
    type Change = fn(&mut AzureSettings);
    let changes: [Change; 9] = [
        |s| s.account = "https://account".into(),
        |s| s.container = "az://container".into(),
        |s| s.prefix = "a//b".into(),
        |s| s.part_bytes = 1 << 10,
        |s| s.parts_in_flight = 0,
        |s| s.attempts = 0,
        |s| s.timeout = Duration::from_millis(5),
        |s| {
            s.credentials = AzureCredentials::Chain { client_id: None };
            s.endpoint_url = Endpoint::parse("http://127.0.0.1:1/account").ok();
        },
        |s| {
            s.encryption_scope = Some("tenant".into());
            s.customer_key_file = Some("key".into());
        },
    ];
    assert!(client::check(&settings()).is_ok());
    for (index, change) in changes.iter().enumerate() {
        let mut settings = settings();
        change(&mut settings);
        assert!(client::check(&settings).is_err(), "change {index}");
    }
}

/// Which identity it is, is asked when the first token is needed.
#[tokio::test]
async fn a_destination_is_opened_without_a_request_for_a_token() {
    let settings = AzureSettings::new("site", "account", "container");
    let destination = AzureDestination::open(settings).await.unwrap();
    assert_eq!(destination.location(), "az://account/container/");
}
