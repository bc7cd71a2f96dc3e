//! How Azure is asked to keep an object, whether it is found out when it does not, and copies that
//! it makes by itself.

use crate::azure_server::{KEY, azurite, settings};
use crate::fake_azure::{FakeAzure, Quirks, fake_with, refusal, refusal_with};
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    AzureCredentials, AzureDestination, AzureSettings, Destination, ErrorKind, Keeping, Lock,
    LockMode, ReadBackOptions, Result, Sse, Stored, Summary, read_back, read_small,
};

const LARGE: usize = 600_000;
/// 32 bytes, in base64.
const CUSTOMER_KEY: &str = "Q0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZISE=";

fn keeping() -> Keeping {
    Keeping {
        storage_class: Some("cool".into()),
        lock: Some(Lock {
            mode: LockMode::Compliance,
            until: "2090-01-01T00:00:00.5Z".parse().unwrap(),
        }),
        tags: [("made by".into(), "lifeboat".into()), ("tier".into(), "daily+1".into())].into(),
    }
}

async fn upload(
    destination: &AzureDestination,
    length: usize,
    keeping: &Keeping,
) -> Result<Summary> {
    let bytes = noise(length);
    let mut upload = destination.create("key", keeping, Default::default()).await?;
    upload.write(bytes.clone()).await?;
    upload.complete(&Summary::of(&bytes)).await?;
    Ok(Summary::of(&bytes))
}

async fn proven(destination: &AzureDestination, summary: &Summary, keeping: Keeping) -> Result<()> {
    let options = ReadBackOptions { keeping, ..ReadBackOptions::default() };
    read_back(destination, "key", summary, &options).await.map(drop)
}

#[tokio::test]
async fn class_lock_and_tags_are_asked_of_azure_with_the_write_and_looked_for_afterwards() {
    for (length, operation) in [(100, "put"), (LARGE, "commit")] {
        let (fake, destination, _dir) =
            fake_with(Quirks { keeps: true, ..Quirks::default() }).await;
        let summary = upload(&destination, length, &keeping()).await.unwrap();
        let header = |name| fake.header(operation, name);
        assert_eq!(header("x-ms-access-tier").as_deref(), Some("Cool"));
        assert_eq!(header("x-ms-tags").as_deref(), Some("made+by=lifeboat&tier=daily%2B1"));
        assert_eq!(header("x-ms-immutability-policy-mode").as_deref(), Some("locked"));
        let until = header("x-ms-immutability-policy-until-date");
        assert_eq!(until.as_deref(), Some("Sun, 01 Jan 2090 00:00:01 GMT"));
        let info = destination.head("key").await.unwrap().unwrap();
        assert_eq!(info.lock_mode, Some(LockMode::Compliance));
        proven(&destination, &summary, keeping()).await.unwrap();
        destination.audit(&info, &keeping()).unwrap();
    }
}

#[tokio::test]
async fn an_azure_that_ignores_class_or_lock_is_found_out() {
    let (_fake, destination, _dir) = fake_with(Quirks::default()).await;
    let summary = upload(&destination, 100, &keeping()).await.unwrap();
    let without_class = Keeping { storage_class: None, ..keeping() };
    for (keeping, wanted) in [(keeping(), "storage_class"), (without_class, "lock")] {
        let error = proven(&destination, &summary, keeping).await.unwrap_err();
        let fits = |kind: &ErrorKind| matches!(kind, ErrorKind::SilentDowngrade { setting, .. } if *setting == wanted);
        assert!(fits(error.kind()), "{error}");
    }
}

#[tokio::test]
async fn a_class_that_azure_does_not_have_is_refused_before_anything_is_sent() {
    let (fake, destination, _dir) = fake_with(Quirks::default()).await;
    let keeping = Keeping { storage_class: Some("GLACIER".into()), ..Keeping::default() };
    let error = destination.put_new("key", "x".into(), &keeping).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
    assert_eq!(fake.count("put"), 0);
}

