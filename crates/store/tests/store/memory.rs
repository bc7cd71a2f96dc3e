//! A destination in memory that can fail, wait for permission, or swallow everything.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lifeboat_store::{
    Acknowledged, Blocks, Destination, ErrorKind, FileDestination, FileSettings, Keeping,
    ObjectInfo, Result, StoreError, Stored, Summary, Upload,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// The write with this number, counted from 1, fails.
    pub(crate) fails_at: Option<u32>,
    pub(crate) refuses: bool,
    pub(crate) swallows: bool,
    pub(crate) alters: bool,
    /// Waits for ever when it is to complete.
    pub(crate) never_completes: bool,
    /// How long it takes to complete.
    pub(crate) completes_after: Option<std::time::Duration>,
    pub(crate) panics: bool,
    /// Each write takes one permit for good.
    pub(crate) gate: Option<Arc<Semaphore>>,
    /// Gives others a turn, as often as this pseudo-random sequence says.
    pub(crate) dawdles: Option<u64>,
}

pub(crate) struct Memory {
    name: String,
    behaviour: Behaviour,
    pub(crate) objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    pub(crate) created: AtomicU32,
    pub(crate) aborted: Arc<AtomicU32>,
}

impl Memory {
    pub(crate) fn new(name: &str, behaviour: Behaviour) -> Arc<Self> {
        let (name, objects) = (name.to_owned(), Arc::default());
        let created = AtomicU32::new(0);
        Arc::new(Memory { name, behaviour, objects, created, aborted: Arc::default() })
    }

    /// Whether every upload that was begun was given up properly.
    pub(crate) fn is_clean(&self) -> bool {
        self.created.load(Ordering::SeqCst) == self.aborted.load(Ordering::SeqCst)
            && self.objects.lock().unwrap().is_empty()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        self.objects.lock().unwrap().get(key).cloned()
    }
}

/// An error of the kind wanted; only the crate itself can make one from nothing.
async fn refusal() -> StoreError {
    let dir = tempfile::tempdir().unwrap();
    let settings = FileSettings { name: "refusing".into(), path: dir.path().into() };
    let destination = FileDestination::open(settings).unwrap();
    let Err(e) = destination.read("absent", None).await else { panic!("absent") };
    assert!(matches!(e.kind(), ErrorKind::NotFound));
    e
}

struct MemoryUpload {
    key: String,
    behaviour: Behaviour,
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    aborted: Arc<AtomicU32>,
    acknowledged: Acknowledged,
    bytes: BytesMut,
    writes: u32,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.writes += 1;
        assert!(!self.behaviour.panics, "told to");
        if self.behaviour.fails_at == Some(self.writes) {
            return Err(refusal().await);
        }
        if self.behaviour.swallows {
            std::future::pending::<()>().await;
        }
        if let Some(gate) = &self.behaviour.gate {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(state) = &mut self.behaviour.dawdles {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for _ in 0..(*state >> 60) {
                tokio::task::yield_now().await;
            }
        }
        self.acknowledged.add(block.len() as u64);
        self.bytes.extend_from_slice(&block);
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        assert_eq!(Summary::of(&self.bytes), *summary, "what came is not what was sent");
        if self.behaviour.alters {
            self.bytes[0] ^= 1;
        }
        if let Some(after) = self.behaviour.completes_after {
            tokio::time::sleep(after).await;
        }
        if self.behaviour.never_completes {
            std::future::pending::<()>().await;
        }
        self.objects.lock().unwrap().insert(self.key.clone(), self.bytes.split().freeze());
        Ok(Stored { bytes: summary.bytes, etag: None, version_id: None, existed: false })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Destination for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn location(&self) -> String {
        "memory:".to_owned()
    }

    async fn create(
        &self,
        key: &str,
        _: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        if self.behaviour.refuses {
            return Err(refusal().await);
        }
        self.created.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(MemoryUpload {
            key: key.to_owned(),
            behaviour: self.behaviour.clone(),
            objects: self.objects.clone(),
            aborted: self.aborted.clone(),
            acknowledged,
            bytes: BytesMut::new(),
            writes: 0,
        }))
    }

    async fn put_new(&self, _: &str, _: Bytes, _: &Keeping) -> Result<Stored> {
        unimplemented!("not used by a fan-out")
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        Ok(self.get(key).map(|b| ObjectInfo {
            key: key.to_owned(),
            bytes: b.len() as u64,
            ..ObjectInfo::default()
        }))
    }

    async fn read(&self, key: &str, _: Option<Range<u64>>) -> Result<Blocks> {
        let bytes = self.get(key).expect("read after head");
        Ok(Box::pin(futures::stream::once(async { Ok(bytes) })))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, _: &str) -> Result<Vec<ObjectInfo>> {
        unimplemented!("not used by a fan-out")
    }

    async fn delete(&self, _: &str) -> Result<()> {
        unimplemented!("not used by a fan-out")
    }

    async fn abort_stale_uploads(&self, _: &str, _: jiff::Timestamp) -> Result<Vec<String>> {
        unimplemented!("not used by a fan-out")
    }
}
