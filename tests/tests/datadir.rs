//! Data directories of `crates/datadir` under real servers and beside those of `etcdutl`.
//!
//! The sources are the snapshots of four versions of etcd in `crates/snapshot/tests/vectors`: revision
//! 158, compacted at 96.

#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use bbolt::{BulkWriter, Database};
use datadir::{
    Adjustments, Built, Expected, Member, Membership, Version, WAL_FILE_NAME, WAL_SEGMENT_BYTES,
    build_database, marker_wal, prove, prove_copy, snap_file, wal_file,
};
use lifeboat_tests::cluster::{ClusterSpec, Plan};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, Etcd, EtcdVersion, LoadSpec, each_etcd, run};
use sha2::{Digest, Sha256};
use snapshot::{Expectations, Options, ServerView, Verifier};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Cursor, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REVISION: i64 = 158;
/// Where the entries of a log begin: behind the ids and the empty snapshot.
const WAL_BYTES_TO_ENTRIES: usize = 0x50;
const SOURCES: [&str; 4] = ["3.4.23", "3.5.1", "3.5.30", "3.6.14"];

fn source_path(version: &str) -> PathBuf {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/snapshot/tests/vectors");
    vectors.join(format!("snap-{version}.db"))
}

/// A database that was built for a cluster, and what a server on it has to answer.
struct Restored {
    membership: Membership,
    database: Vec<u8>,
    built: Built,
    view: ServerView,
}

fn restore(source: &Path, membership: Membership, adjust: &Adjustments) -> Restored {
    let snapshot = std::fs::read(source).unwrap();
    let mut verifier = Verifier::new(Options::default());
    verifier.update(&snapshot).unwrap();
    let verified = verifier.finish_altered(&Expectations::default(), &adjust.alteration());
    let (report, view) = verified.unwrap();
    adjust.check(&report).unwrap();
    let bytes = report.database_bytes;
    let mut out = Cursor::new(Vec::new());
    let built = {
        let source = Database::open(&snapshot, bytes).unwrap();
        build_database(&source, &membership, adjust, &mut out).unwrap()
    };
    built.must_be_from(&report).unwrap();
    Restored { membership, database: out.into_inner(), built, view: view.unwrap() }
}

fn write_file(path: &Path, bytes: &[u8]) -> std::fs::File {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Writes the directory of a member and proves it. A log that is not long ends with its records, as
/// where a file system cannot preallocate.
fn write_member(restored: &Restored, member: &Member, data_dir: &Path, is_long: bool) {
    let member_dir = data_dir.join("member");
    let (snap, wal) = (member_dir.join("snap"), member_dir.join("wal"));
    for dir in [&snap, &wal] {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).unwrap();
    }
    write_file(&snap.join("db"), &restored.database);
    let (name, bytes) = snap_file(&restored.membership);
    write_file(&snap.join(name), &bytes);
    let log = write_file(&wal.join(WAL_FILE_NAME), &wal_file(&restored.membership, member));
    if is_long {
        log.set_len(WAL_SEGMENT_BYTES).unwrap();
    }
    let expected = Expected::new(&restored.membership, member, &restored.view, &restored.built);
    prove(&member_dir, &wal, &expected).unwrap();
    prove_copy(&member_dir, &wal, &expected).unwrap();
}

fn start(plan: Plan, source: &Path, adjust: &Adjustments) -> (Cluster, Restored) {
    start_with(plan, source, adjust, true)
}

fn start_with(
    plan: Plan,
    source: &Path,
    adjust: &Adjustments,
    is_long: bool,
) -> (Cluster, Restored) {
    let membership = Membership::parse(&plan.initial_cluster(), plan.token()).unwrap();
    let restored = restore(source, membership, adjust);
    for address in plan.members() {
        let member = restored.membership.member(&address.name).unwrap();
        write_member(&restored, member, &address.data_dir, is_long);
    }
    (plan.start().unwrap(), restored)
}

