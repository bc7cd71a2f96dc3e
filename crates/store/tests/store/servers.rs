//! Real servers on 127.0.0.1, started for one test and stopped with it.

use lifeboat_store::{Checksum, Endpoint, GcsSettings, S3Settings, Secret, StaticCredentials};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) const ACCESS_KEY: &str = "CANARYACCESSKEY";
pub(crate) const SECRET_KEY: &str = "canary-secret-key";
const STARTING_PAUSE: Duration = Duration::from_millis(100);
const STARTING_PAUSES_MAX: u32 = 600;

pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    _root: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of a fetched server (`tests/servers/get.sh`), whatever its version.
pub(crate) fn program(server: &str, program: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache"));
    let cache = std::env::var_os("LIFEBOAT_CACHE").map(PathBuf::from).or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(base.join("lifeboat"))
    })?;
    let folders = std::fs::read_dir(cache.join("servers")).ok()?.flatten();
    let mut found: Vec<PathBuf> = folders
        .filter(|f| f.file_name().to_string_lossy().starts_with(&format!("{server}-")))
        .map(|f| f.path().join("bin").join(program))
        .filter(|p| p.exists())
        .collect();
    found.sort();
    found.pop()
}

pub(crate) fn skip(test: &str, server: &str) {
    let line = format!("skipped {test}: {server} is missing (tests/servers/get.sh {server})");
    println!("{line}");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join("skipped.txt");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

pub(crate) fn start(mut command: Command, root: tempfile::TempDir, port: u16) -> Server {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..STARTING_PAUSES_MAX {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Server { child, url: format!("http://127.0.0.1:{port}"), _root: root };
        }
        assert_eq!(child.try_wait().unwrap(), None, "the server ended at once");
        std::thread::sleep(STARTING_PAUSE);
    }
    let _ = child.kill();
    panic!("the server never listened");
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) async fn moto(test: &str) -> Option<Server> {
    let Some(program) = program("moto", "moto_server") else {
        skip(test, "moto");
        return None;
    };
    let (root, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    Some(prepared(start(command, root, port)).await)
}

pub(crate) async fn s3s_fs(test: &str) -> Option<Server> {
    let Some(program) = program("s3s-fs", "s3s-fs") else {
        skip(test, "s3s-fs");
        return None;
    };
    let (root, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(root.path());
    Some(prepared(start(command, root, port)).await)
}

pub(crate) async fn fake_gcs(test: &str) -> Option<Server> {
    let Some(program) = program("fake-gcs-server", "fake-gcs-server") else {
        skip(test, "fake-gcs-server");
        return None;
    };
    let (root, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
    command.args(["-backend", "memory"]).current_dir(root.path()).env_clear();
    let server = start(command, root, port);
    for bucket in ["backups", "others"] {
        let body = format!("{{\"name\":{bucket:?}}}");
        let url = format!("{}/storage/v1/b?project=test", server.url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(url).header("content-type", "application/json").body(body);
        request.send().await.unwrap().error_for_status().unwrap();
    }
    Some(server)
}

/// MinIO, with a certificate where one is given (PEM of the certificate and of its key).
pub(crate) async fn minio(test: &str, tls: Option<(&str, &str)>) -> Option<Server> {
    let Some(program) = program("minio", "minio") else {
        skip(test, "minio");
        return None;
    };
    let (root, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(program);
    command.env_clear().args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")]);
    command.arg(root.path().join("data")).env("HOME", root.path());
    command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    command.env("MINIO_REGION", "us-east-1").env("MINIO_BROWSER", "off");
    command.env("MINIO_UPDATE", "off");
    let certificates = root.path().join("certs");
    std::fs::create_dir(&certificates).unwrap();
    if let Some((certificate, key)) = tls {
        std::fs::write(certificates.join("public.crt"), certificate).unwrap();
        std::fs::write(certificates.join("private.key"), key).unwrap();
        command.arg("--certs-dir").arg(&certificates);
    }
    let mut server = start(command, root, port);
    if tls.is_some() {
        server.url = format!("https://localhost:{port}");
        return Some(server);
    }
    let client = client(&server.url);
    for _ in 0..STARTING_PAUSES_MAX {
        // It listens before it serves.
        if client.list_buckets().send().await.is_ok() {
            return Some(prepared(server).await);
        }
        tokio::time::sleep(STARTING_PAUSE).await;
    }
    panic!("MinIO never served");
}

/// A bucket whose objects can be locked.
pub(crate) async fn locking_bucket(url: &str, name: &str) {
    let request = client(url).create_bucket().bucket(name).object_lock_enabled_for_bucket(true);
    request.send().await.unwrap();
}

async fn prepared(server: Server) -> Server {
    client(&server.url).create_bucket().bucket("backups").send().await.unwrap();
    server
}

/// A client of the server itself, to look behind the crate's back.
pub(crate) fn client(url: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_s3::config::Credentials::new(
            ACCESS_KEY, SECRET_KEY, None, None, "test",
        ))
        .endpoint_url(url)
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// Settings for a server of Google's language on this machine, with small chunks.
pub(crate) fn gcs_settings(url: &str) -> GcsSettings {
    let mut settings = GcsSettings::new("site-g", "backups");
    settings.prefix = "some/prefix/".into();
    settings.endpoint_url = Some(Endpoint::parse(url).unwrap());
    settings.anonymous = true;
    settings.part_bytes = 1 << 20;
    settings.patience = Duration::ZERO;
    settings
}

/// Makes the bucket of these settings at a server that only its own certificate makes trusted.
pub(crate) async fn bucket_over_tls(settings: &S3Settings) {
    use aws_smithy_http_client::tls::{
        Provider, TlsContext, TrustStore, rustls_provider::CryptoMode,
    };
    let pem = std::fs::read(settings.ca_file.as_ref().unwrap()).unwrap();
    let trust = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https();
    let url = settings.endpoint_url.as_ref().unwrap().as_str();
    let config = client(url).config().to_builder().http_client(http).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    for _ in 0..STARTING_PAUSES_MAX {
        if client.create_bucket().bucket(&settings.bucket).send().await.is_ok() {
            return;
        }
        tokio::time::sleep(STARTING_PAUSE).await;
    }
    panic!("MinIO never served");
}

/// Settings for a server on this machine, with small parts.
pub(crate) fn settings(url: &str, checksum: Checksum) -> S3Settings {
    let mut settings = S3Settings::new("site-b", "backups");
    settings.prefix = "some/prefix/".into();
    settings.endpoint_url = Some(Endpoint::parse(url).unwrap());
    settings.path_style = true;
    settings.region = Some("us-east-1".into());
    settings.part_bytes = 5 << 20;
    settings.parts_in_flight = 2;
    settings.checksum = checksum;
    // A script that fails ten times means just that.
    settings.patience = Duration::ZERO;
    settings.credentials = Some(StaticCredentials {
        access_key_id: Secret::new(ACCESS_KEY),
        secret_access_key: Secret::new(SECRET_KEY),
        session_token: None,
    });
    settings
}
