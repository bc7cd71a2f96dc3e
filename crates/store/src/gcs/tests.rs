use super::object::check;
use super::*;
use crate::{Lock, LockMode, Sse};
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn a_setting_counts_only_if_the_store_reports_it() {
    let mut settings = GcsSettings::new("site", "bucket");
    let (mut keeping, mut info) = (Keeping::default(), ObjectInfo::default());
    assert!(check(&settings, &keeping, &info).is_ok());
    keeping.storage_class = Some("STANDARD".into());
    assert!(check(&settings, &keeping, &info).is_ok());
    keeping.storage_class = Some("COLDLINE".into());
    assert!(check(&settings, &keeping, &info).is_err());
    info.storage_class = Some("COLDLINE".into());
    assert!(check(&settings, &keeping, &info).is_ok());

    let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
    let kms = |id: &str| Some(Sse::Kms { key_id: Some(id.to_owned()) });
    settings.kms_key = Some(key.into());
    for (found, fits) in [
        (kms(key), true),
        (kms(&format!("{key}/cryptoKeyVersions/3")), true),
        (kms(&format!("{key}2/cryptoKeyVersions/3")), false),
        (None, false),
    ] {
        info.sse = found;
        assert_eq!(check(&settings, &keeping, &info).is_ok(), fits, "{:?}", info.sse);
    }
    settings.kms_key = None;
    settings.customer_key_file = Some(PathBuf::from("/etc/key"));
    assert!(check(&settings, &keeping, &info).is_err());
    info.sse = Some(Sse::Customer { key_file: PathBuf::from("/etc/key") });
    assert!(check(&settings, &keeping, &info).is_ok());
}

#[test]
fn a_lock_counts_only_if_it_holds_as_long_and_as_hard() {
    let settings = GcsSettings::new("site", "bucket");
    let until: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let earlier: jiff::Timestamp = "2029-12-31T23:59:59Z".parse().unwrap();
    use LockMode::{Compliance, Governance};
    for (asked, mode, time, fits) in [
        (Governance, Some(Governance), Some(until), true),
        (Governance, Some(Compliance), Some(until), true),
        (Compliance, Some(Governance), Some(until), false),
        (Compliance, Some(Compliance), Some(earlier), false),
        (Compliance, None, Some(until), false),
        (Governance, None, None, false),
    ] {
        let keeping = Keeping { lock: Some(Lock { mode: asked, until }), ..Keeping::default() };
        let info = ObjectInfo { lock_mode: mode, locked_until: time, ..ObjectInfo::default() };
        let checked = check(&settings, &keeping, &info);
        assert_eq!(checked.is_ok(), fits, "{asked:?} {mode:?} {time:?}");
        if let Err(e) = checked {
            assert!(e.to_string().contains("ignored lock"), "{e}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    type Change = fn(&mut GcsSettings);
    let changes: [Change; 6] = [
        |s| s.bucket = "gs://bucket".into(),
        |s| s.prefix = "a//b".into(),
        |s| s.part_bytes = 1 << 10,
        |s| s.attempts = 0,
        |s| s.timeout = Duration::from_millis(5),
        |s| (s.kms_key, s.customer_key_file) = (Some("k".into()), Some("f".into())),
    ];
    assert!(client::check(&GcsSettings::new("site", "bucket")).is_ok());
    for (index, change) in changes.iter().enumerate() {
        let mut settings = GcsSettings::new("site", "bucket");
        change(&mut settings);
        assert!(client::check(&settings).is_err(), "change {index}");
    }
}
