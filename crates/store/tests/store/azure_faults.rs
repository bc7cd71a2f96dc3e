//! Lost answers, refusals, storms and lies of Azure, from a scripted server.

use crate::fake_azure::{FakeAzure, Quirks, Reply, expired, fake_with, refusal, refusal_with};
use crate::tls::{is_told, private_server};
use bytes::Bytes;
use futures::StreamExt;
use lifeboat_store::conformance::{Extent, noise, run};
use lifeboat_store::{
    AzureDestination, CredentialsProblem, Destination, Endpoint, ErrorKind, Keeping, Result,
    StoreError, Stored, Summary, read_back, read_small,
};
use std::time::{Duration, Instant};

const ALWAYS: u32 = u32::MAX;
/// More than two blocks.
const LARGE: usize = 600_000;

async fn fake() -> (FakeAzure, AzureDestination, tempfile::TempDir) {
    fake_with(Quirks::default()).await
}

async fn upload(destination: &AzureDestination, bytes: &Bytes) -> Result<Stored> {
    let mut upload = destination.create("key", &Keeping::default(), Default::default()).await?;
    if let Err(e) = upload.write(bytes.clone()).await {
        upload.abort().await?;
        return Err(e);
    }
    upload.complete(&Summary::of(bytes)).await
}

async fn put(destination: &AzureDestination, bytes: &'static [u8]) -> Result<Stored> {
    destination.put_new("key", Bytes::from_static(bytes), &Keeping::default()).await
}

fn shows_no_secret(error: &StoreError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("CANARY") && !shown.contains("sig="), "{shown}");
    assert!(error.to_string().contains("site-c"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn is_transient(error: &StoreError) {
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    shows_no_secret(error);
}

#[tokio::test]
async fn the_fake_azure_conforms_with_and_without_conditional_writes() {
    for ignores_conditions in [false, true] {
        let quirks = Quirks { ignores_conditions, ..Quirks::default() };
        let (_fake, destination, _dir) = fake_with(quirks).await;
        let extent = Extent { large_bytes: LARGE, many: 20, lists_uploads: true };
        run(&destination, "prod/daily", extent).await.unwrap();
    }
}

#[tokio::test]
async fn f26_i04_a_lost_answer_of_azure_is_resolved_by_looking() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("commit", 1, true, Reply::Lost);
    let stored = upload(&destination, &noise(LARGE)).await.unwrap();
    assert_eq!((stored.bytes, stored.existed), (LARGE as u64, true));
    let (fake, destination, _dir) = crate::azure_faults::fake().await;
    fake.fail("put", 1, true, Reply::Lost);
    assert!(put(&destination, b"manifest").await.unwrap().existed);
    let other = put(&destination, b"MANIFEST").await.unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::AlreadyExists), "{other}");
}

#[tokio::test]
async fn f23_i24_a_lost_request_to_azure_is_no_success() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("put", ALWAYS, false, Reply::Lost);
    is_transient(&put(&destination, b"x").await.unwrap_err());
    assert_eq!(fake.count("put"), 3);
}

#[tokio::test]
async fn f26_an_unresolved_failure_of_azure_says_that_the_object_may_be_there() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("put", ALWAYS, true, refusal(500, "InternalError"));
    fake.fail("head", 1, false, refusal(404, "BlobNotFound"));
    fake.fail("head", ALWAYS, false, refusal(503, "ServerBusy"));
    let error = put(&destination, b"x").await.unwrap_err();
    assert!(error.left_behind().unwrap().contains("possibly the whole object"), "{error}");
}

/// Another writer takes the key after the look and before the write.
#[tokio::test]
async fn f28_i04_azure_refuses_a_taken_key_however_the_look_went() {
    for bytes in [noise(100), noise(LARGE)] {
        let (fake, destination, _dir) = fake().await;
        put(&destination, b"winner").await.unwrap();
        fake.fail("head", 2, false, refusal(404, "BlobNotFound"));
        let error = upload(&destination, &bytes).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
        let found = read_small(&destination, "key", LARGE).await.unwrap();
        assert_eq!(found, Bytes::from_static(b"winner"));
    }
}

#[tokio::test]
async fn f28_f26_an_upload_to_azure_repeated_with_the_same_bytes_succeeds() {
    let (_fake, destination, _dir) = fake().await;
    let bytes = noise(LARGE);
    let mut late =
        destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
    late.write(bytes.clone()).await.unwrap();
    upload(&destination, &bytes).await.unwrap();
    assert!(late.complete(&Summary::of(&bytes)).await.unwrap().existed);
}

