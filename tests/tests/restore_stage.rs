//! `lifeboat-restore`, the program: snapshots of live clusters that come back, refusals that come
//! before anything is read, damage that publishes nothing, and what was there before.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::cluster::Plan;
use lifeboat_tests::restore_scene::{ONE_MEMBER, RestoreScene, SNAPSHOT, names, piped, tree};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::{can_mount, or_skip, skip};
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, EtcdVersion, LoadSpec, each_etcd, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cluster with something in it, and a snapshot of it in a file.
fn source(version: &EtcdVersion, members: usize) -> (Cluster, PathBuf) {
    let cluster = ClusterSpec::new(version).members(members).start().unwrap();
    let _ = cluster.load(&LoadSpec::default()).unwrap();
    let snapshot = cluster.dir().join("snapshot.db");
    cluster.etcdctl_at(0, &["snapshot", "save", snapshot.to_str().unwrap()]).unwrap();
    (cluster, snapshot)
}

/// The arguments by which a plan's member is restored into the directory that the plan has for it.
fn arguments<'a>(plan: &'a Plan, cluster: &'a str, at: usize) -> Vec<&'a str> {
    let member = &plan.members()[at];
    let mut all = vec!["--data-dir", member.data_dir.to_str().unwrap(), "--name", &member.name];
    all.extend(["--initial-cluster", cluster, "--initial-cluster-token", plan.token()]);
    all
}

/// What was printed is what the new cluster answers, on every member.
fn must_answer(cluster: &Cluster, told: &Ran) {
    let told = told.json();
    let revision = told["hashkv"]["revision"].as_i64().unwrap();
    for at in 0..cluster.members().len() {
        assert_eq!(u64::from(cluster.hash_kv(at, revision).unwrap()), told["hashkv"]["hash"]);
        assert_eq!(cluster.revision(at).unwrap(), told["revision"]);
        let status = cluster.status_of(at).unwrap();
        let member = told["members"]
            .as_array()
            .unwrap()
            .iter()
            .find(|m| m["name"] == cluster.members()[at].name);
        if let Some(member) = member {
            assert_eq!(member["id"], format!("{:x}", status.member_id));
        }
    }
}

fn must_take_writes(cluster: &mut Cluster) {
    cluster.etcdctl_at(0, &["put", "after", "the restore"]).unwrap();
    cluster.restart(0).unwrap();
    assert!(cluster.etcdctl_at(0, &["get", "after"]).unwrap().contains("the restore"));
}

each_etcd!(a_snapshot_comes_back_through_a_pipe, every_member_at_once_makes_a_quorum);

fn a_snapshot_comes_back_through_a_pipe(version: &EtcdVersion) {
    let (source, snapshot) = source(version, 1);
    let plan = ClusterSpec::new(version).plan().unwrap();
    let cluster = plan.initial_cluster();
    let scene = RestoreScene::new().unwrap();
    let bytes = std::fs::read(&snapshot).unwrap();
    let all = [&arguments(&plan, &cluster, 0)[..], &["--json"]].concat();
    let told = scene.pipe(&all, &bytes).code(0).said("member m1 is restored into");
    let told = told.said("next: etcd --name m1 --data-dir");
    assert_eq!(scene.names(), [""; 0], "nothing is left in the working directory");
    let mut restored = plan.start().unwrap();
    must_answer(&restored, &told);
    let revision = told.json()["revision"].as_i64().unwrap();
    assert_eq!(restored.hash_kv(0, revision).unwrap(), source.hash_kv(0, revision).unwrap());
    must_take_writes(&mut restored);
}

fn every_member_at_once_makes_a_quorum(version: &EtcdVersion) {
    let (source, snapshot) = source(version, 1);
    let plan = ClusterSpec::new(version).members(3).plan().unwrap();
    let cluster = plan.initial_cluster();
    let scene = RestoreScene::new().unwrap();
    let home = plan.members()[0].data_dir.parent().unwrap().join("all");
    let input = snapshot.to_str().unwrap();
    let all = ["--all-members", home.to_str().unwrap(), "--initial-cluster", &cluster];
    let more = ["--initial-cluster-token", plan.token(), "--json", "-i", input];
    let told = scene.run(&[&all[..], &more].concat()).code(0);
    assert_eq!(told.json()["members"].as_array().unwrap().len(), 3);
    for member in plan.members() {
        durable::rename_new(&home.join(&member.name), &member.data_dir).unwrap();
    }
    let mut restored = plan.start().unwrap();
    must_answer(&restored, &told);
    let revision = told.json()["revision"].as_i64().unwrap();
    assert_eq!(restored.hash_kv(2, revision).unwrap(), source.hash_kv(0, revision).unwrap());
    must_take_writes(&mut restored);
}

