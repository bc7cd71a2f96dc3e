//! Drills: what they prove, what they find, and what they leave.
//!
//! Every drill here goes the whole way, from the fetch to the record, with a real etcd or with
//! something that only claims to be one. What lies in the destinations is looked at as files.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::lying_etcd::{LyingEtcd, edit};
use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::running::Process;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::{CLUSTER, REGIONS, Ran, Site, shipped};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd, EtcdVersion, each_etcd, run, servers};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A value that is easy to find in a database, and to change.
const CANARY: &str = "canary-AAAAAAAAAAAAAAAAAAAAAAAA";

/// A cluster of which there is one backup in two directories.
struct Scene {
    cluster: Cluster,
    site: Site,
    etcd: PathBuf,
    backup: String,
}

impl Scene {
    fn of(version: &EtcdVersion, members: usize) -> Result<Self, Error> {
        Scene::with(version, ClusterSpec::new(version).members(members).start()?)
    }

    fn with(version: &EtcdVersion, cluster: Cluster) -> Result<Self, Error> {
        let _ = cluster.load(&LoadSpec { objects: 30, ..LoadSpec::default() })?;
        let _ = cluster.etcdctl(&["put", "/registry/canary", CANARY])?;
        Scene::as_it_is(version, cluster)
    }

    /// Of a cluster that holds something already.
    fn as_it_is(version: &EtcdVersion, cluster: Cluster) -> Result<Self, Error> {
        let site = Site::new(&cluster)?;
        let backup = site.lifeboat(&["run", "--json"]).code(0).json()["backup"].clone();
        let backup = backup.as_str().unwrap().to_owned();
        Ok(Scene { cluster, site, etcd: version.etcd.clone(), backup })
    }

    fn new(test: &str) -> Option<Self> {
        or_skip(test, Etcd::newest().and_then(|version| Scene::of(&version, 1)))
    }

    /// A drill with this etcd.
    fn drill_with(&self, etcd: &Path, arguments: &[&str]) -> Ran {
        let etcd = etcd.to_str().unwrap();
        self.site.lifeboat(&[&["drill", "--json", "--etcd", etcd], arguments].concat())
    }

    fn drill(&self, arguments: &[&str]) -> Ran {
        self.drill_with(&self.etcd, arguments)
    }

    /// The states of the copies of the one backup, by destination.
    fn states(&self) -> Value {
        self.site.lifeboat(&["list", "--json"]).code(0).json()["backups"][0]["copies"].clone()
    }

    /// The records in a destination.
    fn records(&self, region: &str) -> Vec<Value> {
        let all = record_files(&self.site, region);
        all.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    fn assert_nothing_marked(&self) {
        for region in REGIONS {
            assert_eq!(record_files(&self.site, region), Vec::<PathBuf>::new(), "{region}");
        }
    }

    /// Nothing of what was restored is left, and nothing runs on it.
    fn assert_swept(&self) {
        let scratch = self.site.path("state").join(CLUSTER).join("drills");
        let left: Vec<PathBuf> =
            fs::read_dir(&scratch).into_iter().flatten().flatten().map(|e| e.path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new());
        assert_eq!(running_below(&scratch), Vec::<Vec<String>>::new());
    }

    /// A program in place of etcd: `before` is done, then the real one takes over.
    fn etcd_script(&self, name: &str, before: &str, instead: Option<&str>) -> PathBuf {
        let real = self.etcd.display();
        let then = instead.map_or_else(|| format!("exec {real} \"$@\""), str::to_owned);
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then exec {real} --version; fi\n\
             {before}\n{then}\n"
        );
        self.site.write(name, text.as_bytes());
        let path = self.site.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn is_record(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    ["-proven-", "-restored-", "-suspect-"].iter().any(|word| name.contains(word))
}

fn record_files(site: &Site, region: &str) -> Vec<PathBuf> {
    site.objects(region, ".json").into_iter().filter(|path| is_record(path)).collect()
}

/// The command lines of those who have a data directory below this folder.
fn running_below(folder: &Path) -> Vec<Vec<String>> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    let words = lines.map(|line| {
        let words = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned());
        words.collect::<Vec<String>>()
    });
    words.filter(|words| words.iter().any(|word| Path::new(word).starts_with(folder))).collect()
}

