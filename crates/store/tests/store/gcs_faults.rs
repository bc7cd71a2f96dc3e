//! Lost answers, refusals, storms and lies, from a scripted server of Google's language.

use crate::fake_gcs::{FakeGcs, Quirks, Reply, refusal, refusal_after};
use crate::servers;
use bytes::Bytes;
use futures::StreamExt;
use lifeboat_store::conformance::{Extent, noise, run};
use lifeboat_store::{
    CredentialsProblem, Destination, Endpoint, ErrorKind, Examine, GcsDestination, Keeping, Proof,
    ReadBackMode, ReadBackOptions, Result, StoreError, Stored, Summary, read_back, read_small,
};
use std::path::Path;
use std::time::{Duration, Instant};

const ALWAYS: u32 = u32::MAX;
/// Two whole chunks and a little.
const LARGE: usize = (2 << 20) + 4_321;

async fn fake() -> (FakeGcs, GcsDestination) {
    fake_with(Quirks::default()).await
}

async fn fake_with(quirks: Quirks) -> (FakeGcs, GcsDestination) {
    let fake = FakeGcs::start(quirks).await;
    let mut settings = servers::gcs_settings(&fake.url);
    settings.attempts = 3;
    let destination = GcsDestination::open(settings).await.unwrap();
    (fake, destination)
}

/// Through a proxy, which here is the server itself: nobody else knows the endpoint.
async fn behind_a_proxy(quirks: Quirks) -> (FakeGcs, GcsDestination) {
    let fake = FakeGcs::start(quirks).await;
    let mut settings = servers::gcs_settings("http://storage.invalid:8080");
    settings.proxy = Some(Endpoint::parse(&fake.url).unwrap());
    settings.attempts = 3;
    let destination = GcsDestination::open(settings).await.unwrap();
    (fake, destination)
}

async fn upload(destination: &GcsDestination, bytes: &Bytes) -> Result<Stored> {
    let mut upload = destination.create("key", &Keeping::default(), Default::default()).await?;
    if let Err(e) = upload.write(bytes.clone()).await {
        upload.abort().await?;
        return Err(e);
    }
    upload.complete(&Summary::of(bytes)).await
}

async fn put(destination: &GcsDestination, bytes: &Bytes) -> Result<Stored> {
    destination.put_new("key", bytes.clone(), &Keeping::default()).await
}

fn is_plain(error: &StoreError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("CANARY") && !shown.contains("session-"), "{shown}");
    assert!(error.to_string().contains("site-g"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[tokio::test]
async fn the_scripted_server_conforms_with_and_without_a_proxy_and_conditions() {
    let extent = Extent { large_bytes: LARGE, many: 20, lists_uploads: false };
    for ignores_conditions in [false, true] {
        let quirks = Quirks { ignores_conditions, ..Quirks::default() };
        for (fake, destination) in
            [fake_with(quirks.clone()).await, behind_a_proxy(quirks.clone()).await]
        {
            if let Err(failure) = run(&destination, "prod/daily", extent).await {
                panic!("{}: {failure}", destination.location());
            }
            assert!(fake.objects().is_empty());
            assert_eq!(fake.sessions(), 0, "each session was finished or cancelled");
        }
    }
}

#[tokio::test]
async fn f26_i04_a_lost_answer_to_the_last_chunk_is_resolved_by_asking() {
    let (fake, destination) = fake().await;
    fake.fail("last", 1, true, Reply::Lost);
    // The session is gone with the object, so the store does not know it any more.
    let stored = upload(&destination, &noise(LARGE)).await.unwrap();
    assert_eq!((stored.bytes, stored.existed), (LARGE as u64, true));
    assert_eq!((fake.objects(), fake.count("get")), (vec!["some/prefix/key".into()], 0));
}

#[tokio::test]
async fn f26_i04_a_lost_answer_to_put_is_resolved_by_looking() {
    let (fake, destination) = fake().await;
    fake.fail("put", 1, true, Reply::Lost);
    assert!(put(&destination, &"manifest".into()).await.unwrap().existed);
    let other = put(&destination, &"MANIFEST".into()).await.unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::AlreadyExists), "{other}");
}

