//! fake-gcs-server on loopback: Google Cloud Storage's language, with objects in memory.
//!
//! Invariants: it listens on 127.0.0.1 only and asks for no credentials; nothing of the caller's
//! environment reaches it.
//! Does not: look into its objects, nor keep what the real one keeps (docs/decisions/0010-gcs.md
//! says what it answers faithfully).

use crate::Error;
use crate::http::{Request, send};
use crate::ports::free_port;
use crate::process::Server;
use crate::servers::folder_of;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often other ports are tried.
const START_ATTEMPTS_MAX: u32 = 5;

/// A running server. It ends and its objects vanish when it is dropped.
#[derive(Debug)]
pub struct GcsServer {
    server: Server,
    port: u16,
    _dir: TempDir,
}

impl GcsServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not fetched; [`Error::NotReady`] with its log.
    pub fn start() -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            match GcsServer::start_once() {
                Err(Error::NotReady { log, .. })
                    if log.contains("in use") && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn start_once() -> Result<Self, Error> {
        let program = folder_of("fake-gcs-server")?.join("fake-gcs-server");
        let system_dir = std::env::temp_dir();
        let dir = tempfile::Builder::new().prefix("lifeboat-gcs-").tempdir();
        let dir = dir.map_err(Error::io("make a folder in", &system_dir))?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.env_clear().current_dir(dir.path()).args(["-scheme", "http", "-backend", "memory"]);
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        let log = dir.path().join("server.log");
        let mut server = Server::spawn("fake-gcs-server", &mut command, &log)?;
        server.wait_ready(START_LIMIT, || {
            let answer = send(port, &Request::get("/_internal/healthcheck"))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        })?;
        Ok(GcsServer { server, port, _dir: dir })
    }

    /// Where it listens, such as `http://127.0.0.1:12345`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`Error::Answer`] when the server refuses it.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), Error> {
        let body = format!("{{\"name\":{bucket:?}}}");
        let mut request = Request::post("/storage/v1/b?project=lifeboat-test", &body);
        request.header("content-type", "application/json");
        let refused = |why: String, answer: String| Error::Answer {
            what: format!("making the bucket {bucket}"),
            why,
            answer,
        };
        match send(self.port, &request) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(refused(format!("status {}", answer.status), answer.body)),
            Err(why) => Err(refused(why, String::new())),
        }
    }
}