/// The only drill of a report.
fn only(report: &Value) -> &Value {
    let all = report["drills"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{report:#}");
    &all[0]
}

fn failed_checks(drill: &Value) -> Vec<String> {
    let checks = drill["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["passed"] == json!(false));
    failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

each_etcd!(i20_a_drill_with_a_real_etcd_proves_a_backup);

fn i20_a_drill_with_a_real_etcd_proves_a_backup(version: &EtcdVersion) {
    let scene = Scene::of(version, 1).unwrap();
    assert_eq!(scene.states(), json!({ "region_a": "verified", "region_b": "verified" }));
    let status = scene.site.lifeboat(&["status"]).code(0).stdout;
    assert!(status.contains("none was proven"), "{status}");
    let report = scene.drill(&[]).code(0).json();
    let drill = only(&report);
    assert_eq!((&drill["result"], &drill["depth"]), (&json!("proven"), &json!("etcd")));
    assert_eq!(drill["destination"], "region_a");
    let checks = drill["checks"].as_array().unwrap();
    for wanted in ["HashKV", "revision", "live keys", "sampled keys", "members", "a write", "end"] {
        let found = checks.iter().any(|c| c["name"].as_str().unwrap().contains(wanted));
        assert!(found, "{wanted} is not in {checks:#?}");
    }
    assert!(drill["rto_ms"].as_u64().unwrap() > 0 && drill["rpo_seconds"].as_i64().unwrap() >= 0);
    for phase in ["read", "build", "prove", "start", "compare", "write", "stop"] {
        assert!(drill["phases_ms"][phase].is_u64(), "{phase}: {drill:#}");
    }

    // The copy that was read is proven, and no other.
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "verified" }));
    let [record] = scene.records("region_a").try_into().unwrap();
    assert_eq!((&record["finding"], &record["depth"]), (&json!("proven"), &json!("etcd")));
    assert!(record["etcd_version"].as_str().unwrap().starts_with(version.label));
    assert!(record_files(&scene.site, "region_b").is_empty());
    let row = &scene.site.lifeboat(&["list", "--json"]).json()["backups"][0];
    assert_eq!((&row["state"], &row["proven_at"]), (&json!("proven"), &drill["at"]));
    let shown = scene.site.lifeboat(&["show"]).code(0).stdout;
    assert!(shown.contains("(proven)") && shown.contains("proven (etcd"), "{shown}");
    let status = scene.site.lifeboat(&["status", "--json"]).code(0).json();
    assert_eq!(
        (&status["safety"], &status["newest_proven"]),
        (&json!("safe"), &json!(scene.backup))
    );
    let status = scene.site.lifeboat(&["status"]).code(0).stdout;
    assert!(status.contains("proven by a drill"), "{status}");

    // The evidence says the same, three times.
    let evidence = scene.site.path("state").join(CLUSTER).join("evidence");
    let stem = evidence.join(format!("drill-{}", report["run"].as_str().unwrap()));
    let read = |kind: &str| fs::read_to_string(stem.with_extension(kind)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&read("json")).unwrap(), report);
    assert!(read("md").contains("**proven**") && read("md").contains("RTO"), "{}", read("md"));
    let cases = format!("tests=\"{}\" failures=\"0\" errors=\"0\"", checks.len());
    assert!(read("xml").contains(&cases), "{}", read("xml"));
    scene.assert_swept();
    // Nobody takes a record for a backup.
    scene.site.assert_fetchable();
    let _ = scene.site.lifeboat(&["run", "--json"]).code(0);
    assert_eq!(scene.site.backups().len(), 2);
}

#[test]
fn i20_three_members_form_a_cluster_of_what_was_restored() {
    let made = Etcd::newest().and_then(|version| Scene::of(&version, 3));
    let Some(scene) = or_skip("i20_three_members", made) else { return };
    let report = scene.drill(&["--three-members", "--each-destination"]).code(0).json();
    for drill in report["drills"].as_array().unwrap() {
        assert_eq!(drill["depth"], "three-members");
        let checks = drill["checks"].as_array().unwrap().iter();
        let hashes = checks.filter(|c| c["name"].as_str().unwrap().contains("HashKV at revision"));
        assert!(hashes.count() >= 3, "{drill:#}");
    }
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "proven" }));
    scene.assert_swept();
}

/// A drill knows no password, and takes whatever etcd is there.
#[test]
fn i20_a_cluster_with_authentication_is_drilled_with_older_and_newer_etcds() {
    let started = Etcd::version("3.6").and_then(|version| {
        let cluster = ClusterSpec::new(&version).auth("canary-password").start()?;
        Scene::with(&version, cluster)
    });
    let Some(scene) = or_skip("i20_authentication", started) else { return };
    for version in Etcd::available() {
        let report = scene.drill_with(&version.etcd, &[]).code(0).json();
        let found = only(&report)["etcd"]["version"].as_str().unwrap();
        assert!(found.starts_with(version.label), "{found}");
        assert!(!report.to_string().contains("canary-password"));
        // An older one gets what it knows.
        let notes = only(&report)["restored"]["notes"].to_string();
        assert_eq!(notes.contains("storage version"), version.label < "3.6", "{notes}");
    }
    assert_eq!(scene.states()["region_a"], "proven");
}