async fn customized(
    quirks: Quirks,
    change: impl Fn(&mut AzureSettings, &std::path::Path),
) -> (FakeAzure, AzureDestination, tempfile::TempDir) {
    let (fake, dir) = (FakeAzure::start(quirks).await, tempfile::tempdir().unwrap());
    let mut settings = fake.settings(&dir);
    change(&mut settings, dir.path());
    (fake, AzureDestination::open(settings).await.unwrap(), dir)
}

#[tokio::test]
async fn a_customers_key_travels_with_content_and_with_nothing_else() {
    let with_key = |settings: &mut AzureSettings, dir: &std::path::Path| {
        std::fs::write(dir.join("customer"), CUSTOMER_KEY).unwrap();
        settings.customer_key_file = Some(dir.join("customer"));
    };
    let quirks = Quirks { keeps: true, ..Quirks::default() };
    let (fake, destination, _dir) = customized(quirks, with_key).await;
    let summary = upload(&destination, LARGE, &Keeping::default()).await.unwrap();
    proven(&destination, &summary, Keeping::default()).await.unwrap();
    let info = destination.head("key").await.unwrap().unwrap();
    assert!(matches!(info.sse, Some(Sse::Customer { .. })), "{info:?}");
    destination.list("").await.unwrap();
    destination.delete("key").await.unwrap();
    destination.put_new("small", "x".into(), &Keeping::default()).await.unwrap();
    for (operation, carries) in [
        ("head", true),
        ("block", true),
        ("commit", true),
        ("put", true),
        ("get", true),
        ("list", false),
        ("delete", false),
    ] {
        let sent = fake.header(operation, "x-ms-encryption-key");
        assert_eq!(sent.as_deref(), carries.then_some(CUSTOMER_KEY), "{operation}");
    }
    let (_fake, destination, _dir) = customized(Quirks::default(), with_key).await;
    let summary = upload(&destination, 100, &Keeping::default()).await.unwrap();
    let error = proven(&destination, &summary, Keeping::default()).await.unwrap_err();
    assert!(error.to_string().contains("ignored customer_key_file"), "{error}");
}

#[tokio::test]
async fn an_encryption_scope_is_asked_for_and_looked_for() {
    let with_scope = |settings: &mut AzureSettings, _: &std::path::Path| {
        settings.encryption_scope = Some("tenant".into());
    };
    for keeps in [true, false] {
        let (fake, destination, _dir) =
            customized(Quirks { keeps, ..Quirks::default() }, with_scope).await;
        let summary = upload(&destination, LARGE, &Keeping::default()).await.unwrap();
        for operation in ["block", "commit"] {
            let sent = fake.header(operation, "x-ms-encryption-scope");
            assert_eq!(sent.as_deref(), Some("tenant"), "{operation}");
        }
        let found = proven(&destination, &summary, Keeping::default()).await;
        assert_eq!(found.is_ok(), keeps, "{found:?}");
    }
}

#[tokio::test]
async fn f30_refused_settings_of_azure_are_named() {
    for (status, code, name) in [
        (400, "InvalidBlobTier", "storage_class"),
        (400, "InvalidTags", "tags"),
        (409, "FeatureEncryptionMismatch", "kms_key or customer_key_file"),
        (400, "ImmutableStorageWithVersioningNotEnabled", "lock"),
    ] {
        let (fake, destination, _dir) = fake_with(Quirks::default()).await;
        fake.fail("put", u32::MAX, false, refusal(status, code));
        let error = destination.put_new("key", "x".into(), &keeping()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let (fake, destination, _dir) = fake_with(Quirks::default()).await;
    fake.fail("get", 1, false, refusal(409, "BlobArchived"));
    let error = destination.read("key", None).await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Archived { .. }), "{error:?}");
}

