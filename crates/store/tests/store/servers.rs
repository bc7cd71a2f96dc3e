//! Real servers on 127.0.0.1, started for one test and stopped with it.

use lifeboat_store::{Checksum, Endpoint, S3Settings, Secret, StaticCredentials};
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
    settings.credentials = Some(StaticCredentials {
        access_key_id: Secret::new(ACCESS_KEY),
        secret_access_key: Secret::new(SECRET_KEY),
        session_token: None,
    });
    settings
}