/// A restore that raised the revision left a key that no client can name.
#[test]
fn i20_a_backup_of_a_restored_cluster_is_proven() {
    let Some(first) = Scene::new("i20_restored_cluster") else { return };
    let version = Etcd::newest().unwrap();
    let plan = ClusterSpec::new(&version).plan().unwrap();
    let member = plan.members()[0].clone();
    let _ = first.site.lifeboat(&["fetch", "-o", "snapshot.db"]).code(0);
    let words = ["--input", "snapshot.db", "--bump-revision", "1000000", "--mark-compacted"];
    let (cluster, data) = (plan.initial_cluster(), member.data_dir.to_str().unwrap());
    let words = [&words[..], &["--data-dir", data, "--name", &member.name]].concat();
    let urls = ["--initial-cluster", &cluster, "--initial-advertise-peer-urls", &member.peer_url];
    let words = [&words[..], &urls, &["--initial-cluster-token", plan.token()]].concat();
    let _ = first.site.program("lifeboat-restore", &words).code(0);
    let scene = Scene::as_it_is(&version, plan.start().unwrap()).unwrap();
    let report = scene.drill(&[]).code(0).json();
    assert!(only(&report)["restored"]["revision"].as_i64().unwrap() > 1_000_000);
    assert_eq!(scene.states()["region_a"], "proven");
}

#[test]
fn i20_without_etcd_nothing_is_called_proven() {
    let Some(mut scene) = Scene::new("i20_without_etcd") else { return };
    // On the PATH there is no etcd, and nobody named one.
    scene.site.set("PATH", scene.site.path("keys").to_str().unwrap());
    let ran = scene.site.lifeboat(&["drill"]).code(0).said("nothing is called proven");
    assert!(ran.stdout.starts_with("RESTORED: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("not proven"), "{}", ran.stdout);
    let _ = scene.site.lifeboat(&["drill", "--three-members"]).code(3);
    let report = scene.site.lifeboat(&["drill", "--native-only", "--json"]).code(0).json();
    assert_eq!(only(&report)["result"], "restored");
    assert_eq!(scene.states(), json!({ "region_a": "verified", "region_b": "verified" }));
    assert!(scene.records("region_a").iter().all(|r| r["depth"] == "native"));
    assert_eq!(scene.records("region_a").len(), 2);
    let shown = scene.site.lifeboat(&["show", "--json"]).json();
    assert_eq!(shown["copies"][0]["drill"]["finding"], "restored");
    assert_eq!(shown["copies"][0]["proven_at"], Value::Null);
    scene.assert_swept();
}

/// What this machine, a key or a store lacks says nothing of a backup.
#[test]
fn f56_a_drill_that_could_not_be_made_marks_nothing() {
    let Some(mut scene) = Scene::new("f56_could_not_be_made") else { return };
    let _ = scene.site.lifeboat(&["keygen", "keys/other.txt"]).code(0);
    let report = scene.drill(&["--identity", "keys/other.txt"]).code(21).json();
    assert_eq!(only(&report)["result"], "not-tried");
    let _ = scene.drill_with(Path::new("/bin/true"), &[]).code(3).said("is no etcd");
    let _ = scene.drill_with(Path::new("/no/etcd"), &[]).code(3);
    let taken =
        scene.etcd_script("taken", "", Some("echo 'bind: address already in use' >&2; exit 1"));
    let _ = scene.drill_with(&taken, &[]).code(10);
    let full = scene.etcd_script("full", "", Some("echo 'no space left on device' >&2; exit 1"));
    let _ = scene.drill_with(&full, &[]).code(30);
    let killed = scene.etcd_script("killed", "", Some("kill -9 $$"));
    let _ = scene.drill_with(&killed, &[]).code(10).said("signal 9");
    let _ = scene.drill(&["--from", "nowhere"]).code(2);
    let _ = scene.drill(&["no-such-backup"]).code(41);
    scene.assert_nothing_marked();
    // Nor is a success one that could not be written down.
    let folder = scene.site.objects("region_a", ".age")[0].parent().unwrap().to_path_buf();
    scene.site.set("LIFEBOAT__DRILL__ETCD", scene.etcd.to_str().unwrap());
    if rustix::process::geteuid().is_root() {
        // Whoever may do anything is not kept from writing by a mode.
        let report = scene.site.lifeboat(&["drill", "--no-record", "--json"]).code(0).json();
        assert_eq!(only(&report)["result"], "proven");
    } else {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        let report = scene.site.lifeboat(&["drill", "--json"]).json();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(only(&report)["result"], "proven");
        assert_ne!(report["exit"], 0);
        assert!(only(&report)["record_problem"].is_string());
    }
    scene.assert_nothing_marked();
    scene.assert_swept();
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn f56_a_damaged_copy_is_found_marked_and_cleared_when_it_is_whole_again() {
    let Some(scene) = Scene::new("f56_damaged_copy") else { return };
    let artifact = scene.site.objects("region_b", ".age").remove(0);
    let middle = fs::metadata(&artifact).unwrap().len() / 2;
    flip(&artifact, middle);
    let ran = scene.drill(&["--each-destination"]).code(20).said("it is suspect now");
    let report = ran.json();
    let results: Vec<&Value> =
        report["drills"].as_array().unwrap().iter().map(|drill| &drill["result"]).collect();
    assert_eq!(results, ["proven", "suspect"]);
    assert_eq!(report["drills"][1]["cause"]["stage"], "fetch");
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "suspect" }));
    let list = scene.site.lifeboat(&["list"]).code(0).stdout;
    assert!(list.contains("region_b (suspect)") && list.contains("was found damaged"), "{list}");
    // One copy less is one copy less.
    let _ = scene.site.lifeboat(&["status"]).code(40);
    let xml = scene.site.path("state").join(CLUSTER).join("evidence");
    let xml = xml.join(format!("drill-{}.xml", report["run"].as_str().unwrap()));
    assert!(fs::read_to_string(xml).unwrap().contains("failures=\"1\""));

    // What differs when it is fetched is a matter of the bytes: whoever makes them good clears it.
    let report = scene.site.lifeboat(&["sync", "--json"]).code(0).json();
    let copy = &report["copies"][0];
    assert_eq!((&copy["why"], &copy["result"]), (&json!("damaged"), &json!("replaced")), "{copy}");
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "verified" }));
    let _ = scene.drill(&[&scene.backup, "--from", "region_b"]).code(0);
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "proven" }));
    scene.assert_swept();
}