/// What is locked is called so, with the end of the lock where the store tells it.
#[tokio::test]
async fn f38_a_blob_that_azure_keeps_is_locked_and_no_permission_is_missing() {
    let (fake, destination, _dir) = fake_with(Quirks { keeps: true, ..Quirks::default() }).await;
    upload(&destination, 100, &keeping()).await.unwrap();
    let ends = "2090-01-01T00:00:01Z".parse().unwrap();
    for (key, code, end) in [
        ("key", "BlobImmutableDueToPolicy", Some(ends)),
        ("other", "BlobImmutableDueToPolicy", None),
        ("other", "BlobImmutableDueToLegalHold", None),
    ] {
        fake.fail("delete", 1, false, refusal(409, code));
        let error = destination.delete(key).await.unwrap_err();
        let is_it = matches!(error.kind(), ErrorKind::Locked { until } if *until == end);
        assert!(is_it, "{error:?}");
    }
    // It says so before, to whoever looks.
    let now = "2089-01-01T00:00:00Z".parse().unwrap();
    let error = destination.must_not_be_locked("key", now, true).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error:?}");
    destination.must_not_be_locked("key", ends, true).await.unwrap();
    destination.must_not_be_locked("other", now, true).await.unwrap();
}

#[tokio::test]
async fn f33_i17_tags_that_azure_drops_are_found_out() {
    let tags = Keeping { storage_class: None, lock: None, ..keeping() };
    let (_fake, destination, _dir) = fake_with(Quirks::default()).await;
    let summary = upload(&destination, 100, &tags).await.unwrap();
    proven(&destination, &summary, tags.clone()).await.unwrap();
    let quirks = Quirks { ignores_tags: true, ..Quirks::default() };
    let (fake, destination, _dir) = fake_with(quirks).await;
    let summary = upload(&destination, 100, &tags).await.unwrap();
    let error = proven(&destination, &summary, tags.clone()).await.unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::SilentDowngrade { setting: "tags", .. }), "{error}");
    fake.fail("tags", 1, false, refusal(403, "AuthorizationPermissionMismatch"));
    let error = proven(&destination, &summary, tags).await.unwrap_err();
    assert!(
        error.to_string().contains("blobs/tags/read, because of tags (in a SAS: t)"),
        "{error}"
    );
}

#[tokio::test]
async fn i23_a_customers_key_is_sent_in_the_clear_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("customer"), CUSTOMER_KEY).unwrap();
    let mut azure = settings("http://backups.example:10000/account", by_key(&dir));
    azure.customer_key_file = Some(dir.path().join("customer"));
    let mut google = crate::servers::gcs_settings("http://backups.example:4443");
    google.customer_key_file = Some(dir.path().join("customer"));
    for error in [
        AzureDestination::open(azure).await.err().unwrap(),
        lifeboat_store::GcsDestination::open(google).await.err().unwrap(),
    ] {
        assert!(error.to_string().contains("would travel in the clear"), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
    }
}

/// Two destinations at one server.
async fn neighbours(
    quirks: Quirks,
    credentials: impl Fn(&tempfile::TempDir) -> AzureCredentials,
) -> (FakeAzure, AzureDestination, AzureDestination, tempfile::TempDir) {
    let (fake, dir) = (FakeAzure::start(quirks).await, tempfile::tempdir().unwrap());
    let mut one = settings(&fake.url, credentials(&dir));
    one.attempts = 2;
    let mut other = one.clone();
    (other.name, other.prefix) = ("site-d".into(), "copies".into());
    let one = AzureDestination::open(one).await.unwrap();
    (fake, one, AzureDestination::open(other).await.unwrap(), dir)
}

fn by_signature(dir: &tempfile::TempDir) -> AzureCredentials {
    std::fs::write(dir.path().join("sas"), "sv=2020-12-06&sig=CANARY").unwrap();
    AzureCredentials::SasFile(dir.path().join("sas"))
}

