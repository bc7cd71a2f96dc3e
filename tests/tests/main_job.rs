//! The main job, as an operator does it: a live etcd is backed up through every stage into two
//! places and brought back, with Lifeboat and with standard tools alone.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::{Compaction, LoadSpec};
use lifeboat_tests::site::{REGIONS, Site};
use lifeboat_tests::{Cluster, ClusterSpec, EtcdVersion, each_etcd, run};
use serde_json::Value;
use std::path::Path;

each_etcd!(
    i01_i25_one_member_there_and_back,
    i01_i23_three_members_with_tls_and_a_password,
    i06_the_numbers_are_those_of_etcds_own_tool,
);

/// A history with everything in it: updates, deletes, leases, transactions, a compaction.
fn history() -> LoadSpec {
    LoadSpec {
        transaction_operations: 7,
        compaction: Compaction::BehindHead(40),
        ..LoadSpec::default()
    }
}

fn i01_i25_one_member_there_and_back(version: &EtcdVersion) {
    let cluster = ClusterSpec::new(version).start().unwrap();
    let report = cluster.load(&history()).unwrap();
    let site = Site::new(&cluster).unwrap();
    let ran = site.lifeboat(&["run", "--json"]).code(0);
    assert_eq!(ran.json()["exit"], 0);
    let manifest = the_only_backup(&site);
    assert_eq!(manifest["snapshot"]["revision"], report.revision);
    assert_eq!(manifest["snapshot"]["hashkv"][0]["agrees"], true, "{manifest:#}");
    people_see_it(&site, &manifest);

    let by_hand = site.path("by-hand.db");
    let artifact = site.objects("region_b", ".db.zst.age").remove(0);
    site.open_by_hand(&artifact, &by_hand).unwrap();
    let fetched = site.path("fetched.db");
    let _ = site.lifeboat(&["fetch", "latest", "-o", "fetched.db"]).code(0);
    assert_eq!(std::fs::read(&fetched).unwrap(), std::fs::read(&by_hand).unwrap());
    let restored = start_from(version, &by_hand, &ClusterSpec::new(version));
    assert_same_data(&cluster, &restored, report.revision);
}

/// Both regions hold one backup, with the same manifest byte for byte.
fn the_only_backup(site: &Site) -> Value {
    let [a, b] = REGIONS.map(|region| site.objects(region, ".json"));
    assert_eq!((a.len(), b.len()), (1, 1));
    assert_eq!(std::fs::read(&a[0]).unwrap(), std::fs::read(&b[0]).unwrap());
    assert_eq!(a[0].file_name(), b[0].file_name());
    for region in REGIONS {
        assert_eq!(site.objects(region, "").len(), 2, "an artifact and a manifest");
    }
    site.manifests("region_a").remove(0)
}

fn people_see_it(site: &Site, manifest: &Value) {
    let name = manifest["backup"].as_str().unwrap();
    let list = site.lifeboat(&["list"]).code(0).stdout;
    assert!(list.contains(name) && list.contains("region_a, region_b"), "{list}");
    let shown = site.lifeboat(&["show", &name[..20], "--json"]).code(0).json();
    assert_eq!(&shown["manifest"], manifest);
    assert_eq!(shown["copies"].as_array().unwrap().len(), 2);
    let page = site.lifeboat(&["show"]).code(0).stdout;
    assert!(page.contains("agrees with 1 of 1 member"), "{page}");
    let status = site.lifeboat(&["status"]).code(0).stdout;
    assert!(status.starts_with("demo: SAFE: ") && status.lines().count() == 1, "{status}");
    assert_eq!(site.lifeboat(&["status", "--json"]).code(0).json()["copies"], 2);
}