#[test]
fn f56_an_etcd_that_does_not_live_on_a_backup_makes_it_suspect() {
    let Some(scene) = Scene::new("f56_does_not_start") else { return };
    let panics = "echo 'panic: freepages: failed to get all reachable pages' >&2; exit 2";
    let script = scene.etcd_script("panics", "", Some(panics));
    let report = scene.drill_with(&script, &[]).code(20).json();
    assert_eq!(failed_checks(only(&report)), ["start of drill-1"]);
    assert_eq!(only(&report)["cause"]["stage"], "drill");
    assert_eq!(scene.states()["region_a"], "suspect");
    let problem = &scene.site.lifeboat(&["show", "--json", &scene.backup]).json()["copies"];
    let texts = problem.to_string();
    assert!(texts.contains("reachable pages"), "{texts}");
    // Two drills one after the other: the newest record decides.
    let _ = scene.drill(&["--from", "region_a", &scene.backup]).code(0);
    assert_eq!(scene.states()["region_a"], "proven");
    let _ = scene.drill_with(&script, &[]).code(20);
    assert_eq!(scene.states()["region_a"], "suspect");
    scene.assert_swept();
}

/// The etcd answers everything truly but HashKV: a proxy that lies stands where the drill asks.
#[test]
fn f56_another_hashkv_makes_a_backup_suspect() {
    let Some(scene) = Scene::new("f56_lying") else { return };
    let behind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let wait = "printf '%s\\n' \"$@\" > SITE/words.new; /bin/mv SITE/words.new SITE/words
        while ! [ -e SITE/go ]; do /bin/sleep 0.02; done
        n=$#; last=
        while [ $n -gt 0 ]; do
            word=$1; shift; new=$word
            case $last in --listen-client-urls|--advertise-client-urls) new=http://BEHIND;; esac
            last=$word; set -- \"$@\" \"$new\"; n=$((n - 1))
        done";
    let wait = wait.replace("SITE", scene.site.path("").to_str().unwrap().trim_end_matches('/'));
    let script = scene.etcd_script("lies", &wait.replace("BEHIND", &behind.to_string()), None);
    let words = ["drill", "--json", "--etcd", script.to_str().unwrap()];
    let mut running = scene.site.start("lifeboat", &words);
    let said =
        running.wait("etcd to be started", |_| fs::read_to_string(scene.site.path("words")).ok());
    let words: Vec<&str> = said.lines().collect();
    let at = words.iter().position(|word| *word == "--listen-client-urls").unwrap() + 1;
    let address = words[at].trim_start_matches("http://");
    let liar = LyingEtcd::listening_on(address, &format!("http://{behind}")).unwrap();
    let hash = 2;
    liar.tell(vec![edit("HashKV", move |answer| answer.set_number(hash, answer.number(hash) ^ 1))]);
    scene.site.write("go", b"");
    let report = running.end().code(20).json();
    let failed = failed_checks(only(&report));
    // What the restore predicted, and what the members had answered; all else was the truth.
    let begin = ["HashKV at revision ", "HashKV that the members had at revision "];
    assert_eq!(failed.len(), begin.len(), "{failed:?}");
    assert!(failed.iter().zip(begin).all(|(name, begin)| name.starts_with(begin)), "{failed:?}");
    assert_eq!(scene.states()["region_a"], "suspect");
    scene.assert_swept();
}

