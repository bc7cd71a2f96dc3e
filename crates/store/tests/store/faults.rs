//! Lost answers, refusals, storms and lies, from a scripted server.

use crate::fake_s3::{FakeS3, Quirks, Reply, refusal};
use crate::servers::{self, ACCESS_KEY, SECRET_KEY};
use bytes::Bytes;
use futures::StreamExt;
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    Checksum, CredentialsProblem, Destination, ErrorKind, Keeping, Proof, ReadBackMode,
    ReadBackOptions, Result, S3Destination, StoreError, Stored, Summary, read_back, read_small,
};
use std::time::Duration;

const ALWAYS: u32 = u32::MAX;
const LARGE: usize = 11 << 20;

async fn fake() -> (FakeS3, S3Destination) {
    fake_with(Quirks::default()).await
}

async fn fake_with(quirks: Quirks) -> (FakeS3, S3Destination) {
    let fake = FakeS3::start(quirks).await;
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    settings.attempts = 3;
    let destination = S3Destination::open(settings).await.unwrap();
    (fake, destination)
}

async fn upload(destination: &S3Destination, bytes: &Bytes) -> Result<Stored> {
    let mut upload = destination.create("key", &Keeping::default(), Default::default()).await?;
    if let Err(e) = upload.write(bytes.clone()).await {
        upload.abort().await?;
        return Err(e);
    }
    upload.complete(&Summary::of(bytes)).await
}

fn shows_no_secret(error: &StoreError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(ACCESS_KEY) && !shown.contains(SECRET_KEY), "{shown}");
    assert!(error.to_string().contains("site-b"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn error_in_success() -> Reply {
    match refusal(200, "InternalError") {
        Reply::Answer(_, headers, body) => Reply::Answer(200, headers, body),
        other => other,
    }
}

#[tokio::test]
async fn f27_an_error_inside_a_200_is_an_error() {
    let (fake, destination) = fake().await;
    fake.fail("complete", ALWAYS, false, error_in_success());
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("InternalError"), "{error}");
    assert!(fake.objects().is_empty() && fake.uploads().is_empty());
    shows_no_secret(&error);
}

#[tokio::test]
async fn f27_an_error_inside_a_200_that_passes_is_tried_again() {
    let (fake, destination) = fake().await;
    fake.fail("complete", 1, false, error_in_success());
    let stored = upload(&destination, &noise(LARGE)).await.unwrap();
    assert_eq!(stored.bytes, LARGE as u64);
    assert_eq!(fake.count("complete"), 2);
}

#[tokio::test]
async fn f26_a_lost_answer_to_complete_is_resolved_by_looking() {
    for tells_checksum in [false, true] {
        let (fake, destination) = fake_with(Quirks { tells_checksum, ..Quirks::default() }).await;
        fake.fail("complete", 1, true, Reply::Lost);
        let stored = upload(&destination, &noise(LARGE)).await.unwrap();
        assert_eq!((stored.bytes, stored.existed), (LARGE as u64, true));
        assert_eq!(fake.count("get"), usize::from(!tells_checksum));
        assert!(fake.uploads().is_empty());
    }
}

#[tokio::test]
async fn f26_i04_a_lost_answer_to_put_is_resolved_by_looking() {
    let (fake, destination) = fake().await;
    fake.fail("put", 1, true, Reply::Lost);
    let stored = destination
        .put_new("key", Bytes::from_static(b"manifest"), &Keeping::default())
        .await
        .unwrap();
    assert!(stored.existed);
    let other = destination
        .put_new("key", Bytes::from_static(b"MANIFEST"), &Keeping::default())
        .await
        .unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::AlreadyExists), "{other}");
}

#[tokio::test]
async fn f23_i24_a_lost_request_is_no_success() {
    let (fake, destination) = fake().await;
    fake.fail("put", ALWAYS, false, Reply::Lost);
    let error = destination
        .put_new("key", Bytes::from_static(b"x"), &Keeping::default())
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert_eq!(fake.count("put"), 3);
    shows_no_secret(&error);
}

#[tokio::test]
async fn f26_an_unresolved_failure_says_that_the_object_may_be_there() {
    let (fake, destination) = fake().await;
    fake.fail("put", ALWAYS, true, refusal(500, "InternalError"));
    fake.fail("head", 1, false, refusal(404, "NotFound"));
    fake.fail("head", ALWAYS, false, refusal(503, "SlowDown"));
    let error = destination
        .put_new("key", Bytes::from_static(b"x"), &Keeping::default())
        .await
        .unwrap_err();
    assert!(error.left_behind().unwrap().contains("possibly the whole object"), "{error}");
}

