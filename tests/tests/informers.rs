//! What the clients of Kubernetes keep must not outlive a restore.
//!
//! An informer lists once, then watches from the revision of the list, for ever. After a restore
//! it comes back with a revision that the restored store has never reached: from after the backup.
//! etcd takes such a watch and says nothing until it gets there, and the informer keeps objects
//! that are gone and misses those that came. Where the revision was raised and everything before
//! marked as compacted, each of these watches gets "compacted" at once, and the informer lists
//! anew.
//!
//! Both are shown with a real etcd of each version: silence without the bump, so that this test is
//! able to fail, and "compacted" with it. The informer here is a stand-in: list, watch from the
//! revision after, apply, and list anew when told that the revision is compacted.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use etcd_client::{Client, EventType, GetOptions, WatchOptions, WatchResponse, WatchStream};
use lifeboat_tests::cluster::Plan;
use lifeboat_tests::restored::tools::{self, Order, Tool};
use lifeboat_tests::{Cluster, ClusterSpec, EtcdVersion, LoadSpec, each_etcd};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

each_etcd!(i19_an_old_watch_gets_compacted_from_the_restored_cluster_never_silence);

/// More than was written after any backup here.
const BUMP: i64 = 1_000_000;
/// Revisions written after the backup, and lost.
const LOST: usize = 40;
/// A hang is a failure, not a wait for ever.
const LIMIT: Duration = Duration::from_secs(60);
/// The key whose events show that a stream is alive.
const SENTINEL: &str = "/sentinel";

/// Keys with their values and the revision that wrote them.
type Objects = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

/// What one client believes.
#[derive(Debug, Clone)]
struct Informer {
    objects: Objects,
    revision: i64,
    lists: usize,
}

/// How a watch went on.
#[derive(Debug, PartialEq, Eq)]
enum Watched {
    /// It has seen the last change.
    InSync,
    /// Its revision is compacted, and so is everything before this one.
    Compacted(i64),
}

impl Informer {
    async fn new(client: &mut Client) -> Self {
        let mut informer = Informer { objects: Objects::new(), revision: 0, lists: 0 };
        informer.list(client).await;
        informer
    }

    async fn list(&mut self, client: &mut Client) {
        (self.revision, self.objects) = everything(client).await;
        self.lists += 1;
    }

    /// Watches from where it stands until it has seen a change that is made now.
    async fn watch(&mut self, client: &mut Client) -> Watched {
        let mut stream = watch_from(client, self.revision + 1).await;
        let now = put(client, SENTINEL, "look").await;
        while self.revision < now {
            let message = next(&mut stream).await;
            if message.canceled() {
                assert!(message.events().is_empty(), "{message:?}");
                return Watched::Compacted(message.compact_revision());
            }
            self.apply(&message);
        }
        Watched::InSync
    }

    fn apply(&mut self, message: &WatchResponse) {
        for event in message.events() {
            let kv = event.kv().unwrap();
            self.revision = kv.mod_revision();
            match event.event_type() {
                EventType::Put => {
                    let object = (kv.value().to_vec(), kv.mod_revision());
                    self.objects.insert(kv.key().to_vec(), object);
                }
                EventType::Delete => {
                    self.objects.remove(kv.key());
                }
            }
        }
    }

    /// As client-go does: lists anew only when it is told that it must.
    async fn follow(&mut self, client: &mut Client) {
        while let Watched::Compacted(_) = self.watch(client).await {
            self.list(client).await;
        }
    }
}

async fn everything(client: &mut Client) -> (i64, Objects) {
    let answer = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    let object =
        |kv: &etcd_client::KeyValue| (kv.key().to_vec(), (kv.value().to_vec(), kv.mod_revision()));
    (answer.header().unwrap().revision(), answer.kvs().iter().map(object).collect())
}

async fn put(client: &mut Client, key: &str, value: &str) -> i64 {
    client.put(key, value, None).await.unwrap().header().unwrap().revision()
}

/// A watch on everything, which etcd has accepted.
async fn watch_from(client: &mut Client, revision: i64) -> WatchStream {
    let options = WatchOptions::new().with_all_keys().with_start_revision(revision);
    let mut stream = client.watch("", Some(options)).await.unwrap();
    let created = next(&mut stream).await;
    assert!(created.created(), "{created:?}");
    stream
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    let message = tokio::time::timeout(LIMIT, stream.message()).await;
    message.unwrap().unwrap().unwrap()
}

/// Two changes while a watch from `revision` is open: whether it says nothing about them. One
/// stream delivers in order: once the second change has come through another watch of the same
/// stream, the first would have come through this one.
async fn is_silent(client: &mut Client, revision: i64) -> bool {
    let mut stream = watch_from(client, revision).await;
    stream.watch(SENTINEL, None).await.unwrap();
    let created = next(&mut stream).await;
    assert!(created.created(), "{created:?}");
    let sentinel = created.watch_id();
    put(client, SENTINEL, "first").await;
    let second = put(client, SENTINEL, "second").await;
    assert!(second < revision, "the store has caught up, which shows nothing");
    loop {
        let message = next(&mut stream).await;
        if message.watch_id() != sentinel {
            return false;
        }
        let revisions = message.events().iter().map(|event| event.kv().unwrap().mod_revision());
        if revisions.max() == Some(second) {
            return true;
        }
    }
}