/// The blocks of all writers on a key lie together until one of them commits.
#[tokio::test]
async fn f28_two_writers_on_one_key_do_not_mix_their_blocks() {
    let (_fake, destination, _dir) = fake().await;
    let (ours, theirs) = (noise(LARGE), noise(LARGE + 1));
    let keeping = Keeping::default();
    let mut first = destination.create("key", &keeping, Default::default()).await.unwrap();
    let mut second = destination.create("key", &keeping, Default::default()).await.unwrap();
    first.write(ours.clone()).await.unwrap();
    second.write(theirs.clone()).await.unwrap();
    first.complete(&Summary::of(&ours)).await.unwrap();
    let error = second.complete(&Summary::of(&theirs)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
    assert!(read_small(&destination, "key", LARGE).await.unwrap() == ours);
}

#[tokio::test]
async fn f24_a_storm_of_azure_that_passes_is_weathered() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("block", 2, false, refusal(503, "ServerBusy"));
    fake.fail("block", 1, false, refusal(429, "TooManyRequests"));
    fake.fail("commit", 2, false, refusal(500, "OperationTimedOut"));
    upload(&destination, &noise(LARGE)).await.unwrap();
    assert_eq!(fake.objects(), ["some/prefix/key"]);
    assert_eq!(fake.count("commit"), 3);
}

#[tokio::test]
async fn f24_i24_a_wish_of_azure_for_patience_is_kept_to() {
    for (status, header, value) in [(429, "retry-after", "2"), (503, "x-ms-retry-after-ms", "2000")]
    {
        let (fake, destination, _dir) = fake().await;
        let Reply::Answer(_, mut headers, body) = refusal(status, "ServerBusy") else {
            unreachable!()
        };
        headers.push((header, value.to_owned()));
        fake.fail("put", 1, false, Reply::Answer(status, headers, body));
        let began = Instant::now();
        put(&destination, b"x").await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2), "{status}: {:?}", began.elapsed());
        assert_eq!(fake.count("put"), 2);
        destination.delete("key").await.unwrap();
        fake.fail("put", ALWAYS, false, refusal(status, "ServerBusy"));
        is_transient(&put(&destination, b"x").await.unwrap_err());
        assert_eq!(fake.count("put"), 2 + 3, "three attempts and no more");
    }
}

/// A proxy answers in the store's place.
#[tokio::test]
async fn f27_an_answer_that_azure_never_gives_is_no_success() {
    let page = || Reply::Answer(200, vec![], b"<html><body>log in</body></html>".to_vec());
    let (fake, destination, _dir) = fake().await;
    fake.fail("put", ALWAYS, false, page());
    is_transient(&put(&destination, b"x").await.unwrap_err());
    fake.fail("block", ALWAYS, false, page());
    is_transient(&upload(&destination, &noise(LARGE)).await.unwrap_err());
    fake.fail("head", ALWAYS, false, page());
    is_transient(&destination.head("key").await.unwrap_err());
    assert!(fake.objects().is_empty());
    let (fake, destination, _dir) = crate::azure_faults::fake().await;
    fake.fail("commit", ALWAYS, false, page());
    is_transient(&upload(&destination, &noise(LARGE)).await.unwrap_err());
}

#[tokio::test]
async fn f23_a_broken_download_from_azure_is_taken_up_where_it_broke() {
    let (fake, destination, _dir) = fake().await;
    let bytes = noise(300_000);
    destination.put_new("key", bytes.clone(), &Keeping::default()).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(100_000));
    fake.fail("get", 1, false, Reply::Cut(1));
    let found = read_small(&destination, "key", bytes.len()).await.unwrap();
    assert!(found == bytes);
    assert_eq!(fake.count("get"), 3);
}

#[tokio::test]
async fn f23_an_azure_that_ignores_the_range_does_not_pass_for_a_damaged_copy() {
    let quirks = Quirks { ignores_ranges: true, ..Quirks::default() };
    let (fake, destination, _dir) = fake_with(quirks).await;
    destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
    fake.fail("get", 1, false, Reply::Cut(100_000));
    let error = read_small(&destination, "key", 300_000).await.unwrap_err();
    is_transient(&error);
    assert!(error.to_string().contains("300000 bytes"), "{error}");
}

#[tokio::test]
async fn f23_i24_a_download_from_azure_that_hardly_gets_on_ends() {
    for bytes in [0, 10] {
        let (fake, destination, _dir) = fake().await;
        destination.put_new("key", noise(300_000), &Keeping::default()).await.unwrap();
        fake.fail("get", ALWAYS, false, Reply::Cut(bytes));
        let error = read_small(&destination, "key", 300_000).await.unwrap_err();
        is_transient(&error);
        assert!(error.to_string().contains("again and again"), "{error}");
        assert_eq!(fake.count("get"), 5);
    }
}