/// Restores a snapshot with etcd's own tool and starts a cluster from it.
fn start_from(version: &EtcdVersion, snapshot: &Path, spec: &ClusterSpec) -> Cluster {
    let plan = spec.plan().unwrap();
    for member in plan.members() {
        let mut restore = version.snapshot_command();
        restore.args(["snapshot", "restore"]).arg(snapshot).arg("--data-dir").arg(&member.data_dir);
        restore.args(["--name", &member.name, "--initial-cluster", &plan.initial_cluster()]);
        restore.args(["--initial-advertise-peer-urls", &member.peer_url]);
        restore.args(["--initial-cluster-token", plan.token()]);
        run(&mut restore).unwrap();
    }
    plan.start().unwrap()
}

fn assert_same_data(live: &Cluster, restored: &Cluster, revision: i64) {
    assert_eq!(
        live.hash_kv(0, revision).unwrap(),
        restored.hash_kv(0, revision).unwrap(),
        "HashKV at revision {revision}"
    );
    let all = ["get", "", "--prefix", "--write-out", "fields"];
    let keys = |cluster: &Cluster| {
        let text = cluster.etcdctl(&all).unwrap();
        let of_header = ["\"ClusterID\"", "\"MemberID\"", "\"RaftTerm\"", "\"Revision\""];
        let rest = text.lines().filter(|line| !of_header.iter().any(|h| line.starts_with(h)));
        rest.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(live), keys(restored));
}

fn i01_i23_three_members_with_tls_and_a_password(version: &EtcdVersion) {
    let spec = ClusterSpec::new(version).members(3).tls().auth("hunter2").learner();
    let cluster = spec.start().unwrap();
    let report = cluster.load(&history()).unwrap();
    let site = Site::new(&cluster).unwrap();
    let ran = site.lifeboat(&["run"]).code(0);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    let manifest = the_only_backup(&site);
    assert_eq!(manifest["snapshot"]["revision"], report.revision);
    assert_eq!(manifest["etcd"]["members"].as_array().unwrap().len(), 4);
    let verdicts = manifest["snapshot"]["hashkv"].as_array().unwrap();
    let agree = verdicts.iter().filter(|v| v["agrees"] == true).count();
    assert_eq!(agree, 3, "every voter agrees: {verdicts:#?}");
    assert_ne!(manifest["etcd"]["member_id"], manifest["etcd"]["leader_id"], "a follower is asked");
    assert!(!manifest.to_string().contains("hunter2"));

    let by_hand = site.path("by-hand.db");
    let artifact = site.objects("region_a", ".db.zst.age").remove(0);
    site.open_by_hand(&artifact, &by_hand).unwrap();
    let spec = ClusterSpec::new(version).members(3).auth_present("hunter2");
    let restored = start_from(version, &by_hand, &spec);
    assert_same_data(&cluster, &restored, report.revision);
}

fn i06_the_numbers_are_those_of_etcds_own_tool(version: &EtcdVersion) {
    let cluster = ClusterSpec::new(version).start().unwrap();
    let _ = cluster.load(&history()).unwrap();
    let site = Site::new(&cluster).unwrap();
    let file = site.path("saved.db");
    let saved = file.to_str().unwrap();
    cluster.etcdctl_at(0, &["snapshot", "save", saved]).unwrap();
    let mut status = version.snapshot_command();
    let output = run(status.args(["snapshot", "status", saved, "--write-out", "json"])).unwrap();
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = site.program("lifeboat-verify", &["--json", saved]).code(0).json();
    let keys = match version.label {
        "3.4" | "3.5" => &ours["status"]["total_key_rows"],
        _ => &ours["status"]["total_key_live"],
    };
    assert_eq!(theirs["hash"], ours["status"]["hash"]);
    assert_eq!(theirs["revision"], ours["status"]["revision"]);
    assert_eq!(&theirs["totalKey"], keys);
    assert_eq!(theirs["totalSize"], ours["status"]["total_size"]);
    let revision = ours["hashkv"]["revision"].as_i64().unwrap();
    let live = cluster.hash_kv(0, revision).unwrap();
    assert_eq!(ours["hashkv"]["hash"], live);
}
