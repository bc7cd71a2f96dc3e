//! `lifeboat restore`, as people type it: the right backup, the right members, the same bytes as
//! everywhere, and no target touched when anything is wrong. Real etcd starts from what it wrote.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::fault_front::{Fault, Operation, Rule};
use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{CLUSTER, REGIONS, Ran, Site};
use lifeboat_tests::skips::{or_skip, skip};
use lifeboat_tests::store_scene::StoreScene;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, binaries, run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes of the tests, and what they are with history.
fn spec(seed: u64) -> LoadSpec {
    LoadSpec { seed, objects: 40, updates: 30, deletes: 5, event_leases: 0, ..LoadSpec::default() }
}

/// A cluster with Kubernetes objects in it, and a site with one backup of it.
fn backed_up(test: &str, members: usize) -> Option<(Cluster, Site)> {
    let cluster =
        ClusterSpec::new(&or_skip(test, Etcd::newest())?).members(members).start().unwrap();
    let _ = cluster.load(&spec(1)).unwrap();
    let site = Site::new(&cluster).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    Some((cluster, site))
}

/// Every key with its value and revisions, as etcdctl prints them.
fn keys(cluster: &Cluster, revision: Option<i64>) -> Vec<String> {
    let mut arguments = vec!["get", "", "--prefix", "--write-out", "fields"];
    let at = revision.map(|revision| format!("--rev={revision}"));
    arguments.extend(at.as_deref());
    let of_header = ["\"ClusterID\"", "\"MemberID\"", "\"RaftTerm\"", "\"Revision\""];
    let text = cluster.etcdctl(&arguments).unwrap();
    let rest = text.lines().filter(|line| !of_header.iter().any(|h| line.starts_with(h)));
    rest.map(str::to_owned).collect()
}

/// Every file below a folder, with its digest.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(tree(&path)),
            false => drop(
                all.insert(path.clone(), hex::encode(Sha256::digest(fs::read(&path).unwrap()))),
            ),
        }
    }
    all
}

/// What is in a folder, hidden things too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folder in which targets of a test are.
fn place(site: &Site) -> PathBuf {
    let place = site.path("targets");
    durable::create_private_dir(&place).unwrap();
    place
}

/// Restores what is refused, and asserts that nothing is left of it.
fn refused(site: &Site, arguments: &[&str], code: i32) -> Ran {
    let place = place(site);
    let before = tree(&place);
    let target = place.join("new").to_string_lossy().into_owned();
    let all = [&["restore", "--data-dir", &target], arguments].concat();
    let ran = site.lifeboat(&all).code(code);
    assert_eq!(tree(&place), before, "{ran:?}");
    assert!(!names(&place).iter().any(|name| name.contains("new")), "{:?}", names(&place));
    let left = names(&site.path("state").join(CLUSTER).join("restores"));
    assert!(left.is_empty(), "run directories are left: {left:?}");
    ran
}

#[test]
fn i19_the_newest_backup_comes_back_and_a_real_etcd_starts_from_it() {
    let test = "i19_the_newest_backup_comes_back_and_a_real_etcd_starts_from_it";
    let Some((source, site)) = backed_up(test, 1) else { return };
    let plan = ClusterSpec::new(source.version()).plan().unwrap();
    let member = &plan.members()[0];
    let data_dir = member.data_dir.to_string_lossy().into_owned();
    let urls = member.peer_url.clone();
    // A single member needs no name; only its address is a new one.
    let arguments =
        ["restore", "--data-dir", &data_dir, "--initial-advertise-peer-urls", &urls, "--json"];
    let restored = site.lifeboat(&arguments).code(0).json();
    let snapshot = &site.manifests("region_a")[0]["snapshot"];
    assert_eq!(restored["backup"], site.backups()[0]);
    assert_eq!(restored["destination"], "region_a");
    assert_eq!(restored["snapshot_revision"], snapshot["revision"]);
    let bump = restored["bump"].as_i64().unwrap();
    assert!(bump >= 1_000_000_000, "{restored:#}");
    assert_eq!(restored["revision"], snapshot["revision"].as_i64().unwrap() + bump);
    assert!(restored["token"].as_str().unwrap().starts_with("lifeboat-"));
    assert_eq!(restored["other_members"], serde_json::json!([]));

    let live = plan.start().unwrap();
    assert_eq!(live.revision(0).unwrap(), restored["revision"]);
    let id = format!("{:x}", live.status_of(0).unwrap().cluster_id);
    assert_eq!(restored["cluster_id"], id.as_str());
    assert_eq!(keys(&live, None), keys(&source, None));
    // Whoever watched the lost cluster is told, and not left waiting.
    let old = source.revision(0).unwrap().to_string();
    let refused = live.etcdctl(&["get", "", "--prefix", "--rev", &old]).unwrap_err();
    assert!(format!("{refused:?}").contains("compacted"), "{refused:?}");
}