#[tokio::test]
async fn f45_a_blob_that_changes_while_it_is_read_is_corrupt() {
    let (fake, destination, _dir) = fake().await;
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

#[tokio::test]
async fn f32_i17_an_azure_that_alters_or_forgets_is_found_out() {
    let bytes = noise(LARGE);
    let summary = Summary::of(&bytes);
    for (quirks, is_altered) in [
        (Quirks { alters: true, ..Quirks::default() }, true),
        (Quirks { forgets: true, ..Quirks::default() }, false),
    ] {
        let (_fake, destination, _dir) = fake_with(quirks).await;
        upload(&destination, &bytes).await.unwrap();
        let error = read_back(&destination, "key", &summary, &Default::default()).await;
        match error.unwrap_err().kind() {
            ErrorKind::Corrupt { .. } if is_altered => {}
            ErrorKind::NotFound if !is_altered => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The file holds another signature meanwhile, and the run goes on with it.
#[tokio::test]
async fn f29_a_signature_that_was_renewed_on_disk_is_used() {
    let quirks = Quirks { signature: Some("CANARY-ONE".into()), ..Quirks::default() };
    let (fake, destination, dir) = fake_with(quirks).await;
    let mut upload =
        destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
    let bytes = noise(LARGE);
    upload.write(bytes.clone()).await.unwrap();
    std::fs::write(dir.path().join("sas"), "sv=2020-12-06&sig=CANARY-TWO\n").unwrap();
    fake.accept("CANARY-TWO");
    upload.complete(&Summary::of(&bytes)).await.unwrap();
    assert_eq!(fake.objects(), ["some/prefix/key"]);
}

#[tokio::test]
async fn f29_an_expired_signature_that_nobody_renews_is_called_so() {
    let (fake, destination, _dir) = fake().await;
    fake.accept("another");
    let error = destination.list("").await.unwrap_err();
    let expired = CredentialsProblem::Expired;
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == expired),
        "{error}"
    );
    assert!(error.to_string().contains("Expiry [Thu, 01 Jan 2026 01:00:00 GMT]"), "{error}");
    assert_eq!(fake.count("list"), 1);
    shows_no_secret(&error);
}

/// The answer to a look has no body, so that a read of a byte has to say what is wrong; where it does
/// not either, the two clocks may.
#[tokio::test]
async fn f29_f40_a_refused_look_at_azure_tells_its_reason_although_it_has_no_body() {
    let bare = |date: Option<&str>| {
        let mut headers = vec![("x-ms-error-code", "AuthenticationFailed".to_owned())];
        headers.extend(date.map(|date| ("date", date.to_owned())));
        Reply::Answer(403, headers, vec![])
    };
    let old = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (look, read, problem, says) in [
        (bare(None), expired(), CredentialsProblem::Expired, "Expiry [Thu, 01 Jan 2026"),
        (
            bare(old),
            bare(old),
            CredentialsProblem::ClockSkew,
            "the store's says 1994-11-06T08:49:37Z",
        ),
        (bare(None), bare(None), CredentialsProblem::Invalid, "AuthenticationFailed"),
    ] {
        let (fake, destination, _dir) = fake().await;
        fake.fail("head", 1, false, look);
        fake.fail("get", 1, false, read);
        let error = destination.head("key").await.unwrap_err();
        let is_it =
            matches!(error.kind(), ErrorKind::Credentials { problem: p, .. } if *p == problem);
        assert!(is_it && error.to_string().contains(says), "{error}");
        if problem == CredentialsProblem::Invalid {
            assert!(error.hint().unwrap().contains("sas_file"), "{:?}", error.hint());
        }
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn f29_refused_blocks_end_an_upload_to_azure() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("block", ALWAYS, false, expired());
    let error = upload(&destination, &noise(LARGE)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Credentials { .. }), "{error}");
    assert_eq!(error.left_behind(), None, "the store throws the blocks away by itself");
    assert!(fake.objects().is_empty());
    shows_no_secret(&error);
}

#[tokio::test]
async fn f30_every_permission_of_azure_that_is_missing_is_named() {
    let (fake, destination, _dir) = fake().await;
    put(&destination, b"x").await.unwrap();
    let refused = || refusal(403, "AuthorizationPermissionMismatch");
    for operation in ["list", "get", "delete"] {
        fake.fail(operation, 1, false, refused());
    }
    let list = destination.list("").await.unwrap_err();
    let get = destination.read("key", None).await.err().unwrap();
    let delete = destination.delete("key").await.unwrap_err();
    destination.delete("key").await.unwrap();
    fake.fail("put", 1, false, refused());
    let plain = put(&destination, b"x").await.unwrap_err();
    fake.fail("put", 1, false, refused());
    let keeping = Keeping { tags: [("a".into(), "b".into())].into(), ..Keeping::default() };
    let tagged = destination.put_new("key", "x".into(), &keeping).await.unwrap_err();
    for (error, letter) in [
        (list, "blobs/read (in a SAS: l)"),
        (get, "blobs/read (in a SAS: r)"),
        (delete, "blobs/delete (in a SAS: d)"),
        (plain, "blobs/write (in a SAS: c and w)"),
        (tagged, "because of tags (in a SAS: c, w and t)"),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
        assert!(error.to_string().contains(letter), "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn f30_f31_f40_every_refusal_of_azure_has_its_kind() {
    type Fits = fn(&ErrorKind) -> bool;
    let invalid = |k: &ErrorKind| {
        matches!(k, ErrorKind::Credentials { problem: CredentialsProblem::Invalid, .. })
    };
    let cases: Vec<(u16, &str, Fits)> = vec![
        (403, "AuthenticationFailed", invalid),
        (401, "NoAuthenticationInformation", invalid),
        (403, "AuthorizationFailure", |k| matches!(k, ErrorKind::Denied { .. })),
        (403, "KeyBasedAuthenticationNotPermitted", |k| matches!(k, ErrorKind::Config { .. })),
        (404, "ContainerNotFound", |k| matches!(k, ErrorKind::BucketMissing { .. })),
        (409, "ContainerBeingDeleted", |k| matches!(k, ErrorKind::BucketMissing { .. })),
        (301, "Moved", |k| matches!(k, ErrorKind::Config { .. })),
        (400, "InvalidHeaderValue", |k| matches!(k, ErrorKind::Config { .. })),
        (501, "NotImplemented", |k| matches!(k, ErrorKind::Config { .. })),
        (412, "LeaseIdMissing", |k| matches!(k, ErrorKind::Conflict { .. })),
        (503, "ServerBusy", |k| matches!(k, ErrorKind::Transient { .. })),
        (418, "Teapot", |k| matches!(k, ErrorKind::Rejected { .. })),
    ];
    for (status, code, fits) in cases {
        let (fake, destination, _dir) = fake().await;
        fake.fail("list", ALWAYS, false, refusal(status, code));
        let error = destination.list("").await.unwrap_err();
        assert!(fits(error.kind()), "{code}: {error:?}");
        assert!(error.to_string().contains(code), "{error}");
        assert!(error.to_string().contains("REQ-1"), "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn f40_azure_tells_both_clocks_when_they_differ() {
    let (fake, destination, _dir) = fake().await;
    let detail = "<AuthenticationErrorDetail>Request date header too old: 'Thu, 01 Jan 2026 \
        00:00:00 GMT'</AuthenticationErrorDetail>";
    let Reply::Answer(status, mut headers, body) =
        refusal_with(403, "AuthenticationFailed", detail)
    else {
        unreachable!()
    };
    headers.push(("date", "Thu, 01 Jan 2026 01:00:00 GMT".into()));
    fake.fail("list", 1, false, Reply::Answer(status, headers, body));
    let error = destination.list("").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("00:00:00 GMT") && text.contains("01:00:00 GMT"), "{text}");
    assert_eq!(error.hint(), Some("set this machine's clock"));
    let early = "<AuthenticationErrorDetail>Signature not valid in the specified time frame: \
        Start [Thu, 01 Jan 2026 02:00:00 GMT] - Expiry [Thu, 01 Jan 2026 03:00:00 GMT] - Current \
        [Thu, 01 Jan 2026 01:00:00 GMT]</AuthenticationErrorDetail>";
    fake.fail("list", 1, false, refusal_with(403, "AuthenticationFailed", early));
    let error = destination.list("").await.unwrap_err();
    assert_eq!(error.hint(), Some("set this machine's clock"), "{error}");
}

/// To explain a wrong signature the store repeats what it signed: every header, a key included.
#[tokio::test]
async fn i23_what_azure_signed_to_compare_is_never_repeated() {
    let (fake, destination, _dir) = fake().await;
    let detail = "<AuthenticationErrorDetail>The MAC signature found in the HTTP request 'CANARY' \
        is not the same as any computed signature. Server used following string to sign: 'GET\n\n\
        x-ms-encryption-key:CANARY'.</AuthenticationErrorDetail>";
    fake.fail("list", 1, false, refusal_with(403, "AuthenticationFailed", detail));
    let error = destination.list("").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Credentials { .. }), "{error}");
    shows_no_secret(&error);
}

#[tokio::test]
async fn f39_azure_tells_its_time_with_every_answer() {
    let (fake, destination, _dir) = fake().await;
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

#[tokio::test]
async fn f25_i24_a_black_hole_instead_of_azure_ends() {
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    fake.fail("put", ALWAYS, false, Reply::Silence);
    let mut settings = fake.settings(&dir);
    settings.timeout = Duration::from_secs(1);
    settings.attempts = 2;
    let destination = AzureDestination::open(settings).await.unwrap();
    let error = put(&destination, b"x").await.unwrap_err();
    is_transient(&error);
    assert!(error.to_string().contains("time limit"), "{error}");
    assert_eq!(fake.count("put"), 2);
}

#[tokio::test]
async fn f25_nobody_listening_where_azure_should_be_is_transient() {
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = fake.settings(&dir);
    settings.endpoint_url = Endpoint::parse(&url).ok();
    settings.attempts = 1;
    let error = AzureDestination::open(settings).await.unwrap().head("key").await.unwrap_err();
    is_transient(&error);
    assert!(error.to_string().contains("no connection: "), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn only_the_ca_file_makes_a_private_server_of_azures_language_trusted() {
    let (url, certificate) = private_server();
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    let mut settings = fake.settings(&dir);
    settings.endpoint_url = Endpoint::parse(&url).ok();
    let began = Instant::now();
    let stranger = AzureDestination::open(settings.clone()).await.unwrap();
    is_told(&stranger.head("key").await.unwrap_err());
    assert!(began.elapsed() < Duration::from_millis(900), "it is not tried again");

    let path = dir.path().join("ca.pem");
    std::fs::write(&path, certificate).unwrap();
    settings.ca_file = Some(path.clone());
    let trusted = AzureDestination::open(settings.clone()).await.unwrap();
    assert_eq!(trusted.head("key").await.unwrap(), None);
    std::fs::write(&path, "nonsense").unwrap();
    let error = AzureDestination::open(settings).await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
}

#[tokio::test]
async fn azure_is_reached_through_the_proxy_of_the_settings() {
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    let mut settings = fake.settings(&dir);
    settings.endpoint_url = Endpoint::parse("http://azure.invalid").ok();
    settings.proxy = Endpoint::parse(&fake.url).ok();
    let destination = AzureDestination::open(settings).await.unwrap();
    put(&destination, b"x").await.unwrap();
    assert_eq!(fake.objects(), ["some/prefix/key"]);
}

/// Also on the other clouds than S3, whose own is with its locks.
#[tokio::test]
async fn f59_a_proxy_of_any_cloud_that_is_not_there_is_named() {
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Endpoint::parse(&format!("http://{nobody}")).ok();
    let mut azure = fake.settings(&dir);
    (azure.attempts, azure.proxy) = (1, proxy.clone());
    let mut google = crate::servers::gcs_settings("http://store.invalid:4443");
    (google.attempts, google.proxy) = (1, proxy);
    for endpoint in ["http://store.invalid", "https://store.invalid"] {
        azure.endpoint_url = Endpoint::parse(endpoint).ok();
        google.endpoint_url = Endpoint::parse(endpoint).ok();
        let azure = AzureDestination::open(azure.clone()).await.unwrap();
        let google = lifeboat_store::GcsDestination::open(google.clone()).await.unwrap();
        let both: [&dyn Destination; 2] = [&azure, &google];
        for destination in both {
            let error = destination.head("prod/a").await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("proxy http://{nobody}")), "{error}");
        }
    }
}

/// A name that the URL has to quote is one name to the store, whoever quotes it.
#[tokio::test]
async fn odd_names_arrive_as_they_are() {
    let (fake, destination, _dir) = fake().await;
    let key = "a b/%2F+ü&?#1";
    destination.put_new(key, "x".into(), &Keeping::default()).await.unwrap();
    assert_eq!(fake.objects(), ["some/prefix/a b/%2F+ü&?#1"]);
    assert_eq!(destination.list("a b/").await.unwrap()[0].key, key);
    assert_eq!(
        fake.look(|state| state.last_path()),
        "/backups/some/prefix/a%20b/%252F+%C3%BC&%3F%231"
    );
}

/// An answer that comes late is waited for.
#[tokio::test]
async fn f25_a_late_answer_of_azure_is_waited_for() {
    let (fake, destination, _dir) = fake().await;
    fake.fail("put", 1, true, Reply::Late);
    assert!(!put(&destination, b"x").await.unwrap().existed);
    assert_eq!(fake.count("put"), 1);
}
