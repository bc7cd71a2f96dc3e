//! The conformance suite over every backend and server at hand.

use crate::fake_s3::{FakeS3, Quirks};
use crate::servers;
use lifeboat_store::conformance::{Extent, run};
use lifeboat_store::faults::{FaultStore, MemoryDestination};
use lifeboat_store::{
    Checksum, Destination, ErrorKind, FileDestination, FileSettings, Keeping, ReadBackOptions,
    S3Destination, Sse, Summary, Throttled, read_back,
};
use std::sync::Arc;

const EXTENT: Extent = Extent { large_bytes: (12 << 20) + 123, many: 20, lists_uploads: true };
const MANY_PAGES: Extent = Extent { large_bytes: (10 << 20) + 1, many: 1_005, lists_uploads: true };

async fn conforms(destination: &dyn Destination, extent: Extent) {
    let place = destination.location();
    if let Err(failure) = run(destination, "prod/daily", extent).await {
        panic!("{place}: {failure}");
    }
}

async fn s3(url: &str, checksum: Checksum) -> S3Destination {
    S3Destination::open(servers::settings(url, checksum)).await.unwrap()
}

#[tokio::test]
async fn a_directory_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let settings = FileSettings { name: "disk".into(), path: dir.path().join("backups") };
    let directory = FileDestination::open(settings).unwrap();
    conforms(&directory, MANY_PAGES).await;
    // A limit that nothing here reaches changes nothing.
    conforms(&Throttled::new(Arc::new(directory), 1 << 40), EXTENT).await;
}

#[tokio::test]
async fn memory_and_a_store_that_could_go_wrong_conform() {
    let memory = MemoryDestination::new("memory");
    conforms(&memory, EXTENT).await;
    conforms(&FaultStore::new(Arc::new(memory)), EXTENT).await;
}

#[tokio::test]
async fn moto_conforms() {
    let Some(server) = servers::moto("moto_conforms").await else { return };
    conforms(&s3(&server.url, Checksum::Part).await, MANY_PAGES).await;
    conforms(&s3(&server.url, Checksum::None).await, EXTENT).await;
}

#[tokio::test]
async fn minio_conforms() {
    let Some(server) = servers::minio("minio_conforms", None).await else { return };
    for checksum in [Checksum::Full, Checksum::Part, Checksum::None] {
        // It shows the uploads of one key only to who asks for that key.
        let extent = Extent { lists_uploads: false, ..EXTENT };
        conforms(&s3(&server.url, checksum).await, extent).await;
    }
}

#[tokio::test]
async fn s3s_fs_conforms() {
    let Some(server) = servers::s3s_fs("s3s_fs_conforms").await else { return };
    for checksum in [Checksum::Full, Checksum::Part, Checksum::None] {
        let extent = Extent { lists_uploads: false, ..EXTENT };
        conforms(&s3(&server.url, checksum).await, extent).await;
    }
}

#[tokio::test]
async fn the_fake_conforms_with_and_without_conditional_writes() {
    for ignores_conditions in [false, true] {
        for checksum in [Checksum::Full, Checksum::Part, Checksum::None] {
            let wants = Some(checksum);
            let quirks = Quirks { ignores_conditions, wants, ..Quirks::default() };
            let fake = FakeS3::start(quirks).await;
            conforms(&s3(&fake.url, checksum).await, EXTENT).await;
            assert!(fake.uploads().is_empty());
        }
    }
}

#[tokio::test]
async fn moto_reports_class_and_encryption_and_s3s_fs_does_not() {
    let name = "moto_reports_class_and_encryption";
    let Some(moto) = servers::moto(name).await else { return };
    let Some(s3s_fs) = servers::s3s_fs(name).await else { return };
    for (url, honest) in [(&moto.url, true), (&s3s_fs.url, false)] {
        // s3s-fs refuses a class in a PUT, which is honest, and ignores it in an upload of parts.
        let lengths: &[usize] = if honest { &[100, 6 << 20] } else { &[6 << 20] };
        for &length in lengths {
            let mut settings = servers::settings(url, Checksum::Part);
            settings.sse = Some(Sse::Kms { key_id: Some("1234abcd".into()) });
            let destination = S3Destination::open(settings).await.unwrap();
            let bytes = lifeboat_store::conformance::noise(length);
            let summary = Summary::of(&bytes);
            let key = format!("object-{length}");
            let storage_class = Some("STANDARD_IA".to_owned());
            let keeping = Keeping { storage_class, ..Keeping::default() };
            let mut upload = destination.create(&key, &keeping, Default::default()).await.unwrap();
            upload.write(bytes).await.unwrap();
            upload.complete(&summary).await.unwrap();
            let options = ReadBackOptions { keeping, ..ReadBackOptions::default() };
            let found = read_back(&destination, &key, &summary, &options).await;
            if honest {
                let info = found.unwrap().info;
                assert_eq!(info.storage_class.as_deref(), Some("STANDARD_IA"));
                assert!(matches!(info.sse, Some(Sse::Kms { .. })), "{info:?}");
            } else {
                let error = found.unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::SilentDowngrade { setting, .. } if *setting == "storage_class"),
                    "{error}"
                );
                assert!(error.to_string().contains("STANDARD_IA"), "{error}");
                assert!(error.hint().unwrap().contains("remove the setting"));
            }
        }
    }
}

#[test]
fn a_record_beside_the_artifact_has_no_storage_class() {
    let storage_class = Some("GLACIER".to_owned());
    let keeping = Keeping { storage_class, tags: [("a".into(), "b".into())].into(), lock: None };
    let of_record = Keeping { storage_class: None, ..keeping.clone() };
    assert_eq!(keeping.of_record(), of_record);
}

#[tokio::test]
async fn aborted_uploads_leave_nothing_in_moto_and_stale_ones_can_be_removed() {
    let Some(moto) = servers::moto("aborted_uploads_leave_nothing").await else { return };
    let destination = s3(&moto.url, Checksum::Part).await;
    let client = servers::client(&moto.url);
    let unfinished = async || {
        let listed = client.list_multipart_uploads().bucket("backups").send().await.unwrap();
        listed.uploads().len()
    };
    let bytes = lifeboat_store::conformance::noise(11 << 20);
    let mut upload =
        destination.create("prod/aborted", &Keeping::default(), Default::default()).await.unwrap();
    upload.write(bytes.clone()).await.unwrap();
    assert_eq!(unfinished().await, 1);
    upload.abort().await.unwrap();
    assert_eq!(unfinished().await, 0);

    let mut killed =
        destination.create("prod/killed", &Keeping::default(), Default::default()).await.unwrap();
    killed.write(bytes).await.unwrap();
    drop(killed);
    assert_eq!(unfinished().await, 1);
    let past = "1990-01-01T00:00:00Z".parse().unwrap();
    assert!(destination.abort_stale_uploads("prod/", past).await.unwrap().is_empty());
    let future = "9000-01-01T00:00:00Z".parse().unwrap();
    assert!(destination.abort_stale_uploads("other/", future).await.unwrap().is_empty());
    let aborted = destination.abort_stale_uploads("prod/", future).await.unwrap();
    assert_eq!(aborted, ["prod/killed"]);
    assert_eq!(unfinished().await, 0);
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let Some(moto) = servers::moto("a_missing_bucket_is_named").await else { return };
    let mut settings = servers::settings(&moto.url, Checksum::Part);
    settings.bucket = "nowhere".into();
    let destination = S3Destination::open(settings).await.unwrap();
    for error in [
        destination.list("").await.unwrap_err(),
        destination.put_new("a", "x".into(), &Keeping::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::BucketMissing { .. }), "{error}");
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