fn by_key(dir: &tempfile::TempDir) -> AzureCredentials {
    std::fs::write(dir.path().join("key"), KEY).unwrap();
    AzureCredentials::AccountKeyFile(dir.path().join("key"))
}

async fn copied(
    from: &AzureDestination,
    to: &AzureDestination,
    bytes: u64,
) -> Result<Option<Stored>> {
    to.copy_from(from, "key", bytes, &keeping()).await
}

#[tokio::test]
async fn azure_copies_between_its_containers_by_itself_and_create_only() {
    let quirks = || Quirks { keeps: true, ..Quirks::default() };
    let (fake, from, to, _dir) = neighbours(quirks(), by_signature).await;
    let summary = upload(&from, LARGE, &Keeping::default()).await.unwrap();
    let stored = copied(&from, &to, LARGE as u64).await.unwrap().unwrap();
    assert_eq!((stored.bytes, stored.existed), (LARGE as u64, false));
    assert_eq!(fake.objects(), ["copies/key", "some/prefix/key"]);
    assert_eq!(fake.count("copy"), 1);
    proven(&to, &summary, keeping()).await.unwrap();
    let error = copied(&from, &to, LARGE as u64).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
    to.delete("key").await.unwrap();
    let error = copied(&from, &to, 17).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    from.delete("key").await.unwrap();
    let error = copied(&from, &to, 17).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound), "{error}");
}

#[tokio::test]
async fn f26_a_copy_whose_answer_was_lost_is_resolved_by_looking() {
    let (fake, from, to, _dir) = neighbours(Quirks::default(), by_signature).await;
    upload(&from, LARGE, &Keeping::default()).await.unwrap();
    fake.fail("commit", 1, true, crate::fake_azure::Reply::Lost);
    assert!(copied(&from, &to, LARGE as u64).await.unwrap().unwrap().existed);
}

#[tokio::test]
async fn a_source_that_azure_may_not_read_is_called_denied() {
    let (fake, from, to, _dir) = neighbours(Quirks::default(), by_signature).await;
    upload(&from, 100, &Keeping::default()).await.unwrap();
    let more = "<CopySourceStatusCode>403</CopySourceStatusCode>";
    fake.fail("copy", 1, false, refusal_with(403, "CannotVerifyCopySource", more));
    let error = copied(&from, &to, 100).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
    assert!(error.to_string().contains("blobs/read (in a SAS: r)"), "{error}");
    fake.fail("copy", 1, false, refusal(501, "NotImplemented"));
    assert_eq!(copied(&from, &to, 100).await.unwrap(), None, "it has no such way");
}

/// From an account key a signature is made that lets the store read this one object: a real server
/// takes it for that object and for nothing else.
#[tokio::test]
async fn a_signature_made_for_a_copy_opens_one_object() {
    let test = "a_signature_made_for_a_copy_opens_one_object";
    let Some(azurite) = azurite(test).await else { return };
    let real = AzureDestination::open(azurite.settings()).await.unwrap();
    upload(&real, 100, &Keeping::default()).await.unwrap();
    let (fake, from, to, _dir) = neighbours(Quirks::default(), by_key).await;
    upload(&from, 100, &Keeping::default()).await.unwrap();
    copied(&from, &to, 100).await.unwrap().unwrap();
    let source = fake.header("copy", "x-ms-copy-source").unwrap();
    let sas = source.split_once('?').unwrap().1;
    assert!(!source.contains(KEY), "{source}");
    let file = azurite.secret("made", sas);
    let mut settings = azurite.settings();
    settings.credentials = AzureCredentials::SasFile(file);
    let reader = AzureDestination::open(settings).await.unwrap();
    assert!(read_small(&reader, "key", 100).await.unwrap() == noise(100));
    reader.read("other", None).await.err().unwrap();
    reader.delete("key").await.unwrap_err();
    let none = copied(&real, &real, 100).await;
    assert!(none.is_err(), "the key is taken");
}