#[test]
fn the_members_of_the_snapshot_are_the_default() {
    let Some(version) = or_skip("restore_members", Etcd::newest()) else { return };
    let (cluster, snapshot) = source(&version, 3);
    let scene = RestoreScene::new().unwrap();
    let input = snapshot.to_str().unwrap();
    let _ = scene.run(&["--data-dir", "d", "-i", input]).code(2).said("m1, m2, m3");
    assert!(!scene.path("d").exists());
    let told = scene.run(&["--data-dir", "d", "-i", input, "--name", "m2", "--json"]).code(0);
    let urls = told.json()["initial_cluster"].as_str().unwrap().to_owned();
    for member in cluster.members() {
        assert!(urls.contains(&format!("{}={}", member.name, member.peer_url)), "{urls}");
    }
    let token = told.json()["token"].as_str().unwrap().to_owned();
    let told = told.said(&format!("--initial-cluster-token {token}"));
    let told = told.said("on every other member");
    // Never the old ids, and never the same ones twice.
    let other = scene.run(&["--data-dir", "e", "-i", input, "--name", "m2", "--json"]).code(0);
    assert_ne!(other.json()["cluster_id"], told.json()["cluster_id"]);
    let wrong = ["--initial-advertise-peer-urls", "http://127.0.0.1:1"];
    let all = [&["--data-dir", "f", "-i", input, "--name", "m2"], &wrong[..]].concat();
    let _ = scene.run(&all).code(2);
    assert!(!scene.path("f").exists());
}

#[test]
fn i19_a_running_cluster_that_was_replaced_comes_back_with_undo() {
    let Some(version) = or_skip("restore_undo", Etcd::newest()) else { return };
    let (mut cluster, snapshot) = source(&version, 1);
    cluster.etcdctl_at(0, &["put", "later", "than the snapshot"]).unwrap();
    let revision = cluster.revision(0).unwrap();
    let hash = cluster.hash_kv(0, revision).unwrap();
    let data = cluster.members()[0].data_dir.to_str().unwrap().to_owned();
    let scene = RestoreScene::new().unwrap();
    let input = snapshot.to_str().unwrap();
    let url = format!("m1={}", cluster.members()[0].peer_url);
    let all = ["--data-dir", &data, "--name", "m1", "--initial-cluster", &url, "--replace"];
    let all = [&all[..], &["-i", input, "--json"]].concat();

    let before = tree(Path::new(&data)).len();
    let ran = scene.run(&all).code(50).said("an etcd is running on").said("systemctl stop etcd");
    let by = format!("is locked by process {} (etcd)", cluster.pid(0).unwrap());
    assert!(ran.stderr.contains(&by), "{}", ran.stderr);
    assert_eq!(tree(Path::new(&data)).len(), before);
    let _ = scene.run(&["--undo", "--data-dir", &data]).code(50).said("an etcd is running on");

    cluster.stop(0).unwrap();
    let original = tree(Path::new(&data));
    let told = scene.run(&all).code(0);
    let aside = told.json()["members"][0]["moved_aside"][0].as_str().unwrap().to_owned();
    assert!(aside.starts_with(&format!("{data}.before-")), "{aside}");
    assert_eq!(tree(Path::new(&aside)), original);
    let told = told.said(&format!("to go back: lifeboat-restore --undo --data-dir {data}"));
    cluster.restart(0).unwrap();
    must_answer(&cluster, &told);
    assert!(!cluster.etcdctl_at(0, &["get", "later"]).unwrap().contains("snapshot"));

    cluster.stop(0).unwrap();
    let undone = scene.run(&["--undo", "--data-dir", &data, "--json"]).code(0).said("is back");
    assert_eq!(undone.json()["put_back"][0]["from"], aside.as_str());
    assert_eq!(tree(Path::new(&data)), original);
    cluster.restart(0).unwrap();
    assert_eq!(cluster.hash_kv(0, revision).unwrap(), hash);
    cluster.stop(0).unwrap();
    let _ = scene.run(&["--undo", "--data-dir", &data]).code(50).said("nothing to put back");
}