#[tokio::test]
async fn f26_an_unresolved_failure_says_that_the_object_may_be_there() {
    let (fake, destination) = fake().await;
    fake.fail("put", ALWAYS, true, refusal(500, "internalError", "oops"));
    fake.fail("head", 1, false, refusal(404, "notFound", "No such object"));
    fake.fail("head", ALWAYS, false, refusal(503, "backendError", "later"));
    let error = put(&destination, &"x".into()).await.unwrap_err();
    assert!(error.left_behind().unwrap().contains("possibly the whole object"), "{error}");
}

#[tokio::test]
async fn f23_a_lost_chunk_is_sent_again_from_where_the_store_has_it() {
    for (effective, reply) in [(false, Reply::Lost), (true, Reply::Lost)] {
        let (fake, destination) = fake().await;
        fake.fail("chunk", 1, effective, reply);
        let bytes = noise(LARGE);
        upload(&destination, &bytes).await.unwrap();
        assert!(read_small(&destination, "key", LARGE).await.unwrap() == bytes);
        assert_eq!(fake.count("query"), 1);
        assert_eq!(fake.count("chunk"), if effective { 2 } else { 3 });
    }
}

/// The store keeps less of a chunk than was sent, and says so.
#[tokio::test]
async fn f23_a_chunk_of_which_the_store_keeps_half_is_sent_on() {
    for kept in [0, 256 << 10, 768 << 10] {
        let quirks = Quirks { keeps_of_chunk: Some(kept), ..Quirks::default() };
        let (fake, destination) = fake_with(quirks).await;
        let bytes = noise(LARGE);
        upload(&destination, &bytes).await.unwrap();
        assert!(read_small(&destination, "key", LARGE).await.unwrap() == bytes, "{kept}");
        assert_eq!(fake.count("chunk"), 3);
    }
}

/// A source that breaks: neither a dropped upload nor one with another summary publishes anything.
#[tokio::test]
async fn f23_i03_what_is_not_completed_is_never_published() {
    let (fake, destination) = fake().await;
    let (bytes, keeping) = (noise(LARGE), Keeping::default());
    let mut dropped = destination.create("key", &keeping, Default::default()).await.unwrap();
    dropped.write(bytes.clone()).await.unwrap();
    drop(dropped);
    let mut other = destination.create("key", &keeping, Default::default()).await.unwrap();
    other.write(bytes.clone()).await.unwrap();
    let error = other.complete(&Summary::of(&bytes[1..])).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert_eq!((fake.count("last"), fake.objects().len()), (0, 0));
    assert_eq!(fake.sessions(), 1, "that of the dropped one, which ends by itself");
}

#[tokio::test]
async fn f27_a_store_that_takes_bytes_back_ends_the_upload() {
    let (fake, destination) = fake().await;
    let back = vec![("range", "bytes=0-262143".to_owned())];
    fake.fail("last", 1, false, Reply::Answer(308, back, vec![]));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("262144"), "{error}");
    assert_eq!((fake.objects().len(), fake.sessions()), (0, 0));
}

#[tokio::test]
async fn f27_garbage_within_a_200_is_no_success() {
    let page = || Reply::Answer(200, vec![], b"<html>log in</html>".to_vec());
    for (operation, effective) in [("chunk", true), ("last", false), ("put", true)] {
        let (fake, destination) = fake().await;
        fake.fail(operation, 1, effective, page());
        let bytes = noise(if operation == "put" { 100 } else { LARGE });
        upload(&destination, &bytes).await.unwrap();
        assert!(read_small(&destination, "key", LARGE).await.unwrap() == bytes, "{operation}");
    }
    let (fake, destination) = fake().await;
    fake.fail("last", ALWAYS, false, page());
    fake.fail("query", ALWAYS, false, Reply::Answer(200, vec![], b"{}".to_vec()));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(fake.objects().is_empty());
}

