//! Copies that the store makes by itself, from one bucket or prefix to another.

use crate::fake_s3::{FakeS3, Quirks};
use crate::servers;
use jiff::{Timestamp, ToSpan};
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    Checksum, Destination, ErrorKind, FileDestination, FileSettings, Keeping, Lock, LockMode,
    ReadBackOptions, S3Destination, S3Settings, Secret, StaticCredentials, Summary, Throttled,
    read_back,
};
use std::sync::Arc;

const KEY: &str = "prod/b/ü 1+2&%.db";

async fn s3(url: &str, checksum: Checksum, change: impl Fn(&mut S3Settings)) -> S3Destination {
    let mut settings = servers::settings(url, checksum);
    settings.copy_bytes_max = 5 << 20;
    change(&mut settings);
    S3Destination::open(settings).await.unwrap()
}

async fn is_copied(from: &dyn Destination, to: &dyn Destination, keeping: &Keeping) {
    for length in [(11 << 20) + 3, 1_000, 0] {
        let (key, bytes) = (format!("{KEY}.{length}"), noise(length));
        let summary = Summary::of(&bytes);
        let mut upload = from.create(&key, &Keeping::default(), Default::default()).await.unwrap();
        upload.write(bytes.clone()).await.unwrap();
        upload.complete(&summary).await.unwrap();
        let copied = to.copy_from(from, &key, length as u64, keeping).await.unwrap().unwrap();
        assert_eq!((copied.bytes, copied.existed), (length as u64, false));
        let options = ReadBackOptions { keeping: keeping.clone(), ..ReadBackOptions::default() };
        read_back(to, &key, &summary, &options).await.unwrap();
        let again = to.copy_from(from, &key, length as u64, keeping).await.unwrap().unwrap();
        assert!(again.existed);
        to.delete(&key).await.unwrap();
        to.put_new(&key, noise(77), &Keeping::default()).await.unwrap();
        let taken = to.copy_from(from, &key, length as u64, keeping).await.unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::AlreadyExists), "{taken}");
        let wrong = to.copy_from(from, &key, length as u64 + 1, keeping).await.unwrap_err();
        assert!(matches!(wrong.kind(), ErrorKind::Corrupt { .. }), "{wrong}");
    }
    let absent = to.copy_from(from, "absent", 1, keeping).await.unwrap_err();
    assert!(matches!(absent.kind(), ErrorKind::NotFound), "{absent}");
}

#[tokio::test]
async fn minio_copies_from_bucket_to_bucket_with_lock_and_tags() {
    let test = "minio_copies_from_bucket_to_bucket";
    let Some(minio) = servers::minio(test, None).await else { return };
    servers::locking_bucket(&minio.url, "second").await;
    let from = s3(&minio.url, Checksum::Full, |_| {}).await;
    let to = s3(&minio.url, Checksum::Full, |s| {
        (s.bucket, s.prefix) = ("second".into(), "elsewhere".into());
    });
    let to = to.await;
    let until = Timestamp::from_second((Timestamp::now() + 1.hour()).as_second()).unwrap();
    let keeping = Keeping {
        lock: Some(Lock { mode: LockMode::Governance, until }),
        tags: [("team".to_owned(), "platform".to_owned())].into(),
        ..Keeping::default()
    };
    is_copied(&from, &to, &keeping).await;
    // A limit on bytes is none on a copy that sends none.
    let (from, to) =
        (Throttled::new(Arc::new(from), 1 << 30), Throttled::new(Arc::new(to), 1 << 30));
    from.put_new("prod/throttled", noise(9), &keeping.clone()).await.unwrap_err();
    from.put_new("prod/throttled", noise(9), &Keeping::default()).await.unwrap();
    assert!(to.copy_from(&from, "prod/throttled", 9, &keeping).await.unwrap().is_some());
}

#[tokio::test]
async fn moto_copies_from_prefix_to_prefix_with_a_class() {
    let test = "moto_copies_from_prefix_to_prefix";
    let Some(moto) = servers::moto(test).await else { return };
    let from = s3(&moto.url, Checksum::Part, |_| {}).await;
    let to = s3(&moto.url, Checksum::Part, |s| s.prefix = "elsewhere".into()).await;
    let storage_class = Some("STANDARD_IA".to_owned());
    is_copied(&from, &to, &Keeping { storage_class, ..Keeping::default() }).await;
}

/// Whoever may not read the source is told so, and can still carry the bytes himself.
#[tokio::test]
async fn f30_a_refused_copy_is_told_and_no_way_is_none() {
    let test = "f30_a_refused_copy_is_told";
    let Some(minio) = servers::minio(test, None).await else { return };
    let from = s3(&minio.url, Checksum::Full, |_| {}).await;
    from.put_new("prod/x", noise(9), &Keeping::default()).await.unwrap();
    let stranger = s3(&minio.url, Checksum::Full, |s| {
        s.prefix = "elsewhere".into();
        s.credentials = Some(StaticCredentials {
            access_key_id: Secret::new("nobody-at-all"),
            secret_access_key: Secret::new("no-secret-at-all"),
            session_token: None,
        });
    });
    let plain = Keeping::default();
    let refused = stranger.await.copy_from(&from, "prod/x", 9, &plain).await.unwrap_err();
    let is_refusal =
        matches!(refused.kind(), ErrorKind::Denied { .. } | ErrorKind::Credentials { .. });
    assert!(is_refusal, "{refused}");

    let fake = FakeS3::start(Quirks::default()).await;
    let elsewhere = s3(&fake.url, Checksum::Full, |_| {}).await;
    assert_eq!(elsewhere.copy_from(&from, "prod/x", 9, &plain).await.unwrap(), None);
    let dir = tempfile::tempdir().unwrap();
    let settings = FileSettings { name: "disk".into(), path: dir.path().into() };
    let disk = FileDestination::open(settings).unwrap();
    assert_eq!(elsewhere.copy_from(&disk, "prod/x", 9, &plain).await.unwrap(), None);
    assert_eq!(disk.copy_from(&from, "prod/x", 9, &plain).await.unwrap(), None);
    let in_china = s3(&minio.url, Checksum::Full, |s| s.region = Some("cn-north-1".into())).await;
    assert_eq!(in_china.copy_from(&from, "prod/x", 9, &plain).await.unwrap(), None);
}
