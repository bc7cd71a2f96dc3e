//! The harness itself: every server that is here starts, answers and ends.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::cluster::{ClusterSpec, MemberStatus};
use lifeboat_tests::gcs::GcsServer;
use lifeboat_tests::objects::{Compaction, LoadSpec};
use lifeboat_tests::s3::{Bucket, S3Kind, S3Server};
use lifeboat_tests::servers::ETCD_LABELS;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, Etcd, EtcdVersion, Server, each_etcd, run, wait_until};
use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

/// How long a server may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(20);

each_etcd!(
    it_starts_and_is_filled,
    three_members_with_tls_a_password_and_a_learner,
    a_restored_data_directory_is_started_from,
);

fn it_starts_and_is_filled(version: &EtcdVersion) {
    let cluster = ClusterSpec::new(version).start().unwrap();
    assert!(cluster.status_of(0).unwrap().version.starts_with(version.label));
    let spec = LoadSpec { compaction: Compaction::BehindHead(50), ..LoadSpec::default() };
    let report = cluster.load(&spec).unwrap();
    assert_eq!(cluster.revision(0).unwrap(), report.revision);
    assert_holds(&cluster, &spec);
    assert_saves_a_snapshot(&cluster);
}

/// What the loader says must be what etcd has: keys, versions, leases, values.
fn assert_holds(cluster: &Cluster, spec: &LoadSpec) {
    let expected = spec.expected();
    let keys = cluster.etcdctl(&["get", "", "--prefix", "--keys-only"]).unwrap();
    assert_eq!(keys.lines().filter(|line| !line.is_empty()).count(), expected.len());
    for (key, wanted) in expected.iter().step_by(29) {
        let key = String::from_utf8(key.clone()).unwrap();
        let answer = cluster.etcdctl_json(0, &["get", &key]).unwrap();
        let found = &answer["kvs"][0];
        assert_eq!(found["version"].as_i64(), Some(wanted.version), "{key}");
        assert_eq!(found["lease"].as_i64().unwrap_or(0), wanted.lease, "{key}");
        let raw = Command::new(&cluster.version().etcdctl)
            .env_clear()
            .envs(cluster.client_env())
            .args(["get", "--print-value-only", &key])
            .output()
            .unwrap();
        assert_eq!(raw.stdout.strip_suffix(b"\n"), Some(wanted.value.as_slice()), "{key}");
    }
}

fn assert_saves_a_snapshot(cluster: &Cluster) {
    let file = cluster.dir().join("saved.db");
    let file = file.to_str().unwrap();
    cluster.etcdctl_at(0, &["snapshot", "save", file]).unwrap();
    let mut status = cluster.version().snapshot_command();
    let output = run(status.args(["snapshot", "status", file, "--write-out", "json"])).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["revision"].as_i64(), Some(cluster.revision(0).unwrap()));
}

#[test]
fn the_same_seed_gives_the_same_hash_in_every_version() {
    let name = "the_same_seed_gives_the_same_hash_in_every_version";
    let mut hashes = HashSet::new();
    let spec = LoadSpec { transaction_operations: 7, ..LoadSpec::default() };
    for label in ETCD_LABELS {
        let Some(version) = or_skip(name, Etcd::version(label)) else {
            continue;
        };
        let cluster = ClusterSpec::new(&version).start().unwrap();
        let report = cluster.load(&spec).unwrap();
        hashes.insert((report.revision, cluster.hash_kv(0, report.revision).unwrap()));
    }
    assert!(hashes.len() <= 1, "{hashes:?}");
}

fn three_members_with_tls_a_password_and_a_learner(version: &EtcdVersion) {
    let spec = ClusterSpec::new(version).members(3).tls().auth("pass-word").learner();
    let cluster = spec.start().unwrap();
    let report = cluster.load(&LoadSpec::bulk(7, 300)).unwrap();
    assert_refuses_strangers(&cluster);
    let statuses: Vec<MemberStatus> =
        (0..4).map(|index| wait_for_revision(&cluster, index, report.revision)).collect();
    let clusters: HashSet<u64> = statuses.iter().map(|s| s.cluster_id).collect();
    let members: HashSet<u64> = statuses.iter().map(|s| s.member_id).collect();
    assert_eq!((clusters.len(), members.len()), (1, 4));
    let learners: Vec<bool> = statuses.iter().map(|s| s.is_learner).collect();
    assert_eq!(learners, [false, false, false, true]);
    assert!(cluster.leader().unwrap() < 3);
    let hashes: HashSet<u32> =
        (0..3).map(|index| cluster.hash_kv(index, report.revision).unwrap()).collect();
    assert_eq!(hashes.len(), 1);
}