#[tokio::test]
async fn f28_i04_a_key_that_is_taken_meanwhile_is_left_as_it_is() {
    let (fake, destination) = fake().await;
    let bytes = noise(LARGE);
    let keeping = Keeping::default();
    let mut upload = destination.create("key", &keeping, Default::default()).await.unwrap();
    upload.write(bytes.clone()).await.unwrap();
    let winner = Bytes::from_static(b"winner");
    put(&destination, &winner).await.unwrap();
    // The look before the last chunk sees nothing: the condition has to.
    fake.fail("head", 1, false, refusal(404, "notFound", "No such object"));
    let error = upload.complete(&Summary::of(&bytes)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
    assert_eq!(fake.count("last"), 1);
    assert_eq!(read_small(&destination, "key", 100).await.unwrap(), winner);
}

#[tokio::test]
async fn f28_a_conflict_that_passes_is_tried_again() {
    let (fake, destination) = fake().await;
    fake.fail("put", 2, false, refusal(409, "conflict", "busy"));
    assert!(!put(&destination, &"x".into()).await.unwrap().existed);
}

#[tokio::test]
async fn f24_a_storm_is_weathered_and_the_stores_wish_is_kept_to() {
    let (fake, destination) = fake().await;
    let started = Instant::now();
    let slow = |status, seconds| refusal_after(status, "rateLimitExceeded", "slow", seconds);
    fake.fail("begin", 1, false, slow(503, Some(1)));
    fake.fail("chunk", 1, false, slow(429, Some(1)));
    fake.fail("last", 1, false, refusal(500, "internalError", "oops"));
    fake.fail("query", 1, false, slow(403, None));
    upload(&destination, &noise(LARGE)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(fake.objects(), ["some/prefix/key"]);
    fake.fail("get", 1, false, slow(429, Some(1)));
    read_small(&destination, "key", LARGE).await.unwrap();
    assert_eq!(fake.count("get"), 2);
}

#[tokio::test]
async fn f24_i24_a_storm_that_lasts_ends_the_attempts() {
    let (fake, destination) = fake().await;
    let storm = || refusal_after(503, "backendError", "later", Some(0));
    fake.fail("put", ALWAYS, false, storm());
    let error = put(&destination, &"x".into()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("backendError"), "{error}");
    assert_eq!(fake.count("put"), 3, "three attempts and no more");
    fake.fail("chunk", ALWAYS, false, storm());
    fake.fail("query", ALWAYS, false, storm());
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert_eq!(fake.count("chunk") + fake.count("query"), 3);
    assert_eq!(fake.sessions(), 0, "the session was cancelled");
    is_plain(&error);
}

#[tokio::test]
async fn f25_i24_a_black_hole_ends() {
    let fake = FakeGcs::start(Quirks::default()).await;
    let mut settings = servers::gcs_settings(&fake.url);
    settings.timeout = Duration::from_secs(1);
    settings.attempts = 2;
    let destination = GcsDestination::open(settings).await.unwrap();
    put(&destination, &"x".into()).await.unwrap();
    for operation in ["head", "get", "list", "delete"] {
        fake.fail(operation, 2, false, Reply::Silence);
    }
    let range = async || destination.read("key", Some(0..1)).await.err();
    for error in [
        destination.head("key").await.err(),
        destination.read("key", None).await.err(),
        destination.list("").await.err(),
        destination.delete("key").await.err(),
    ] {
        let error = error.unwrap();
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
        assert!(error.to_string().contains("time limit"), "{error}");
    }
    fake.fail("get", 2, false, Reply::Silence);
    assert!(range().await.unwrap().to_string().contains("time limit"));
    // One that swallows a chunk is survived.
    destination.delete("key").await.unwrap();
    fake.fail("chunk", 1, true, Reply::Silence);
    upload(&destination, &noise((1 << 20) + 1)).await.unwrap();
}

#[tokio::test]
async fn f25_nobody_listening_is_transient() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = servers::gcs_settings(&url);
    settings.attempts = 1;
    let destination = GcsDestination::open(settings).await.unwrap();
    for error in [destination.head("key").await.err(), destination.read("key", None).await.err()] {
        let error = error.unwrap();
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn f23_a_broken_download_is_taken_up_where_it_broke() {
    for (fake, destination) in [fake().await, behind_a_proxy(Quirks::default()).await] {
        let bytes = noise(300_000);
        put(&destination, &bytes).await.unwrap();
        fake.fail("get", 1, false, Reply::Cut(100_000));
        fake.fail("get", 1, false, Reply::Cut(1));
        assert!(read_small(&destination, "key", bytes.len()).await.unwrap() == bytes);
        assert_eq!(fake.count("get"), 3);
    }
}

#[tokio::test]
async fn f23_a_store_that_ignores_the_range_does_not_pass_for_a_damaged_copy() {
    let (fake, destination) = fake_with(Quirks { ignores_ranges: true, ..Quirks::default() }).await;
    put(&destination, &noise(300_000)).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(100_000));
    let resumed = read_small(&destination, "key", 300_000).await.unwrap_err();
    let asked = destination.read("key", Some(10..20)).await.err().unwrap();
    for error in [resumed, asked] {
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
        assert!(error.to_string().contains("300000 bytes"), "{error}");
    }
}

#[tokio::test]
async fn f23_i24_a_download_that_hardly_gets_on_ends() {
    for length in [0, 10] {
        let (fake, destination) = fake().await;
        put(&destination, &noise(300_000)).await.unwrap();
        fake.fail("get", ALWAYS, false, Reply::Cut(length));
        let error = read_small(&destination, "key", 300_000).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
        assert!(error.to_string().contains("again and again"), "{error}");
        assert_eq!(fake.count("get"), 5);
    }
}

#[tokio::test]
async fn f45_an_object_that_changes_while_it_is_read_is_corrupt() {
    let (fake, destination) = fake().await;
    put(&destination, &noise(300_000)).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(10));
    let mut blocks = destination.read("key", None).await.unwrap();
    destination.delete("key").await.unwrap();
    put(&destination, &noise(300_001)).await.unwrap();
    let error = loop {
        match blocks.next().await {
            Some(Ok(_)) => {}
            Some(Err(e)) => break e,
            None => panic!("it ended"),
        }
    };
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("generation 1"), "{error}");
}