/// What the API server gets that goes on with a paged list of `revision`.
async fn refusal_of_a_list_at(client: &mut Client, revision: i64) -> String {
    let options = GetOptions::new().with_all_keys().with_revision(revision).with_limit(1);
    client.get("", Some(options)).await.unwrap_err().to_string()
}

/// Objects change, come and go, and no backup has any of it.
async fn write_what_will_be_lost(client: &mut Client) {
    let (_, objects) = everything(client).await;
    assert!(objects.len() > LOST);
    for (number, key) in objects.into_keys().take(LOST).enumerate() {
        match number % 3 {
            0 => drop(put(client, &format!("/registry/pods/lost/{number}"), "phantom").await),
            1 => drop(client.put(key, "changed", None).await.unwrap()),
            _ => drop(client.delete(key, None).await.unwrap()),
        }
    }
}

async fn connect(cluster: &Cluster) -> Client {
    Client::connect(cluster.endpoints(), None).await.unwrap()
}

/// The cluster is lost; another one is in its place, with the same addresses.
fn restored(lost: Cluster, order: &Order) -> Cluster {
    let plan: Plan = lost.into_plan(1).unwrap();
    tools::clear(&plan).unwrap();
    tools::restore(Tool::Lifeboat, order, &plan).unwrap();
    plan.start().unwrap()
}

fn save(cluster: &Cluster, file: &Path) {
    cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
}

fn i19_an_old_watch_gets_compacted_from_the_restored_cluster_never_silence(version: &EtcdVersion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = ClusterSpec::new(version).start().unwrap();
    cluster.load(&LoadSpec::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("snapshot.db");

    // One client was cut off before the backup, another one saw everything up to the disaster.
    let (early, late) = runtime.block_on(async {
        let mut client = connect(&cluster).await;
        let early = Informer::new(&mut client).await;
        put(&mut client, "/registry/pods/default/kept", "in the backup").await;
        save(&cluster, &snapshot);
        let mut late = early.clone();
        write_what_will_be_lost(&mut client).await;
        assert_eq!(late.watch(&mut client).await, Watched::InSync);
        assert_eq!(late.objects, everything(&mut client).await.1);
        (early, late)
    });

    let plain = Order::new(&snapshot, "without-a-bump");
    let cluster = restored(cluster, &plain);
    runtime.block_on(without_a_bump(&cluster, late.clone()));

    let bumped = Order::new(&snapshot, "with-a-bump").bump(BUMP);
    let cluster = restored(cluster, &bumped);
    runtime.block_on(with_a_bump(&cluster, early, late));
}

/// The contrast: nobody tells the client, and it goes on with what it believes.
async fn without_a_bump(cluster: &Cluster, mut late: Informer) {
    let mut client = connect(cluster).await;
    assert!(is_silent(&mut client, late.revision + 1).await);
    let refusal = refusal_of_a_list_at(&mut client, late.revision).await;
    assert!(refusal.contains("future revision"), "{refusal}");
    while everything(&mut client).await.0 < late.revision {
        put(&mut client, SENTINEL, "on").await;
    }
    // Its revision is there again, with other contents. It has noticed nothing, and is wrong.
    assert_eq!(late.watch(&mut client).await, Watched::InSync);
    let (_, truth) = everything(&mut client).await;
    assert_ne!(late.objects, truth);
    let phantoms = late.objects.keys().filter(|key| !truth.contains_key(*key)).count();
    assert!(phantoms > 0);
}

async fn with_a_bump(cluster: &Cluster, early: Informer, late: Informer) {
    let mut client = connect(cluster).await;
    let (head, _) = everything(&mut client).await;
    assert!(head > late.revision && head - BUMP < late.revision, "{head}");
    for mut informer in [early, late] {
        assert_eq!(informer.watch(&mut client).await, Watched::Compacted(head));
        let refusal = refusal_of_a_list_at(&mut client, informer.revision).await;
        assert!(refusal.contains("has been compacted"), "{refusal}");
        informer.follow(&mut client).await;
        assert_eq!(informer.lists, 2);
        put(&mut client, "/registry/pods/default/new", &informer.revision.to_string()).await;
        informer.follow(&mut client).await;
        let (revision, truth) = everything(&mut client).await;
        assert_eq!((informer.revision, &informer.objects), (revision, &truth));
        // Of the list that it made when it was told to, not of one that it made on its own.
        assert_eq!(informer.lists, 2);
        assert!(truth.contains_key(b"/registry/pods/default/kept".as_slice()));
        let is_lost = |key: &Vec<u8>| key.starts_with(b"/registry/pods/lost/");
        assert!(!truth.keys().any(is_lost));
    }
}
