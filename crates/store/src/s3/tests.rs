use super::error::credentials;
use super::object::{check_class, check_sse, decode_crc, encode_crc};
use super::*;
use crate::{CredentialsProblem, Sse};
use aws_credential_types::provider::error::CredentialsError;

#[test]
fn checksums_are_base64_of_eight_bytes() {
    let crc = 0xae8b_1486_0a79_9888;
    assert_eq!(encode_crc(crc), "rosUhgp5mIg=");
    assert_eq!(decode_crc("rosUhgp5mIg="), Some(crc));
    for malformed in ["", "rosUhg==", "rosUhgp5mIg=-3", "?"] {
        assert_eq!(decode_crc(malformed), None, "{malformed}");
    }
}

#[test]
fn a_setting_counts_only_if_the_store_reports_it() {
    let mut settings = S3Settings::new("site", "bucket");
    let (mut keeping, mut info) = (Keeping::default(), ObjectInfo::default());
    assert!(check_class(&keeping, &info).is_ok() && check_sse(&settings, &info).is_ok());
    keeping.storage_class = Some("STANDARD".into());
    assert!(check_class(&keeping, &info).is_ok());
    keeping.storage_class = Some("GLACIER_IR".into());
    assert!(check_class(&keeping, &info).is_err());
    info.storage_class = Some("GLACIER_IR".into());
    assert!(check_class(&keeping, &info).is_ok());

    let kms = |id: &str| Some(Sse::Kms { key_id: Some(id.to_owned()) });
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";
    for (asked, found, fits) in [
        (Some(Sse::S3), Some(Sse::S3), true),
        (Some(Sse::S3), None, false),
        (Some(Sse::S3), kms(arn), false),
        (Some(Sse::Kms { key_id: None }), kms(arn), true),
        (Some(Sse::Kms { key_id: None }), Some(Sse::S3), false),
        (kms("1234abcd"), kms(arn), true),
        (kms(arn), kms(arn), true),
        (kms("alias/backup"), kms(arn), true),
        (kms("ffff"), kms(arn), false),
        (kms("ffff"), Some(Sse::Kms { key_id: None }), false),
    ] {
        (settings.sse, info.sse) = (asked, found);
        let checked = check_sse(&settings, &info);
        assert_eq!(checked.is_ok(), fits, "{:?} {:?}", settings.sse, info.sse);
    }
}

#[test]
fn the_credential_chain_is_told_from_the_network() {
    let kind = credentials(&CredentialsError::not_loaded("no providers in chain"));
    let missing = CredentialsProblem::Missing;
    assert!(matches!(kind, Some(ErrorKind::Credentials { problem, .. }) if problem == missing));
    let late = credentials(&CredentialsError::provider_timed_out(Duration::from_secs(5)));
    assert!(matches!(late, Some(ErrorKind::Transient { .. })));
    assert!(credentials(&std::io::Error::other("reset")).is_none());
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    type Change = fn(&mut S3Settings);
    let changes: [Change; 7] = [
        |s| s.bucket = "s3://bucket".into(),
        |s| s.prefix = "a//b".into(),
        |s| s.part_bytes = 1 << 20,
        |s| s.parts_in_flight = 0,
        |s| s.attempts = 0,
        |s| s.timeout = Duration::from_millis(5),
        |s| s.sse = Some(Sse::Other("rot13".into())),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut settings = S3Settings::new("site", "bucket");
        settings.region = Some("us-east-1".into());
        change(&mut settings);
        assert!(client::check(&settings).is_err(), "change {index}");
    }
}
