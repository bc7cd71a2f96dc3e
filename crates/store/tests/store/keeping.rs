//! Locks, tags, keys of one's own, and a proxy: against servers that have them, and against one that
//! says that it has.

use crate::servers;
use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    Checksum, Destination, Endpoint, ErrorKind, Keeping, Lock, LockMode, ReadBackMode,
    ReadBackOptions, S3Destination, S3Settings, Sse, Summary, read_back,
};

/// More than one part, and less.
const LENGTHS: [usize; 2] = [(5 << 20) + 1, 100];

fn locked(mode: LockMode, hours: i64) -> Keeping {
    let until = Timestamp::from_second((Timestamp::now() + hours.hours()).as_second()).unwrap();
    Keeping { lock: Some(Lock { mode, until }), ..Keeping::default() }
}

async fn store(destination: &dyn Destination, key: &str, bytes: &Bytes, keeping: &Keeping) {
    let mut upload = destination.create(key, keeping, Default::default()).await.unwrap();
    upload.write(bytes.clone()).await.unwrap();
    upload.complete(&Summary::of(bytes)).await.unwrap();
}

async fn proved(
    destination: &dyn Destination,
    key: &str,
    bytes: &Bytes,
    keeping: &Keeping,
) -> lifeboat_store::Result<lifeboat_store::ReadBack> {
    let options = ReadBackOptions {
        mode: ReadBackMode::Full,
        keeping: keeping.clone(),
        ..ReadBackOptions::default()
    };
    read_back(destination, key, &Summary::of(bytes), &options).await
}

async fn s3(url: &str, bucket: &str, checksum: Checksum) -> S3Destination {
    let settings = S3Settings { bucket: bucket.into(), ..servers::settings(url, checksum) };
    S3Destination::open(settings).await.unwrap()
}

/// A real lock: the object says so, and nobody can remove that version of it.
#[tokio::test]
async fn f38_i18_minio_locks_what_it_is_asked_to_lock() {
    let Some(minio) = servers::minio("f38_i18_minio_locks", None).await else { return };
    servers::locking_bucket(&minio.url, "locking").await;
    let destination = s3(&minio.url, "locking", Checksum::Full).await;
    let client = servers::client(&minio.url);
    for (mode, length) in [(LockMode::Governance, LENGTHS[0]), (LockMode::Compliance, LENGTHS[1])] {
        let (key, bytes, keeping) = (format!("prod/{length}"), noise(length), locked(mode, 2));
        store(&destination, &key, &bytes, &keeping).await;
        let info = proved(&destination, &key, &bytes, &keeping).await.unwrap().info;
        assert_eq!(info.lock_mode, Some(mode));
        assert_eq!(info.locked_until, keeping.lock.map(|lock| lock.until));
        let name = format!("some/prefix/{key}");
        let delete = client.delete_object().bucket("locking").key(name);
        delete.set_version_id(info.version_id).send().await.unwrap_err();
        // A longer lock than the one that is there has to be asked for, and is.
        let longer = locked(mode, 5);
        let info = proved(&destination, &key, &bytes, &longer).await.unwrap().info;
        assert_eq!(info.locked_until, longer.lock.map(|lock| lock.until));
    }
    // Stricter than asked for is no downgrade; the other way round is, where it cannot be mended.
    let (key, bytes) = (format!("prod/{}", LENGTHS[1]), noise(LENGTHS[1]));
    proved(&destination, &key, &bytes, &locked(LockMode::Governance, 1)).await.unwrap();
}

/// moto takes the lock of an upload in parts and forgets it; it is asked for again.
#[tokio::test]
async fn f33_a_lock_that_moto_ignores_is_asked_for_once_more() {
    let Some(moto) = servers::moto("f33_a_lock_that_moto_ignores").await else { return };
    servers::locking_bucket(&moto.url, "locking").await;
    let destination = s3(&moto.url, "locking", Checksum::Part).await;
    for length in LENGTHS {
        let (key, bytes) = (format!("prod/{length}"), noise(length));
        let keeping = locked(LockMode::Governance, 2);
        store(&destination, &key, &bytes, &keeping).await;
        let before = destination.head(&key).await.unwrap().unwrap();
        assert_eq!(before.locked_until.is_none(), length == LENGTHS[0], "{before:?}");
        let info = proved(&destination, &key, &bytes, &keeping).await.unwrap().info;
        assert_eq!(info.locked_until, keeping.lock.map(|lock| lock.until), "{length}");
        assert_eq!(info.lock_mode, Some(LockMode::Governance));
    }
}

/// A bucket without locks, and a server that has never heard of them.
#[tokio::test]
async fn f33_a_lock_that_cannot_be_is_never_silently_left_out() {
    let test = "f33_a_lock_that_cannot_be";
    let (Some(minio), Some(s3s)) = (servers::minio(test, None).await, servers::s3s_fs(test).await)
    else {
        return;
    };
    let keeping = locked(LockMode::Governance, 2);
    for (url, checksum) in [(&minio.url, Checksum::Full), (&s3s.url, Checksum::Part)] {
        let destination = s3(url, "backups", checksum).await;
        for length in LENGTHS {
            let (key, bytes) = (format!("prod/{length}"), noise(length));
            let mut upload = destination.create(&key, &keeping, Default::default()).await.unwrap();
            let sent = async {
                upload.write(bytes.clone()).await?;
                upload.complete(&Summary::of(&bytes)).await?;
                proved(&destination, &key, &bytes, &keeping).await.map(drop)
            };
            let error = sent.await.unwrap_err();
            let is_told = matches!(
                error.kind(),
                ErrorKind::SilentDowngrade { setting: "lock", .. } | ErrorKind::Config { .. }
            );
            assert!(is_told && error.to_string().contains("lock"), "{url} {length}: {error}");
        }
    }
}

