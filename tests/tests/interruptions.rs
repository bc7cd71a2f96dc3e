//! A run that is broken off: by a signal at any stage, by etcd, by a disk or a destination that
//! fails. The root cause is named, there are as many backups as before (or one more, whole), and
//! the next run succeeds.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::running::Process;
use lifeboat_tests::site::{REGIONS, Ran, Site, shipped, with_program};
use lifeboat_tests::skips::{can_mount, or_skip};
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, Running};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Objects of a database of some 8 MB: more than all pipes and queues between two stages hold.
const PIPES_FULL: usize = 4_000;
/// Some 31 MB: more than capture takes from etcd in advance (its window is 16 MB).
const WINDOW_FULL: usize = 15_000;

fn cluster_and_site(test: &str, members: usize, objects: usize) -> Option<(Cluster, Site)> {
    let version = or_skip(test, Etcd::newest())?;
    let cluster = ClusterSpec::new(&version).members(members).start().unwrap();
    let _ = cluster.load(&LoadSpec::bulk(11, objects)).unwrap();
    let mut site = Site::new(&cluster).unwrap();
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    Some((cluster, site))
}

/// No destination lists a backup. Only a `replicate` that was killed may leave something.
fn assert_no_backup(site: &Site, killed: &str) {
    assert_eq!(site.backups(), Vec::<String>::new());
    if killed != "replicate" {
        site.assert_nothing_stored();
    }
}

/// After all of it: a plain run of the shipped pipeline.
fn assert_runs_again(site: &Site) {
    let before = site.backups().len();
    site.configure(&shipped()).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(site.backups().len(), before + 1);
    site.assert_fetchable();
}

/// Where the stream is held, and who is killed then.
const KILLS: [(&str, &[&str]); 3] = [
    ("verify", &["capture", "verify"]),
    ("compress", &["capture", "verify", "hold", "compress", "encrypt", "replicate"]),
    ("replicate", &["hold", "replicate"]),
];

#[test]
fn f01_f02_f03_a_killed_stage_is_named_and_leaves_no_backup() {
    let Some((_cluster, site)) = cluster_and_site("kill_stages", 1, PIPES_FULL) else { return };
    for (held_before, victims) in KILLS {
        site.hold_before(held_before);
        for victim in victims {
            let mut running = site.run_until_held();
            running.step(victim).signal(Signal::KILL);
            site.go();
            let ran = running.end().code(137);
            assert_eq!(ran.json()["cause"]["stage"], *victim, "{}", ran.stderr);
            assert_eq!(ran.json()["backup"], serde_json::Value::Null);
            let _ = ran.said(&format!("{victim} failed: killed by signal 9")).said("no backup ");
            running.wait_children_gone();
            assert_no_backup(&site, victim);
        }
    }
    assert_runs_again(&site);
}

/// Pruning is not worth a backup: it fails by itself, after the commit.
#[test]
fn f05_a_prune_that_is_killed_does_not_cost_the_backup() {
    let Some((_cluster, site)) = cluster_and_site("kill_prune", 1, PIPES_FULL) else { return };
    site.hold_before("compress");
    let mut running = site.run_until_held();
    running.step("prune").signal(Signal::KILL);
    site.go();
    let ran = running.end().code(137).said("after that prune failed: killed by signal 9");
    assert_eq!(site.backups(), [ran.json()["backup"].as_str().unwrap()]);
    site.assert_fetchable();
    assert_runs_again(&site);
}

#[test]
fn f07_a_signal_ends_the_run_with_all_its_children() {
    let Some((_cluster, site)) = cluster_and_site("signals", 1, PIPES_FULL) else { return };
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for held_before in ["verify", "replicate"] {
            site.hold_before(held_before);
            let mut running = site.run_until_held();
            // The user's own program is a child of a child.
            let own = Process::children_of(running.step("hold").pid);
            assert!(!own.is_empty());
            running.signal(signal);
            let ran = running.end().code(code);
            let _ = ran.said(&format!("lifeboat failed: stopped by signal {}", code - 128));
            running.wait_children_gone();
            running.wait_gone(&own);
            assert_no_backup(&site, "");
        }
    }
    assert_runs_again(&site);
}

