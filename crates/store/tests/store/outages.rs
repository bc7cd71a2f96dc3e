//! Stores that are away for longer than the attempts of one request last: what was begun is taken up
//! again where it was, on every cloud. (S3's own is with its other faults.)

use crate::fake_azure::{self, FakeAzure};
use crate::fake_gcs::{self, FakeGcs};
use crate::scripted::Reply;
use crate::servers;
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    AzureDestination, Destination, ErrorKind, GcsDestination, Keeping, Result, Stored, Summary,
    read_small,
};
use std::time::Duration;

/// Two whole chunks of Google's, and some blocks of Microsoft's, and a little.
const LARGE: usize = (2 << 20) + 4_321;
const PATIENCE: Duration = Duration::from_secs(60);

async fn upload(destination: &dyn Destination) -> Result<Stored> {
    let mut upload = destination.create("key", &Keeping::default(), Default::default()).await?;
    if let Err(e) = upload.write(noise(LARGE)).await {
        upload.abort().await?;
        return Err(e);
    }
    upload.complete(&Summary::of(&noise(LARGE))).await
}

async fn gcs() -> (FakeGcs, GcsDestination) {
    let fake = FakeGcs::start(fake_gcs::Quirks::default()).await;
    let mut settings = servers::gcs_settings(&fake.url);
    (settings.attempts, settings.patience) = (1, PATIENCE);
    let destination = GcsDestination::open(settings).await.unwrap();
    (fake, destination)
}

#[tokio::test]
async fn f23_i24_an_upload_to_google_that_was_interrupted_is_taken_up_in_its_session() {
    let (fake, destination) = gcs().await;
    for operation in ["begin", "chunk", "last", "put"] {
        fake.fail(operation, 1, false, fake_gcs::refusal(503, "backendError", "away"));
        fake.fail(operation, 1, false, Reply::Lost);
    }
    upload(&destination).await.unwrap();
    assert!(read_small(&destination, "key", LARGE).await.unwrap() == noise(LARGE));
    // Each was tried three times in all, after a question each, and nothing was begun twice.
    assert_eq!((fake.count("begin"), fake.count("chunk"), fake.count("last")), (3, 4, 3));
    assert_eq!((fake.count("query"), fake.sessions()), (4, 0));
    destination.put_new("small", noise(9), &Keeping::default()).await.unwrap();
    assert_eq!(fake.count("put"), 3);
}

/// When the store has forgotten the upload, no patience helps.
#[tokio::test]
async fn f23_a_session_that_is_gone_is_final() {
    let (fake, destination) = gcs().await;
    fake.fail("chunk", u32::MAX, false, fake_gcs::refusal(404, "notFound", "No such session"));
    let error = upload(&destination).await.unwrap_err();
    assert!(error.to_string().contains("no longer knows the upload"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Rejected { .. }), "{error}");
    assert_eq!(fake.count("chunk"), 1);
}

#[tokio::test]
async fn f23_i24_an_upload_to_azure_that_was_interrupted_is_taken_up_with_its_blocks() {
    let fake = FakeAzure::start(fake_azure::Quirks::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = fake.settings(&dir);
    (settings.attempts, settings.patience, settings.part_bytes) = (1, PATIENCE, 1 << 20);
    let destination = AzureDestination::open(settings).await.unwrap();
    for operation in ["block", "commit", "put"] {
        fake.fail(operation, 1, false, fake_azure::refusal(503, "ServerBusy"));
        fake.fail(operation, 1, false, Reply::Lost);
    }
    upload(&destination).await.unwrap();
    assert!(read_small(&destination, "key", LARGE).await.unwrap() == noise(LARGE));
    assert_eq!((fake.count("block"), fake.count("commit")), (5, 3));
    destination.put_new("small", noise(9), &Keeping::default()).await.unwrap();
    assert_eq!(fake.count("put"), 3);
}
