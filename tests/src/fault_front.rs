//! A front before a real object store that makes it misbehave: which request, how often, before or
//! after it took effect.
//!
//! A reverse proxy on loopback that understands S3, Google Cloud Storage and Azure Blob Storage
//! (`protocol`) as the same few operations. `Host` and everything else that is signed goes on
//! unchanged, so that the server still checks signatures; only the address of a resumable upload
//! is rewritten to lead through the front. Each request is told apart by operation and object, the
//! script decides its fate, and all of them are counted: a test can say how often something was
//! tried, or that nothing was ever deleted. Below HTTP the line itself can be spoilt ([`Line`]).
//!
//! Invariants: without a script it changes nothing; requests and answers pass whole or not at all
//! unless the script says otherwise; everything ends when the handle is dropped.
//! Does not: keep objects, or decide what a client should have done.

mod listing;
mod protocol;
mod script;
mod serve;

pub(crate) use listing::element;
pub use protocol::Protocol;
pub use script::{Call, Effect, Fault, Kind, OPERATIONS, Operation, Reply, Rule, Saying, Tamper};

use crate::Error;
use crate::policy::{Policy, Requested};
use crate::s3::S3Server;
use crate::toxics::{Line, Proxy};
use crate::vault::{FolderVault, Vault};
use crate::wire::{self, Head};
use protocol::Sessions;
use script::Script;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A running front.
#[derive(Debug)]
pub struct FaultFront {
    port: u16,
    line: Proxy,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    server_port: u16,
    /// The objects of the one bucket that can be spoilt.
    vault: Option<Arc<dyn Vault>>,
    /// The outer end of the line.
    known_as: String,
    sessions: Mutex<Sessions>,
    policy: Mutex<Option<Policy>>,
    /// What the policy did not grant.
    denied: Mutex<Vec<(Call, String)>>,
    script: Mutex<Script>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    /// Connections that are served; one whose client went away may still ask the server.
    serving: AtomicUsize,
    parts_now: AtomicUsize,
    parts_max: AtomicUsize,
    parts_answered: AtomicUsize,
    /// Each part as it came, and how many had been answered by then.
    parts_seen: Mutex<Vec<(u32, usize)>>,
}

impl FaultFront {
    /// Starts one before a bucket of an S3 server, without any fault.
    ///
    /// # Errors
    /// [`Error::Io`] when no port can be had.
    pub fn start(server: &S3Server, bucket: &str) -> Result<Self, Error> {
        let vault = server.bucket_dir(bucket).map(|folder| {
            let vault: Arc<dyn Vault> = Arc::new(FolderVault { folder });
            vault
        });
        FaultFront::before(Protocol::S3, server.port(), vault)
    }

