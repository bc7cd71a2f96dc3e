//! Azurite on loopback: Microsoft's own stand-in for its Blob Storage.
//!
//! Invariants: it listens on 127.0.0.1 only and tells nobody of it; account, key and signature are
//! those that every Azurite has; nothing of the caller's environment but the path of its programs
//! reaches it.
//! Does not: speak Azure beyond making containers; the tests use the real client.

use crate::Error;
use crate::http::{Request, send};
use crate::ports::free_port;
use crate::process::Server;
use crate::servers::folder_of;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take until it answers; Node reads some hundred files first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often other ports are tried.
const START_ATTEMPTS_MAX: u32 = 5;

/// The account that every Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key.
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// A signature made with that key, which permits everything on blobs until the year 2099.
pub const SAS: &str = "sv=2020-12-06&ss=b&srt=sco&sp=rwdlacti&se=2099-01-01T00%3A00%3A00Z&\
    sig=wj9eIWDdeQgMCtJYX5MC%2FDXHd0pQKB%2F3r4Y2QvO2fso%3D";

/// A running server. It ends and its objects vanish when it is dropped.
#[derive(Debug)]
pub struct AzureServer {
    // Before the folder, so that nothing is written while that is removed.
    server: Server,
    port: u16,
    _dir: TempDir,
}

impl AzureServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not fetched; [`Error::NotReady`] with its log.
    pub fn start() -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            match AzureServer::start_once() {
                Err(Error::NotReady { log, .. })
                    if log.contains("EADDRINUSE") && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn start_once() -> Result<Self, Error> {
        let system_dir = std::env::temp_dir();
        let dir = tempfile::Builder::new()
            .prefix("lifeboat-azure-")
            .tempdir()
            .map_err(Error::io("make a folder in", &system_dir))?;
        let root = dir.path().join("root");
        durable::create_private_dir(&root)?;
        let port = free_port()?;
        let mut command = command(port, &root)?;
        command.current_dir(dir.path());
        let log = dir.path().join("server.log");
        let mut server = Server::spawn("Azurite", &mut command, &log)?;
        server.wait_ready(START_LIMIT, || lists_containers(port))?;
        Ok(AzureServer { server, port, _dir: dir })
    }

    /// Its address, which names the account: `http://127.0.0.1:12345/devstoreaccount1`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, to pause or to signal.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a container.
    ///
    /// # Errors
    /// [`Error::Answer`] when the server refuses it.
    pub fn create_container(&self, container: &str) -> Result<(), Error> {
        let path = format!("/{ACCOUNT}/{container}?restype=container&{SAS}");
        let refused = |why: String, answer: String| {
            let what = format!("making the container {container}");
            Error::Answer { what, why, answer }
        };
        match send(self.port, &Request::put(&path)) {
            Ok(answer) if answer.status == 201 => Ok(()),
            Ok(answer) => Err(refused(format!("status {}", answer.status), answer.body)),
            Err(why) => Err(refused(why, String::new())),
        }
    }
}

fn lists_containers(port: u16) -> Result<(), String> {
    match send(port, &Request::get(&format!("/{ACCOUNT}?comp=list&{SAS}")))? {
        answer if answer.status == 200 => Ok(()),
        answer => Err(format!("status {}: {}", answer.status, answer.body)),
    }
}

fn command(port: u16, root: &Path) -> Result<Command, Error> {
    let mut command = Command::new(folder_of("azurite")?.join("azurite-blob"));
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent"]);
    // It would refuse headers that it does not know, and versions that are younger than itself.
    command.args(["--loose", "--skipApiVersionCheck", "--disableTelemetry", "--location"]);
    command.arg(root);
    Ok(command)
}
