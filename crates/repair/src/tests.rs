//! Repair over stores in memory that answer as a test wants: what is removed, what is not, and what
//! is never written.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::{Crew, Error};
use async_trait::async_trait;
use bytes::Bytes;
use catalogue::{Artifact, BackupName, Manifest};
use config::{LockSpan, Pipeline};
use contract::{Clock, Digest, RunId};
use destinations::Opened;
use jiff::Timestamp;
use level::{Lack, Synced, Why, Work};
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::faults::MemoryDestination;
use store::{
    Acknowledged, Blocks, Destination, ErrorKind, Keeping, ObjectInfo, Operation, ReadBackMode,
    StoreError, Stored, Upload,
};

type Answer = Result<(), ErrorKind>;
type Say = fn() -> Answer;
/// Asked before each call: the number of that call of its kind for its key, beginning with 1.
type Script = dyn Fn(&Odd, Operation, &str, usize) -> Answer + Send + Sync;

/// A store in memory that does what it is told to.
struct Odd {
    inner: MemoryDestination,
    script: Box<Script>,
    calls: Mutex<Vec<(Operation, String)>>,
    locked_until: Mutex<Option<Timestamp>>,
}

impl Odd {
    fn asked(&self, operation: Operation, key: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| **call == (operation, key.to_owned())).count()
    }

    fn ask(&self, operation: Operation, key: &str) -> store::Result<()> {
        self.calls.lock().unwrap().push((operation, key.to_owned()));
        let said = (self.script)(self, operation, key, self.asked(operation, key));
        said.map_err(|kind| StoreError::new(self.name(), operation, key, kind))
    }

    /// Puts other bytes there, under everybody's feet.
    fn set(&self, key: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        block_on(async {
            self.inner.delete(key).await.unwrap();
            self.inner.put_new(key, bytes, &Keeping::default()).await.unwrap();
        });
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.inner.get(key).map(|bytes| bytes.to_vec())
    }
}

/// What is in memory never waits.
fn block_on<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

#[async_trait]
impl Destination for Odd {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> store::Result<Box<dyn Upload>> {
        self.ask(Operation::Create, key)?;
        self.inner.create(key, keeping, acknowledged).await
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> store::Result<Stored> {
        self.ask(Operation::Put, key)?;
        self.inner.put_new(key, bytes, keeping).await
    }

    async fn head(&self, key: &str) -> store::Result<Option<ObjectInfo>> {
        self.ask(Operation::Head, key)?;
        let mut info = self.inner.head(key).await?;
        if let Some(info) = &mut info {
            info.etag = self.inner.get(key).map(|bytes| Digest::of(&bytes).sha256);
            info.locked_until = *self.locked_until.lock().unwrap();
        }
        Ok(info)
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> store::Result<Blocks> {
        self.ask(Operation::Read, key)?;
        self.inner.read(key, range).await
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn list(&self, prefix: &str) -> store::Result<Vec<ObjectInfo>> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &str) -> store::Result<()> {
        self.ask(Operation::Delete, key)?;
        self.inner.delete(key).await
    }

    async fn abort_stale_uploads(&self, _: &str, _: Timestamp) -> store::Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn confirm(&self, info: ObjectInfo, _: &Keeping) -> store::Result<ObjectInfo> {
        self.ask(Operation::ReadBack, &info.key)?;
        Ok(info)
    }
}

const BYTES: &[u8] = b"what age made of a snapshot";
const OTHER: &[u8] = b"what age made of a Snapshot";

fn manifest(day: i64) -> Manifest {
    let taken_at = Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap();
    let run = RunId::new(taken_at, 7);
    let backup = BackupName::new(taken_at, &run);
    let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
        "version": 1, "backup": backup.as_str(), "cluster": "prod", "tier": "frequent",
        "run": run.as_str(), "taken_at": taken_at, "tool": "lifeboat 0",
        "steps": [{
            "stage": "encrypt", "tool": "lifeboat 0",
            "output": { "bytes": BYTES.len(), "sha256": Digest::of(BYTES).sha256 },
        }],
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "a", "endpoint": "http://e:2379",
            "etcd_version": "3.6.0", "leader_id": "1", "raft_term": 2, "raft_index": 9,
            "raft_applied_index": 9, "db_bytes": 4096, "db_bytes_in_use": 4096,
            "revision_barrier": 5, "alarms": [], "members": [], "hashkv": [],
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": day + 1,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {}, "hashkv": [],
        },
        "artifact": { "file": format!("{backup}.db.zst.age"), "bytes": 0, "sha256": "" },
    }))
    .unwrap();
    let (bytes, sha256) = (BYTES.len() as u64, Digest::of(BYTES).sha256);
    manifest.artifact = Artifact { file: manifest.artifact.file, bytes, sha256 };
    manifest
}

