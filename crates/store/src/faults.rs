//! A destination that goes wrong on purpose: a wrapper around any other one.
//!
//! Rules say which call goes wrong and how (`rules`), or a seed draws it (`random`). The wrapper
//! stands where a backend stands: each call is one request, which fails before or after it took
//! effect, and writes are made create-only by the same order of calls as those of every backend.
//! What it does to bytes at rest it does to the wrapped destination, and takes a note of it.
//!
//! Invariants: without rules it is the wrapped destination; everything that was asked for, and what
//! went wrong with it, is in [`FaultStore::seen`].
//! Does not: try anything again by itself, time out, or speak to any server; `tests` have a front
//! before real ones for that.

mod memory;
mod random;
mod rules;
mod upload;

pub use memory::MemoryDestination;
pub use rules::{Effect, Fault, Refusal, Rule, Seen};

use crate::create_only::CreateOnly;
use crate::key::check_key;
use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, Examine, Keeping, ObjectInfo, Operation, Result,
    StoreError, Stored, Summary, Upload, read_small,
};
use async_trait::async_trait;
use bytes::Bytes;
use rules::Script;
use std::any::Any;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the store answers to one request.
type Answered<T> = std::result::Result<T, ErrorKind>;

/// A destination with faults. Clones share rules and notes.
#[derive(Clone)]
pub struct FaultStore(Arc<Inner>);

struct Inner {
    destination: Arc<dyn Destination>,
    script: Mutex<Script>,
    /// Keys whose bytes at rest are not what was acknowledged.
    spoilt: Mutex<BTreeSet<String>>,
}

impl FaultStore {
    /// `destination`, with which nothing goes wrong yet.
    #[must_use]
    pub fn new(destination: Arc<dyn Destination>) -> Self {
        let (script, spoilt) = (Mutex::default(), Mutex::default());
        FaultStore(Arc::new(Inner { destination, script, spoilt }))
    }

    /// From now on these rules hold, and no others. Calls are counted anew.
    pub fn script(&self, rules: Vec<Rule>) {
        self.rules().set(rules, None);
    }

    /// From now on each call goes wrong with this probability, as `seed` decides.
    pub fn random(&self, seed: u64, probability: f64) {
        self.rules().set(Vec::new(), Some((seed, probability)));
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.script(Vec::new());
    }