#[tokio::test]
async fn f32_i17_a_store_that_alters_is_found_out_at_once() {
    for length in [100, LARGE] {
        let (fake, destination) = fake_with(Quirks { alters: true, ..Quirks::default() }).await;
        let error = upload(&destination, &noise(length)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("CRC-32C"), "{error}");
        assert!(fake.objects().is_empty(), "it was taken back");
        fake.fail("delete", 1, false, refusal(403, "forbidden", "no storage.objects.delete"));
        let error = upload(&destination, &noise(length)).await.unwrap_err();
        assert!(error.left_behind().unwrap().contains("storage.objects.delete"), "{error}");
    }
}

#[tokio::test]
async fn f32_a_store_that_alters_on_the_way_back_is_found_out() {
    let (fake, destination) = fake().await;
    let bytes = noise(1_000);
    put(&destination, &bytes).await.unwrap();
    let mut altered = bytes.to_vec();
    altered[500] ^= 1;
    let crc = base64_crc(&bytes);
    let headers = vec![
        ("x-goog-generation", "1".to_owned()),
        ("x-goog-stored-content-length", "1000".to_owned()),
        ("x-goog-hash", format!("crc32c={crc}")),
    ];
    fake.fail("get", 1, false, Reply::Answer(200, headers, altered));
    let error = read_small(&destination, "key", 1_000).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("checksum of the object"), "{error}");
}

fn base64_crc(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Summary::of(bytes).crc32c.to_be_bytes())
}

#[tokio::test]
async fn f32_i17_a_store_that_forgets_is_found_out() {
    let (_fake, destination) = fake_with(Quirks { forgets: true, ..Quirks::default() }).await;
    let bytes = noise(100);
    upload(&destination, &bytes).await.unwrap();
    let found = read_back(&destination, "key", &Summary::of(&bytes), &Default::default()).await;
    let error = found.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound), "{error}");
}