/// The children go on: nobody tells them, and what they do is whole by itself.
#[test]
fn f53_without_its_parent_the_chain_ends_by_itself() {
    let Some((_cluster, site)) = cluster_and_site("kill_lifeboat", 1, PIPES_FULL) else { return };
    site.hold_before("compress");
    let mut running = site.run_until_held();
    let own = Process::children_of(running.step("hold").pid);
    running.signal(Signal::KILL);
    let _ = running.end().code(137);
    site.go();
    running.wait_children_gone();
    running.wait_gone(&own);
    // Its logs went nowhere, which must not have failed it.
    assert_eq!(site.backups().len(), 1);
    site.assert_fetchable();
    assert_runs_again(&site);
}

#[test]
fn f41_a_second_run_of_the_cluster_is_turned_away() {
    let Some((_cluster, site)) = cluster_and_site("two_runs", 1, PIPES_FULL) else { return };
    site.hold_before("compress");
    let mut first = site.run_until_held();
    let second = site.lifeboat(&["run"]).code(12);
    let _ = second.said("another run for cluster \"demo\" is at work");
    site.assert_nothing_stored();
    site.go();
    let _ = first.end().code(0);
    assert_eq!(site.backups().len(), 1);
    // A dry run needs no lock; a run after the first one has it.
    let _ = site.lifeboat(&["run", "--dry-run"]).code(0);
    assert_runs_again(&site);
}

#[test]
fn f13_f25_an_etcd_that_dies_or_stalls_is_named() {
    let Some((mut cluster, mut site)) = cluster_and_site("etcd_dies", 1, WINDOW_FULL) else {
        return;
    };
    site.hold_before("verify");
    let mut running = site.run_until_held();
    cluster.kill(0).unwrap();
    site.go();
    let ran = running.end().code(10).said("no backup was made: capture failed: the snapshot from");
    assert_eq!(ran.json()["cause"]["stage"], "capture");
    site.assert_nothing_stored();
    cluster.restart(0).unwrap();

    site.set("LIFEBOAT__CAPTURE__STALL_TIMEOUT", "2s");
    let mut running = site.run_until_held();
    cluster.pause(0).unwrap();
    site.go();
    let ran = running.end().code(10).said("capture failed").said("etcd sent nothing for 2.0 s");
    assert_eq!(ran.json()["cause"]["stage"], "capture");
    assert_ne!(ran.json()["cause"]["member"], serde_json::Value::Null, "{}", ran.stdout);
    cluster.resume(0).unwrap();
    site.assert_nothing_stored();
    assert_runs_again(&site);
}

/// The members that captures began to stream from, in order, as the log names them.
fn streamed_from(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let (_, fields) = line.split_once("capture: capturing (")?;
        let (_, name) = fields.split_once("member=")?;
        Some(name.split([',', ')']).next()?.to_owned())
    };
    said.lines().filter_map(name).collect()
}

fn index_of(cluster: &Cluster, name: &str) -> usize {
    cluster.members().iter().position(|member| member.name == name).unwrap()
}

/// Waits until attempt number `attempt` is held half way, and tells which member it streams from.
fn held_member(site: &Site, cluster: &Cluster, running: &mut Running, attempt: usize) -> usize {
    site.wait_held(running);
    let name = running.wait("to tell the member", |running| {
        let names = streamed_from(&running.said());
        (names.len() == attempt).then(|| names[attempt - 1].clone())
    });
    index_of(cluster, &name)
}

#[test]
fn f13_f16_a_stream_that_breaks_is_begun_anew_from_another_member() {
    let Some((mut cluster, mut site)) = cluster_and_site("failover", 3, WINDOW_FULL) else {
        return;
    };
    site.set("LIFEBOAT__RUN__ATTEMPTS", "3");
    site.set("LIFEBOAT__CAPTURE__STALL_TIMEOUT", "2s");
    wrong_bytes_come_from_one_member(&site);
    two_members_stall(&site, &cluster);
    one_member_dies(&site, &mut cluster);
}