#[test]
fn f55_a_wal_directory_of_its_own_is_restored_and_its_locks_are_seen() {
    let Some(version) = or_skip("restore_wal_dir", Etcd::newest()) else { return };
    let (_source, snapshot) = source(&version, 1);
    let scene = RestoreScene::new().unwrap();
    let (wal, input) = (scene.path("wal"), snapshot.to_str().unwrap());
    let wal_dir = wal.to_str().unwrap();
    let plan = ClusterSpec::new(&version).arguments(&["--wal-dir", wal_dir]).plan().unwrap();
    let cluster = plan.initial_cluster();
    let (data, token) = (plan.members()[0].data_dir.clone(), plan.token().to_owned());
    let data_dir = data.to_str().unwrap();
    let all = ["--data-dir", data_dir, "--wal-dir", wal_dir, "--initial-cluster", &cluster];
    let more = ["--initial-cluster-token", &token, "-i", input, "--json", "--replace"];
    let all = [&all[..], &more].concat();
    let told = scene.run(&all).code(0);
    assert_eq!(names(&wal), ["0000000000000000-0000000000000000.wal"]);
    let mut restored = plan.start().unwrap();
    must_answer(&restored, &told);
    must_take_writes(&mut restored);
    // etcd locks its WAL in another way than its database.
    let elsewhere = ["--data-dir", "elsewhere", "--wal-dir", wal_dir, "-i", input, "--replace"];
    let ran = scene.run(&[&elsewhere[..], &ONE_MEMBER].concat()).code(50);
    assert!(ran.stderr.contains("an etcd is running on") && ran.stderr.contains(".wal is locked"));
    restored.stop(0).unwrap();
    let before = (tree(&restored.members()[0].data_dir), tree(&wal));
    let _ = scene.run(&all).code(0);
    restored.restart(0).unwrap();
    must_answer(&restored, &told);
    restored.stop(0).unwrap();
    let undo = ["--undo", "--data-dir", data_dir];
    let _ = scene.run(&undo).code(50).said("keeps its WAL in a directory of its own");
    let _ = scene.run(&[&undo[..], &["--wal-dir", wal_dir]].concat()).code(0);
    assert_eq!((tree(&data), tree(&wal)), before);
    restored.restart(0).unwrap();
    assert!(restored.etcdctl_at(0, &["get", "after"]).unwrap().contains("the restore"));
}

#[test]
fn f55_a_refusal_comes_before_the_input_is_read() {
    let scene = RestoreScene::new().unwrap();
    durable::create_private_dir(&scene.path("full/member")).unwrap();
    durable::create_private_dir(&scene.path("notes/mine")).unwrap();
    durable::write_new(&scene.path("file"), b"mine").unwrap();
    std::os::unix::fs::symlink("full", scene.path("link")).unwrap();
    let before = tree(&scene.path(""));
    // Nobody writes to this pipe: whoever reads it waits for ever.
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let mut command = scene.command(&[arguments, &ONE_MEMBER].concat());
        let (silent, _held) = std::io::pipe().unwrap();
        let output = command.stdin(silent).output().unwrap();
        let _ = Ran::of(&output).code(code).said(said).said("next: ");
    };
    refused(&["--data-dir", "full"], 50, "is not empty: it holds member");
    refused(&["--data-dir", "link", "--replace"], 50, "is a symbolic link");
    refused(&["--data-dir", "file", "--replace"], 50, "is a file");
    refused(&["--data-dir", "none/etcd"], 50, "does not exist");
    refused(&["--data-dir", "notes", "--replace"], 50, "is no data directory of etcd");
    refused(&["--data-dir", "new", "--wal-dir", "file"], 50, "is a file");
    refused(&["--data-dir", "new", "--wal-dir", "."], 50, "lies in the WAL directory");
    refused(&["--data-dir", "new", "--bump-revision", "5"], 2, "--mark-compacted");
    refused(&["--data-dir", "new", "--mark-compacted"], 2, "needs a bump");
    assert_eq!(tree(&scene.path("")), before);
}