#[tokio::test]
async fn f28_a_conflict_that_passes_is_tried_again_and_one_that_stays_is_an_error() {
    let (fake, destination) = fake().await;
    fake.fail("complete", 2, false, refusal(409, "ConditionalRequestConflict"));
    assert!(!upload(&destination, &noise(LARGE)).await.unwrap().existed);
    let (fake, destination) = crate::faults::fake().await;
    fake.fail("complete", ALWAYS, false, refusal(409, "ConditionalRequestConflict"));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict { .. }), "{error}");
    assert!(fake.objects().is_empty() && fake.uploads().is_empty());
}

#[tokio::test]
async fn f24_a_storm_that_passes_is_weathered() {
    let (fake, destination) = fake().await;
    fake.fail("part", 2, false, refusal(503, "SlowDown"));
    fake.fail("begin", 1, false, refusal(500, "InternalError"));
    upload(&destination, &noise(LARGE)).await.unwrap();
    assert_eq!(fake.objects(), ["some/prefix/key"]);
}

#[tokio::test]
async fn f29_a_refused_part_aborts_the_upload() {
    let (fake, destination) = fake().await;
    fake.fail("part", ALWAYS, false, refusal(400, "ExpiredToken"));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    let expired = CredentialsProblem::Expired;
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == expired),
        "{error}"
    );
    assert!(fake.uploads().is_empty());
    shows_no_secret(&error);
}

#[tokio::test]
async fn f30_what_cannot_be_aborted_is_named() {
    let (fake, destination) = fake().await;
    fake.fail("complete", ALWAYS, false, refusal(403, "AccessDenied"));
    fake.fail("abort", ALWAYS, false, refusal(403, "AccessDenied"));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
    let left = error.left_behind().unwrap();
    assert!(left.contains("upload-1") && left.contains("s3:AbortMultipartUpload"), "{left}");
}

#[tokio::test]
async fn f30_f31_f40_every_refusal_has_its_kind() {
    type Fits = fn(&ErrorKind) -> bool;
    let clock = |k: &ErrorKind| {
        matches!(k, ErrorKind::Credentials { problem: CredentialsProblem::ClockSkew, .. })
    };
    let invalid = |k: &ErrorKind| {
        matches!(k, ErrorKind::Credentials { problem: CredentialsProblem::Invalid, .. })
    };
    let cases: Vec<(u16, &str, Fits)> = vec![
        (403, "AccessDenied", |k| matches!(k, ErrorKind::Denied { verb: "s3:ListBucket", .. })),
        (403, "InvalidAccessKeyId", invalid),
        (403, "SignatureDoesNotMatch", invalid),
        (403, "RequestTimeTooSkewed", clock),
        (404, "NoSuchBucket", |k| matches!(k, ErrorKind::BucketMissing { .. })),
        (400, "AuthorizationHeaderMalformed", |k| matches!(k, ErrorKind::Config { .. })),
        (501, "NotImplemented", |k| matches!(k, ErrorKind::Config { .. })),
        (503, "SlowDown", |k| matches!(k, ErrorKind::Transient { .. })),
        (429, "TooManyRequests", |k| matches!(k, ErrorKind::Transient { .. })),
        (418, "Teapot", |k| matches!(k, ErrorKind::Rejected { .. })),
    ];
    for (status, code, fits) in cases {
        let (fake, destination) = fake().await;
        fake.fail("list", ALWAYS, false, refusal(status, code));
        let error = destination.list("").await.unwrap_err();
        assert!(fits(error.kind()), "{code}: {error:?}");
        assert!(error.to_string().contains(code), "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn f30_f31_a_head_without_a_body_is_still_explained() {
    let (fake, destination) = fake().await;
    fake.fail("head", 1, false, Reply::Answer(403, vec![], vec![]));
    let error = destination.head("key").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
    assert!(error.to_string().contains("s3:ListBucket"), "{error}");
    let elsewhere = vec![("x-amz-bucket-region", "eu-west-3".to_owned())];
    fake.fail("head", 1, false, Reply::Answer(301, elsewhere, vec![]));
    let error = destination.head("key").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
    assert!(error.to_string().contains("eu-west-3"), "{error}");
}

#[tokio::test]
async fn f34_a_web_page_instead_of_an_answer_is_no_listing() {
    let (fake, destination) = fake().await;
    let page = Reply::Answer(200, vec![], b"<html><body>log in</body></html>".to_vec());
    fake.fail("list", ALWAYS, false, page);
    let error = destination.list("").await.unwrap_err();
    let fits = matches!(error.kind(), ErrorKind::Transient { .. } | ErrorKind::Listing { .. });
    assert!(fits, "{error}");
}

#[tokio::test]
async fn f25_i24_a_black_hole_ends() {
    let fake = FakeS3::start(Quirks::default()).await;
    fake.fail("put", ALWAYS, false, Reply::Silence);
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    settings.timeout = Duration::from_secs(1);
    settings.attempts = 2;
    let destination = S3Destination::open(settings).await.unwrap();
    let error = destination
        .put_new("key", Bytes::from_static(b"x"), &Keeping::default())
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("time limit"), "{error}");
}

#[tokio::test]
async fn f25_nobody_listening_is_transient() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = servers::settings(&url, Checksum::Full);
    settings.attempts = 1;
    let destination = S3Destination::open(settings).await.unwrap();
    let error = destination.head("key").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn f23_a_broken_download_is_taken_up_where_it_broke() {
    let (fake, destination) = fake().await;
    let bytes = noise(300_000);
    destination.put_new("key", bytes.clone(), &Keeping::default()).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(100_000));
    fake.fail("get", 1, false, Reply::Cut(1));
    let found = read_small(&destination, "key", bytes.len()).await.unwrap();
    assert!(found == bytes);
    assert_eq!(fake.count("get"), 3);
}

