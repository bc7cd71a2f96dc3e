//! Random histories in a live etcd: whatever happened to the keys, the numbers computed from a
//! snapshot are those of the server and of etcd's own tool.
//!
//! Deletes, leases, transactions and compactions are all in the histories. A snapshot that was
//! taken before a compaction must still explain what the server answers after it. Everything
//! random comes from one seed, `LIFEBOAT_SEED`, which a failure prints.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::{Compaction, LoadSpec};
use lifeboat_tests::{Cluster, ClusterSpec, EtcdVersion, each_etcd, run};
use serde_json::Value;
use snapshot::{Expectations, MemberHashKv, Options, Report, Verdict, Verifier};

each_etcd!(numbers_computed_from_bytes_are_those_of_the_server);

/// How many times a history grows and is looked at.
const ROUNDS: u64 = 4;

/// A small generator of its own (SplitMix64), so that a seed means the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

fn seed() -> u64 {
    std::env::var("LIFEBOAT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_120)
}

fn numbers_computed_from_bytes_are_those_of_the_server(version: &EtcdVersion) {
    let seed = seed();
    let mut random = Random(seed);
    let cluster = ClusterSpec::new(version).start().unwrap();
    let mut compacted = 1;
    for round in 0..ROUNDS {
        let context = format!("LIFEBOAT_SEED={seed}, etcd {}, round {round}", version.label);
        let objects = 10 + random.below(120);
        let spec = LoadSpec {
            seed: seed.wrapping_add(round),
            objects,
            updates: random.below(200),
            deletes: random.below(objects),
            event_leases: random.below(4),
            events_per_lease: 1 + random.below(8),
            transaction_operations: 1 + random.below(30),
            compaction: Compaction::None,
            secrets_encrypted: round % 2 == 0,
        };
        let head = cluster.load(&spec).unwrap().revision;
        // Further than the last time, and at times at the head itself.
        compacted = (head - i64::try_from(random.below(60)).unwrap()).max(compacted + 1);
        look(&cluster, head, compacted, &context, &mut random);
    }
}

/// Takes a snapshot before and after a compaction, and asks the server before and after it.
fn look(cluster: &Cluster, head: i64, compact_at: i64, context: &str, random: &mut Random) {
    let before = save(cluster, "before.db");
    let asked_before = ask(cluster, head);
    cluster.etcdctl(&["compaction", &compact_at.to_string(), "--physical"]).unwrap();
    let after = save(cluster, "after.db");
    let between = compact_at + i64::try_from(random.below(64)).unwrap() % (head - compact_at + 1);
    let asked_after = [ask(cluster, head), ask(cluster, between)].into_iter().flatten();

    let mut expected: Vec<MemberHashKv> = asked_before.into_iter().chain(asked_after).collect();
    agrees(&verify(&before, expected.clone(), context), &expected, context);
    // From 3.5.5 on a server keeps the hash of the moment of a compaction, with the compaction
    // before it. What was removed since cannot be computed from the later snapshot.
    expected.retain(|answer| answer.compact_revision >= compact_at);
    let report = verify(&after, expected.clone(), context);
    agrees(&report, &expected, context);
    assert_eq!(report.status.revision, head, "{context}");
    same_as_status(cluster, "before.db", &verify(&before, Vec::new(), context), context);
    same_as_status(cluster, "after.db", &report, context);
}

fn save(cluster: &Cluster, name: &str) -> Vec<u8> {
    let file = cluster.dir().join(name);
    let _ = std::fs::remove_file(&file);
    cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
    std::fs::read(file).unwrap()
}

/// The server's HashKV at a revision. Up to 3.4.26 and 3.5.9 it refuses the very revision that
/// it was compacted at; then there is nothing to compare.
fn ask(cluster: &Cluster, revision: i64) -> Option<MemberHashKv> {
    let arguments = ["endpoint", "hashkv", "--rev", &revision.to_string()];
    let answer = match cluster.etcdctl_json(0, &arguments) {
        Ok(answer) => answer,
        Err(e) if e.to_string().contains("has been compacted") => return None,
        Err(e) => panic!("{e:?}"),
    };
    let hash_kv = &answer[0]["HashKV"];
    Some(MemberHashKv {
        member: format!("the member at {revision}"),
        revision,
        compact_revision: hash_kv["compact_revision"].as_i64().unwrap(),
        hash: u32::try_from(hash_kv["hash"].as_u64().unwrap()).unwrap(),
    })
}

fn verify(bytes: &[u8], members: Vec<MemberHashKv>, context: &str) -> Report {
    let mut verifier = Verifier::new(Options::default());
    verifier.update(bytes).unwrap_or_else(|e| panic!("{context}: {e}"));
    let expectations = Expectations { revision_barrier: None, members, ..Expectations::default() };
    verifier.finish(&expectations).unwrap_or_else(|e| panic!("{context}: {e}"))
}

/// A mismatch is an error of the verifier already; here, that each answer was compared at all.
fn agrees(report: &Report, asked: &[MemberHashKv], context: &str) {
    assert_eq!(report.hashkv.compared.len(), asked.len(), "{context}");
    for compared in &report.hashkv.compared {
        assert_eq!(compared.verdict, Verdict::Agrees, "{context}: {compared:?}");
    }
}

fn same_as_status(cluster: &Cluster, name: &str, ours: &Report, context: &str) {
    let file = cluster.dir().join(name);
    let mut command = cluster.version().snapshot_command();
    command.args(["snapshot", "status", file.to_str().unwrap(), "--write-out", "json"]);
    let theirs: Value = serde_json::from_slice(&run(&mut command).unwrap().stdout).unwrap();
    let keys = match cluster.version().label {
        "3.4" | "3.5" => ours.status.total_key_rows,
        _ => ours.status.total_key_live,
    };
    assert_eq!(theirs["hash"], ours.status.hash, "{context}");
    assert_eq!(theirs["revision"], ours.status.revision, "{context}");
    assert_eq!(theirs["totalKey"], keys, "{context}");
    assert_eq!(theirs["totalSize"], ours.status.total_size, "{context}");
}
