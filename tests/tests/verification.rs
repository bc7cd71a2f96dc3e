//! Snapshots as servers make them in awkward moments, and damage that only one check can find.
//!
//! A sound snapshot that is refused is a backup that is missing, so the first half is about false
//! alarms: a compaction under way, the revision that a restore bumped. The second half re-seals
//! altered bytes, so that neither the digest nor the structure tells on them.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "tests write plain files")]

use lifeboat_tests::objects::{Compaction, LoadSpec};
use lifeboat_tests::site::Site;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, EtcdVersion, binaries, each_etcd, run};
use sha2::{Digest, Sha256};
use snapshot::{Expectations, MemberHashKv, Options, Report, Trailer, Verdict, VerifyError};
use std::io::Write;
use std::process::Stdio;

each_etcd!(
    f22_a_compaction_under_way_is_no_damage,
    a_bumped_revision_is_no_damage,
    f16_i06_an_altered_value_is_found_by_hashkv_alone,
    the_revision_never_falls,
);

/// Length of the digest behind the database, in bytes.
const TRAILER_BYTES: usize = 32;

fn spec(compaction: Compaction) -> LoadSpec {
    LoadSpec {
        seed: 20_261_120,
        objects: 200,
        updates: 1_500,
        deletes: 60,
        event_leases: 2,
        events_per_lease: 4,
        transaction_operations: 20,
        compaction,
        secrets_encrypted: false,
    }
}

fn save(cluster: &Cluster, name: &str) -> Vec<u8> {
    let file = cluster.dir().join(name);
    let _ = std::fs::remove_file(&file);
    cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
    std::fs::read(file).unwrap()
}

fn verify(bytes: &[u8], trailer: Trailer, members: &[MemberHashKv]) -> Result<Report, VerifyError> {
    let mut verifier = snapshot::Verifier::new(Options { trailer, ..Options::default() });
    verifier.update(bytes)?;
    verifier.finish(&Expectations {
        revision_barrier: None,
        members: members.to_vec(),
        ..Expectations::default()
    })
}

fn ask(cluster: &Cluster, revision: i64) -> MemberHashKv {
    let arguments = ["endpoint", "hashkv", "--rev", &revision.to_string()];
    let answer = cluster.etcdctl_json(0, &arguments).unwrap();
    let hash_kv = &answer[0]["HashKV"];
    MemberHashKv {
        member: "the member".to_owned(),
        revision,
        compact_revision: hash_kv["compact_revision"].as_i64().unwrap(),
        hash: u32::try_from(hash_kv["hash"].as_u64().unwrap()).unwrap(),
    }
}

/// The server deletes a few rows at a time, so the snapshots show rows half removed.
fn f22_a_compaction_under_way_is_no_damage(version: &EtcdVersion) {
    let few_at_a_time = match version.label {
        "3.4" | "3.5" => "--experimental-compaction-batch-limit",
        _ => "--compaction-batch-limit",
    };
    let cluster = ClusterSpec::new(version).arguments(&[few_at_a_time, "10"]).start().unwrap();
    let head = cluster.load(&spec(Compaction::None)).unwrap().revision;
    let whole = verify(&save(&cluster, "whole.db"), Trailer::Required, &[]).unwrap();
    let compacted_at = (head - 5).to_string();
    cluster.etcdctl(&["compaction", &compacted_at]).unwrap();
    let mut rows = whole.buckets["key"];
    for round in 0..40 {
        let bytes = save(&cluster, "under-way.db");
        let answer = ask(&cluster, head);
        let report = verify(&bytes, Trailer::Required, &[answer]).unwrap();
        assert_eq!(report.compact_revision, Some(head - 5), "round {round}");
        assert_eq!(report.hashkv.compared[0].verdict, Verdict::Agrees, "round {round}");
        assert!(report.buckets["key"] <= rows, "round {round}: rows came back");
        rows = report.buckets["key"];
    }
}

/// What `etcdutl snapshot restore --bump-revision --mark-compacted` writes is sound.
fn a_bumped_revision_is_no_damage(version: &EtcdVersion) {
    if matches!(version.label, "3.4" | "3.5") {
        // These releases cannot bump yet.
        return;
    }
    let cluster = ClusterSpec::new(version).start().unwrap();
    let head = cluster.load(&spec(Compaction::None)).unwrap().revision;
    save(&cluster, "before.db");
    let (from, to) = (cluster.dir().join("before.db"), cluster.dir().join("restored"));
    let mut restore = version.snapshot_command();
    restore.args(["snapshot", "restore", from.to_str().unwrap()]);
    restore.args(["--data-dir", to.to_str().unwrap()]);
    restore.args(["--bump-revision", "1000000", "--mark-compacted"]);
    run(&mut restore).unwrap();

    let bytes = std::fs::read(to.join("member/snap/db")).unwrap();
    let report = verify(&bytes, Trailer::Absent, &[]).unwrap();
    assert_eq!(report.revision, head + 1_000_000);
    assert_eq!(report.compact_revision, Some(head + 1_000_000));
    assert_eq!(report.missing_buckets, [""; 0]);
}