#[tokio::test]
async fn tags_are_stored_and_missed_when_they_are_not() {
    let test = "tags_are_stored";
    let (Some(minio), Some(moto)) = (servers::minio(test, None).await, servers::moto(test).await)
    else {
        return;
    };
    let tags = [("team", "platform + data: all"), ("cost=centre", "e/7@x")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let keeping = Keeping { tags: tags.clone().into(), ..Keeping::default() };
    for (url, checksum) in [(&minio.url, Checksum::Full), (&moto.url, Checksum::Part)] {
        let destination = s3(url, "backups", checksum).await;
        for length in LENGTHS {
            let (key, bytes) = (format!("prod/{length}"), noise(length));
            store(&destination, &key, &bytes, &keeping).await;
            proved(&destination, &key, &bytes, &keeping).await.unwrap();
            let more =
                [tags.clone().to_vec(), vec![("lost".to_owned(), "yes".to_owned())]].concat();
            let more = Keeping { tags: more.into_iter().collect(), ..Keeping::default() };
            let error = proved(&destination, &key, &bytes, &more).await.unwrap_err();
            assert!(error.to_string().contains("ignored tags: asked for lost = yes"), "{error}");
        }
    }
}

/// The key goes with every request: without it nothing can be written, read or described.
#[tokio::test]
async fn a_key_of_ones_own_goes_with_every_request() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = (made.cert.pem(), made.signing_key.serialize_pem());
    let test = "a_key_of_ones_own_goes_with_every_request";
    let Some(minio) = servers::minio(test, Some((&tls.0, &tls.1))).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ca, key_file) = (dir.path().join("ca.pem"), dir.path().join("key"));
    std::fs::write(&ca, &tls.0).unwrap();
    let settings = |key_byte: Option<u8>| {
        use base64::Engine as _;
        let mut settings = servers::settings(&minio.url, Checksum::Full);
        settings.ca_file = Some(ca.clone());
        settings.sse = key_byte.map(|byte| {
            let text = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
            std::fs::write(&key_file, text).unwrap();
            Sse::Customer { key_file: key_file.clone() }
        });
        settings
    };
    servers::bucket_over_tls(&settings(None)).await;
    let ours = S3Destination::open(settings(Some(1))).await.unwrap();
    for length in LENGTHS {
        let (key, bytes, keeping) = (format!("prod/{length}"), noise(length), Keeping::default());
        store(&ours, &key, &bytes, &keeping).await;
        let info = proved(&ours, &key, &bytes, &keeping).await.unwrap().info;
        assert!(matches!(info.sse, Some(Sse::Customer { .. })), "{info:?}");
        let range = ours.read(&key, Some(1..9)).await;
        assert!(range.is_ok());
        for other in [Some(2), None] {
            let other = S3Destination::open(settings(other)).await.unwrap();
            let error = other.head(&key).await.unwrap_err();
            assert!(!error.to_string().contains("AQEBAQ"), "{error}");
            assert!(other.read(&key, None).await.is_err());
        }
    }
    // An object that was stored without it does not pass for one that has it.
    let plain = S3Destination::open(settings(None)).await.unwrap();
    plain.put_new("prod/plain", noise(9), &Keeping::default()).await.unwrap();
    assert!(proved(&ours, "prod/plain", &noise(9), &Keeping::default()).await.is_err());

    let mut in_the_clear = settings(Some(1));
    in_the_clear.endpoint_url = Some(Endpoint::parse("http://store.example").unwrap());
    let error = S3Destination::open(in_the_clear).await.err().unwrap();
    assert!(error.to_string().contains("in the clear"), "{error}");
}

/// A proxy sees every request; one that is not there is named.
#[tokio::test]
async fn f59_a_proxy_is_used_and_one_that_is_not_there_is_named() {
    let proxy = crate::fake_s3::FakeS3::start(crate::fake_s3::Quirks::default()).await;
    let mut settings = servers::settings("http://store.invalid:9000", Checksum::Full);
    settings.attempts = 1;
    settings.proxy = Some(Endpoint::parse(&proxy.url).unwrap());
    let destination = S3Destination::open(settings.clone()).await.unwrap();
    destination.put_new("prod/a", noise(9), &Keeping::default()).await.unwrap();
    assert_eq!(proxy.count("put"), 1, "a name that leads nowhere is the proxy's business");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    settings.proxy = Some(Endpoint::parse(&format!("http://{nobody}")).unwrap());
    for endpoint in ["http://store.invalid:9000", "https://store.invalid"] {
        settings.endpoint_url = Some(Endpoint::parse(endpoint).unwrap());
        let destination = S3Destination::open(settings.clone()).await.unwrap();
        let error = destination.head("prod/a").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("proxy http://{nobody}")), "{error}");
    }
}