/// A verify that fails does not know who gave the bytes, be it in the middle of the stream, when
/// capture fails too, or at its end. The next attempt asks another one.
fn wrong_bytes_come_from_one_member(site: &Site) {
    for spoil in ["head -c 100000 | tr '\\000-\\377' '[x*]'; cat", "head -c 9000000; tr a b"] {
        let once = format!("if test -e spoil; then rm spoil; {spoil}; else cat; fi");
        let toml = with_program(&shipped(), ("spoil", ".x"), "verify", &["sh", "-c", &once]);
        site.configure(&toml).unwrap();
        site.write("spoil", b"");
        let ran = site.lifeboat(&["run", "--json"]).code(0).said("attempt 1 failed in verify");
        assert_eq!(ran.json()["attempts"], 2);
        let names = streamed_from(&ran.stderr);
        assert_eq!(names.len(), 2, "{}", ran.stderr);
        assert_ne!(names[0], names[1]);
    }
}

/// Both come back at once, healthy and in sync, and are still not asked again.
fn two_members_stall(site: &Site, cluster: &Cluster) {
    site.hold_before("verify");
    let mut running = site.run_until_held();
    for attempt in 1..=2 {
        let index = held_member(site, cluster, &mut running, attempt);
        cluster.pause(index).unwrap();
        site.go();
        let failed = format!("attempt {attempt} failed in capture");
        running.wait(&failed, |running| running.said().contains(&failed).then_some(()));
        cluster.resume(index).unwrap();
    }
    let last = held_member(site, cluster, &mut running, 3);
    site.go();
    let ran = running.end().code(0);
    assert_eq!(ran.json()["attempts"], 3);
    let names: BTreeSet<String> = streamed_from(&ran.stderr).into_iter().collect();
    assert_eq!(names.len(), 3, "each member was asked once: {}", ran.stderr);
    let shown = site.lifeboat(&["show", "--json"]).code(0).json();
    assert_eq!(shown["manifest"]["etcd"]["member_name"], cluster.members()[last].name);
}

fn one_member_dies(site: &Site, cluster: &mut Cluster) {
    let before = site.backups().len();
    let mut running = site.run_until_held();
    let index = held_member(site, cluster, &mut running, 1);
    cluster.kill(index).unwrap();
    site.go();
    assert_ne!(held_member(site, cluster, &mut running, 2), index);
    site.go();
    let ran = running.end().code(0).said("attempt 1 failed in capture");
    assert_eq!(ran.json()["attempts"], 2);
    assert_eq!(site.backups().len(), before + 1);
    site.assert_fetchable();
}

/// Runs `lifeboat run` with a small file system at `folder`, and prints the files that are in it
/// afterwards, after a line `--`.
fn run_with_small_disk(site: &Site, folder: &str, kilobytes: usize) -> Ran {
    durable::create_private_dir(&site.path(folder)).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={kilobytes}k,mode=700 none {folder} || exit 99
         lifeboat=$1; $lifeboat run --json; code=$?
         echo --; find {folder} -type f; exit $code"
    );
    let lifeboat = site.command("lifeboat");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script, "sh"]).arg(lifeboat.get_program());
    command.current_dir(site.path("")).env_clear();
    command.envs(lifeboat.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&command.output().unwrap())
}

fn files_left(ran: &Ran) -> Vec<&str> {
    ran.stdout.split_once("\n--\n").map(|(_, files)| files.lines().collect()).unwrap_or_default()
}

#[test]
fn f09_a_full_disk_publishes_nothing() {
    let Some((_cluster, site)) = cluster_and_site("disk_full", 1, PIPES_FULL) else { return };
    if !can_mount("disk_full") {
        return;
    }
    let ran = run_with_small_disk(&site, "backups/region-b", 64).code(30);
    assert!(ran.stderr.contains("no space left") && ran.stderr.contains("region_b"), "{ran:?}");
    assert_eq!(files_left(&ran), Vec::<&str>::new());
    site.assert_nothing_stored();

    // A page more each time: the disk is full at one step of the run after the other.
    // What it had stored when it was full is told as it is.
    let (mut failed_in, mut stored) = (BTreeSet::new(), 0);
    for kilobytes in (4..=24).step_by(4) {
        let ran = run_with_small_disk(&site, "state", kilobytes).code(30);
        assert!(ran.stderr.contains("no space left"), "{ran:?}");
        let stages = ["capture", "verify", "compress", "encrypt", "replicate", "lifeboat"];
        failed_in.extend(stages.into_iter().find(|s| ran.stderr.contains(&format!("{s} failed"))));
        let says_stored = ["is stored and proved", "is committed"];
        stored += usize::from(says_stored.iter().any(|words| ran.stderr.contains(words)));
        assert_eq!(site.backups().len(), stored, "{ran:?}");
        let says_none = ran.stderr.contains("no backup was made");
        assert!(
            !says_none || !says_stored.iter().any(|words| ran.stderr.contains(words)),
            "{ran:?}"
        );
        assert_eq!(site.objects("region_a", "").len(), 2 * stored, "{ran:?}");
    }
    assert!(failed_in.len() > 4, "{failed_in:?}");
    site.assert_fetchable();
    assert_runs_again(&site);
}