/// From the first second of a cluster on, and when a compaction removes the last record: backups
/// are put in order by their revisions.
fn the_revision_never_falls(version: &EtcdVersion) {
    let cluster = ClusterSpec::new(version).start().unwrap();
    let site = Site::new(&cluster).unwrap();
    let mut revisions = Vec::new();
    let mut back_up = || {
        let _ = site.lifeboat(&["run"]).code(0);
        let barriers = site.manifests("region_a").into_iter().map(|manifest| {
            let revision = manifest["snapshot"]["revision"].as_i64().unwrap();
            assert_eq!(manifest["etcd"]["revision_barrier"], revision);
            revision
        });
        revisions.push(barriers.max().unwrap());
    };
    back_up();
    cluster.etcdctl(&["put", "only", "1"]).unwrap();
    back_up();
    cluster.etcdctl(&["del", "only"]).unwrap();
    cluster.etcdctl(&["compaction", "3", "--physical"]).unwrap();
    back_up();
    assert_eq!(revisions, [1, 2, 3]);
}

/// One bit of one value, and a digest that fits again: bbolt has no checksum of its own.
fn f16_i06_an_altered_value_is_found_by_hashkv_alone(version: &EtcdVersion) {
    const MARK: &[u8] = b"the-value-that-is-altered";
    let cluster = ClusterSpec::new(version).start().unwrap();
    cluster.etcdctl(&["put", "altered", std::str::from_utf8(MARK).unwrap()]).unwrap();
    let answer = ask(&cluster, cluster.revision(0).unwrap());
    let mut bytes = save(&cluster, "altered.db");
    let database = bytes.len() - TRAILER_BYTES;
    // Stale copies of the page may hold the value too; they are altered as well.
    let found: Vec<usize> =
        (0..database - MARK.len()).filter(|at| bytes[*at..].starts_with(MARK)).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at] ^= 1;
    }
    let digest = Sha256::digest(&bytes[..database]);
    bytes[database..].copy_from_slice(&digest);

    verify(&bytes, Trailer::Required, &[]).unwrap();
    let refused = verify(&bytes, Trailer::Required, &[answer]);
    assert!(matches!(refused, Err(VerifyError::HashKvMismatch { .. })), "{refused:?}");
}

/// In a pipe of a shell nobody may look at the exit code of the middle.
#[test]
fn a_refused_snapshot_does_not_come_out_whole() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/snapshot/tests/vectors");
    let sound = std::fs::read(format!("{folder}/snap-3.6.14.db")).unwrap();
    assert_eq!(pass(&sound), (Some(0), sound.clone()));
    let mut damaged = sound;
    *damaged.last_mut().unwrap() ^= 1;
    let (code, out) = pass(&damaged);
    assert_eq!(code, Some(20));
    assert!(out.len() < damaged.len(), "a snapshot that was refused came out whole");
}

fn pass(snapshot: &[u8]) -> (Option<i32>, Vec<u8>) {
    let mut command = binaries::command("lifeboat-verify").unwrap();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = snapshot.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.code(), output.stdout)
}

/// One member with a flipped bit must not cost the backup that is needed because of it.
#[test]
fn f17_f16_a_diverged_member_is_named_and_the_majority_is_backed_up() {
    let name = "f17_f16_a_diverged_member_is_named_and_the_majority_is_backed_up";
    let Some(version) = or_skip(name, Etcd::newest()) else { return };
    let mut cluster = ClusterSpec::new(&version).members(3).start().unwrap();
    cluster.etcdctl(&["put", "/registry/canary", CANARY]).unwrap();
    cluster.load(&LoadSpec::default()).unwrap();
    let diverged = (cluster.leader().unwrap() + 1) % 3;
    cluster.stop(diverged).unwrap();
    flip(&cluster.members()[diverged].data_dir.join("member/snap/db"));
    cluster.restart(diverged).unwrap();

    let mut site = Site::new(&cluster).unwrap();
    let bad = format!("{:x}", cluster.status_of(diverged).unwrap().member_id);
    // Asked first, it is refused, and the run begins anew from another member.
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", cluster.endpoint(diverged));
    let _ = site.lifeboat(&["run"]).code(0).said("holds other data than the majority");
    let manifest = site.manifests("region_a").remove(0);
    assert_ne!(manifest["etcd"]["member_id"], bad.as_str(), "{manifest:#}");
    for verdict in manifest["snapshot"]["hashkv"].as_array().unwrap() {
        let differs = verdict["member_id"] == bad.as_str();
        assert_eq!(verdict["agrees"], !differs, "{verdict}");
        assert_eq!(verdict["computed"].is_u64(), differs, "{verdict}");
    }
    let page = site.lifeboat(&["show"]).code(0).stdout;
    assert!(page.contains(&format!("({bad}) HOLDS OTHER DATA")), "{page}");

    site.set("LIFEBOAT__VERIFY__HASHKV", "all");
    let _ = site.lifeboat(&["run"]).code(20).said("HashKV at revision");
}

const CANARY: &str = "a-canary-of-this-very-length-that-stands-once-in-the-database";

/// Alters the canary in a database at rest, wherever a page holds it.
fn flip(database: &std::path::Path) {
    let mut bytes = std::fs::read(database).unwrap();
    let found: Vec<usize> = bytes
        .windows(CANARY.len())
        .enumerate()
        .filter(|(_, window)| *window == CANARY.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(database, bytes).unwrap();
}