#[test]
fn f55_new_files_belong_to_who_owned_what_was_there() {
    let scene = RestoreScene::new().unwrap();
    if rustix_is_root() {
        durable::create_private_dir(&scene.path("theirs")).unwrap();
        std::os::unix::fs::chown(scene.path("theirs"), Some(4_242), Some(4_343)).unwrap();
        let all = |dir| [&["--data-dir", dir], &ONE_MEMBER[..]].concat();
        let _ = scene.pipe(&all("theirs"), SNAPSHOT).code(0);
        must_belong(&scene.path("theirs"), (4_242, 4_343));
        let _ = scene.pipe(&[&all("named")[..], &["--owner", "7:8"]].concat(), SNAPSHOT).code(0);
        must_belong(&scene.path("named"), (7, 8));
        let _ = scene.pipe(&[&all("named")[..], &["--replace"]].concat(), SNAPSHOT).code(0);
        must_belong(&scene.path("named"), (7, 8));
    } else {
        skip("restore_owner", "only root can give files away");
    }
    // A user who is root only inside of a container may not.
    let command =
        scene.command(&[&["--data-dir", "new", "--owner", "4242"], &ONE_MEMBER[..]].concat());
    let mut inside = Command::new("unshare");
    inside.arg("-r").arg(command.get_program()).args(command.get_args());
    inside.current_dir(scene.path("")).env_clear();
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if run(Command::new("unshare").args(["-r", "true"])).is_err() {
        return skip("restore_owner", "no user namespace can be made");
    }
    let _ = piped(&mut inside, SNAPSHOT).code(50).said("must belong to user 4242");
    assert!(!scene.path("new").exists());
}

fn rustix_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn must_belong(path: &Path, owner: (u32, u32)) {
    use std::os::unix::fs::MetadataExt;
    for below in tree(path).keys() {
        let meta = path.join(below).symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner, "{}", below.display());
    }
}

/// Runs a script with `$RESTORE`, in the scene's directory and in name spaces of its own, where it
/// may mount.
fn with_mounts(scene: &RestoreScene, script: &str, more: &[(&str, &Path)]) -> Ran {
    durable::write_new(&scene.path("snapshot.db"), SNAPSHOT).unwrap();
    let ours = scene.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-euc", script]).current_dir(scene.path("")).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("RESTORE", ours.get_program()).env("MEMBERS", ONE_MEMBER.join(" "));
    command.envs(more.iter().copied());
    Ran::of(&command.output().unwrap())
}

#[test]
fn f55_f09_a_disk_that_is_too_small_publishes_nothing() {
    if !can_mount("restore_disk_full") {
        return;
    }
    let scene = RestoreScene::new().unwrap();
    durable::create_private_dir(&scene.path("small")).unwrap();
    // 60 MB are too few for the WAL; 4 kB do not even hold the input, which comes through a pipe.
    let script = "
        for kilobytes in 60000 4; do
            mount -t tmpfs -o size=${kilobytes}k,mode=700 none small
            cat snapshot.db | $RESTORE --data-dir small/etcd $MEMBERS && exit 90
            test $? = 30 || exit 91
            test -z \"$(ls -A small)\" || exit 92
            umount small
        done";
    let ran = with_mounts(&scene, script, &[]).code(0).said("bytes free; the restore needs");
    let _ = ran.said("cannot keep the snapshot in");
}

#[test]
fn f55_a_mount_in_what_would_be_moved_aside_is_refused() {
    if !can_mount("restore_mount_inside") {
        return;
    }
    let scene = RestoreScene::new().unwrap();
    let script = "
        for below in member member/wal; do
            $RESTORE --data-dir etcd $MEMBERS -i snapshot.db
            mkdir disk && mount -t tmpfs -o size=100m,mode=700 none disk
            cp -a etcd/$below/. disk && mount --bind disk etcd/$below
            $RESTORE --data-dir etcd $MEMBERS -i snapshot.db --replace && exit 90
            test $? = 50 || exit 91
            test \"$(ls)\" = 'disk\netcd\nsnapshot.db' || exit 92
            umount etcd/$below && umount disk && rmdir disk && rm -r etcd
        done";
    let _ = with_mounts(&scene, script, &[]).code(0).said("would hide the new files");
}

