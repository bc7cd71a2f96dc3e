//! Google Cloud Storage against fake-gcs-server, a real server of its language.

use crate::servers;
use bytes::Bytes;
use lifeboat_store::conformance::{Extent, noise, run};
use lifeboat_store::{
    Destination, ErrorKind, GcsDestination, Keeping, Lock, LockMode, Proof, ReadBackMode,
    ReadBackOptions, Summary, Trial, Verdict, probe, read_back, read_small,
};

const EXTENT: Extent = Extent { large_bytes: (5 << 20) + 123, many: 1_005, lists_uploads: false };

async fn open(url: &str) -> GcsDestination {
    GcsDestination::open(servers::gcs_settings(url)).await.unwrap()
}

#[tokio::test]
async fn fake_gcs_server_conforms() {
    let Some(server) = servers::fake_gcs("fake_gcs_server_conforms").await else { return };
    let destination = open(&server.url).await;
    if let Err(failure) = run(&destination, "prod/daily", EXTENT).await {
        panic!("{}: {failure}", destination.location());
    }
}

/// The last chunk may be a whole one.
#[tokio::test]
async fn an_object_of_whole_chunks_is_complete() {
    let name = "an_object_of_whole_chunks_is_complete";
    let Some(server) = servers::fake_gcs(name).await else { return };
    let destination = open(&server.url).await;
    for chunks in [1, 2, 3] {
        let (bytes, key) = (noise(chunks << 20), format!("whole-{chunks}"));
        let keeping = Keeping::default();
        let mut upload = destination.create(&key, &keeping, Default::default()).await.unwrap();
        upload.write(bytes.clone()).await.unwrap();
        upload.complete(&Summary::of(&bytes)).await.unwrap();
        assert!(read_small(&destination, &key, bytes.len()).await.unwrap() == bytes, "{chunks}");
    }
}

/// What the store reports of an object is what was asked for, or a downgrade with its name.
#[tokio::test]
async fn i17_class_lock_and_metadata_are_asked_for_and_looked_at() {
    let name = "i17_class_lock_and_metadata_are_asked_for_and_looked_at";
    let Some(server) = servers::fake_gcs(name).await else { return };
    let destination = open(&server.url).await;
    let until = "2090-01-01T00:00:00Z".parse().unwrap();
    let keeping = Keeping {
        storage_class: Some("COLDLINE".into()),
        lock: Some(Lock { mode: LockMode::Compliance, until }),
        tags: [("team".to_owned(), "etcd".to_owned())].into(),
    };
    for length in [100, 3 << 20] {
        let (bytes, key) = (noise(length), format!("object-{length}"));
        let mut upload = destination.create(&key, &keeping, Default::default()).await.unwrap();
        upload.write(bytes.clone()).await.unwrap();
        upload.complete(&Summary::of(&bytes)).await.unwrap();
        let mode = ReadBackMode::Checksum;
        let options =
            ReadBackOptions { mode, keeping: keeping.clone(), ..ReadBackOptions::default() };
        let proven = read_back(&destination, &key, &Summary::of(&bytes), &options).await.unwrap();
        let info = proven.info;
        assert_eq!(info.storage_class.as_deref(), Some("COLDLINE"), "{info:?}");
        assert_eq!((info.lock_mode, info.locked_until), (Some(LockMode::Compliance), Some(until)));
        assert_eq!(info.crc32c, Some(Summary::of(&bytes).crc32c));
        assert!(info.version_id.is_some() && info.etag.is_some() && info.modified.is_some());
        let url = format!("{}/storage/v1/b/backups/o/some%2Fprefix%2F{key}", server.url);
        let seen = reqwest::get(url).await.unwrap().text().await.unwrap();
        assert!(seen.contains("\"metadata\":{\"team\":\"etcd\"}"), "{seen}");
    }
}