#[tokio::test]
async fn f33_i17_metadata_that_the_store_drops_is_a_downgrade() {
    let tags = [("team".to_owned(), "etcd".to_owned())].into();
    let options = ReadBackOptions {
        keeping: Keeping { tags, ..Keeping::default() },
        ..ReadBackOptions::default()
    };
    let bytes = noise(100);
    for ignores_metadata in [false, true] {
        let quirks = Quirks { ignores_metadata, ..Quirks::default() };
        let (_fake, destination) = fake_with(quirks).await;
        destination.put_new("key", bytes.clone(), &options.keeping).await.unwrap();
        let found = read_back(&destination, "key", &Summary::of(&bytes), &options).await;
        let Err(error) = found else {
            assert!(!ignores_metadata);
            continue;
        };
        assert!(ignores_metadata, "{error}");
        let is_it = matches!(error.kind(), ErrorKind::SilentDowngrade { setting: "tags", .. });
        assert!(is_it && error.to_string().contains("team = etcd"), "{error}");
    }
}

#[tokio::test]
async fn i17_the_kept_checksum_proves_a_copy_without_reading_it() {
    let (fake, destination) = fake().await;
    let bytes = noise(LARGE);
    upload(&destination, &bytes).await.unwrap();
    let options = ReadBackOptions { mode: ReadBackMode::Checksum, ..Default::default() };
    let proven = read_back(&destination, "key", &Summary::of(&bytes), &options).await.unwrap();
    assert_eq!((proven.proof, fake.count("get")), (Proof::Crc32c, 0));
}

#[tokio::test]
async fn f30_every_denied_permission_is_named() {
    let (fake, destination) = fake().await;
    let other = GcsDestination::open(servers::gcs_settings(&fake.url)).await.unwrap();
    put(&other, &"x".into()).await.unwrap();
    let message = "writer@p.iam.gserviceaccount.com does not have access. (or it may not exist)";
    for operation in ["head", "get", "list", "delete", "put", "begin", "last", "copy"] {
        fake.fail(operation, 1, false, refusal(403, "forbidden", message));
    }
    let keeping = Keeping::default();
    let head = destination.head("key").await.err();
    let read = destination.read("key", None).await.err();
    let list = destination.list("").await.err();
    let delete = destination.delete("key").await.err();
    let put = destination.put_new("new", "x".into(), &keeping).await.err();
    let large = async || {
        let mut upload = destination.create("large", &keeping, Default::default()).await?;
        upload.write(noise(LARGE)).await?;
        upload.complete(&Summary::of(&noise(LARGE))).await
    };
    let (begin, last) = (large().await.err(), large().await.err());
    let target = behind(&fake, "elsewhere").await;
    let copy = target.copy_from(&destination, "key", 1, &keeping).await.err();
    for (verb, error) in [
        ("storage.objects.get", head),
        ("storage.objects.get", read),
        ("storage.objects.list", list),
        ("storage.objects.delete", delete),
        ("storage.objects.create", put),
        ("storage.objects.create", begin),
        ("storage.objects.create", last),
        ("storage.objects.create", copy),
    ] {
        let error = error.unwrap();
        assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
        assert!(error.to_string().contains(verb), "{verb}: {error}");
        assert!(error.to_string().contains("or it may not exist"), "{error}");
        is_plain(&error);
    }
}

async fn behind(fake: &FakeGcs, prefix: &str) -> GcsDestination {
    let mut settings = servers::gcs_settings(&fake.url);
    settings.prefix = prefix.to_owned();
    GcsDestination::open(settings).await.unwrap()
}

#[tokio::test]
async fn f30_a_session_that_cannot_be_cancelled_is_named_without_its_address() {
    let (fake, destination) = fake().await;
    fake.fail("last", ALWAYS, false, refusal(403, "forbidden", "no"));
    fake.fail("cancel", ALWAYS, false, refusal(403, "forbidden", "no"));
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
    assert!(error.left_behind().unwrap().contains("ends by itself within a week"), "{error}");
    is_plain(&error);
}

fn is_config(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Config { .. })
}

fn is_transient(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Transient { .. })
}

fn is_credentials(kind: &ErrorKind, wanted: CredentialsProblem) -> bool {
    matches!(kind, ErrorKind::Credentials { problem, .. } if *problem == wanted)
}