#[test]
fn all_members_at_once_are_one_cluster() {
    let test = "all_members_at_once_are_one_cluster";
    let Some((source, site)) = backed_up(test, 3) else { return };
    let plan = ClusterSpec::new(source.version()).members(3).plan().unwrap();
    let (below, cluster) = (plan.members()[0].data_dir.parent().unwrap(), plan.initial_cluster());
    let below = below.to_string_lossy().into_owned();
    let arguments = ["restore", "--all-members", &below, "--initial-cluster", &cluster, "--json"];
    let restored = site.lifeboat(&arguments).code(0).json();
    assert_eq!(restored["members"].as_array().unwrap().len(), 3, "{restored:#}");
    assert_eq!(restored["initial_cluster"], cluster.as_str());
    let live = plan.start().unwrap();
    assert_eq!(keys(&live, None), keys(&source, None));
    let hashkv = &restored["hashkv"];
    for member in 0..3 {
        let hash = live.hash_kv(member, hashkv["revision"].as_i64().unwrap()).unwrap();
        assert_eq!(hashkv["hash"], hash, "member {member}");
    }
}

/// One command for the first node, and for each other one the command that the first has printed.
#[test]
fn members_that_are_restored_one_by_one_are_one_cluster() {
    let test = "members_that_are_restored_one_by_one_are_one_cluster";
    let Some((source, site)) = backed_up(test, 3) else { return };
    let plan = ClusterSpec::new(source.version()).members(3).plan().unwrap();
    let cluster = plan.initial_cluster();
    let data_dir = |index: usize| plan.members()[index].data_dir.to_string_lossy().into_owned();
    let first = data_dir(0);
    let arguments = [
        "restore",
        "--member",
        "m1",
        "--data-dir",
        &first,
        "--initial-cluster",
        &cluster,
        "--json",
    ];
    let restored = site.lifeboat(&arguments).code(0).json();
    let others = restored["other_members"].as_array().unwrap();
    assert_eq!(others.len(), 2, "{restored:#}");
    for (index, other) in (1..).zip(others) {
        assert_eq!(other["member"], format!("m{}", index + 1));
        let command = other["command"].as_str().unwrap();
        // On its own machine the member has the same directory; here each has its own.
        let command = command.replace(&first, &data_dir(index)) + " --json";
        let again = typed(&site, &command).code(0).json();
        for same in ["cluster_id", "token", "initial_cluster", "revision", "bump", "hashkv"] {
            assert_eq!(again[same], restored[same], "{same}");
        }
    }
    let live = plan.start().unwrap();
    assert_eq!(keys(&live, None), keys(&source, None));
}