/// Two destinations: `good` has every backup whole, `bad` is what the test is about.
struct Scene {
    good: Arc<Odd>,
    bad: Arc<Odd>,
    crew: Crew,
    _scratch: tempfile::TempDir,
}

fn calm(_: &Odd, _: Operation, _: &str, _: usize) -> Answer {
    Ok(())
}

impl Scene {
    fn new(
        script: impl Fn(&Odd, Operation, &str, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let odd = |name: &str, script: Box<Script>| {
            let inner = MemoryDestination::new(name);
            let (calls, locked_until) = (Mutex::default(), Mutex::default());
            Arc::new(Odd { inner, script, calls, locked_until })
        };
        let (good, bad) = (odd("good", Box::new(calm)), odd("bad", Box::new(script)));
        let scratch = tempfile::tempdir().unwrap();
        let opened = [&good, &bad].map(|store| opened(store.clone()));
        let crew = Crew::of("prod", opened.into(), scratch.path());
        Scene { good, bad, crew, _scratch: scratch }
    }

    /// A backup that is whole in `good`, and of which `bad` has these bytes and its manifest.
    fn backup(&self, day: i64, artifact: Option<&[u8]>, why: Why) -> Work {
        let manifest = manifest(day);
        let (key, text) = (manifest.object_name().key("prod"), manifest.to_bytes());
        for (store, bytes) in [(&self.good, Some(BYTES)), (&self.bad, artifact)] {
            if let Some(bytes) = bytes {
                store.set(&manifest.artifact_key(), bytes);
            }
            if why != Why::Missing || store.name() == "good" {
                store.set(&key, &text);
            }
        }
        Work {
            backup: manifest.backup.clone(),
            manifest_key: key,
            manifest_sha256: Digest::of(&text).sha256,
            story: String::new(),
            manifests: std::collections::BTreeMap::new(),
            manifest,
            sources: vec!["good".into()],
            lacks: vec![Lack { destination: "bad".into(), why, problem: None }],
        }
    }

    /// What became of the only lack.
    fn mend(&mut self, work: &Work) -> Result<Synced, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mended = runtime.block_on(self.crew.mend(work));
        let (_, done) = mended.copies.into_iter().next().unwrap();
        done.map(|done| done.result())
    }

    fn kept(&self) -> usize {
        block_on(self.bad.list("prod/quarantine/")).unwrap().len()
    }
}

fn opened(store: Arc<dyn Destination>) -> Opened {
    let (written, pipeline) = (config::Destination::default(), Pipeline::default());
    Opened {
        store,
        read_back: ReadBackMode::Full,
        timeout: Duration::from_secs(60),
        is_remote: true,
        lock_span: LockSpan::of(&written, &pipeline),
        written,
        clock: Clock::system(),
        trust: Arc::default(),
    }
}

fn corrupt(check: &'static str) -> Answer {
    Err(ErrorKind::Corrupt { check, expected: "this".into(), found: "that".into() })
}

fn is_artifact(key: &str) -> bool {
    key.ends_with(".age")
}

#[test]
fn f45_what_is_damaged_is_kept_removed_and_replaced() {
    let mut scene = Scene::new(calm);
    let work = scene.backup(1, Some(OTHER), Why::Damaged);
    let key = work.manifest.artifact_key();
    assert_eq!(scene.mend(&work).unwrap(), Synced::Replaced);
    assert_eq!((scene.bad.get(&key).as_deref(), scene.kept()), (Some(BYTES), 1));
}

/// The look that called it damaged was wrong, or somebody has repaired it meanwhile.
#[test]
fn f45_i04_what_turns_out_to_be_right_is_not_removed() {
    let mut scene =
        Scene::new(|_, operation, key, number| match (operation, is_artifact(key), number) {
            (Operation::Read, true, 1) => corrupt("checksum of the object"),
            _ => Ok(()),
        });
    let work = scene.backup(1, Some(BYTES), Why::Damaged);
    let key = work.manifest.artifact_key();
    assert_eq!(scene.mend(&work).unwrap(), Synced::Whole);
    assert_eq!((scene.bad.asked(Operation::Delete, &key), scene.kept()), (0, 0));
    assert_eq!(scene.bad.inner.history(&key).len(), 1, "it was never touched");
}

