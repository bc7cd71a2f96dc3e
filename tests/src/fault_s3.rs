//! A front before a real S3 server that makes it misbehave: which request, how often, before or
//! after it took effect.
//!
//! A reverse proxy on loopback. `Host` and everything else that is signed goes on unchanged, so
//! the server still checks signatures. Each request is told apart by operation and object, the
//! script decides its fate, and all of them are counted: a test can say how often something was
//! tried, or that nothing was ever deleted.
//!
//! Invariants: without a script it changes nothing; requests and answers pass whole or not at all
//! unless the script says otherwise; everything ends when the handle is dropped.
//! Does not: keep objects, or decide what a client should have done.

mod listing;
mod script;
mod serve;
mod wire;

pub use script::{Call, Effect, Fault, Kind, OPERATIONS, Operation, Reply, Rule, Tamper};

use crate::Error;
use crate::s3::S3Server;
use script::Script;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A running front.
#[derive(Debug)]
pub struct FaultS3 {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    server_port: u16,
    /// The folder of the buckets, where the server keeps objects as files.
    root: Option<PathBuf>,
    script: Mutex<Script>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    parts_now: AtomicUsize,
    parts_max: AtomicUsize,
}

impl FaultS3 {
    /// Starts one before `server`, without any fault.
    ///
    /// # Errors
    /// [`Error::Io`] when no port can be had.
    pub fn start(server: &S3Server) -> Result<Self, Error> {
        let here = Path::new("127.0.0.1");
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("listen on", here))?;
        let port = listener.local_addr().map_err(Error::io("listen on", here))?.port();
        let shared = Arc::new(Shared {
            server_port: server.port(),
            root: server.bucket_dir("x").and_then(|dir| dir.parent().map(Path::to_path_buf)),
            script: Mutex::default(),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
            parts_now: AtomicUsize::new(0),
            parts_max: AtomicUsize::new(0),
        });
        let theirs = shared.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &theirs));
        Ok(FaultS3 { port, shared, accepting: Some(accepting) })
    }

    /// Where it listens, such as `http://127.0.0.1:12345`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on these rules hold, and no others. Requests are counted anew.
    pub fn script(&self, rules: Vec<Rule>) {
        self.begin(rules, None);
    }

    /// As [`FaultS3::script`]; `watch` sees each request, and what goes wrong with it, before
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

impl Drop for FaultS3 {
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
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
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
        std::thread::spawn(move || serve::serve(&stream, &theirs));
    }
}
