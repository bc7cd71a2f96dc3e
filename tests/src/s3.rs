//! S3 servers on loopback: s3s-fs, which keeps objects in a folder; moto, which knows
//! versions, locks and storage classes; and MinIO, the strictest.
//!
//! Invariants: they listen on 127.0.0.1 only; the credentials are fixed, made up and given to
//! whoever asks; nothing of the caller's environment reaches a server.
//! Does not: speak S3 beyond making buckets; the tests use the real client.

mod sign;

use crate::Error;
use crate::http::{Request, send};
use crate::ports::free_port;
use crate::process::Server;
use crate::servers::folder_of;
use sign::sign;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a server may take until it answers; moto imports half of Python first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often other ports are tried.
const START_ATTEMPTS_MAX: u32 = 5;

/// The access key that every server knows.
pub const ACCESS_KEY: &str = "lifeboat-test-access-key";
/// Its secret.
pub const SECRET_KEY: &str = "lifeboat-test-secret-key";
/// The region to name.
pub const REGION: &str = "us-east-1";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Kind {
    /// Conditional writes and multipart uploads; checks signatures; no versions, no locks.
    S3sFs,
    /// Everything by name, in memory; does not check signatures.
    Moto,
    /// Signatures, checksums, conditions, versions and locks, all enforced.
    Minio,
}

/// What a bucket can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Nothing special.
    Plain,
    /// Versions are kept and objects may be locked; not with s3s-fs.
    Locking,
}

/// A running server. It ends and its objects vanish when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    kind: S3Kind,
    // Before the folder, so that nothing is written while that is removed.
    server: Server,
    port: u16,
    dir: TempDir,
}

impl S3Server {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not fetched; [`Error::NotReady`] with its log.
    pub fn start(kind: S3Kind) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            match S3Server::start_once(kind) {
                Err(Error::NotReady { log, .. })
                    if log.to_lowercase().contains("in use") && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn start_once(kind: S3Kind) -> Result<Self, Error> {
        let system_dir = std::env::temp_dir();
        let dir = tempfile::Builder::new()
            .prefix("lifeboat-s3-")
            .tempdir()
            .map_err(Error::io("make a folder in", &system_dir))?;
        let root = dir.path().join("root");
        durable::create_private_dir(&root)?;
        let port = free_port()?;
        let mut command = command(kind, port, &root)?;
        command.current_dir(dir.path());
        let log = dir.path().join("server.log");
        let mut server = Server::spawn(&format!("{kind:?}"), &mut command, &log)?;
        server.wait_ready(START_LIMIT, || lists_buckets(port))?;
        Ok(S3Server { kind, server, port, dir })
    }

    /// Where it listens, such as `http://127.0.0.1:12345`. Addresses are path-style.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> S3Kind {
        self.kind
    }

    /// Its process, to pause or to signal.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The variables of Amazon's tools for it.
    #[must_use]
    pub fn client_env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ENDPOINT_URL_S3", self.endpoint()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// The folder of a bucket of s3s-fs, in which each object is a file; `None` for the others.
    /// For tests that damage or remove what is stored.
    #[must_use]
    pub fn bucket_dir(&self, bucket: &str) -> Option<PathBuf> {
        match self.kind {
            S3Kind::S3sFs => Some(self.dir.path().join("root").join(bucket)),
            S3Kind::Moto | S3Kind::Minio => None,
        }
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`Error::Answer`] when the server refuses it, or cannot do what `ability` asks.
    pub fn create_bucket(&self, bucket: &str, ability: Bucket) -> Result<(), Error> {
        match (self.bucket_dir(bucket), ability) {
            // To s3s-fs a folder is a bucket; making it needs no signature.
            (Some(dir), Bucket::Plain) => Ok(durable::create_private_dir(&dir)?),
            (Some(_), Bucket::Locking) => Err(refused(bucket, "s3s-fs has no locks", "")),
            (None, _) => self.put_bucket(bucket, ability),
        }
    }

    fn put_bucket(&self, bucket: &str, ability: Bucket) -> Result<(), Error> {
        let mut request = Request::put(&format!("/{bucket}"));
        if ability == Bucket::Locking {
            request.header("x-amz-bucket-object-lock-enabled", "true");
        }
        sign(&mut request, self.port, now());
        match send(self.port, &request) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(refused(bucket, &format!("status {}", answer.status), &answer.body)),
            Err(why) => Err(refused(bucket, &why, "")),
        }
    }
}

/// An open port is not enough: MinIO answers 503 for a while.
fn lists_buckets(port: u16) -> Result<(), String> {
    let mut request = Request::get("/");
    sign(&mut request, port, now());
    match send(port, &request)? {
        answer if answer.status == 200 => Ok(()),
        answer => Err(format!("status {}: {}", answer.status, answer.body)),
    }
}

fn refused(bucket: &str, why: &str, answer: &str) -> Error {
    let what = format!("making the bucket {bucket}");
    Error::Answer { what, why: why.to_owned(), answer: answer.to_owned() }
}

fn command(kind: S3Kind, port: u16, root: &Path) -> Result<Command, Error> {
    let port = port.to_string();
    let mut command = match kind {
        S3Kind::S3sFs => {
            let mut command = Command::new(folder_of("s3s-fs")?.join("s3s-fs"));
            command.env_clear().args(["--host", "127.0.0.1", "--port", &port]);
            command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(root);
            return Ok(command);
        }
        S3Kind::Minio => return minio_command(&port, root),
        S3Kind::Moto => Command::new(folder_of("moto")?.join("python")),
    };
    command.env_clear().args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]);
    // Python only needs a home to look for packages of the user, which it must not find.
    command.env("PYTHONNOUSERSITE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn minio_command(port: &str, root: &Path) -> Result<Command, Error> {
    let mut command = Command::new(folder_of("minio")?.join("minio"));
    command.env_clear().args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")]);
    command.arg(root).env("HOME", root.with_file_name("home"));
    command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    command.env("MINIO_REGION", REGION);
    // No web console on a port of its own, no look for updates.
    command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
    Ok(command)
}

/// A signature holds for minutes around the server's own time.
#[allow(clippy::disallowed_methods)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