/// The answers of every member before anything is written, then writes and a restart.
fn check_cluster(cluster: &mut Cluster, restored: &Restored) {
    let view = &restored.view;
    for index in 0..cluster.members().len() {
        let status = cluster.status_of(index).unwrap();
        let name = &cluster.members()[index].name;
        assert_eq!(status.member_id, restored.membership.member(name).unwrap().id);
        assert_eq!(status.cluster_id, restored.membership.cluster_id());
        assert_eq!(status.revision, view.revision);
        check_hash(cluster, index, view);
        let count = cluster.etcdctl_json(index, &["get", "", "--prefix", "--limit", "1"]);
        assert_eq!(count.unwrap()["count"].as_u64(), Some(view.keys_live));
    }
    cluster.etcdctl(&["put", "after", "restore"]).unwrap();
    assert_eq!(cluster.revision(0).unwrap(), view.revision + 1);
    cluster.restart(0).unwrap();
    assert_eq!(cluster.revision(0).unwrap(), view.revision + 1);
    cluster.etcdctl_at(0, &["defrag"]).unwrap();
    cluster.etcdctl(&["put", "after", "defrag"]).unwrap();
}

/// HashKV, at the compact revision that the member names in its answer.
fn check_hash(cluster: &Cluster, index: usize, view: &ServerView) {
    let ask = |revision: i64| {
        let arguments = ["endpoint", "hashkv", "--rev", &revision.to_string()];
        cluster.etcdctl_json(index, &arguments)
    };
    // Up to 3.4.26 and 3.5.9, a revision that is compacted itself can be asked for only as the
    // current one.
    let answer = ask(view.revision).or_else(|_| ask(0)).unwrap();
    let answer = &answer[0]["HashKV"];
    let compact = answer["compact_revision"].as_i64().unwrap_or(0);
    let hash = answer["hash"].as_u64().unwrap();
    assert_eq!(Some(compact), view.compact_revision, "{answer}");
    assert_eq!(Some(hash), view.hashkv.map(u64::from), "{answer}");
}

fn every_etcd_starts_alone(version: &EtcdVersion) {
    let target: Version = version.label.parse().unwrap();
    for (source, is_long) in [("3.4.23", true), ("3.6.14", false)] {
        let adjust = Adjustments { target_version: Some(target), ..Adjustments::default() };
        let plan = ClusterSpec::new(version).verify_all().plan().unwrap();
        let (mut cluster, restored) = start_with(plan, &source_path(source), &adjust, is_long);
        assert_eq!(restored.view.revision, REVISION);
        check_cluster(&mut cluster, &restored);
    }
}

fn a_bump_is_what_the_server_answers(version: &EtcdVersion) {
    let adjust = Adjustments {
        bump: Some(1_000_000),
        mark_compacted: true,
        cut_at: Some(150),
        ..Adjustments::default()
    };
    let plan = ClusterSpec::new(version).verify_all().plan().unwrap();
    let (mut cluster, restored) = start(plan, &source_path("3.5.30"), &adjust);
    assert_eq!(restored.view.revision, 1_000_150);
    check_cluster(&mut cluster, &restored);
    let watch = cluster.etcdctl(&["watch", "", "--prefix", "--rev", "158"]).unwrap_err();
    assert!(format!("{watch:?}").contains("compacted"), "{watch:?}");
}

fn f06_the_marker_is_refused(version: &EtcdVersion) {
    let plan = ClusterSpec::new(version).plan().unwrap();
    let membership = Membership::parse(&plan.initial_cluster(), plan.token()).unwrap();
    let restored = restore(&source_path("3.5.1"), membership, &Adjustments::default());
    let address = plan.members()[0].clone();
    let member = restored.membership.member(&address.name).unwrap();
    write_member(&restored, member, &address.data_dir, true);
    let log = address.data_dir.join("member/wal").join(WAL_FILE_NAME);
    for bytes in [marker_wal().len() as u64, WAL_SEGMENT_BYTES] {
        std::fs::remove_file(&log).unwrap();
        write_file(&log, &marker_wal()).set_len(bytes).unwrap();
        for _ in 0..2 {
            let mut command = Command::new(&version.etcd);
            command.env_clear().env("ETCD_UNSUPPORTED_ARCH", "arm64");
            command.args(["--name", &address.name, "--data-dir"]).arg(&address.data_dir);
            command.args(["--listen-client-urls", &address.client_url]);
            command.args(["--advertise-client-urls", &address.client_url]);
            command.args(["--listen-peer-urls", &address.peer_url]);
            command.args(["--initial-advertise-peer-urls", &address.peer_url]);
            command.args(["--initial-cluster", &plan.initial_cluster(), "--logger", "zap"]);
            // It ends by itself; where it does not, that is the failure.
            let mut bounded = Command::new("timeout");
            bounded.env_clear().arg("20").arg(&version.etcd).args(command.get_args());
            let output = bounded.stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && output.status.code() != Some(124), "{said}");
            assert!(said.to_lowercase().contains("crc"), "{said}");
        }
        let after = std::fs::read(&log).unwrap();
        assert!(datadir::is_marker_wal(&after), "etcd changed the marker");
    }
}