#[tokio::test]
async fn f30_f31_f40_every_refusal_has_its_kind() {
    type Fits = fn(&ErrorKind) -> bool;
    let cases: [(u16, &str, &str, Fits); 12] = [
        (401, "authError", "Invalid Credentials", |k| {
            is_credentials(k, CredentialsProblem::Invalid)
        }),
        (401, "required", "The token has expired", |k| {
            is_credentials(k, CredentialsProblem::Expired)
        }),
        (404, "notFound", "The specified bucket does not exist.", |k| {
            matches!(k, ErrorKind::BucketMissing { .. })
        }),
        (403, "userRateLimitExceeded", "slow", is_transient),
        (400, "invalid", "Invalid storage class X", is_config),
        (400, "invalid", "Retention is not on", is_config),
        (400, "invalid", "Cloud KMS key is wrong", is_config),
        (400, "userProjectMissing", "Bucket is requester pays", is_config),
        (301, "moved", "elsewhere", is_config),
        (501, "notImplemented", "no", is_config),
        (503, "backendError", "later", is_transient),
        (418, "teapot", "short and stout", |k| matches!(k, ErrorKind::Rejected { .. })),
    ];
    for (status, reason, message, fits) in cases {
        let (fake, destination) = fake().await;
        fake.fail("list", ALWAYS, false, refusal(status, reason, message));
        let error = destination.list("").await.unwrap_err();
        assert!(fits(error.kind()), "{reason}: {error:?}");
        assert!(error.to_string().contains(message), "{error}");
        is_plain(&error);
    }
}

fn user(fake: &FakeGcs, path: &Path, refresh_token: &str) {
    let json = serde_json::json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "CANARY-SECRET",
        "refresh_token": refresh_token, "token_uri": format!("{}/token", fake.url),
    });
    std::fs::write(path, json.to_string()).unwrap();
}

async fn of_file(fake: &FakeGcs, path: &Path) -> GcsDestination {
    let mut settings = servers::gcs_settings(&fake.url);
    settings.anonymous = false;
    settings.credentials_file = Some(path.to_owned());
    GcsDestination::open(settings).await.unwrap()
}