/// Runs a line as a shell does.
fn typed(site: &Site, line: &str) -> Ran {
    let lifeboat = site.command("lifeboat");
    let mut shell = Command::new("sh");
    binaries::scrub(&mut shell);
    let path = format!(
        "{}:{}",
        binaries::bin_dir().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    shell.args(["-c", line]).current_dir(site.path("")).env("PATH", path);
    shell
        .envs(lifeboat.get_envs().filter_map(|(k, v)| Some((k, v?))).filter(|(k, _)| *k != "PATH"));
    Ran::of(&shell.output().unwrap())
}

#[test]
fn a_revision_in_between_comes_back_as_it_was() {
    let test = "a_revision_in_between_comes_back_as_it_was";
    let Some((source, site)) = backed_up(test, 1) else { return };
    let between = source.revision(0).unwrap() + 17;
    let _ = source.load(&spec(2)).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    let plan = ClusterSpec::new(source.version()).plan().unwrap();
    let data_dir = plan.members()[0].data_dir.to_string_lossy().into_owned();
    let cluster = plan.initial_cluster();
    let revision = between.to_string();
    let arguments = [
        "restore",
        "--revision",
        &revision,
        "--no-bump",
        "--data-dir",
        &data_dir,
        "--initial-cluster",
        &cluster,
        "--json",
    ];
    let restored = site.lifeboat(&arguments).code(0).json();
    assert_eq!(restored["backup"], site.backups()[0], "the first has not gone so far");
    assert_eq!(restored["revision"], between);
    let live = plan.start().unwrap();
    assert_eq!(live.revision(0).unwrap(), between);
    assert_eq!(keys(&live, None), keys(&source, Some(between)));

    let beyond = (source.revision(0).unwrap() + 1_000).to_string();
    let ran = refused(&site, &["--revision", &beyond], 41);
    let _ = ran.said("the nearest below it is").said("none above it");
}

#[test]
fn a_time_chooses_the_backup_before_it() {
    let test = "a_time_chooses_the_backup_before_it";
    let Some((source, mut site)) = backed_up(test, 1) else { return };
    let _ = source.load(&spec(2)).unwrap();
    let clock = site.path("clock");
    fs::write(&clock, "7200").unwrap();
    site.set("LIFEBOAT_TEST_CLOCK_FILE", &clock.to_string_lossy());
    let _ = site.lifeboat(&["run"]).code(0);
    let manifests = site.manifests("region_a");
    let taken = |at: usize| manifests[at]["taken_at"].as_str().unwrap().to_owned();
    let target = place(&site).join("new").to_string_lossy().into_owned();
    // A second before the second one, as typed from its own time without fractions.
    let (first, second) = (taken(0), taken(1));
    for (at, backup) in [(&first, &manifests[0]), (&second, &manifests[1])] {
        let arguments = ["restore", "--at", at, "--data-dir", &target, "--json"];
        let restored = site.lifeboat(&arguments).code(0).json();
        assert_eq!(restored["backup"], backup["backup"]);
        fs::remove_dir_all(&target).unwrap();
    }
    let ran = refused(&site, &["--at", "2001-01-01 00:00"], 41);
    let _ = ran.said("--at is 2001-01-01T00:00:00Z: the time zone is UTC").said("the oldest is");
}

/// Flips one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn f46_i19_a_damaged_copy_is_gone_around_and_no_target_is_touched_without_a_whole_one() {
    let test = "f46_i19_a_damaged_copy_is_gone_around";
    let Some((_source, site)) = backed_up(test, 1) else { return };
    let [a, b] = REGIONS.map(|region| site.objects(region, ".age").remove(0));
    let whole = fs::read(&a).unwrap();
    let target = place(&site).join("good").to_string_lossy().into_owned();
    let back = |said: &str| {
        let ran = site.lifeboat(&["restore", "--data-dir", &target, "--json"]).code(0);
        let restored = ran.json();
        assert_eq!(restored["destination"], "region_b", "{restored:#}");
        fs::remove_dir_all(&target).unwrap();
        assert!(said.is_empty() || ran.stderr.contains(said), "{ran:?}");
        restored
    };
    flip(&a);
    let restored = back("trying the next copy");
    assert_eq!(restored["passed_over"][0]["destination"], "region_a", "{restored:#}");
    // One that is cut is seen to be by its length, before it is fetched.
    fs::write(&a, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(back("")["passed_over"], serde_json::json!([]));
    let ran = refused(&site, &["--from", "region_a"], 20).said("the only copy is broken");
    assert!(!ran.stderr.contains("region_b"), "{ran:?}");

    // Neither is whole: the target keeps what it has, also where it was to be replaced.
    let old = place(&site).join("old");
    durable::create_private_dir(&old.join("member")).unwrap();
    durable::write_new(&old.join("member/data"), b"of the lost cluster").unwrap();
    let before = tree(&old);
    let path = old.to_string_lossy().into_owned();
    flip(&b);
    let ran = site.lifeboat(&["restore", "--data-dir", &path, "--replace"]).code(20);
    assert!(ran.said("could not be brought back from region_b").stderr.contains("next: "));
    assert_eq!(tree(&old), before);
    fs::write(&a, &whole).unwrap();
    flip(&a);
    let _ = refused(&site, &[], 20).said("no copy of it is left to try");
    assert_eq!(tree(&old), before);
}

#[test]
fn f44_i19_without_the_right_identity_nothing_is_written() {
    let test = "f44_i19_without_the_right_identity_nothing_is_written";
    let Some((_source, site)) = backed_up(test, 1) else { return };
    let _ = site.lifeboat(&["keygen", "keys/other.txt"]).code(0);
    let ran = refused(&site, &["--identity", "keys/other.txt"], 21);
    // Another copy was encrypted to the same recipients.
    assert!(!ran.stderr.contains("trying the next copy"), "{ran:?}");
    assert!(ran.stderr.contains("decrypt failed"), "{ran:?}");
}

#[test]
fn i19_f55_a_target_in_use_is_refused_and_no_other_copy_is_tried() {
    let test = "i19_f55_a_target_in_use_is_refused_and_no_other_copy_is_tried";
    let Some((source, site)) = backed_up(test, 1) else { return };
    let place = place(&site);
    let full = place.join("full");
    durable::create_private_dir(&full).unwrap();
    durable::write_new(&full.join("file"), b"mine").unwrap();
    let before = tree(&place);
    let path = full.to_string_lossy().into_owned();
    let ran = site.lifeboat(&["restore", "--data-dir", &path]).code(50);
    let ran = ran.said("restore failed: ").said("next: ");
    assert!(!ran.stderr.contains("trying the next copy"), "{ran:?}");
    assert_eq!(tree(&place), before);
    // An etcd is at work there: not even to be replaced.
    let live = source.members()[0].data_dir.to_string_lossy().into_owned();
    let ran = site.lifeboat(&["restore", "--data-dir", &live, "--replace"]).code(50);
    assert!(!ran.stderr.contains("trying the next copy"), "{ran:?}");
    assert!(source.etcdctl(&["put", "still", "alive"]).is_ok());

    // A data directory is replaced only where that is said, and put back as it was.
    let old = place.join("old");
    let path = old.to_string_lossy().into_owned();
    let _ = site.lifeboat(&["restore", "--data-dir", &path]).code(0);
    let first = tree(&old);
    let ran = site.lifeboat(&["restore", "--data-dir", &path]).code(50);
    assert!(!ran.stderr.contains("trying the next copy"), "{ran:?}");
    assert_eq!(tree(&old), first);
    let ran = site.lifeboat(&["restore", "--data-dir", &path, "--replace"]).code(0);
    assert_ne!(tree(&old), first, "a token of its own, and so another log");
    assert!(ran.stdout.contains("old.before-"), "{}", ran.stdout);
    let undo = ran.stdout.lines().find_map(|line| line.strip_prefix("undo"));
    let undo = undo.and_then(|line| line.split("    (").next()).unwrap().trim().to_owned();
    let _ = typed(&site, &undo).code(0);
    assert_eq!(tree(&old), first);
}

/// Replaces the artifact of the only backup in every destination, with manifests that fit it.
fn forge(site: &Site, artifact: &[u8]) {
    let sha256 = hex::encode(Sha256::digest(artifact));
    for region in REGIONS {
        let path = site.objects(region, ".json").remove(0);
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let output = serde_json::json!({ "bytes": artifact.len(), "sha256": sha256 });
        manifest["artifact"]["bytes"] = output["bytes"].clone();
        manifest["artifact"]["sha256"] = output["sha256"].clone();
        let last = manifest["steps"].as_array().unwrap().len() - 1;
        manifest["steps"][last]["output"] = output;
        fs::write(&path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
        fs::write(site.objects(region, ".age").remove(0), artifact).unwrap();
    }
}

/// Whoever can write to a destination can store what unpacks to anything.
#[test]
fn f50_a_bomb_or_a_huge_window_is_stopped_before_it_is_memory_or_disk() {
    let test = "f50_a_bomb_or_a_huge_window_is_stopped_before_it_is_memory_or_disk";
    let Some((_source, site)) = backed_up(test, 1) else { return };
    let encrypted = |frame: &[u8]| {
        site.write("frame.zst", frame);
        let _ = fs::remove_file(site.path("frame.age"));
        let pack = ["--input", "frame.zst", "--output", "frame.age"];
        let _ = site.program("lifeboat-encrypt", &pack).code(0);
        fs::read(site.path("frame.age")).unwrap()
    };
    site.write("zeros", &vec![0; 64 << 20]);
    let pack = ["--input", "zeros", "--output", "bomb.zst"];
    let _ = site.program("lifeboat-compress", &pack).code(0);
    let bomb = fs::read(site.path("bomb.zst")).unwrap();
    assert!(bomb.len() < 1 << 20);
    let proved = site.manifests("region_a")[0]["steps"][1]["output"]["bytes"].clone();
    forge(&site, &encrypted(&bomb));
    let _ = refused(&site, &[], 20).said("bomb").said(&proved.to_string());
    // A content of 2^60 bytes, and a window of 2^31.
    let mut claim = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0100];
    claim.extend((1_u64 << 60).to_le_bytes());
    forge(&site, &encrypted(&claim));
    let _ = refused(&site, &[], 20).said("bomb");
    forge(&site, &encrypted(&[0x28, 0xb5, 0x2f, 0xfd, 0b100, 21 << 3, 1, 0, 0]));
    let _ = refused(&site, &[], 20).said("window");
    // The same holds for a file.
    let _ = site.lifeboat(&["fetch", "-o", "fetched.db"]).code(20).said("window");
    assert!(!site.path("fetched.db").exists());
}

/// Members learn of a token only from the first restore; with it comes how far it was raised.
#[test]
fn a_token_by_hand_needs_a_bump_by_hand() {
    let test = "a_token_by_hand_needs_a_bump_by_hand";
    let Some((_source, site)) = backed_up(test, 3) else { return };
    let token = ["--member", "m1", "--initial-cluster-token", "t"];
    let _ = refused(&site, &token, 50).said("would diverge");
    let _ = refused(&site, &[], 2).said("--member (m1, m2, m3)");
    let _ =
        refused(&site, &["--member", "m9"], 2).said("name one of these with --member: m1, m2, m3");
}

/// What another tool made, and nobody saw the members of: the snapshot itself tells them, and what
/// stood before `verify` is not undone.
#[test]
fn an_adopted_backup_comes_back() {
    let test = "an_adopted_backup_comes_back";
    let Some(version) = or_skip(test, Etcd::newest()) else { return };
    let source = ClusterSpec::new(&version).start().unwrap();
    let _ = source.load(&spec(1)).unwrap();
    let site = Site::without_cluster().unwrap();
    let saved = site.path("saved.db").to_string_lossy().into_owned();
    let _ = source.etcdctl_at(0, &["snapshot", "save", &saved]).unwrap();
    run(Command::new("gzip").arg(&saved)).unwrap();
    let _ = site.lifeboat(&["adopt", "saved.db.gz"]).code(0);
    assert_eq!(site.manifests("region_a")[0]["etcd"]["members"], serde_json::json!([]));
    let plan = ClusterSpec::new(&version).plan().unwrap();
    let data_dir = plan.members()[0].data_dir.to_string_lossy().into_owned();
    let restored = site.lifeboat(&["restore", "--data-dir", &data_dir, "--json"]).code(0).json();
    assert_eq!(restored["members"][0]["name"], "m1", "{restored:#}");
    let peer = restored["members"][0]["peer_urls"][0].as_str().unwrap();
    assert_eq!(peer, source.members()[0].peer_url);
    assert_eq!(keys(&plan.start().unwrap(), None), keys(&source, None));
}

/// A destination that is dark may hold a backup that went further.
#[test]
fn a_bound_that_rests_on_half_of_the_backups_says_so() {
    let test = "a_bound_that_rests_on_half_of_the_backups_says_so";
    let Some((_source, site)) = backed_up(test, 1) else { return };
    fs::remove_dir_all(site.path("backups/region-b")).unwrap();
    fs::write(site.path("backups/region-b"), b"").unwrap();
    let ran = site.lifeboat(&["restore", "--plan"]).code(0);
    let _ = ran.said("region_b could not be read").said("--bump-revision");
}

#[test]
fn scripts_of_every_flavour_are_sound_and_ask_first() {
    let test = "scripts_of_every_flavour_are_sound_and_ask_first";
    let Some((_source, site)) = backed_up(test, 3) else { return };
    let has_shellcheck = Command::new("shellcheck").arg("--version").output().is_ok();
    if !has_shellcheck {
        skip(&format!("{test}::shellcheck"), "there is no shellcheck");
    }
    for flavour in ["kubeadm", "systemd", "k3s", "rke2"] {
        let directory = format!("scripts-{flavour}");
        let arguments = [
            "restore",
            "--plan",
            "--format",
            "shell",
            "--flavour",
            flavour,
            "--output-dir",
            &directory,
        ];
        let ran = site.lifeboat(&arguments).code(0);
        assert_eq!(ran.stdout, "");
        assert_eq!(names(&site.path(&directory)), ["m1.sh", "m2.sh", "m3.sh"]);
        for name in names(&site.path(&directory)) {
            let script = site.path(&directory).join(name);
            run(Command::new("bash").arg("-n").arg(&script)).unwrap();
            if has_shellcheck {
                run(Command::new("shellcheck").args(["--severity", "warning"]).arg(&script))
                    .unwrap();
            }
            // Nobody is there to answer, so nothing is done: not even the commands are looked for.
            let mut alone = Command::new("setsid");
            alone.args(["--wait", "bash"]).arg(&script).env_clear().env("PATH", "/usr/bin:/bin");
            let ended = Ran::of(&alone.output().unwrap());
            assert_ne!(ended.code, 0, "{ended:?}");
            assert!(!ended.stderr.contains("command not found"), "{ended:?}");
        }
        // A second plan does not overwrite the first.
        let _ = site.lifeboat(&arguments).code(2);
    }
}

/// An artifact of several ranges, from a bucket and from a directory.
#[test]
fn f46_f45_a_large_artifact_is_fetched_in_ranges_and_any_damage_is_found() {
    let test = "f46_f45_a_large_artifact_is_fetched_in_ranges_and_any_damage_is_found";
    let Some(scene) = or_skip(test, StoreScene::with(20 << 20)) else { return };
    let place = scene.place("ranges");
    let both = [place.bucket("timeout = \"20s\"\n"), place.disk("disk")];
    place.configure("\"all\"", &both, "");
    let _ = place.lifeboat(&["run"]).code(0);
    let fetched = |file: &str, from: &str| {
        let _ = fs::remove_file(scene.site.path(file));
        place.lifeboat(&["fetch", "latest", "-o", file, "--from", from])
    };
    let is_artifact = |seen: &lifeboat_tests::fault_front::Call| {
        seen.operation == Operation::Get && seen.key.ends_with(".age")
    };
    place.front.calm();
    let ran = fetched("bucket.db", "s3s").code(0);
    assert!(!ran.stderr.contains("no ranges"), "{ran:?}");
    let asked = place.front.seen().iter().filter(|(call, _)| is_artifact(call)).count();
    assert!(asked >= 3, "{asked} ranges of 8 MiB");
    let _ = fetched("disk.db", "disk").code(0);
    let bytes = fs::read(scene.site.path("bucket.db")).unwrap();
    assert!(bytes == fs::read(scene.site.path("disk.db")).unwrap(), "they differ");

    // The third range breaks off once, and is taken up again where it broke.
    let cut = Rule::on(Operation::Get, Fault::Short(3 << 20)).artifacts().after(2).once();
    place.front.script(vec![cut]);
    let _ = fetched("cut.db", "s3s").code(0);
    assert!(bytes == fs::read(scene.site.path("cut.db")).unwrap(), "they differ");

    // One bit of one range; and a store that always gives less or more than it is asked for, also
    // when it is asked for the whole.
    let always = |fault: Fault| Rule::on(Operation::Get, fault).artifacts();
    let altered = always(Fault::Altered(1 << 20)).after(1).once();
    for rule in [altered, always(Fault::Less(1 << 20)), always(Fault::Longer(9))] {
        place.front.script(vec![rule.clone()]);
        let ran = fetched("bad.db", "s3s").code(20);
        assert!(!scene.site.path("bad.db").exists(), "{rule:?}: {ran:?}");
    }
    // Longer than its manifest says: no range would show it.
    place.front.calm();
    let artifact = place.objects(".age").remove(0);
    let whole = fs::read(&artifact).unwrap();
    let manifest = place.objects(".json").remove(0);
    let key = format!("{CLUSTER}/frequent/{}", manifest.file_name().unwrap().to_string_lossy());
    for wrong in [[whole.as_slice(), b"x"].concat(), whole[..whole.len() - 1].to_vec()] {
        fs::write(&artifact, wrong).unwrap();
        let one = ["--destination", "s3s", "--manifest", &key, "--output", "bad.age"];
        let _ = place.program("lifeboat-fetch", &one).code(20).said("length");
        assert!(!scene.site.path("bad.age").exists());
    }
}