each_etcd!(
    every_etcd_starts_alone,
    a_bump_is_what_the_server_answers,
    f06_the_marker_is_refused,
    leases_that_live_keys_name_are_made,
    rows_and_logs_are_those_of_etcdutl,
);

#[test]
fn three_members_start_from_one_database() {
    let name = "three_members_start_from_one_database";
    let Some(version) = or_skip(name, Etcd::newest()) else { return };
    let plan = ClusterSpec::new(&version).members(3).verify_all().plan().unwrap();
    let (mut cluster, restored) = start(plan, &source_path("3.6.14"), &Adjustments::default());
    check_cluster(&mut cluster, &restored);
    let members = cluster.etcdctl_json(0, &["member", "list"]).unwrap();
    assert_eq!(members["members"].as_array().unwrap().len(), 3);
    for index in 0..3 {
        cluster.restart(index).unwrap();
    }
    let hashes: Vec<u32> = (0..3).map(|i| cluster.hash_kv(i, REVISION).unwrap()).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

/// A snapshot that lacks every lease; its keys still name them.
fn leases_that_live_keys_name_are_made(version: &EtcdVersion) {
    let sound = std::fs::read(source_path("3.5.30")).unwrap();
    let source = Database::open(&sound, sound.len() as u64 - 32).unwrap();
    let mut out = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    for name in source.bucket_names().unwrap() {
        let mut bucket = out.bucket(&name).unwrap();
        let mut rows = source.rows(&name).unwrap().unwrap();
        while let Some((key, value)) = rows.next_row().unwrap().filter(|_| name != b"lease") {
            bucket.push(key, value).unwrap();
        }
        bucket.end().unwrap();
    }
    let database = out.finish().unwrap().0.into_inner();
    let plan = ClusterSpec::new(version).verify_all().plan().unwrap();
    let file = plan.members()[0].data_dir.with_extension("db");
    let digest = Sha256::digest(&database);
    std::fs::write(&file, [&database[..], &digest].concat()).unwrap();
    let (cluster, restored) = start(plan, &file, &Adjustments::default());
    assert!(restored.built.leases_made > 0);
    let answer = cluster.etcdctl_json(0, &["get", "", "--prefix"]).unwrap();
    let keys = answer["kvs"].as_array().unwrap();
    let leases: BTreeSet<u64> = keys.iter().filter_map(|kv| kv["lease"].as_u64()).collect();
    assert_eq!(leases.len() as u64, restored.built.leases_made);
    for lease in leases {
        let arguments = ["lease", "timetolive", &format!("{lease:x}"), "--keys"];
        let said = cluster.etcdctl_json(0, &arguments).unwrap();
        assert_eq!(said["granted-ttl"].as_u64(), Some(3_600), "{said}");
        assert!(!said["keys"].as_array().unwrap().is_empty(), "{said}");
    }
    let log = cluster.log(0);
    assert!(!log.contains("lease not found"), "{log}");
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows(database: &[u8], bucket: &str) -> Rows {
    let database = Database::open(database, database.len() as u64).unwrap();
    let mut found = Rows::new();
    let Some(mut rows) = database.rows(bucket.as_bytes()).unwrap() else { return found };
    while let Some((key, value)) = rows.next_row().unwrap() {
        found.insert(key.to_vec(), value.to_vec());
    }
    found
}

/// What `etcdutl` (3.4: `etcdctl`) restores with these flags: database and log.
fn restored_by_etcd(
    version: &EtcdVersion,
    source: &Path,
    membership: &Membership,
    flags: &[&str],
) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("m1");
    let mut command = version.snapshot_command();
    if version.etcdutl.is_none() {
        command.env("ETCDCTL_API", "3");
    }
    command.args(["snapshot", "restore"]).arg(source);
    command.args(["--name", "m1", "--initial-cluster", &membership.initial_cluster()]);
    command.args(["--initial-cluster-token", membership.token()]);
    let urls = membership.member("m1").unwrap().peer_urls.join(",");
    command.args(["--initial-advertise-peer-urls", &urls]).args(flags);
    run(command.arg("--data-dir").arg(&data_dir)).unwrap();
    let database = std::fs::read(data_dir.join("member/snap/db")).unwrap();
    let log = std::fs::read(data_dir.join("member/wal").join(WAL_FILE_NAME)).unwrap();
    (database, log)
}

fn rows_and_logs_are_those_of_etcdutl(version: &EtcdVersion) {
    let text = "m1=http://127.0.0.1:27001,m2=http://127.0.0.1:27011,m1=http://127.0.0.1:27002";
    let membership = Membership::parse(text, "tok<1>").unwrap();
    let bump = Adjustments { bump: Some(5_000), mark_compacted: true, ..Adjustments::default() };
    let bump_flags = ["--bump-revision", "5000", "--mark-compacted"];
    let can_bump = run(version.snapshot_command().args(["snapshot", "restore", "--help"]))
        .is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--bump-revision"));
    for source in SOURCES.map(source_path) {
        for (adjust, flags) in [(Adjustments::default(), &[][..]), (bump.clone(), &bump_flags[..])]
        {
            if !flags.is_empty() && !can_bump {
                continue;
            }
            let ours = restore(&source, membership.clone(), &adjust);
            let (theirs, log) = restored_by_etcd(version, &source, &membership, flags);
            assert!(ours.database.len() <= theirs.len());
            for bucket in ["key", "lease", "auth", "authUsers", "authRoles", "alarm"] {
                let (ours, theirs) = (rows(&ours.database, bucket), rows(&theirs, bucket));
                assert!(ours == theirs, "{bucket} of {}: {ours:?}\n{theirs:?}", source.display());
            }
            let (mut ours_meta, mut meta) = (rows(&ours.database, "meta"), rows(&theirs, "meta"));
            // Put right: etcdutl leaves the voters of the old cluster, and 3.4 knows no term.
            for put_right in [&b"confState"[..], b"term"] {
                if put_right == b"confState" || version.label == "3.4" {
                    ours_meta.remove(put_right);
                    meta.remove(put_right);
                }
            }
            assert!(ours_meta == meta, "meta of {}: {ours_meta:?}\n{meta:?}", source.display());
            if version.label != "3.4" {
                assert_eq!(rows(&ours.database, "members"), rows(&theirs, "members"));
                let written = wal_file(&membership, membership.member("m1").unwrap());
                // From 3.7 on, two fields that are zero are left out of the entries.
                let same =
                    if version.label == "3.7" { WAL_BYTES_TO_ENTRIES } else { written.len() };
                assert!(log[..same] == written[..same]);
                assert!(log[written.len()..].iter().all(|byte| *byte == 0));
                assert_eq!(log.len() as u64, WAL_SEGMENT_BYTES);
            }
        }
    }
}

/// The newest etcd's own data, with users, leases and a compaction, under every older one.
#[test]
fn a_snapshot_of_the_newest_moves_to_every_version() {
    let name = "a_snapshot_of_the_newest_moves_to_every_version";
    let Some(newest) = or_skip(name, Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&newest).auth("secret").start().unwrap();
    let load = LoadSpec { objects: 60, updates: 40, deletes: 20, ..LoadSpec::default() };
    cluster.load(&load).unwrap();
    let revision = cluster.revision(0).unwrap();
    cluster.etcdctl(&["compact", &(revision - 30).to_string()]).unwrap();
    cluster.etcdctl(&["put", "last", "row"]).unwrap();
    cluster.etcdctl(&["del", "last"]).unwrap();
    let file = cluster.dir().join("snapshot.db");
    cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
    for version in Etcd::available() {
        let target = Some(version.label.parse().unwrap());
        let adjust = Adjustments { target_version: target, ..Adjustments::default() };
        let plan = ClusterSpec::new(&version).auth_present("secret").verify_all().plan();
        let (mut cluster, restored) = start(plan.unwrap(), &file, &adjust);
        assert_eq!(restored.built.storage_version, target.filter(|v| *v >= Version::new(3, 6)));
        check_cluster(&mut cluster, &restored);
    }
}