fn wait_for_revision(cluster: &Cluster, index: usize, revision: i64) -> MemberStatus {
    let what = format!("member {index} to reach revision {revision}");
    wait_until(&what, GONE_LIMIT, || {
        let status = cluster.status_of(index).map_err(|e| e.to_string())?;
        if status.revision >= revision { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .unwrap()
}

fn assert_refuses_strangers(cluster: &Cluster) {
    let without = |left_out: &[&str]| {
        let env = cluster.client_env().into_iter().filter(|(name, _)| !left_out.contains(name));
        let mut command = Command::new(&cluster.version().etcdctl);
        command.env_clear().envs(env).env("ETCDCTL_ENDPOINTS", cluster.endpoint(0));
        command.args(["get", "a", "--dial-timeout=2s", "--command-timeout=2s"]);
        run(&mut command)
    };
    without(&[]).unwrap();
    without(&["ETCDCTL_CERT", "ETCDCTL_KEY"]).unwrap_err();
    without(&["ETCDCTL_CACERT"]).unwrap_err();
    without(&["ETCDCTL_USER"]).unwrap_err();
}

#[test]
fn members_are_killed_paused_and_restarted() {
    let name = "members_are_killed_paused_and_restarted";
    let Some(version) = or_skip(name, Etcd::newest()) else {
        return;
    };
    let mut cluster = ClusterSpec::new(&version).members(3).start().unwrap();
    cluster.kill(0).unwrap();
    assert_eq!(cluster.pid(0), None);
    let impatient = ["endpoint", "status", "--command-timeout=1s"];
    cluster.etcdctl_at(0, &impatient).unwrap_err();
    // It may have been the leader.
    cluster.wait_healthy(&[1, 2]).unwrap();
    cluster.etcdctl_at(1, &["put", "while-m1-is-down", "1"]).unwrap();
    cluster.restart(0).unwrap();
    let seen = cluster.etcdctl_at(0, &["get", "while-m1-is-down", "--print-value-only"]);
    assert_eq!(seen.unwrap(), "1\n");

    cluster.pause(2).unwrap();
    let arguments = ["get", "a", "--command-timeout=1s"];
    let mut command = Command::new(&version.etcdctl);
    command.env_clear().env("ETCDCTL_ENDPOINTS", cluster.endpoint(2)).args(arguments);
    run(&mut command).unwrap_err();
    cluster.resume(2).unwrap();
    cluster.wait_healthy(&[2]).unwrap();
}

fn a_restored_data_directory_is_started_from(version: &EtcdVersion) {
    let source = ClusterSpec::new(version).auth("secret").start().unwrap();
    let report = source.load(&LoadSpec::default()).unwrap();
    let file = source.dir().join("saved.db");
    source.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();

    let plan = ClusterSpec::new(version).members(3).auth_present("secret").plan().unwrap();
    for member in plan.members() {
        let mut restore = version.snapshot_command();
        restore.args(["snapshot", "restore"]).arg(&file).arg("--data-dir").arg(&member.data_dir);
        restore.args(["--name", &member.name, "--initial-cluster", &plan.initial_cluster()]);
        restore.args(["--initial-advertise-peer-urls", &member.peer_url]);
        restore.args(["--initial-cluster-token", plan.token()]);
        run(&mut restore).unwrap();
    }
    let restored = plan.start().unwrap();
    assert_eq!(
        restored.hash_kv(1, report.revision).unwrap(),
        source.hash_kv(0, report.revision).unwrap(),
    );
}

#[test]
fn a_dropped_server_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sleep");
    command.arg("600");
    let server = Server::spawn("sleep", &mut command, &dir.path().join("log")).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).unwrap();
    // A paused one must go too.
    server.signal(rustix::process::Signal::STOP).unwrap();
    drop(server);
    rustix::process::test_kill_process(pid).unwrap_err();
}

#[test]
fn a_server_of_google_s_language_starts_and_has_buckets() {
    let test = "a_server_of_google_s_language_starts_and_has_buckets";
    let Some(server) = or_skip(test, GcsServer::start()) else { return };
    server.create_bucket("backups").unwrap();
    server.create_bucket("backups").unwrap_err();
}

#[test]
fn object_stores_start_and_have_buckets() {
    for kind in [S3Kind::S3sFs, S3Kind::Moto, S3Kind::Minio] {
        let name = format!("object_stores_start_and_have_buckets({kind:?})");
        let Some(server) = or_skip(&name, S3Server::start(kind)) else {
            continue;
        };
        server.create_bucket("backups", Bucket::Plain).unwrap();
        match kind {
            S3Kind::Moto | S3Kind::Minio => {
                server.create_bucket("locked", Bucket::Locking).unwrap();
            }
            S3Kind::S3sFs => {
                server.create_bucket("locked", Bucket::Locking).unwrap_err();
                assert!(server.bucket_dir("backups").unwrap().is_dir());
            }
        }
    }
}
