//! How Google is asked to keep an object, and what it says of locks: with a scripted server that
//! remembers what was sent.

use crate::fake_gcs::{FakeGcs, Quirks, refusal};
use crate::servers;
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    Destination, ErrorKind, Examine as _, GcsDestination, GcsSettings, Keeping, Lock, LockMode,
    Protection, ReadBackOptions, Result, Sse, Summary, read_back,
};
use serde_json::json;

/// A whole chunk and a little.
const LARGE: usize = (1 << 20) + 4_321;
/// 32 bytes, in base64.
const CUSTOMER_KEY: &str = "Q0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZISE=";
const KMS_KEY: &str = "projects/p/locations/eu/keyRings/r/cryptoKeys/k";

async fn with(quirks: Quirks, change: impl FnOnce(&mut GcsSettings)) -> (FakeGcs, GcsDestination) {
    let fake = FakeGcs::start(quirks).await;
    let mut settings = servers::gcs_settings(&fake.url);
    settings.attempts = 1;
    change(&mut settings);
    (fake, GcsDestination::open(settings).await.unwrap())
}

/// One object in parts, and a small one, both proved.
async fn store(destination: &GcsDestination) -> Result<()> {
    let (bytes, keeping) = (noise(LARGE), Keeping::default());
    let mut upload = destination.create("key", &keeping, Default::default()).await?;
    upload.write(bytes.clone()).await?;
    upload.complete(&Summary::of(&bytes)).await?;
    destination.put_new("small", noise(9), &keeping).await?;
    let options = ReadBackOptions::default();
    read_back(destination, "small", &Summary::of(&noise(9)), &options).await?;
    read_back(destination, "key", &Summary::of(&bytes), &options).await.map(drop)
}

#[tokio::test]
async fn a_key_of_googles_service_is_named_in_each_request_that_makes_an_object() {
    let kms = |settings: &mut GcsSettings| settings.kms_key = Some(KMS_KEY.into());
    let (fake, destination) = with(Quirks::default(), kms).await;
    store(&destination).await.unwrap();
    for operation in ["begin", "put"] {
        assert_eq!(fake.sent(operation, "kmsKeyName"), [Some(KMS_KEY.to_owned())], "{operation}");
    }
    let info = destination.head("key").await.unwrap().unwrap();
    let version = format!("{KMS_KEY}/cryptoKeyVersions/1");
    assert_eq!(info.sse, Some(Sse::Kms { key_id: Some(version) }));
    let deaf = Quirks { ignores_metadata: true, ..Quirks::default() };
    let error = store(&with(deaf, kms).await.1).await.unwrap_err();
    assert!(error.to_string().contains("ignored kms_key"), "{error}");
}

#[tokio::test]
async fn a_customers_key_travels_with_what_touches_content_and_with_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("customer");
    std::fs::write(&file, CUSTOMER_KEY).unwrap();
    let own = |settings: &mut GcsSettings| settings.customer_key_file = Some(file.clone());
    let (fake, destination) = with(Quirks::default(), own).await;
    store(&destination).await.unwrap();
    destination.list("").await.unwrap();
    destination.delete("key").await.unwrap();
    for (operation, carries) in [
        ("begin", true),
        ("chunk", true),
        ("last", true),
        ("put", true),
        ("head", true),
        ("get", true),
        ("list", false),
        ("delete", false),
    ] {
        let sent = fake.sent(operation, "x-goog-encryption-key");
        let expected = carries.then(|| CUSTOMER_KEY.to_owned());
        assert!(!sent.is_empty(), "{operation}");
        assert!(sent.iter().all(|key| *key == expected), "{operation}: {sent:?}");
    }
    let deaf = Quirks { ignores_metadata: true, ..Quirks::default() };
    let error = store(&with(deaf, own).await.1).await.unwrap_err();
    assert!(error.to_string().contains("ignored customer_key_file"), "{error}");
}

/// What is locked is called so, with the end of the lock where the store tells it.
#[tokio::test]
async fn f38_an_object_that_google_keeps_is_locked_and_no_permission_is_missing() {
    let (fake, destination) = with(Quirks::default(), |_| {}).await;
    let lock = Lock { mode: LockMode::Governance, until: "2090-01-01T00:00:00Z".parse().unwrap() };
    let keeping = Keeping { lock: Some(lock), ..Keeping::default() };
    destination.put_new("key", "x".into(), &keeping).await.unwrap();
    let policy = "Object 'b/key' is subject to bucket's retention policy or object retention and \
                  cannot be deleted or overwritten until 2091-02-03T04:05:06-08:00.";
    let hold = "Object 'b/key' is under active Temporary hold and cannot be deleted, overwritten or \
                archived until hold is removed.";
    let said = "2091-02-03T12:05:06Z".parse().ok();
    for (key, reason, message, until) in [
        ("key", "retentionPolicyNotMet", policy, said),
        ("key", "forbidden", policy, said),
        ("key", "retentionPolicyNotMet", "kept", Some(lock.until)),
        ("other", "objectUnderActiveHold", hold, None),
        ("other", "forbidden", hold, None),
    ] {
        fake.fail("delete", 1, false, refusal(403, reason, message));
        let error = destination.delete(key).await.unwrap_err();
        let is_it = matches!(error.kind(), ErrorKind::Locked { until: end } if *end == until);
        assert!(is_it, "{reason}: {error:?}");
    }
    let now = "2089-01-01T00:00:00Z".parse().unwrap();
    let error = destination.must_not_be_locked("key", now, true).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error:?}");
    destination.must_not_be_locked("key", lock.until, true).await.unwrap();
    // A permission that is missing stays one.
    fake.fail("delete", 1, false, refusal(403, "forbidden", "no storage.objects.delete access"));
    let error = destination.delete("key").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn f33_what_a_bucket_of_googles_does_against_loss_is_asked() {
    let retention =
        json!({"objectRetention": {"mode": "Enabled"}, "versioning": {"enabled": true}});
    for (bucket, locks, versions) in [
        (Some(retention), Some(true), Some(true)),
        (Some(json!({"versioning": {"enabled": false}})), Some(false), Some(false)),
        (Some(json!({})), Some(false), Some(false)),
        // Most roles may not look at it; then nobody knows.
        (None, None, None),
    ] {
        let (fake, destination) =
            with(Quirks { bucket: bucket.clone(), ..Quirks::default() }, |_| {}).await;
        if bucket.is_none() {
            fake.fail("bucket", 1, false, refusal(403, "forbidden", "no storage.buckets.get"));
        }
        assert_eq!(destination.protection().await, Protection { locks, versions }, "{bucket:?}");
    }
}