#[test]
fn f55_a_mount_point_keeps_its_place_and_its_member_directory_is_replaced() {
    if !can_mount("restore_mount_point") {
        return;
    }
    let Some(version) = or_skip("restore_mount_point", Etcd::newest()) else { return };
    let scene = RestoreScene::new().unwrap();
    durable::create_private_dir(&scene.path("etcd")).unwrap();
    let script = "
        mount -t tmpfs -o size=300m,mode=700 none etcd
        mkdir etcd/lost+found
        $RESTORE --data-dir etcd $MEMBERS -i snapshot.db
        test \"$(ls -A etcd)\" = 'lost+found\nmember' || exit 90
        $RESTORE --data-dir etcd $MEMBERS -i snapshot.db && exit 91 || test $? = 50
        first=$(stat -c %i etcd/member)
        $RESTORE --data-dir etcd $MEMBERS -i snapshot.db --replace
        test $(stat -c %i etcd/member) != $first || exit 92
        test $(stat -c %i etcd/member.before-*) = $first || exit 93
        $RESTORE --data-dir etcd --undo
        test $(stat -c %i etcd/member) = $first || exit 94
        ls -A etcd
        mkdir wal
        mount -t tmpfs -o size=200m,mode=700 none wal
        $RESTORE --data-dir two --wal-dir wal $MEMBERS -i snapshot.db
        test \"$(ls -A wal)\" = 0000000000000000-0000000000000000.wal || exit 96
        $RESTORE --data-dir two --wal-dir wal $MEMBERS -i snapshot.db --replace && exit 97 || test $? = 50
        umount wal
        $ETCD --name m1 --data-dir etcd --initial-cluster m1=http://127.0.0.1:27001 \
            --listen-peer-urls unix://peer --listen-client-urls unix://client \
            --initial-advertise-peer-urls http://127.0.0.1:27001 \
            --advertise-client-urls http://127.0.0.1:1 --logger zap 2> log &
        etcd=$!
        tries=0
        until $ETCDCTL --endpoints unix://client get x > /dev/null 2>&1; do
            tries=$((tries + 1)); test $tries -lt 300 || { cat log; exit 95; }; sleep 0.1
        done
        kill $etcd"
        .replace("\\n", "\n");
    let programs = [("ETCD", &*version.etcd), ("ETCDCTL", &*version.etcdctl)];
    let ran = with_mounts(&scene, &script, &programs).code(0);
    let shown: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(shown[..2], ["lost+found", "member"], "{ran:?}");
    assert!(shown[2].starts_with("member.undone-"), "{ran:?}");
}

/// Where a byte is changed or the input ends: the ends, and places all over.
fn places() -> Vec<usize> {
    let length = SNAPSHOT.len();
    let mut all: Vec<usize> = (0..24).map(|n| n * length / 24 + 17 * n).collect();
    all.extend([0, 1, 16, 80, 4_096, 4_100, length - 33, length - 32, length - 1]);
    all.sort_unstable();
    all.dedup();
    all.retain(|at| *at < length);
    all
}

#[test]
fn i15_i19_f46_f49_damaged_input_publishes_nothing_and_touches_nothing() {
    let scene = RestoreScene::new().unwrap();
    let old = [&["--data-dir", "etcd"], &ONE_MEMBER[..]].concat();
    let _ = scene.pipe(&old, SNAPSHOT).code(0);
    // A short WAL is one, too, and faster to compare.
    let wal = scene.path("etcd/member/wal/0000000000000000-0000000000000000.wal");
    std::fs::File::options().write(true).open(&wal).unwrap().set_len(8_192).unwrap();
    let before = tree(&scene.path(""));
    let replace = [&old[..], &["--replace"]].concat();
    let absent = [&["--data-dir", "new"], &ONE_MEMBER[..]].concat();
    let refused = |bytes: &[u8], what: &str| {
        for arguments in [&replace, &absent] {
            let ran = scene.pipe(arguments, bytes);
            assert_eq!(ran.code, 20, "{what}: {}", ran.stderr);
            assert!(ran.stderr.contains("  next: "), "{what}: {}", ran.stderr);
        }
        assert_eq!(tree(&scene.path("")), before, "{what}");
    };
    for at in places() {
        refused(&SNAPSHOT[..at], &format!("cut at {at}"));
        let mut flipped = SNAPSHOT.to_vec();
        flipped[at] ^= 0x10;
        refused(&flipped, &format!("flipped at {at}"));
    }
    refused(&[SNAPSHOT, b"x"].concat(), "one byte more");
    refused(&[SNAPSHOT, SNAPSHOT].concat(), "twice");
    let other = "0".repeat(64);
    let expecting = [&replace[..], &["--expect-sha256", &other]].concat();
    let _ = scene.pipe(&expecting, SNAPSHOT).code(20).said("expected 0000");
    assert_eq!(tree(&scene.path("")), before);
}