/// A whole backup whose every digest fits, of data that the members never had: only what they
/// answered while the snapshot was taken gives it away.
#[test]
fn f56_a_consistent_forgery_is_found_by_what_the_members_had_answered() {
    let Some(scene) = Scene::new("f56_forgery") else { return };
    let (Some(age), Some(zstd)) = (
        or_skip("f56_forgery", servers::tool("age")),
        or_skip("f56_forgery", servers::tool("zstd")),
    ) else {
        return;
    };
    let plain = scene.site.path("plain.db");
    let artifact = scene.site.objects("region_a", ".age").remove(0);
    scene.site.open_by_hand(&artifact, &plain).unwrap();
    let mut bytes = fs::read(&plain).unwrap();
    let forged = CANARY.replace('A', "B");
    let places: Vec<usize> = (0..bytes.len() - CANARY.len())
        .filter(|at| bytes[*at..].starts_with(CANARY.as_bytes()))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + CANARY.len()].copy_from_slice(forged.as_bytes());
    }
    let database = bytes.len() - 32;
    let trailer = Sha256::digest(&bytes[..database]);
    bytes[database..].copy_from_slice(&trailer);
    fs::write(&plain, &bytes).unwrap();
    let (packed, sealed) = (scene.site.path("forged.zst"), scene.site.path("forged.age"));
    run(Command::new(zstd).args(["-q", "--check"]).arg(&plain).arg("-o").arg(&packed)).unwrap();
    let recipients = scene.site.path("keys/recipients.txt");
    run(Command::new(age).arg("-R").arg(recipients).arg("-o").arg(&sealed).arg(&packed)).unwrap();
    for region in REGIONS {
        let artifact = scene.site.objects(region, ".age").remove(0);
        fs::copy(&sealed, artifact).unwrap();
        let manifest = scene.site.objects(region, ".json").remove(0);
        let mut text: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        let digest = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            (bytes.len(), hex::encode(Sha256::digest(&bytes)))
        };
        for step in text["steps"].as_array_mut().unwrap() {
            let file = match step["stage"].as_str().unwrap() {
                "compress" => &packed,
                "encrypt" => &sealed,
                _ => &plain,
            };
            let (length, sha256) = digest(file);
            step["output"] = json!({ "bytes": length, "sha256": sha256 });
        }
        let (length, sha256) = digest(&sealed);
        text["artifact"]["bytes"] = json!(length);
        text["artifact"]["sha256"] = json!(sha256);
        text["snapshot"]["db_sha256"] = json!(hex::encode(trailer));
        fs::write(&manifest, serde_json::to_vec_pretty(&text).unwrap()).unwrap();
    }
    assert_eq!(scene.states(), json!({ "region_a": "verified", "region_b": "verified" }));
    // `fetch` has nothing to compare it with: every digest that it knows was forged.
    scene.site.assert_fetchable();
    let report = scene.drill(&[]).code(20).json();
    let failed = failed_checks(only(&report));
    assert_eq!(failed, ["restored database"], "{report:#}");
    assert!(only(&report)["cause"]["message"].as_str().unwrap().contains("HashKV"), "{report:#}");
    // Without etcd it is found as well.
    let report = scene.site.lifeboat(&["drill", "--native-only", "--json"]).code(20).json();
    assert_eq!(only(&report)["result"], "suspect");
    scene.assert_swept();
}