#[test]
fn f36_f12_a_destination_that_cannot_be_written_is_left_out_or_stops_the_run() {
    let Some((_cluster, mut site)) = cluster_and_site("bad_destination", 1, 300) else { return };
    // Below a regular file nobody can make a directory, not even root.
    site.write("blocker", b"");
    for place in ["blocker", "blocker/below"] {
        site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", &format!("file:{place}"));
        let ran = site.lifeboat(&["run", "--json"]).code(30).said("region_b");
        assert_eq!(ran.json()["cause"]["stage"], "replicate");
        site.assert_nothing_stored();
    }
    // It can be opened and listed, and still not be written.
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/region-b");
    durable::create_private_dir(&site.path("backups/region-b")).unwrap();
    site.write("backups/region-b/demo", b"");
    let _ = site.lifeboat(&["run"]).code(30).said("region_b");
    assert_eq!(site.backups(), Vec::<String>::new());
    assert_eq!(site.objects("region_a", ""), Vec::<PathBuf>::new());

    site.set("LIFEBOAT__REPLICATE__REQUIRE", "1");
    let ran = site.lifeboat(&["run", "--json"]).code(40).said("region_b");
    assert_eq!(site.backups(), [ran.json()["backup"].as_str().unwrap()]);
    assert_eq!(site.objects("region_a", ".json").len(), 1);
    site.assert_fetchable();
    durable::remove_file(&site.path("backups/region-b/demo")).unwrap();

    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:blocker/below");
    let ran = site.lifeboat(&["run", "--json"]).code(40).said("region_b");
    assert_ne!(ran.json()["backup"], serde_json::Value::Null);
    assert_eq!(site.objects("region_a", ".json").len(), 2);

    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/region-b");
    // The next run that can brings what it missed there too.
    let ran = site.lifeboat(&["run", "--json"]).code(0);
    assert_eq!(ran.json()["repair"]["copied"], 2, "{ran:?}");
    assert_eq!(REGIONS.map(|region| site.objects(region, ".json").len()), [3, 3]);
}

/// A site whose policy keeps the last two.
fn site_that_keeps_two(cluster: &Cluster) -> Site {
    let mut site = Site::new(cluster).unwrap();
    for rule in ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"] {
        site.set(&format!("LIFEBOAT__PRUNE__{rule}"), "0");
    }
    site.set("LIFEBOAT__PRUNE__LAST", "2");
    site.set("LIFEBOAT__PRUNE__MIN_KEEP", "1");
    site
}

fn everything(site: &Site) -> [Vec<PathBuf>; 2] {
    REGIONS.map(|region| site.objects(region, ""))
}