    /// Every call since the rules were set, with what went wrong.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.rules().seen.clone()
    }

    /// Keys under which the store holds something else than it acknowledged, or nothing.
    #[must_use]
    pub fn spoilt(&self) -> BTreeSet<String> {
        self.0.spoilt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rules(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, operation: Operation, key: &str) -> Option<Fault> {
        self.rules().next(operation, key)
    }

    fn error(&self, operation: Operation, key: &str, kind: ErrorKind) -> StoreError {
        StoreError::new(self.name(), operation, key, kind)
    }

    fn check(&self, operation: Operation, key: &str) -> Result<()> {
        check_key(key).map_err(|e| self.error(operation, key, e.into()))
    }

    /// One call of the wrapped destination, with what goes wrong around it.
    async fn call<T>(
        &self,
        operation: Operation,
        key: &str,
        fault: Option<&Fault>,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let answered = disturbed(fault, async { act.await.map_err(StoreError::into_kind) }).await;
        answered.map_err(|kind| self.error(operation, key, kind))
    }

    async fn put_once(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Answered<Stored> {
        let fault = self.next(Operation::Put, key);
        let length = bytes.len() as u64;
        if matches!(fault, Some(Fault::Lost)) {
            return Ok(self.acknowledge_lost(key, length));
        }
        let put = async { created(self.0.destination.put_new(key, bytes, keeping).await) };
        let stored = disturbed(fault.as_ref(), put).await?;
        self.spoil(key, fault.as_ref()).await?;
        Ok(stored)
    }

    fn acknowledge_lost(&self, key: &str, bytes: u64) -> Stored {
        self.note_spoilt(key);
        Stored { bytes, etag: None, version_id: None, existed: false }
    }

    fn note_spoilt(&self, key: &str) {
        let mut spoilt = self.0.spoilt.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt.insert(key.to_owned());
    }

    /// Does to an object that was just written what the fault says.
    async fn spoil(&self, key: &str, fault: Option<&Fault>) -> Answered<()> {
        let Some(Fault::Short(_) | Fault::Less(_) | Fault::Altered(_)) = fault else {
            return Ok(());
        };
        let inner = &*self.0.destination;
        let whole =
            read_small(inner, key, SPOILT_BYTES_MAX).await.map_err(StoreError::into_kind)?;
        let Some(other) = fault.and_then(|fault| fault.spoilt(&whole)) else { return Ok(()) };
        self.note_spoilt(key);
        inner.delete(key).await.map_err(StoreError::into_kind)?;
        let put = inner.put_new(key, other, &Keeping::default()).await;
        put.map(drop).map_err(StoreError::into_kind)
    }
}

/// Larger objects than this are not spoilt: it is done in memory.
const SPOILT_BYTES_MAX: usize = 256 << 20;

/// What an attempt to create came to. To a store that was asked on condition, the same bytes are
/// as much in the way as any other.
fn created(done: Result<Stored>) -> Answered<Stored> {
    match done {
        Ok(stored) if stored.existed => Err(ErrorKind::AlreadyExists),
        done => done.map_err(StoreError::into_kind),
    }
}

/// A request that is refused, lost or late, before or after it took effect.
async fn disturbed<T>(
    fault: Option<&Fault>,
    act: impl Future<Output = Answered<T>>,
) -> Answered<T> {
    let (after, pause) = match fault {
        Some(Fault::Refuse(_, effect) | Fault::Silence(effect)) => (*effect == Effect::After, None),
        Some(Fault::Late(pause)) => (true, Some(*pause)),
        _ => (true, None),
    };
    let answer = if after { Some(act.await) } else { None };
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    match (fault, answer) {
        (Some(Fault::Refuse(refusal, _)), _) => Err(refusal.kind()),
        (Some(Fault::Silence(_)), _) | (_, None) => std::future::pending().await,
        (_, Some(answer)) => answer,
    }
}

#[async_trait]
impl Destination for FaultStore {
    fn name(&self) -> &str {
        self.0.destination.name()
    }

    fn location(&self) -> String {
        self.0.destination.location()
    }

    fn store_time(&self) -> Option<jiff::Timestamp> {
        self.0.destination.store_time()
    }

    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        let fault = self.next(Operation::Create, key);
        // What the wrapped upload confirms has still to get through.
        let begun = self.0.destination.create(key, keeping, Acknowledged::default());
        let upload = self.call(Operation::Create, key, fault.as_ref(), begun).await?;
        Ok(Box::new(upload::FaultUpload::new(self.clone(), key, upload, acknowledged)))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored> {
        self.check(Operation::Put, key)?;
        let wanted = &Summary::of(&bytes);
        let create = CreateOnly { destination: self, operation: Operation::Put, key, wanted };
        create.write(|| self.put_once(key, bytes.clone(), keeping)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let fault = self.next(Operation::Head, key);
        let head = self.0.destination.head(key);
        let found = self.call(Operation::Head, key, fault.as_ref(), head).await?;
        Ok(found.filter(|_| !matches!(fault, Some(Fault::Stale))))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        let fault = self.next(Operation::Read, key);
        if matches!(fault, Some(Fault::Stale)) {
            return Err(self.error(Operation::Read, key, ErrorKind::NotFound));
        }
        let read = self.0.destination.read(key, range);
        let blocks = self.call(Operation::Read, key, fault.as_ref(), read).await?;
        Ok(match fault {
            Some(fault) if fault.spoils() => rules::spoilt_blocks(blocks, fault, self.name(), key),
            _ => blocks,
        })
    }

    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        bytes: u64,
        keeping: &Keeping,
    ) -> Result<Option<Stored>> {
        let source = match source.as_any().downcast_ref::<FaultStore>() {
            Some(wrapped) => &*wrapped.0.destination,
            None => source,
        };
        let fault = self.next(Operation::Put, key);
        if matches!(fault, Some(Fault::Lost)) {
            return Ok(Some(self.acknowledge_lost(key, bytes)));
        }
        let copy = self.0.destination.copy_from(source, key, bytes, keeping);
        let copied = self.call(Operation::Put, key, fault.as_ref(), copy).await?;
        if copied.as_ref().is_some_and(|stored| !stored.existed) {
            let spoilt = self.spoil(key, fault.as_ref()).await;
            spoilt.map_err(|kind| self.error(Operation::Put, key, kind))?;
        }
        Ok(copied)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let fault = self.next(Operation::List, prefix);
        let list = self.0.destination.list(prefix);
        let mut listed = self.call(Operation::List, prefix, fault.as_ref(), list).await?;
        match fault {
            Some(Fault::Stale) => drop(listed.pop()),
            Some(Fault::Cut) => listed.truncate(listed.len() / 2),
            _ => {}
        }
        Ok(listed)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let fault = self.next(Operation::Delete, key);
        if matches!(fault, Some(Fault::Lost)) {
            self.check(Operation::Delete, key)?;
            return Ok(());
        }
        let delete = self.0.destination.delete(key);
        self.call(Operation::Delete, key, fault.as_ref(), delete).await
    }

    async fn abort_stale_uploads(
        &self,
        prefix: &str,
        begun_before: jiff::Timestamp,
    ) -> Result<Vec<String>> {
        let fault = self.next(Operation::CleanUp, prefix);
        let abort = self.0.destination.abort_stale_uploads(prefix, begun_before);
        self.call(Operation::CleanUp, prefix, fault.as_ref(), abort).await
    }

    fn examine(&self) -> Option<&dyn Examine> {
        self.0.destination.examine()
    }

    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        self.0.destination.audit(info, keeping)
    }

    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        self.0.destination.confirm(info, keeping).await
    }
}