#[tokio::test]
async fn f23_a_store_that_ignores_the_range_does_not_pass_for_a_damaged_copy() {
    let quirks = Quirks { ignores_ranges: true, ..Quirks::default() };
    let (fake, destination) = fake_with(quirks).await;
    destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(100_000));
    let error = read_small(&destination, "key", 300_000).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("300000 bytes"), "{error}");
}

#[tokio::test]
async fn f23_i24_a_download_that_never_gets_on_ends() {
    let (fake, destination) = fake().await;
    destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
    fake.fail("get", ALWAYS, false, Reply::Cut(0));
    let error = read_small(&destination, "key", 300_000).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("byte 0"), "{error}");
}

/// A few bytes each time are no progress: until now the store was asked for ever.
#[tokio::test]
async fn f23_i24_a_download_that_hardly_gets_on_ends() {
    let (fake, destination) = fake().await;
    destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
    fake.fail("get", ALWAYS, false, Reply::Cut(10));
    let error = read_small(&destination, "key", 300_000).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("again and again"), "{error}");
    assert_eq!(fake.count("get"), 5);
}

#[tokio::test]
async fn f32_i17_a_store_that_alters_or_forgets_is_found_out() {
    for tells_checksum in [false, true] {
        let quirks = Quirks { alters: true, tells_checksum, ..Quirks::default() };
        let (_fake, destination) = fake_with(quirks).await;
        let bytes = noise(LARGE);
        upload(&destination, &bytes).await.unwrap();
        let summary = Summary::of(&bytes);
        let error = read_back(&destination, "key", &summary, &Default::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    }
    let (_fake, destination) = fake_with(Quirks { forgets: true, ..Quirks::default() }).await;
    let bytes = noise(100);
    upload(&destination, &bytes).await.unwrap();
    let error = read_back(&destination, "key", &Summary::of(&bytes), &Default::default())
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound), "{error}");
}

#[tokio::test]
async fn i17_a_kept_checksum_proves_a_copy_without_reading_it() {
    let quirks = Quirks { tells_checksum: true, ..Quirks::default() };
    let (fake, destination) = fake_with(quirks).await;
    let bytes = noise(LARGE);
    upload(&destination, &bytes).await.unwrap();
    let options = ReadBackOptions { mode: ReadBackMode::Checksum, ..Default::default() };
    let proven = read_back(&destination, "key", &Summary::of(&bytes), &options).await.unwrap();
    assert_eq!(proven.proof, Proof::Crc64Nvme);
    assert_eq!(fake.count("get"), 0);
}

#[tokio::test]
async fn f45_an_object_that_changes_while_it_is_read_is_corrupt() {
    let quirks = Quirks { ignores_conditions: true, ..Quirks::default() };
    let (fake, destination) = fake_with(quirks).await;
    destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(10));
    let mut blocks = destination.read("key", None).await.unwrap();
    destination.delete("key").await.unwrap();
    destination.put_new("key", noise(300_001), &Keeping::default()).await.unwrap();
    let error = loop {
        match blocks.next().await {
            Some(Ok(_)) => {}
            Some(Err(e)) => break e,
            None => panic!("the stream ended well"),
        }
    };
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
}

/// Another writer takes the key after the look and before the write.
#[tokio::test]
async fn f28_i04_a_write_is_conditional_however_the_look_went() {
    for bytes in [noise(100), noise(LARGE)] {
        let (fake, destination) = fake().await;
        destination
            .put_new("key", Bytes::from_static(b"winner"), &Keeping::default())
            .await
            .unwrap();
        fake.fail("head", 2, false, refusal(404, "NotFound"));
        let error = upload(&destination, &bytes).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
        let found = read_small(&destination, "key", LARGE).await.unwrap();
        assert_eq!(found, Bytes::from_static(b"winner"));
        assert!(fake.uploads().is_empty());
    }
}