#[test]
fn i20_the_etcd_of_a_drill_sees_nothing_of_production() {
    let Some(mut scene) = Scene::new("i20_nothing_of_production") else { return };
    for (name, value) in [
        ("ETCD_INITIAL_CLUSTER", "prod=http://10.9.8.7:2380"),
        ("ETCD_DISCOVERY", "http://10.9.8.7/discovery"),
        ("ETCD_DATA_DIR", "/var/lib/etcd"),
        ("ETCDCTL_USER", "root:canary-password"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ("http_proxy", "http://10.9.8.7:3128"),
        ("HTTPS_PROXY", "http://10.9.8.7:3128"),
    ] {
        scene.site.set(name, value);
    }
    let (words, variables) = (scene.site.path("words"), scene.site.path("variables"));
    let look = format!(
        "printf '%s\\n' \"$@\" > {}\n/usr/bin/env > {}",
        words.display(),
        variables.display()
    );
    let script = scene.etcd_script("looks", &look, None);
    let _ = scene.drill_with(&script, &[]).code(0);
    let variables = fs::read_to_string(variables).unwrap();
    // A shell makes some by itself.
    let of_shell = ["PWD", "OLDPWD", "SHLVL", "_", "ETCD_UNSUPPORTED_ARCH"];
    for line in variables.lines() {
        let name = line.split('=').next().unwrap();
        assert!(of_shell.contains(&name), "{line}");
    }
    let words = fs::read_to_string(words).unwrap();
    let urls: Vec<&str> =
        words.lines().filter_map(|word| word.find("http").map(|at| &word[at..])).collect();
    assert!(urls.len() >= 5, "{words}");
    assert!(urls.iter().all(|url| url.starts_with("http://127.0.0.1:")), "{urls:?}");
    let members = scene.cluster.members().iter();
    let production: BTreeSet<&str> =
        members.flat_map(|m| [m.client_url.as_str(), m.peer_url.as_str()]).collect();
    assert!(!urls.iter().any(|url| production.contains(url)), "{urls:?}");
    assert!(!words.contains("10.9.8.7") && !words.contains("/var/lib/etcd"), "{words}");
    let data = words.lines().skip_while(|word| *word != "--data-dir").nth(1).unwrap();
    assert!(Path::new(data).starts_with(scene.site.path("state").join(CLUSTER).join("drills")));
}

/// Whoever points the program at the directory of a cluster is refused before anything starts.
#[test]
fn i20_no_directory_of_a_cluster_is_started() {
    let Some(scene) = Scene::new("i20_no_cluster") else { return };
    let member = &scene.cluster.members()[0];
    let manifest = scene.site.manifests("region_a").remove(0);
    let expect = |data_dir: &Path, peer_url: &str| {
        let name = &member.name;
        let text = json!({
            "version": 1, "backup": scene.backup, "snapshot": manifest["snapshot"],
            "restored": {
                "cluster_id": "1", "token": "t", "initial_cluster": format!("{name}={peer_url}"),
                "members": [{ "name": name, "id": "1", "peer_urls": [peer_url],
                              "data_dir": data_dir }],
                "revision": 1, "snapshot_revision": 1, "keys_live": 1, "db_bytes": 1,
                "is_kubernetes": false, "notes": [], "phases_ms": {},
            },
        });
        scene.site.write("expect.json", text.to_string().as_bytes());
    };
    let drill = |directory: &Path| {
        let directory = directory.to_str().unwrap();
        let etcd = scene.etcd.to_str().unwrap();
        let words = ["--data-dir", directory, "--expect", "expect.json", "--etcd", etcd];
        scene.site.program("lifeboat-drill", &words).code(50)
    };
    expect(&member.data_dir, &member.peer_url);
    let _ = drill(&member.data_dir).said("an etcd is running on it");
    // Not below the directory that was named.
    let _ = drill(&scene.site.path("keys")).said("is not below");
    expect(&member.data_dir, "http://10.0.0.1:2380");
    let _ = drill(&member.data_dir).said("is at http://10.0.0.1:2380");
    // The facts say loopback, and the database knows better.
    let _ = scene.site.lifeboat(&["fetch", "-o", "snapshot.db"]).code(0);
    let words = ["--input", "snapshot.db", "--data-dir", "restored", "--name", &member.name];
    let cluster = format!("{}=http://10.0.0.1:2380", member.name);
    let words = [&words[..], &["--initial-cluster", &cluster]].concat();
    let words = [&words[..], &["--initial-advertise-peer-urls", "http://10.0.0.1:2380"]].concat();
    let _ = scene.site.program("lifeboat-restore", &words).code(0);
    expect(&scene.site.path("restored"), "http://127.0.0.1:2380");
    let _ =
        drill(&scene.site.path("restored")).said("its database knows a member at http://10.0.0.1");
}

/// The failpoints that `program` passes in a drill.
fn points(scene: &Scene, program: &str) -> Vec<(u64, String)> {
    let trace = scene.site.path("trace");
    let etcd = scene.etcd.to_str().unwrap();
    let ran = scene
        .site
        .command("lifeboat")
        .args(["drill", "--no-record", "--etcd", etcd])
        .env("LIFEBOAT_TEST_TRACE", &trace)
        .output();
    let _ = Ran::of(&ran.unwrap()).code(0);
    let text = fs::read_to_string(&trace).unwrap();
    fs::remove_file(&trace).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let is_it = words.next()? == program;
        let point = (words.next()?.parse().ok()?, words.next()?.to_owned());
        is_it.then_some(point)
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn f06_a_killed_drill_marks_nothing_and_the_next_one_sweeps() {
    let Some(scene) = Scene::new("f06_killed_drill") else { return };
    let etcd = scene.etcd.to_str().unwrap().to_owned();
    let mut deaths = 0;
    // The first one makes directories that later ones find.
    let _ = scene.drill(&["--no-record"]).code(0);
    for program in ["lifeboat", "drill"] {
        let mut seen = BTreeSet::new();
        let own = points(&scene, program)
            .into_iter()
            .filter(|(_, place)| place.starts_with("drill.") && seen.insert(place.clone()));
        for (number, place) in own.collect::<Vec<_>>() {
            let mut command = scene.site.command("lifeboat");
            command.args(["drill", "--no-record", "--etcd", &etcd]);
            command.env("LIFEBOAT_TEST_FAIL_AT", format!("{program}:{number}"));
            let ran = Ran::of(&command.output().unwrap());
            assert_ne!(ran.code, 0, "{program} at {place}: {}", ran.stderr);
            scene.assert_nothing_marked();
            if program == "drill" {
                // Its parent lives, and leaves nothing.
                scene.assert_swept();
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 8, "{deaths} deaths");
    let _ = scene.drill(&[]).code(0);
    scene.assert_swept();
    assert_eq!(scene.states(), json!({ "region_a": "proven", "region_b": "verified" }));
}

#[test]
fn f06_a_drill_that_is_asked_to_end_leaves_nothing() {
    let Some(scene) = Scene::new("f06_asked_to_end") else { return };
    let held = scene.site.path("started");
    let hold = format!(": > {}", held.display());
    let script = scene.etcd_script("holds", &hold, Some("exec /bin/sleep 600"));
    let words = ["drill", "--json", "--etcd", script.to_str().unwrap()];
    let mut running = scene.site.start("lifeboat", &words);
    running.wait("etcd to be started", |running| {
        let _ = running.children();
        held.exists().then_some(())
    });
    let below = Process::children_of(running.step("drill").pid);
    assert!(!below.is_empty());
    running.signal(rustix::process::Signal::TERM);
    let report = running.end().code(143).json();
    assert_eq!(only(&report)["result"], "not-tried");
    running.wait_gone(&below);
    running.wait_children_gone();
    scene.assert_nothing_marked();
    scene.assert_swept();
}

/// A program that never serves, and keeps the command line of etcd.
const NEVER_SERVES: &str = "while :; do /bin/sleep 0.05; done";

#[test]
fn f06_no_etcd_outlives_a_killed_drill_for_long() {
    let Some(scene) = Scene::new("f06_outlives") else { return };
    let held = scene.site.path("started");
    let script = scene.etcd_script("holds", &format!(": > {}", held.display()), Some(NEVER_SERVES));
    let words = ["drill", "--json", "--etcd", script.to_str().unwrap()];
    let started = || {
        durable::remove_file(&held).unwrap();
        let mut running = scene.site.start("lifeboat", &words);
        running.wait("etcd to be started", |running| {
            let _ = running.children();
            held.exists().then_some(())
        });
        let drill = running.step("drill");
        let etcd = Process::children_of(drill.pid);
        assert!(!etcd.is_empty());
        (running, drill, etcd)
    };
    // Without its parent the program that started etcd ends, and etcd with it.
    let (mut running, drill, etcd) = started();
    running.signal(rustix::process::Signal::KILL);
    let _ = running.end().code(137);
    running.wait_gone(&[drill]);
    running.wait_gone(&etcd);
    // Where both die at once, etcd is left to the next drill.
    let (mut running, drill, etcd) = started();
    running.signal(rustix::process::Signal::STOP);
    drill.signal(rustix::process::Signal::KILL);
    running.wait_gone(&[drill]);
    running.signal(rustix::process::Signal::KILL);
    let _ = running.end().code(137);
    assert!(etcd.iter().any(|process| !process.has_ended()));
    scene.assert_nothing_marked();
    let _ = scene.drill(&[]).code(0).said("which a killed drill has left");
    running.wait_gone(&etcd);
    scene.assert_swept();
}

/// Of a row of backups the newest fails its drill: none of the older ones goes because of it, and
/// what goes takes its records along.
#[test]
fn f56_i07_a_failed_drill_lets_no_older_backup_go() {
    let Some(mut scene) = Scene::new("f56_prune") else { return };
    for (name, value) in [("LAST", "1"), ("MIN_KEEP", "1"), ("MAX_FRACTION", "1.0")] {
        scene.site.set(&format!("LIFEBOAT__PRUNE__{name}"), value);
    }
    for rule in ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"] {
        scene.site.set(&format!("LIFEBOAT__PRUNE__{rule}"), "0");
    }
    let stages = "LIFEBOAT__STAGES";
    scene.site.set(stages, "[capture, verify, compress, encrypt, replicate]");
    let _ = scene.drill(&["--each-destination"]).code(0);
    let second = scene.site.lifeboat(&["run", "--json"]).code(0).json()["backup"].clone();
    let newest = scene.site.lifeboat(&["run", "--json"]).code(0).json()["backup"].clone();
    scene.site.unset(stages);
    let panics = scene.etcd_script("panics", "", Some("echo 'panic: no' >&2; exit 2"));
    let _ = scene.drill_with(&panics, &["--each-destination"]).code(20);
    let _ = scene.site.lifeboat(&["prune"]).code(0);
    let left = scene.site.backups();
    // The suspect one, the last good one before it, and the newest that was proven.
    assert_eq!(left, [newest.as_str().unwrap(), second.as_str().unwrap(), &scene.backup]);
    assert_eq!(record_files(&scene.site, "region_a").len(), 2);

    // Once a later one is proven, the first may go, and its record with it.
    let _ = scene.drill(&["--each-destination", newest.as_str().unwrap()]).code(0);
    let _ = scene.site.lifeboat(&["prune"]).code(0);
    assert_eq!(scene.site.backups(), [newest.as_str().unwrap()]);
    for region in REGIONS {
        let records = record_files(&scene.site, region);
        assert_eq!(records.len(), 2, "{records:?}");
        assert!(
            records.iter().all(|path| path.to_string_lossy().contains(newest.as_str().unwrap()))
        );
        assert_eq!(scene.site.objects(region, "").len(), 4);
    }
}

/// A prune that died between the artifact and the records leaves records of nothing.
#[test]
fn f05_records_of_a_backup_that_is_gone_are_swept() {
    let Some(scene) = Scene::new("f05_stray_records") else { return };
    let _ = scene.drill(&[]).code(0);
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let is_first = |path: &PathBuf| path.to_string_lossy().contains(&scene.backup);
    for path in scene.site.objects("region_a", "").into_iter().filter(is_first) {
        if !is_record(&path) {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(record_files(&scene.site, "region_a").len(), 1);
    let stray = scene.site.program("lifeboat-catalogue", &[]).code(0).json();
    let region = &stray["destinations"][0];
    assert_eq!(region["stray_records"].as_array().unwrap().len(), 1, "{region:#}");
    let list = scene.site.lifeboat(&["list", "--json"]).code(0).json();
    assert_eq!(list["orphans"], json!([]), "a record is no artifact");
    let _ = scene.site.lifeboat(&["prune"]).code(0);
    assert_eq!(record_files(&scene.site, "region_a"), Vec::<PathBuf>::new());
}

/// A record that is not about these bytes is told, and decides nothing.
#[test]
fn a_record_of_other_bytes_or_for_another_backup_is_not_taken() {
    let Some(scene) = Scene::new("record_of_other_bytes") else { return };
    let _ = scene.drill(&["--from", "region_b"]).code(0);
    let record = record_files(&scene.site, "region_b").remove(0);
    let mut text: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let manifest = scene.site.objects("region_a", ".json").remove(0);
    let folder = manifest.parent().unwrap().to_path_buf();
    let key = |path: &Path| format!("{CLUSTER}/frequent/{}", path.file_name().unwrap().display());
    text["artifact_sha256"] = json!("00");
    scene.site.write("record.json", text.to_string().as_bytes());
    let store = |key: &str| {
        let words = ["--record", "record.json", "--destination", "region_a", "--manifest", key];
        scene.site.program("lifeboat-catalogue", &words)
    };
    let _ = store(&key(&manifest)).code(50).said("another one than the record is about");
    let _ = store("demo/frequent/x.json").code(2);
    // Somebody puts it there all the same.
    fs::write(folder.join(record.file_name().unwrap()), text.to_string()).unwrap();
    assert_eq!(scene.states(), json!({ "region_a": "verified", "region_b": "proven" }));
    let list = scene.site.lifeboat(&["list"]).code(0).stdout;
    assert!(list.contains("decides nothing"), "{list}");
}

#[test]
fn i20_a_backup_in_a_bucket_is_proven_there() {
    let test = "i20_in_a_bucket";
    let Some(scene) = Scene::new(test) else { return };
    let Some(server) = or_skip(test, S3Server::start(S3Kind::S3sFs)) else { return };
    server.create_bucket("backups", Bucket::Plain).unwrap();
    let credentials = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    scene.site.write("aws", credentials.as_bytes());
    let bucket = format!(
        "{}\n[destinations.bucket]\nurl = \"s3://backups/etcd\"\nendpoint = \"{}\"\n\
         path_style = true\ncredentials_file = \"aws\"\n",
        shipped(),
        server.endpoint()
    );
    scene.site.configure(&bucket).unwrap();
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let report = scene.drill(&["--from", "bucket"]).code(0).json();
    let key = only(&report)["record"].as_str().unwrap().to_owned();
    assert!(server.bucket_dir("backups").unwrap().join("etcd").join(&key).is_file(), "{key}");
    let states = json!({ "bucket": "proven", "region_a": "verified", "region_b": "verified" });
    assert_eq!(scene.states(), states);
    let _ = scene.site.lifeboat(&["status"]).code(0);
}

/// Those that were never proven come first.
#[test]
fn a_sample_takes_what_was_proven_longest_ago() {
    let Some(scene) = Scene::new("drill_sample") else { return };
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let _ = scene.drill(&[]).code(0);
    let proven = || {
        let list = scene.site.lifeboat(&["list", "--json"]).code(0).json();
        let rows = list["backups"].as_array().unwrap().clone();
        rows.iter().filter(|row| row["state"] == "proven").count()
    };
    assert_eq!(proven(), 1);
    let report = scene.drill(&["--sample", "2"]).code(0).json();
    assert_eq!((report["drills"].as_array().unwrap().len(), proven()), (2, 3));
}