/// Somebody repairs it after its bytes were read, at the last look before the removal.
#[test]
fn f45_i04_what_is_replaced_before_the_removal_is_not_removed() {
    let mut scene = Scene::new(|odd, operation, key, _| {
        let kept = odd.inner.get(key).is_some_and(|bytes| bytes == OTHER)
            && !block_on(odd.inner.list("prod/quarantine/")).unwrap().is_empty();
        if operation == Operation::Head && is_artifact(key) && kept {
            odd.set(key, BYTES);
        }
        Ok(())
    });
    let work = scene.backup(1, Some(OTHER), Why::Damaged);
    let key = work.manifest.artifact_key();
    assert_eq!(scene.mend(&work).unwrap(), Synced::Whole);
    assert_eq!(scene.bad.asked(Operation::Delete, &key), 0);
    assert_eq!(scene.bad.get(&key).as_deref(), Some(BYTES));
}

/// Whoever is not told whether it is locked removes nothing.
#[test]
fn f38_a_look_at_the_lock_that_fails_is_an_error() {
    let mut scene = Scene::new(|odd, operation, key, _| {
        let kept = !block_on(odd.inner.list("prod/quarantine/")).unwrap().is_empty();
        match operation == Operation::Head && is_artifact(key) && kept {
            true => Err(ErrorKind::Transient { said: "503".into() }),
            false => Ok(()),
        }
    });
    let work = scene.backup(1, Some(OTHER), Why::Damaged);
    let key = work.manifest.artifact_key();
    let error = scene.mend(&work).unwrap_err();
    assert!(error.told().contains("503"), "{error:?}");
    assert_eq!(scene.bad.asked(Operation::Delete, &key), 0);
    assert_eq!(scene.bad.get(&key).as_deref(), Some(OTHER));
}

#[test]
fn f45_an_object_that_is_replaced_while_it_is_read_is_read_again() {
    let mut scene =
        Scene::new(|_, operation, key, number| match (operation, is_artifact(key), number) {
            (Operation::Read, true, 1) => corrupt("object while it was read"),
            _ => Ok(()),
        });
    let work = scene.backup(1, Some(BYTES), Why::Damaged);
    let key = work.manifest.artifact_key();
    assert_eq!(scene.mend(&work).unwrap(), Synced::Whole);
    assert_eq!(scene.bad.asked(Operation::Read, &key), 2);
    assert_eq!((scene.bad.asked(Operation::Delete, &key), scene.kept()), (0, 0));
}

/// An artifact that lay there without its manifest counts only when it is kept as it has to be.
#[test]
fn f33_an_artifact_that_is_not_kept_as_asked_gets_no_manifest() {
    let mut scene = Scene::new(|_, operation, key, _| {
        let (asked, found) = ("GLACIER".to_owned(), "STANDARD".to_owned());
        match operation == Operation::ReadBack && is_artifact(key) {
            true => Err(ErrorKind::SilentDowngrade { setting: "storage_class", asked, found }),
            false => Ok(()),
        }
    });
    let work = scene.backup(1, Some(BYTES), Why::Missing);
    let error = scene.mend(&work).unwrap_err();
    assert!(error.told().contains("storage_class"), "{error:?}");
    assert_eq!(scene.bad.get(&work.manifest_key), None);
    assert_eq!(scene.bad.get(&work.manifest.artifact_key()).as_deref(), Some(BYTES));
}

#[test]
fn f32_f33_a_manifest_that_is_altered_or_not_kept_as_asked_is_taken_back() {
    let ignored = || {
        let (asked, found) = ("governance".to_owned(), "no lock".to_owned());
        Err(ErrorKind::SilentDowngrade { setting: "lock", asked, found })
    };
    let answers: [(&str, Say); 2] = [("lock", ignored), ("SHA-256", || corrupt("SHA-256"))];
    for (word, answer) in answers {
        let mut scene = Scene::new(move |_, operation, key, _| {
            match operation == Operation::ReadBack && key.ends_with(".json") {
                true => answer(),
                false => Ok(()),
            }
        });
        let work = scene.backup(1, None, Why::Missing);
        let error = scene.mend(&work).unwrap_err();
        assert!(error.told().contains(word), "{error:?}");
        assert_eq!(scene.bad.get(&work.manifest_key), None, "it would be listed");
        // One that somebody else has made stays.
        scene.bad.set(&work.manifest_key, &work.manifest.to_bytes());
        assert_eq!(scene.mend(&work).unwrap(), Synced::Whole);
        assert!(scene.bad.get(&work.manifest_key).is_some());
    }
}

