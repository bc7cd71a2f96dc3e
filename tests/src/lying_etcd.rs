//! A proxy that stands before a real etcd, speaks gRPC, and lies by script.
//!
//! Owns: the script ([`Lie`], [`Tamper`], [`Reply`]) and the life of the proxy. What no lie is
//! about passes as it is, so a real cluster stays behind every fault. HTTP/2 is spoken below gRPC
//! (`proxy`), which is why a message can be cut in its middle and a connection dropped.
//! Invariants: it listens on loopback only; it keeps no state between two requests but how many
//! snapshots were asked for; it ends when its handle is dropped.
//!
//! Does not: speak TLS, nor decide what a client should make of a lie.

mod proxy;
mod snapshot;
mod wire;

pub use wire::{Fields, Value};

use crate::Error;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// Where an answer of etcd carries its header (`etcdserverpb.ResponseHeader`).
pub const HEADER: u32 = 1;
/// gRPC's codes, as far as the scripts use them.
pub mod code {
    /// The caller may not do that.
    pub const PERMISSION_DENIED: u32 = 7;
    /// The server has a fault of its own.
    pub const INTERNAL: u32 = 13;
    /// The server is about to end.
    pub const UNAVAILABLE: u32 = 14;
}

/// One thing that is not as etcd said.
#[derive(Clone)]
pub enum Lie {
    /// Every snapshot is tampered with.
    Snapshot(Tamper),
    /// Only this many are, from the beginning of the script on.
    Snapshots(usize, Tamper),
    /// The answer to a request by this name, such as `Status`.
    Answer(&'static str, Reply),
}

/// What comes instead of an answer.
#[derive(Clone)]
pub enum Reply {
    /// etcd's own answer, edited.
    Edit(Edit),
    /// A gRPC status.
    Refuse(u32, &'static str),
    /// Nothing, and the connection stays.
    Never,
}

/// A change of one message.
pub type Edit = Arc<dyn Fn(&mut Fields) + Send + Sync>;
/// A change of a whole database, without its digest.
pub type Rewrite = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// What becomes of a snapshot's stream. Messages are counted from 0; a byte is one of the
/// database.
#[derive(Clone)]
pub enum Tamper {
    /// Only so many messages come, then what [`Ending`] says.
    After(usize, Ending),
    /// The database ends at this byte, in good order: counts and the message in which it falls
    /// are made to fit, and a digest does not come.
    CutAt(u64),
    /// As `CutAt`, but the last 32 bytes come in a message of their own, as a digest would.
    CutBeforeFalseDigest(u64),
    /// Message number so-and-so ends in its middle, and the stream with it, in good order.
    CutInside(usize),
    /// One bit of this byte is another one.
    Flip(u64),
    /// The digest does not come.
    NoDigest,
    /// One bit of the digest is another one.
    WrongDigest,
    /// The digest comes twice.
    TwoDigests,
    /// The digest comes in two halves.
    SplitDigest,
    /// After so many messages nothing comes but empty ones, each with the same count.
    EmptyForEver(usize),
    /// So many empty messages come before each sound one.
    Empties(usize),
    /// The count of bytes still to come is another one: of the message's number and the true
    /// count.
    Remaining(fn(usize, u64) -> u64),
    /// The whole stream comes twice.
    Twice,
    /// It is not faster than so many bytes a second.
    Slow(u64),
    /// The whole database is another one, with a digest that fits it, in messages of these sizes,
    /// over and over.
    Rewrite(Rewrite, Vec<usize>),
}

/// How a stream ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In good order.
    Clean,
    /// With this gRPC status.
    Status(u32, &'static str),
    /// Not at all: nothing comes any more.
    Stall,
    /// HTTP/2 resets the stream.
    Reset,
    /// HTTP/2 says farewell and closes the connection.
    GoAway,
    /// TCP resets the connection.
    Drop,
}

/// An edited answer to a request by this name.
#[must_use]
pub fn edit(method: &'static str, change: impl Fn(&mut Fields) + Send + Sync + 'static) -> Lie {
    Lie::Answer(method, Reply::Edit(Arc::new(change)))
}

/// Another database in place of the true one, in messages as etcd cuts them.
#[must_use]
pub fn rewrite(change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Lie {
    /// etcd's own size of a message.
    const MESSAGE_BYTES: usize = 32 << 10;
    Lie::Snapshot(Tamper::Rewrite(Arc::new(change), vec![MESSAGE_BYTES]))
}

/// The proxy.
#[derive(Debug)]
pub struct LyingEtcd {
    url: String,
    script: Arc<Script>,
    runtime: Option<Runtime>,
}

/// What the connections look at.
#[derive(Default)]
pub(crate) struct Script {
    lies: Mutex<Vec<Lie>>,
    snapshots: AtomicUsize,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("snapshots", &self.snapshots).finish_non_exhaustive()
    }
}

impl LyingEtcd {
    /// One that stands before the member at `upstream` (`http://127.0.0.1:port`). It begins
    /// without a lie.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot listen.
    pub fn before(upstream: &str) -> Result<Self, Error> {
        Self::listening_on("127.0.0.1:0", upstream)
    }

    /// As [`Self::before`], at an address of its own, such as `[::1]:0`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot listen there.
    pub fn listening_on(address: &str, upstream: &str) -> Result<Self, Error> {
        let wrong = || Error::io("listen on", Path::new(address));
        let listener = TcpListener::bind(address).map_err(wrong())?;
        listener.set_nonblocking(true).map_err(wrong())?;
        let url = format!("http://{}", listener.local_addr().map_err(wrong())?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(Error::io("start", Path::new("a runtime")))?;
        let script = Arc::new(Script::default());
        let host = upstream.trim_start_matches("http://").to_owned();
        runtime.spawn(proxy::serve(listener, host, Arc::clone(&script)));
        Ok(LyingEtcd { url, script, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the script, and counts snapshots from 0 again.
    pub fn tell(&self, lies: Vec<Lie>) {
        *self.script.lies.lock().unwrap_or_else(PoisonError::into_inner) = lies;
        self.script.snapshots.store(0, Ordering::SeqCst);
    }

    /// How many snapshots were asked for since the script began.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.script.snapshots.load(Ordering::SeqCst)
    }
}

impl Drop for LyingEtcd {
    fn drop(&mut self) {
        // A stream that stalls has no end to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Script {
    /// How the snapshot that is asked for now is tampered with.
    fn tampers(&self) -> Vec<Tamper> {
        let number = self.snapshots.fetch_add(1, Ordering::SeqCst);
        let lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        let now = lies.iter().filter_map(|lie| match lie {
            Lie::Snapshot(tamper) => Some(tamper),
            Lie::Snapshots(count, tamper) if number < *count => Some(tamper),
            _ => None,
        });
        now.cloned().collect()
    }

    /// What is answered to the request `method`, in the order of the script.
    fn replies(&self, method: &str) -> Vec<Reply> {
        let lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        let about = lies.iter().filter_map(|lie| match lie {
            Lie::Answer(name, reply) if *name == method => Some(reply.clone()),
            _ => None,
        });
        about.collect()
    }
}

#[cfg(test)]
mod tests;
