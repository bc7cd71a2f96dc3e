//! Servers on loopback that speak the languages of Google Cloud Storage (fake-gcs-server) and Azure
//! Blob Storage (Azurite).
//!
//! Invariants: they listen on 127.0.0.1 only; what they know of credentials is fixed, made up or
//! public; nothing of the caller's environment reaches them; they end when the handle is dropped.
//! Does not: speak those languages beyond making buckets; `vault` looks at what they hold.

use crate::ports::free_port;
use crate::process::Server;
use crate::s3::hmac;
use crate::servers::folder_of;
use crate::vault::{AzureVault, GcsVault, encoded};
use crate::wire::{self, Head, Request};
use crate::{Error, vault};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a server may take until it answers; Azurite is JavaScript.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The account that every Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which Microsoft has published for that purpose.
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running fake-gcs-server.
#[derive(Debug)]
pub struct GcsServer(Running);

/// A running Azurite.
#[derive(Debug)]
pub struct AzureServer(Running);

#[derive(Debug)]
struct Running {
    // Before the folder, so that nothing is written while that is removed.
    _server: Server,
    port: u16,
    _dir: TempDir,
}

impl Running {
    fn start(
        what: &str,
        command: impl FnOnce(u16, &Path) -> Result<Command, Error>,
    ) -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("lifeboat-cloud-").tempdir();
        let dir = dir.map_err(Error::io("make a folder in", &std::env::temp_dir()))?;
        let port = free_port()?;
        let mut command = command(port, dir.path())?;
        command.current_dir(dir.path());
        let mut server = Server::spawn(what, &mut command, &dir.path().join("server.log"))?;
        server.wait_ready(START_LIMIT, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|e| e.to_string())
        })?;
        Ok(Running { _server: server, port, _dir: dir })
    }
}

impl GcsServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not fetched; [`Error::NotReady`] with its log.
    pub fn start() -> Result<Self, Error> {
        let command = |port: u16, dir: &Path| {
            let mut command = Command::new(folder_of("fake-gcs-server")?.join("fake-gcs-server"));
            command.env_clear().args(["-scheme", "http", "-host", "127.0.0.1", "-port"]);
            command.arg(port.to_string()).args(["-backend", "memory"]).env("HOME", dir);
            Ok(command)
        };
        Running::start("fake-gcs-server", command).map(GcsServer)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When the server refuses it.
    #[must_use]
    pub fn bucket(&self, bucket: &str) -> GcsVault {
        let body = format!("{{\"name\":{bucket:?}}}").into_bytes();
        let headers = vec![
            ("host".to_owned(), format!("127.0.0.1:{}", self.0.port)),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let line = "POST /storage/v1/b?project=test HTTP/1.1".to_owned();
        let answer = wire::exchange(self.0.port, &Request { head: Head { line, headers }, body });
        let answer = answer.unwrap_or_else(|e| panic!("making the bucket {bucket}: {e}"));
        assert!(answer.is_success(), "making the bucket {bucket}: {}", answer.status);
        GcsVault { port: self.0.port, bucket: bucket.to_owned() }
    }
}

impl AzureServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not fetched; [`Error::NotReady`] with its log.
    pub fn start() -> Result<Self, Error> {
        let command = |port: u16, dir: &Path| {
            let mut command = Command::new(folder_of("azurite")?.join("azurite-blob"));
            // Its script asks for node by name.
            let path = std::env::var_os("PATH").unwrap_or_default();
            command.env_clear().env("PATH", path).env("HOME", dir);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent"]);
            // It would refuse headers that it does not know, and tell its makers of each start.
            command.args(["--loose", "--skipApiVersionCheck", "--disableTelemetry"]);
            command.arg("--location").arg(dir);
            Ok(command)
        };
        Running::start("azurite", command).map(AzureServer)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Makes a container.
    ///
    /// # Panics
    /// When the server refuses it.
    #[must_use]
    pub fn container(&self, container: &str) -> AzureVault {
        let vault = AzureVault {
            port: self.0.port,
            account: ACCOUNT.to_owned(),
            key: ACCOUNT_KEY.to_owned(),
            container: container.to_owned(),
        };
        vault.create();
        vault
    }
}

/// A shared access signature for all blobs of the account, which permits what these letters say.
#[must_use]
pub fn account_sas(permissions: &str) -> String {
    const VERSION: &str = "2020-12-06";
    const EXPIRY: &str = "2099-01-01T00:00:00Z";
    let text = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{EXPIRY}\n\n\n{VERSION}\n\n");
    let key = STANDARD.decode(ACCOUNT_KEY).unwrap_or_default();
    let signature = STANDARD.encode(hmac(&key, text.as_bytes()));
    let (expiry, signature) = (vault::encoded(EXPIRY, b""), encoded(&signature, b""));
    format!("sv={VERSION}&ss=b&srt=sco&sp={permissions}&se={expiry}&sig={signature}")
}