#[tokio::test]
async fn f29_a_token_that_is_refused_is_renewed_from_its_file() {
    let fake = FakeGcs::start(Quirks::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("google.json");
    user(&fake, &path, "CANARY-1");
    let destination = of_file(&fake, &path).await;
    fake.quirk(|q| q.token = Some("access-CANARY-1".into()));
    put(&destination, &"x".into()).await.unwrap();
    read_small(&destination, "key", 9).await.unwrap();
    assert_eq!(fake.count("token"), 1, "kept, and shared with Google's own client");

    // In the middle of an upload, and again before a whole object is read.
    let (bytes, keeping) = (noise(LARGE), Keeping::default());
    let mut upload = destination.create("large", &keeping, Default::default()).await.unwrap();
    upload.write(bytes.slice(..1_500_000)).await.unwrap();
    fake.quirk(|q| q.token = Some("access-CANARY-2".into()));
    user(&fake, &path, "CANARY-2");
    upload.write(bytes.slice(1_500_000..)).await.unwrap();
    upload.complete(&Summary::of(&bytes)).await.unwrap();
    fake.quirk(|q| q.token = Some("access-CANARY-3".into()));
    user(&fake, &path, "CANARY-3");
    assert!(read_small(&destination, "large", LARGE).await.unwrap() == bytes);
    assert_eq!(fake.count("token"), 3);
}

#[tokio::test]
async fn f29_a_token_that_is_refused_for_good_is_told_so_at_once() {
    let fake = FakeGcs::start(Quirks { token: Some("other".into()), ..Quirks::default() }).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("google.json");
    user(&fake, &path, "CANARY-1");
    let destination = of_file(&fake, &path).await;
    let head = destination.head("key").await.unwrap_err();
    let read = destination.read("key", None).await.err().unwrap();
    assert_eq!((fake.count("head"), fake.count("get")), (1, 1));
    fake.fail("token", ALWAYS, false, Reply::Answer(400, vec![], b"{\"error\":\"x\"}".to_vec()));
    std::fs::remove_file(&path).unwrap();
    let stranger = of_file(&fake, &path).await.head("key").await.unwrap_err();
    for (error, problem) in [
        (head, CredentialsProblem::Invalid),
        (read, CredentialsProblem::Invalid),
        (stranger, CredentialsProblem::Missing),
    ] {
        let is_it =
            matches!(error.kind(), ErrorKind::Credentials { problem: p, .. } if *p == problem);
        assert!(is_it, "{error}");
        is_plain(&error);
    }
}

/// Of a token that was signed at another time Google says no more than that it is not good.
#[tokio::test]
async fn f40_a_token_that_google_refuses_for_its_time_is_told_as_the_clock() {
    let (fake, destination) = fake().await;
    let refused = |date: Option<&str>| {
        let Reply::Answer(status, mut headers, body) =
            refusal(401, "authError", "Invalid Credentials")
        else {
            unreachable!()
        };
        headers.extend(date.map(|date| ("date", date.to_owned())));
        Reply::Answer(status, headers, body)
    };
    for (date, problem, hint) in [
        (
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            CredentialsProblem::ClockSkew,
            "set this machine's clock",
        ),
        (None, CredentialsProblem::Invalid, "correct credentials_file"),
    ] {
        for operation in ["head", "get"] {
            fake.fail(operation, 1, false, refused(date));
        }
        let head = destination.head("key").await.unwrap_err();
        let read = destination.read("key", None).await.err().unwrap();
        for error in [head, read] {
            let is_it =
                matches!(error.kind(), ErrorKind::Credentials { problem: p, .. } if *p == problem);
            assert!(is_it, "{error}");
            assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
            assert_eq!(error.to_string().contains("1994-11-06T08:49:37Z"), date.is_some());
            is_plain(&error);
        }
    }
}

#[tokio::test]
async fn f39_the_store_tells_its_time_with_every_answer() {
    let (fake, destination) = fake().await;
    assert_eq!(destination.store_time(), None);
    let date = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    fake.fail("list", 1, false, Reply::Answer(403, date, vec![]));
    destination.list("").await.unwrap_err();
    let told = destination.store_time().unwrap().to_string();
    assert!(told.starts_with("1994-11-06T08:49:"), "{told}");
}

#[tokio::test]
async fn f27_a_copy_in_many_calls_comes_to_its_end_or_is_given_up() {
    let (fake, destination) = fake_with(Quirks { copies: Some(1_000), ..Quirks::default() }).await;
    let bytes = noise(10_500);
    put(&destination, &bytes).await.unwrap();
    let (target, keeping) = (behind(&fake, "elsewhere").await, Keeping::default());
    let copy = async || target.copy_from(&destination, "key", 10_500, &keeping).await;
    assert!(!copy().await.unwrap().unwrap().existed);
    assert!(read_small(&target, "key", 10_500).await.unwrap() == bytes);
    assert_eq!(fake.count("copy"), 11);
    target.delete("key").await.unwrap();

    // The answer to the last call is lost.
    fake.quirk(|q| q.copies = None);
    fake.fail("copy", 1, true, Reply::Lost);
    assert!(copy().await.unwrap().unwrap().existed);
    target.delete("key").await.unwrap();

    fake.quirk(|q| q.copies = Some(0));
    let error = copy().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    assert!(error.to_string().contains("does not come to the end"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_ignores_conditions_is_found_out() {
    let (_fake, destination) = fake().await;
    put(&destination, &"x".into()).await.unwrap();
    assert!(destination.refuses_overwrite("key", "y".into()).await.unwrap());
    let quirks = Quirks { ignores_conditions: true, ..Quirks::default() };
    let (fake, destination) = fake_with(quirks).await;
    put(&destination, &"x".into()).await.unwrap();
    assert!(!destination.refuses_overwrite("key", "y".into()).await.unwrap());
    let message = "writer does not have storage.objects.delete access";
    fake.fail("put", 1, false, refusal(403, "forbidden", message));
    assert!(destination.refuses_overwrite("key", "y".into()).await.unwrap());
    destination.begins_parts("parts").await.unwrap();
    assert_eq!(fake.sessions(), 0);
}