    /// Starts one before any server on loopback. `vault` is what is spoilt when the server is to
    /// lose or alter what it acknowledged.
    ///
    /// # Errors
    /// [`Error::Io`] when no port can be had.
    pub fn before(
        protocol: Protocol,
        server_port: u16,
        vault: Option<Arc<dyn Vault>>,
    ) -> Result<Self, Error> {
        let here = Path::new("127.0.0.1");
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("listen on", here))?;
        let port = listener.local_addr().map_err(Error::io("listen on", here))?.port();
        let line = Proxy::to(&format!("http://127.0.0.1:{port}"))?;
        let shared = Arc::new(Shared {
            protocol,
            server_port,
            vault,
            known_as: line.endpoint(),
            sessions: Mutex::default(),
            policy: Mutex::default(),
            denied: Mutex::default(),
            script: Mutex::default(),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
            serving: AtomicUsize::new(0),
            parts_now: AtomicUsize::new(0),
            parts_max: AtomicUsize::new(0),
            parts_answered: AtomicUsize::new(0),
            parts_seen: Mutex::default(),
        });
        let theirs = shared.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &theirs));
        Ok(FaultFront { port, line, shared, accepting: Some(accepting) })
    }

    /// Where it listens, such as `http://127.0.0.1:12345`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.line.endpoint()
    }

    /// From now on whatever this policy does not grant is refused, in the store's own words.
    pub fn permit(&self, policy: Option<Policy>) {
        *self.shared.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
        self.shared.denied.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was refused since, with the permission that would have been needed.
    #[must_use]
    pub fn denied(&self) -> Vec<(Call, String)> {
        self.shared.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an object through this front, over whatever is there and without any condition, as
    /// somebody would who has the credentials and means harm. Gives the status of the answer.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn put_over(&self, name: &str, bytes: &[u8]) -> u16 {
        let request = self.shared.protocol.put_over(name, bytes);
        let answer = wire::exchange(self.port, &request);
        answer.unwrap_or_else(|e| panic!("{name}: {e}")).status
    }

    /// A file of Google's format for somebody of this name, whose tokens this front gives out.
    #[must_use]
    pub fn google_user(&self, name: &str) -> String {
        let token_uri = format!("{}{}", self.endpoint(), protocol::TOKEN_PATH);
        serde_json::json!({
            "type": "authorized_user", "client_id": "lifeboat-test", "client_secret": "made-up",
            "refresh_token": name, "token_uri": token_uri,
        })
        .to_string()
    }

    /// From now on the line before it is like this.
    pub fn toxic(&self, line: Line) {
        self.line.set(line);
    }

    /// Whether nobody is connected, and nothing is asked of the server any more.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.line.is_idle() && self.shared.serving.load(Ordering::SeqCst) == 0
    }

    /// From now on these rules hold, and no others. Requests are counted anew.
    pub fn script(&self, rules: Vec<Rule>) {
        self.begin(rules, None);
    }

    /// As [`FaultFront::script`]; `watch` sees each request, and what goes wrong with it, before
    /// anything happens.
    pub fn script_with(
        &self,
        rules: Vec<Rule>,
        watch: impl Fn(&Call, Option<&Fault>) + Send + 'static,
    ) {
        self.begin(rules, None);
        self.shared.script().watch = Some(Box::new(watch));
    }

    /// From now on each request goes wrong with this probability, as `seed` decides. The seed is
    /// printed, so that a failed test shows it.
    pub fn random(&self, seed: u64, probability: f64) {
        let line = format!("faults of the store: seed {seed}, probability {probability}\n");
        // Without a stderr nobody is looking.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        self.begin(Vec::new(), Some((seed, probability)));
    }

    /// From now on nothing goes wrong. Requests are counted anew.
    pub fn calm(&self) {
        self.begin(Vec::new(), None);
    }

    fn begin(&self, rules: Vec<Rule>, random: Option<(u64, f64)>) {
        let mut script = self.shared.script();
        script.set(rules, random);
        self.shared.parts_max.store(0, Ordering::SeqCst);
        self.shared.parts_answered.store(0, Ordering::SeqCst);
        self.shared.parts_seen().clear();
    }

    /// Every request since the script was set, with what went wrong.
    #[must_use]
    pub fn seen(&self) -> Vec<(Call, Option<Fault>)> {
        self.shared.script().seen.clone()
    }

    /// How often an operation was asked for since the script was set.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.seen().iter().filter(|(call, _)| call.operation == operation).count()
    }

    /// The same for one kind of object.
    #[must_use]
    pub fn count_of(&self, operation: Operation, kind: Kind) -> usize {
        let is = |call: &Call| call.operation == operation && call.kind == kind;
        self.seen().iter().filter(|(call, _)| is(call)).count()
    }

    /// How many parts were on their way at once, at most.
    #[must_use]
    pub fn parts_in_flight_max(&self) -> usize {
        self.shared.parts_max.load(Ordering::SeqCst)
    }
}

impl FaultFront {
    /// How many parts had been answered, refused ones too, when so many different ones had come;
    /// `None` if there were not so many.
    #[must_use]
    pub fn parts_answered_before(&self, number: usize) -> Option<usize> {
        let mut known = std::collections::BTreeSet::new();
        let seen = self.shared.parts_seen();
        seen.iter().find(|(part, _)| known.insert(*part) && known.len() == number).map(|s| s.1)
    }
}

impl Drop for FaultFront {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes whoever accepts; that nobody does any more is as good.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.open().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Shared {
    /// Whether the policy forbids a request; takes a note of it.
    fn forbids(&self, call: &Call, head: &Head) -> bool {
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(policy) = policy else { return false };
        let exists = self
            .vault
            .as_ref()
            .is_some_and(|vault| vault.objects(&call.key).contains_key(&call.key));
        let Some(missing) = policy.lacks(&Requested { call, head, exists }) else { return false };
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.push((call.clone(), missing));
        true
    }

    /// Takes out of an answer what the policy does not show.
    fn hide(&self, response: &mut wire::Response) {
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        for header in policy.iter().flat_map(Policy::hidden) {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header));
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vault(&self) -> std::io::Result<&dyn Vault> {
        let none = || std::io::Error::other("nobody can spoil the objects of this server");
        self.vault.as_deref().ok_or_else(none)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts_seen(&self) -> MutexGuard<'_, Vec<(u32, usize)>> {
        self.parts_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(handle) = stream.try_clone() else { continue };
        shared.open().push(handle);
        let theirs = shared.clone();
        theirs.serving.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            serve::serve(&stream, &theirs);
            theirs.serving.fetch_sub(1, Ordering::SeqCst);
        });
    }
}