#[tokio::test]
async fn f28_f26_an_upload_repeated_with_the_same_bytes_succeeds() {
    let (fake, destination) = fake().await;
    let bytes = noise(LARGE);
    let mut late =
        destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
    late.write(bytes.clone()).await.unwrap();
    upload(&destination, &bytes).await.unwrap();
    assert!(late.complete(&Summary::of(&bytes)).await.unwrap().existed);
    assert!(fake.uploads().is_empty(), "parts were left behind");
}

#[tokio::test]
async fn an_upload_cancelled_while_it_begins_is_aborted_all_the_same() {
    let (fake, destination) = fake().await;
    fake.fail("begin", 1, true, Reply::Late);
    let mut upload =
        destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
    let write = upload.write(noise(LARGE));
    tokio::time::timeout(Duration::from_millis(50), write).await.unwrap_err();
    upload.abort().await.unwrap();
    assert_eq!((fake.count("begin"), fake.count("abort")), (1, 1));
    assert!(fake.uploads().is_empty());
}

/// Each attempt of the SDK would come within a second; the store asks for more.
#[tokio::test]
async fn f24_i24_a_wish_for_patience_is_kept_to_and_a_429_is_tried_again() {
    for (status, code) in [(429, "TooManyRequests"), (503, "SlowDown")] {
        let (fake, destination) = fake().await;
        let Reply::Answer(_, mut headers, body) = refusal(status, code) else { unreachable!() };
        headers.push(("retry-after", "2".to_owned()));
        fake.fail("put", 1, false, Reply::Answer(status, headers, body));
        let began = std::time::Instant::now();
        destination.put_new("key", Bytes::from_static(b"x"), &Keeping::default()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2), "{code}: {:?}", began.elapsed());
        assert_eq!(fake.count("put"), 2);
        fake.fail("put", ALWAYS, false, refusal(status, code));
        let error = destination
            .put_new("other", Bytes::from_static(b"x"), &Keeping::default())
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
        assert_eq!(fake.count("put"), 2 + 3, "three attempts and no more");
    }
}

/// The error says how far the clocks are apart, in the store's words.
#[tokio::test]
async fn f40_a_signature_refused_for_its_time_shows_both_clocks() {
    let (fake, destination) = fake().await;
    let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message>\
                <RequestTime>20260101T000000Z</RequestTime>\
                <ServerTime>2026-01-01T01:00:00Z</ServerTime></Error>";
    fake.fail("list", ALWAYS, false, Reply::Answer(403, vec![], body.into()));
    let error = destination.list("").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("20260101T000000Z") && text.contains("2026-01-01T01:00:00Z"), "{text}");
    assert_eq!(error.hint(), Some("set this machine's clock"));
}

#[tokio::test]
async fn f39_the_store_tells_its_time_with_every_answer() {
    let (fake, destination) = fake().await;
    assert_eq!(destination.store_time(), None);
    let date = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    fake.fail("list", 1, false, Reply::Answer(403, date, vec![]));
    destination.list("").await.unwrap_err();
    let told = destination.store_time().unwrap().to_string();
    assert!(
        told.starts_with("1994-11-06T08:49:") || told.starts_with("1994-11-06T08:50:"),
        "{told}"
    );
}

/// A store that goes away in the middle and comes back: the same upload goes on, with the parts that
/// were still at hand.
#[tokio::test]
async fn f23_i24_an_interrupted_upload_is_taken_up_again_under_its_id() {
    let fake = FakeS3::start(Quirks { wants: Some(Checksum::Full), ..Quirks::default() }).await;
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    (settings.attempts, settings.patience) = (1, Duration::from_secs(60));
    let destination = S3Destination::open(settings).await.unwrap();
    for operation in ["begin", "part", "complete", "put"] {
        fake.fail(operation, 1, false, refusal(503, "ServiceUnavailable"));
        fake.fail(operation, 1, false, Reply::Lost);
    }
    let bytes = noise(LARGE);
    upload(&destination, &bytes).await.unwrap();
    assert_eq!(read_small(&destination, "key", LARGE + 1).await.unwrap(), bytes);
    // Each was tried three times in all, and nothing was begun twice.
    assert_eq!((fake.count("begin"), fake.count("part"), fake.count("complete")), (3, 5, 3));
    assert!(fake.uploads().is_empty());
    destination.put_new("small", noise(9), &Keeping::default()).await.unwrap();
    assert_eq!(fake.count("put"), 3);
}

/// When the store has forgotten the upload, no patience helps.
#[tokio::test]
async fn f23_an_upload_that_is_gone_is_final() {
    let fake = FakeS3::start(Quirks::default()).await;
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    (settings.attempts, settings.patience) = (1, Duration::from_secs(60));
    let destination = S3Destination::open(settings).await.unwrap();
    fake.fail("part", ALWAYS, false, refusal(404, "NoSuchUpload"));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchUpload"), "{error}");
    assert!(fake.count("part") <= 3, "{}", fake.count("part"));
}