#[test]
fn a_copied_database_is_taken_only_when_asked_for() {
    let scene = RestoreScene::new().unwrap();
    let bare = &SNAPSHOT[..SNAPSHOT.len() - 32];
    let all = [&["--data-dir", "etcd"], &ONE_MEMBER[..]].concat();
    let _ = scene.pipe(&all, bare).code(20).said("--skip-hash-check");
    let skipping = [&all[..], &["--skip-hash-check"]].concat();
    let mut wrong = SNAPSHOT.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let _ = scene.pipe(&skipping, &wrong).code(20).said("trailer");
    assert_eq!(scene.names(), [""; 0]);
    let _ = scene.pipe(&skipping, bare).code(0).said("the input had no SHA-256");
}

/// A run directory whose plan has these steps.
fn run_dir(scene: &RestoreScene, name: &str, steps: &[&str]) {
    let steps: Vec<serde_json::Value> =
        steps.iter().map(|step| serde_json::json!({ "name": step })).collect();
    let plan = serde_json::json!({
        "version": 1, "run": "01kafcxn0000000000000000ab", "cluster": "prod", "tier": "frequent",
        "started_at": "2025-11-20T01:00:00Z", "steps": steps,
    });
    durable::create_private_dir(&scene.path(name).join("receipts")).unwrap();
    durable::write_new(&scene.path(name).join("plan.json"), plan.to_string().as_bytes()).unwrap();
}

#[test]
fn i15_in_a_run_nothing_is_published_before_every_receipt_is_there() {
    let scene = RestoreScene::new().unwrap();
    run_dir(&scene, "broken", &["decompress", "restore"]);
    let all = |run| [&["--data-dir", "etcd", "--run-dir", run], &ONE_MEMBER[..]].concat();
    // The bytes are sound, and it cannot be known that they are all there.
    let ran = scene.pipe(&all("broken"), SNAPSHOT).code(10);
    let _ = ran.said("\"decompress\" ended without a receipt");
    let half = scene.pipe(&all("broken"), &SNAPSHOT[..SNAPSHOT.len() / 2]).code(10);
    let _ = half.said("ended without a receipt");
    assert_eq!(scene.names(), ["broken"]);
    run_dir(&scene, "whole", &["restore"]);
    let _ = scene.pipe(&all("whole"), SNAPSHOT).code(0);
    let receipt = std::fs::read(scene.path("whole/receipts/00-restore.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    assert_eq!(receipt["input"]["bytes"], SNAPSHOT.len());
    let etcd = scene.path("etcd").canonicalize().unwrap();
    assert_eq!(receipt["facts"]["members"][0]["data_dir"], etcd.to_str().unwrap());
    for phase in ["read", "build", "prove", "publish"] {
        assert!(receipt["facts"]["phases_ms"][phase].is_number(), "{receipt}");
    }
}

/// The same bytes from a pipe, a file, standard input, and a file that another stage wrote.
#[test]
fn every_kind_of_input_gives_the_same_directory() {
    let scene = RestoreScene::new().unwrap();
    durable::write_new(&scene.path("snapshot.db"), SNAPSHOT).unwrap();
    let all = |dir| {
        let token = ["--initial-cluster-token", "t"];
        [&["--data-dir", dir], &ONE_MEMBER[..], &token].concat()
    };
    let _ = scene.pipe(&all("a"), SNAPSHOT).code(0);
    let _ = scene.run(&[&all("b")[..], &["-i", "snapshot.db"]].concat()).code(0);
    let mut command = scene.command(&all("c"));
    let file = std::fs::File::open(scene.path("snapshot.db")).unwrap();
    let _ = Ran::of(&command.stdin(file).output().unwrap()).code(0);
    let first = tree(&scene.path("a"));
    assert_eq!(tree(&scene.path("b")), first);
    assert_eq!(tree(&scene.path("c")), first);
    assert_eq!(scene.names(), ["a", "b", "c", "snapshot.db"]);
}