/// Copies that are locked are told one by one, cost no read elsewhere, and keep no other from its
/// place.
#[test]
fn f38_f45_locked_copies_do_not_keep_missing_ones_from_arriving() {
    let mut scene = Scene::new(calm);
    let tomorrow = Clock::system().now() + jiff::SignedDuration::from_hours(24);
    *scene.bad.locked_until.lock().unwrap() = Some(tomorrow);
    for day in 1..=4 {
        let work = scene.backup(day, Some(OTHER), Why::Damaged);
        let error = scene.mend(&work).unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        let key = work.manifest.artifact_key();
        assert_eq!(scene.good.asked(Operation::Read, &key), 0, "the source was not read for it");
        assert_eq!((scene.bad.get(&key).as_deref(), scene.kept()), (Some(OTHER), 0));
    }
    let missing = scene.backup(5, None, Why::Missing);
    assert_eq!(scene.mend(&missing).unwrap(), Synced::Copied);
}

#[test]
fn f38_f45_where_nothing_may_be_removed_missing_copies_arrive_all_the_same() {
    let mut scene = Scene::new(|_, operation, _, _| match operation {
        Operation::Delete => {
            Err(ErrorKind::Denied { verb: "delete", answer: store::Answer::default() })
        }
        _ => Ok(()),
    });
    for day in 1..=4 {
        let work = scene.backup(day, Some(OTHER), Why::Damaged);
        assert!(matches!(scene.mend(&work).unwrap_err(), Error::Held { .. }));
    }
    let missing = scene.backup(5, None, Why::Missing);
    assert_eq!(scene.mend(&missing).unwrap(), Synced::Copied);
}

/// A source in an archive is passed over, and is no destination that fails.
#[test]
fn f36_a_source_in_an_archive_is_passed_over() {
    let mut scene = Scene::new(|_, operation, key, _| match operation == Operation::Read {
        true if is_artifact(key) => Err(ErrorKind::Archived { answer: store::Answer::default() }),
        _ => Ok(()),
    });
    for day in 1..=4 {
        let mut work = scene.backup(day, Some(BYTES), Why::Damaged);
        work.sources = vec!["bad".into(), "good".into()];
        work.lacks[0].destination = "third".into();
        let third = Arc::new(MemoryDestination::new("third"));
        scene.crew.opened.insert("third".into(), opened(third));
        assert_eq!(scene.mend(&work).unwrap(), Synced::Copied);
        assert!(scene.crew.destination("bad").is_ok(), "it still takes and gives");
    }
}

#[test]
fn i13_nobody_brings_plaintext_to_the_network() {
    let mut scene = Scene::new(calm);
    let mut work = scene.backup(1, None, Why::Missing);
    work.manifest.steps.clear();
    work.manifest_sha256 = Digest::of(&work.manifest.to_bytes()).sha256;
    scene.good.set(&work.manifest_key, &work.manifest.to_bytes());
    let error = scene.mend(&work).unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error:?}");
    assert_eq!(block_on(scene.bad.list("prod/")).unwrap(), []);
    scene.crew.allow_plaintext = true;
    assert_eq!(scene.mend(&work).unwrap(), Synced::Copied);
}

#[test]
fn without_records_a_repair_leaves_none() {
    let records = |scene: &Scene| {
        let all = block_on(scene.bad.list("prod/frequent/")).unwrap();
        all.iter().filter(|info| info.key.contains("-checked-")).count()
    };
    let mut scene = Scene::new(calm);
    scene.crew.keep_no_records();
    let work = scene.backup(1, Some(OTHER), Why::Damaged);
    assert_eq!((scene.mend(&work).unwrap(), records(&scene)), (Synced::Replaced, 0));
    scene.crew.records = true;
    let work = scene.backup(2, Some(OTHER), Why::Damaged);
    assert_eq!((scene.mend(&work).unwrap(), records(&scene)), (Synced::Replaced, 1));
    // A listing that lied says nothing of the bytes.
    let work = scene.backup(3, Some(BYTES), Why::Broken);
    assert_eq!((scene.mend(&work).unwrap(), records(&scene)), (Synced::Whole, 1));
}