#[test]
fn i07_i08_i09_prune_keeps_what_the_policy_wants_and_touches_nothing_else() {
    let Some(version) = or_skip("prune", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let _ = cluster.load(&LoadSpec::default()).unwrap();
    let mut site = site_that_keeps_two(&cluster);
    let mut made = Vec::new();
    for _ in 0..4 {
        let ran = site.lifeboat(&["run", "--json"]).code(0);
        made.insert(0, ran.json()["backup"].as_str().unwrap().to_owned());
    }
    assert_eq!(site.backups(), made[..2]);
    assert_eq!(everything(&site).map(|all| all.len()), [4, 4], "manifests and artifacts");
    site.assert_fetchable();
    a_dry_run_gives_its_reasons(&mut site, &made[..2]);
    what_is_not_ours_stays(&mut site);
    guards_refuse(&mut site);
    let newest = site.backups().remove(0);
    let page = site.lifeboat(&["prune", "--allow-large-removal"]).code(0).stdout;
    assert!(page.contains("region_b: 2 kept, 3 to remove"), "{page}");
    assert_eq!(site.backups()[0], newest);
    assert_eq!(site.objects("region_b", ".json").len(), 2);
    site.assert_fetchable();
}

fn a_dry_run_gives_its_reasons(site: &mut Site, left: &[String]) {
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    let before = everything(site);
    let page = site.lifeboat(&["prune", "--dry-run"]).code(0).stdout;
    assert_eq!(before, everything(site));
    for region in REGIONS {
        assert!(page.contains(&format!("{region}: 1 kept, 1 to remove, 0 ignored")), "{page}");
    }
    for name in left {
        let lines: Vec<&str> = page.lines().filter(|line| line.contains(name)).collect();
        assert_eq!(lines.len(), REGIONS.len(), "{page}");
        let reason = |line: &&str| line.rsplit("  ").next().is_some_and(|r| r.trim().len() > 4);
        assert!(lines.iter().all(reason), "each has a reason: {page}");
    }
    assert!(page.contains("last"), "{page}");
    let json = site.lifeboat(&["prune", "--dry-run", "--json"]).code(0).json();
    assert!(json["region_a"].to_string().contains(&left[1]), "{json:#}");
    assert_eq!(before, everything(site));
    site.set("LIFEBOAT__PRUNE__LAST", "2");
}

/// Puts what does not belong there beside the backups of `region_a`: older than all of them, so
/// that any policy would have it first.
fn strange_objects(site: &Site) -> Vec<PathBuf> {
    let manifest = &site.objects("region_a", ".json")[0];
    let (folder, name) = (manifest.parent().unwrap(), manifest.file_name().unwrap());
    let name = name.to_str().unwrap();
    let text = std::fs::read_to_string(manifest).unwrap();
    let older = |year: &str| folder.join(format!("{year}{}", &name[4..]));
    let put = |path: PathBuf, text: &str| {
        durable::write_new(&path, text.as_bytes()).unwrap();
        path
    };
    let artifact = older("2001").with_extension("db.zst.age");
    vec![
        put(older("2001"), &text[..text.len() / 2]),
        put(older("2002"), "{}"),
        put(older("2003"), &text),
        put(older("2004"), ""),
        put(artifact, "an orphan, or the artifact of a damaged manifest"),
        put(folder.join("notes.txt"), "do not remove"),
        put(folder.join("notes.json"), "{}"),
        put(folder.parent().unwrap().join("README"), "do not remove"),
    ]
}

fn what_is_not_ours_stays(site: &mut Site) {
    let strange = strange_objects(site);
    let before = everything(site);
    let _ = site.lifeboat(&["prune"]).code(0);
    assert_eq!(before, everything(site), "two are kept, the others are none of ours");
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    let _ = site.lifeboat(&["prune"]).code(0);
    assert_eq!(site.objects("region_b", "").len(), 2);
    for path in strange {
        assert!(path.exists(), "{} was removed", path.display());
    }
}

fn guards_refuse(site: &mut Site) {
    site.set("LIFEBOAT__PRUNE__LAST", "2");
    for _ in 0..4 {
        site.set("LIFEBOAT__PRUNE__LAST", "9");
        let _ = site.lifeboat(&["run"]).code(0);
    }
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    let before = everything(site);
    site.write("blocker", b"");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:blocker/below");
    let _ = site.lifeboat(&["prune"]).code(50).said("\"region_b\" could not be read");
    assert_eq!(before, everything(site));
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/region-b");

    let _ = site.lifeboat(&["prune"]).code(50).said("the policy would remove 4 of 5");
    assert_eq!(before, everything(site));
    let _ = site.lifeboat(&["prune", "--dry-run", "--allow-large-removal"]).code(0);
    assert_eq!(before, everything(site));
    site.set("LIFEBOAT__PRUNE__LAST", "2");

    // The newest backup is of this very test: any time that has passed makes it stale.
    site.set("LIFEBOAT__RUN__STALE_AFTER", "1s");
    lifeboat_tests::wait_until("the newest backup to be stale", LIMIT, || {
        let ran = site.lifeboat(&["prune", "--dry-run"]);
        if ran.code == 50 { Ok(()) } else { Err(ran.stderr) }
    })
    .unwrap();
    let _ = site.lifeboat(&["prune"]).code(50).said("the newest verified backup");
    assert_eq!(before, everything(site));
    site.set("LIFEBOAT__RUN__STALE_AFTER", "26h");
}

/// How long a backup may take to become a second old.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