/// fake-gcs-server knows no keys: what it does not report was not done.
#[tokio::test]
async fn i17_a_key_that_the_server_ignores_is_a_downgrade() {
    let name = "i17_a_key_that_the_server_ignores_is_a_downgrade";
    let Some(server) = servers::fake_gcs(name).await else { return };
    let mut settings = servers::gcs_settings(&server.url);
    settings.kms_key = Some("projects/p/locations/l/keyRings/r/cryptoKeys/k".into());
    let destination = GcsDestination::open(settings).await.unwrap();
    let bytes = Bytes::from_static(b"manifest");
    destination.put_new("key", bytes.clone(), &Keeping::default()).await.unwrap();
    let options = ReadBackOptions::default();
    let error = read_back(&destination, "key", &Summary::of(&bytes), &options).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::SilentDowngrade { setting: "kms_key", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_copy_between_two_buckets_is_the_stores_work() {
    let name = "a_copy_between_two_buckets_is_the_stores_work";
    let Some(server) = servers::fake_gcs(name).await else { return };
    let source = open(&server.url).await;
    let mut settings = servers::gcs_settings(&server.url);
    (settings.bucket, settings.prefix) = ("others".into(), "elsewhere".into());
    let target = GcsDestination::open(settings).await.unwrap();
    let (bytes, keeping) = (noise(300_000), Keeping::default());
    let length = bytes.len() as u64;
    source.put_new("prod/key", bytes.clone(), &keeping).await.unwrap();
    let copy = async || target.copy_from(&source, "prod/key", length, &keeping).await;
    assert!(!copy().await.unwrap().unwrap().existed);
    assert!(copy().await.unwrap().unwrap().existed, "the same bytes are there already");
    let options = ReadBackOptions::default();
    let proven = read_back(&target, "prod/key", &Summary::of(&bytes), &options).await.unwrap();
    assert_eq!(proven.proof, Proof::Sha256);
    target.delete("prod/key").await.unwrap();
    target.put_new("prod/key", "other".into(), &keeping).await.unwrap();
    let taken = copy().await.unwrap_err();
    assert!(matches!(taken.kind(), ErrorKind::AlreadyExists), "{taken}");
    let absent = target.copy_from(&source, "prod/none", 1, &keeping).await.unwrap_err();
    assert!(matches!(absent.kind(), ErrorKind::NotFound), "{absent}");
}

#[tokio::test]
async fn f31_a_missing_bucket_is_named() {
    let Some(server) = servers::fake_gcs("f31_a_missing_bucket_is_named").await else { return };
    let mut settings = servers::gcs_settings(&server.url);
    settings.bucket = "nowhere".into();
    let destination = GcsDestination::open(settings).await.unwrap();
    let keeping = Keeping::default();
    let large = async || {
        let mut upload = destination.create("b", &keeping, Default::default()).await?;
        upload.write(noise(3 << 20)).await
    };
    for error in [
        destination.list("").await.unwrap_err(),
        destination.put_new("a", "x".into(), &keeping).await.unwrap_err(),
        large().await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::BucketMissing { .. }), "{error}");
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}

#[tokio::test]
async fn a_probe_finds_nothing_amiss() {
    let Some(server) = servers::fake_gcs("a_probe_finds_nothing_amiss").await else { return };
    let destination = open(&server.url).await;
    let now = || jiff::Timestamp::now();
    let name = "01J00000000000000000000000";
    let found = probe(&destination, "probes", name, &Keeping::default(), &now).await;
    for (trial, verdict) in &found.trials {
        assert!(matches!(verdict, Verdict::Good(_)), "{trial:?}: {verdict:?}");
    }
    let tried: Vec<Trial> = found.trials.iter().map(|(trial, _)| *trial).collect();
    assert!(tried.contains(&Trial::Checksum) && tried.contains(&Trial::Parts), "{tried:?}");
    assert!(found.clock_ahead_seconds.is_some_and(|ahead| ahead.abs() < 5), "{found:?}");
    assert!(destination.list("").await.unwrap().is_empty());
}
