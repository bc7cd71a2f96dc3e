//! `lifeboat adopt`: snapshots of real servers in every form that other tools leave behind become
//! backups, come back as the bytes that they were, and stand in the history where they belong.

#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{REGIONS, Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, EtcdVersion, each_etcd, run, servers};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

each_etcd!(i25_every_form_becomes_a_backup_and_comes_back_as_it_was);

/// 2026-01-02T00:00:00Z, when the first file of a test was written.
const BEGIN_SECOND: u64 = 1_767_312_000;
const DAY_SECONDS: u64 = 86_400;

/// A small cluster with some history, Secrets encrypted as Kubernetes does it.
fn cluster(version: &EtcdVersion) -> Cluster {
    let cluster = ClusterSpec::new(version).start().unwrap();
    let spec = LoadSpec { objects: 40, secrets_encrypted: true, ..LoadSpec::default() };
    let _ = cluster.load(&spec).unwrap();
    cluster
}

/// A snapshot of its own, as etcd's own client saves it: one more write goes before each.
fn save(cluster: &Cluster, name: &str) -> Vec<u8> {
    let _ = cluster.etcdctl(&["put", "adopted", name]).unwrap();
    let file = cluster.dir().join(format!("{name}.saved"));
    let _ = cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
    std::fs::read(file).unwrap()
}

/// The day after day `number` of the test, in seconds.
fn day(number: u64) -> u64 {
    BEGIN_SECOND + number * DAY_SECONDS
}

/// A file of the site that was written on that day.
fn write(site: &Site, name: &str, bytes: &[u8], on_day: u64) {
    site.write(name, bytes);
    let file = std::fs::File::options().write(true).open(site.path(name)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(day(on_day))).unwrap();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 1).unwrap()
}

/// As Go's `archive/zip` writes it for k3s: deflated, lengths behind, the time in UTC.
fn zip_of_k3s(content: &[u8], seconds: u64) -> Vec<u8> {
    use zip::write::{ExtendedFileOptions, FileOptions, ZipWriter};
    let mut options = FileOptions::<ExtendedFileOptions>::default();
    let seconds = u32::try_from(seconds).unwrap().to_le_bytes();
    let time = [&[1], &seconds[..]].concat().into_boxed_slice();
    options.add_extra_data(0x5455, time, false).unwrap();
    let mut writer = ZipWriter::new_stream(Vec::new());
    writer.start_file("etcd-snapshot-node-1", options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

/// Encrypted by age's own program, with a passphrase-less recipient of the site.
fn age(site: &Site, test: &str, content: &[u8]) -> Option<Vec<u8>> {
    let program = or_skip(test, servers::tool("age"))?;
    site.write("plain", content);
    let mut command = Command::new(program);
    command.arg("-R").arg(site.path("keys/recipients.txt")).arg("-o").arg(site.path("packed"));
    let _ = run(command.arg(site.path("plain"))).unwrap();
    let packed = std::fs::read(site.path("packed")).unwrap();
    durable::remove_file(&site.path("packed")).unwrap();
    Some(packed)
}

fn adopt(site: &Site, arguments: &[&str]) -> Ran {
    site.lifeboat(&[&["adopt", "--json"], arguments].concat())
}

/// What the answer says of each file, by its name.
fn told<'a>(answer: &'a Value, file: &str) -> &'a Value {
    let files = answer["files"].as_array().unwrap();
    files.iter().find(|told| told["file"] == file).unwrap_or_else(|| panic!("{file}: {answer}"))
}

fn shown(site: &Site, backup: &str) -> Value {
    site.lifeboat(&["show", "--json", backup]).code(0).json()
}

/// The bytes of a backup, brought back by Lifeboat.
fn fetched(site: &Site, backup: &str) -> Vec<u8> {
    let _ = site.lifeboat(&["fetch", backup, "-o", "back.db"]).code(0);
    let bytes = std::fs::read(site.path("back.db")).unwrap();
    durable::remove_file(&site.path("back.db")).unwrap();
    bytes
}

/// etcd's own tool takes it for a snapshot, counts what the manifest counts, and restores it.
fn assert_restorable(version: &EtcdVersion, snapshot: &[u8], manifest: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    std::fs::write(&file, snapshot).unwrap();
    let mut status = version.snapshot_command();
    let status = status.args(["snapshot", "status", "--write-out", "json"]).arg(&file);
    let status: Value = serde_json::from_slice(&run(status).unwrap().stdout).unwrap();
    assert_eq!(status["hash"], manifest["snapshot"]["status_hash"]);
    assert_eq!(status["revision"], manifest["snapshot"]["revision"]);
    let data = dir.path().join("data");
    let mut restore = version.snapshot_command();
    restore.args(["snapshot", "restore"]).arg(&file).arg("--data-dir").arg(&data);
    let _ = run(&mut restore).unwrap();
    assert!(data.join("member/snap/db").exists());
}

/// A file of the site, with the snapshot in it and what it is wrapped in.
struct Form {
    file: &'static str,
    snapshot: Vec<u8>,
    wrapped: &'static [&'static str],
}

impl Form {
    fn is_raw(&self) -> bool {
        self.file == "db"
    }

    /// What comes back: a copied database has its digest behind it then.
    fn expected(&self) -> Vec<u8> {
        match self.is_raw() {
            true => [&self.snapshot[..], &Sha256::digest(&self.snapshot)].concat(),
            false => self.snapshot.clone(),
        }
    }
}

/// Every form, a day after the other. A name says nothing: what is called a text is a snapshot.
fn forms(cluster: &mut Cluster, site: &Site) -> Vec<Form> {
    const FORMS: [(&str, &[&str]); 6] = [
        ("a-snapshot.txt", &[]),
        ("b.db.gz", &["gzip"]),
        ("c.db.zst", &["zstd"]),
        ("k3s.zip", &["zip"]),
        ("twice.zip", &["zip", "gzip"]),
        ("e.db.zst.age", &["age", "zstd"]),
    ];
    let mut forms: Vec<Form> = Vec::new();
    for (on_day, (file, wrapped)) in (0..).zip(FORMS) {
        let snapshot = save(cluster, file);
        let packed = match file {
            "b.db.gz" => Some(gzip(&snapshot)),
            "c.db.zst" => Some(zstd_of(&snapshot)),
            "k3s.zip" => Some(zip_of_k3s(&snapshot, day(on_day))),
            "twice.zip" => Some(zip_of_k3s(&gzip(&snapshot), day(on_day))),
            "e.db.zst.age" => age(site, "adopt_every_form", &zstd_of(&snapshot)),
            _ => Some(snapshot.clone()),
        };
        // The time in a zip file counts, and not that of the file.
        let of_file = if file.ends_with(".zip") { 300 } else { on_day };
        if let Some(packed) = packed {
            write(site, file, &packed, of_file);
            forms.push(Form { file, snapshot, wrapped });
        }
    }
    let _ = cluster.etcdctl(&["put", "adopted", "raw"]).unwrap();
    cluster.stop(0).unwrap();
    let snapshot = std::fs::read(cluster.members()[0].data_dir.join("member/snap/db")).unwrap();
    write(site, "db", &snapshot, FORMS.len() as u64);
    forms.push(Form { file: "db", snapshot, wrapped: &[] });
    forms
}

fn i25_every_form_becomes_a_backup_and_comes_back_as_it_was(version: &EtcdVersion) {
    let mut cluster = cluster(version);
    let site = Site::new(&cluster).unwrap();
    let forms = forms(&mut cluster, &site);
    let files: Vec<&str> = forms.iter().map(|form| form.file).collect();
    let ran = adopt(&site, &[&["--identity", "keys/identity.txt"], &files[..]].concat()).code(0);
    let answer = ran.json();
    assert!(ran.stderr.contains("it has no SHA-256 behind it"), "{}", ran.stderr);
    // Newest first, each under its own time.
    let mut listed = site.backups();
    listed.reverse();
    let backups: Vec<&str> =
        files.iter().map(|file| told(&answer, file)["backup"].as_str().unwrap()).collect();
    assert_eq!(listed, backups);
    for form in &forms {
        assert_adopted(version, &site, form, told(&answer, form.file));
    }
    let left = std::fs::read_dir(site.path("state/demo/adoptions")).unwrap().count();
    assert_eq!(left, 0, "an adoption leaves no run directory");
    assert_told_to_people(&site, &answer);
}

/// It is a backup like any other, says where it came from, and comes back.
fn assert_adopted(version: &EtcdVersion, site: &Site, form: &Form, told: &Value) {
    let (file, backup) = (form.file, told["backup"].as_str().unwrap());
    assert_eq!((&told["verdict"], &told["exit"]), (&"adopted".into(), &0.into()));
    assert_eq!(told["doubts"], serde_json::json!([]), "{file}");
    assert_eq!(told["wrapped"], serde_json::json!(form.wrapped), "{file}");
    assert_eq!(told["has_trailer"], !form.is_raw(), "{file}");
    let shown = shown(site, backup);
    let (etcd, proved) = (&shown["manifest"]["etcd"], &shown["manifest"]["snapshot"]);
    assert_eq!(etcd["adopted"]["file"], file);
    assert_eq!(etcd["adopted"]["wrapped"].as_array().map_or(0, Vec::len), form.wrapped.len());
    assert_eq!((&etcd["cluster_id"], &etcd["revision_barrier"]), (&"".into(), &0.into()));
    assert_eq!(proved["hashkv"], serde_json::json!([]));
    assert!(proved["encryption_at_rest"]["aescbc:v1:key1"].as_u64().unwrap() > 0);
    assert_eq!(proved["auth_enabled"], false);
    assert!(shown["copies"].as_array().unwrap().iter().all(|c| c["state"] == "verified"));
    let back = fetched(site, backup);
    assert!(back == form.expected(), "{file} is not what it was");
    assert_restorable(version, &back, &shown["manifest"]);
}

fn assert_told_to_people(site: &Site, answer: &Value) {
    let show = |file: &str| {
        let backup = told(answer, file)["backup"].as_str().unwrap().to_owned();
        site.lifeboat(&["show", &backup]).code(0).stdout
    };
    let raw = show("db");
    for words in ["adopted      from the file db", "that of the file", "its WAL is missing"] {
        assert!(raw.contains(words), "{words}: {raw}");
    }
    let zip = show("k3s.zip");
    for words in ["from the file k3s.zip (zip)", "etcd id not known", "no member was asked"] {
        assert!(zip.contains(words), "{words}: {zip}");
    }
    assert!(zip.contains("by Kubernetes, which needs aescbc:v1:key1"), "{zip}");
    assert!(zip.contains("the entry in the zip file"), "{zip}");
}

#[test]
fn f46_f49_what_is_cut_torn_or_no_snapshot_is_refused_and_the_next_file_is_adopted() {
    let Some(version) = or_skip("adopt_refused", Etcd::newest()) else { return };
    let cluster = cluster(&version);
    let site = Site::new(&cluster).unwrap();
    let snapshot = save(&cluster, "good");
    let mut files: Vec<String> = Vec::new();
    let mut add = |name: String, bytes: &[u8]| {
        write(&site, &name, bytes, 0);
        files.push(name);
    };
    let (all, packed) = (snapshot.len(), gzip(&snapshot));
    // Where pages end, and where they do not; never exactly in front of the digest.
    for length in [1, 20, 512, 4_096, 8_192, 8_224, 40_000, all / 2, all - 33, all - 31, all - 1] {
        add(format!("cut-{length}.db"), &snapshot[..length]);
    }
    for tenth in 0..10 {
        add(format!("cut-{tenth}.db.gz"), &packed[..packed.len() * tenth / 10]);
    }
    add("longer.db".into(), &[&snapshot[..], &[0; 512]].concat());
    add("joined.db.gz".into(), &[&packed[..], &packed].concat());
    add("text.db".into(), b"kind: Secret\n");
    add("torn.db".into(), &torn(&cluster));
    let mut flipped = snapshot.clone();
    flipped[all / 2] ^= 1;
    add("flipped.db".into(), &flipped);
    add("good.db.gz".into(), &packed);
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let answer = adopt(&site, &arguments).code(20).json();
    for file in &files {
        let told = told(&answer, file);
        let is_good = file == "good.db.gz";
        let expected = if is_good { ("adopted", 0) } else { ("failed", 20) };
        assert_eq!(told["verdict"], expected.0, "{told}");
        assert_eq!(told["exit"], expected.1, "{told}");
        assert_eq!(told["cause"].is_null(), is_good, "{told}");
        assert!(is_good || !told["cause"]["hint"].is_null(), "{told}");
    }
    assert_eq!(answer["exit"], 20);
    assert_eq!(site.backups(), [told(&answer, "good.db.gz")["backup"].as_str().unwrap()]);
    for region in REGIONS {
        assert_eq!(site.objects(region, "").len(), 2, "an artifact and a manifest, and no orphan");
    }
    // Without its digest it is a database like a copied one, and whole.
    write(&site, "bare.db", &snapshot[..all - 32], 1);
    let again = adopt(&site, &["bare.db"]).code(0).json();
    assert_eq!(told(&again, "bare.db")["verdict"], "already", "it is the same database");
}

/// What a copy of a database gives while it is written: its beginning is newer than its rest.
fn torn(cluster: &Cluster) -> Vec<u8> {
    const META_PAGES_BYTES: usize = 8_192;
    let file = cluster.members()[0].data_dir.join("member/snap/db");
    let mut early = std::fs::read(&file).unwrap();
    let _ = cluster.load(&LoadSpec { objects: 60, seed: 9, ..LoadSpec::default() }).unwrap();
    // etcd writes its file when it defragments, if not before.
    let _ = cluster.etcdctl_at(0, &["put", "last", "one"]).unwrap();
    let newer = |early: &[u8]| {
        let now = std::fs::read(&file).unwrap();
        if now[..META_PAGES_BYTES] == early[..META_PAGES_BYTES] {
            return Err("the file has not changed yet".to_owned());
        }
        Ok(now)
    };
    let late =
        lifeboat_tests::wait_until("etcd to write", Duration::from_secs(30), || newer(&early));
    early[..META_PAGES_BYTES].copy_from_slice(&late.unwrap()[..META_PAGES_BYTES]);
    early
}

#[test]
fn i04_the_same_bytes_are_stored_once_however_they_are_wrapped() {
    let Some(version) = or_skip("adopt_twice", Etcd::newest()) else { return };
    let cluster = cluster(&version);
    let site = Site::new(&cluster).unwrap();
    let snapshot = save(&cluster, "one");
    write(&site, "one.db", &snapshot, 0);
    write(&site, "one.db.gz", &gzip(&snapshot), 1);
    write(&site, "one.db.zst", &zstd_of(&snapshot), 2);
    // A dry run proves everything and stores nothing.
    let dry = adopt(&site, &["--dry-run", "one.db", "one.db.gz"]).code(0).json();
    assert_eq!(dry["dry_run"], true);
    let seen = told(&dry, "one.db");
    assert_eq!((&seen["verdict"], &seen["backup"]), (&"would-adopt".into(), &Value::Null));
    assert_eq!(seen["taken_at"], "2026-01-02T00:00:00Z");
    assert!(seen["revision"].as_i64().unwrap() > 1 && seen["keys"].as_u64().unwrap() > 40);
    assert_eq!(told(&dry, "one.db.gz")["verdict"], "already");
    site.assert_nothing_stored();

    let first = adopt(&site, &["one.db", "one.db.gz"]).code(0).json();
    let backup = told(&first, "one.db")["backup"].as_str().unwrap().to_owned();
    let again = adopt(&site, &["one.db", "one.db.zst"]).code(0).json();
    for (answer, file) in [(&first, "one.db.gz"), (&again, "one.db"), (&again, "one.db.zst")] {
        let told = told(answer, file);
        assert_eq!((&told["verdict"], &told["backup"]), (&"already".into(), &backup[..].into()));
    }
    assert_eq!(site.backups(), [backup.as_str()]);
    let people = site.lifeboat(&["adopt", "one.db", "one.db.gz"]).code(0).stdout;
    assert!(people.contains(&format!("these bytes are backup {backup} already")), "{people}");
    assert!(people.ends_with("2 backups already\n"), "{people}");
}

#[test]
fn i12_i07_adopted_backups_stand_in_the_history_and_runs_go_on() {
    let Some(version) = or_skip("adopt_history", Etcd::newest()) else { return };
    let cluster = cluster(&version);
    let mut site = Site::new(&cluster).unwrap();
    let old: Vec<Vec<u8>> = ["x", "y", "z"].iter().map(|name| save(&cluster, name)).collect();
    write(&site, "old-0.db", &old[0], 20);
    write(&site, "old-2.db", &old[2], 21);
    // Nothing but what was adopted: the first run has no backup before it, and is no other cluster's.
    let adopted = adopt(&site, &["old-0.db", "old-2.db"]).code(0).json();
    let old_0 = told(&adopted, "old-0.db")["backup"].as_str().unwrap().to_owned();
    assert!(site.lifeboat(&["status"]).code(41).stdout.contains("STALE"));
    let run = |site: &Site| {
        let report = site.lifeboat(&["run", "--json"]).code(0).json();
        report["backup"].as_str().unwrap().to_owned()
    };
    let first = run(&site);
    // What is newer than every run, and of the same history: the next run goes on all the same.
    let newer = save(&cluster, "newer");
    site.write("newer.db", &newer);
    let adopted = adopt(&site, &["newer.db"]).code(0).json();
    assert_eq!(told(&adopted, "newer.db")["doubts"], serde_json::json!([]));
    let second = run(&site);
    let previous = shown(&site, &second)["manifest"]["previous"]["backup"].clone();
    assert_eq!(previous, first[..], "what was adopted is no link of the chain");
    assert!(site.lifeboat(&["status"]).code(0).stdout.contains("SAFE"));

    // A file whose time is not that of its snapshot, and one of another cluster, which has other
    // members: both are adopted, and the doubt is told.
    write(&site, "misdated.db", &old[1], 0);
    let doubtful = adopt(&site, &["misdated.db"]).code(0);
    assert!(doubtful.stderr.contains("do not fit together"), "{}", doubtful.stderr);
    let misdated = told(&doubtful.json(), "misdated.db")["backup"].as_str().unwrap().to_owned();
    let stranger = self::cluster(&version);
    write(&site, "stranger.db", &save(&stranger, "stranger"), 19);
    let doubtful = adopt(&site, &["stranger.db"]).code(0);
    assert!(doubtful.stderr.contains("names any of its members"), "{}", doubtful.stderr);

    for rule in ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"] {
        site.set(&format!("LIFEBOAT__PRUNE__{rule}"), "0");
    }
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    site.set("LIFEBOAT__PRUNE__MIN_KEEP", "1");
    let arguments = ["prune", "--dry-run", "--json", "--allow-large-removal"];
    let plans = site.lifeboat(&arguments).code(0).json();
    let decisions = plans["region_a"]["decisions"].as_array().unwrap();
    let action = |id: &str| decisions.iter().find(|d| d["id"] == id).unwrap()["action"].clone();
    assert_eq!(action(&second), "keep");
    assert_eq!(action(&first), "remove");
    assert_eq!(action(&misdated), "ignore");
    assert_eq!(action(&old_0), "remove", "an adopted backup ages as any other: {plans}");
}

#[test]
fn f41_an_adoption_is_turned_away_while_a_run_is_at_work() {
    let Some(version) = or_skip("adopt_busy", Etcd::newest()) else { return };
    let cluster = cluster(&version);
    let site = Site::new(&cluster).unwrap();
    write(&site, "one.db", &save(&cluster, "one"), 0);
    site.hold_before("compress");
    let mut running = site.run_until_held();
    let _ = adopt(&site, &["one.db"]).code(12);
    site.go();
    let _ = running.end().code(0);
    assert_eq!(site.backups().len(), 1);
}

#[test]
fn an_adopted_backup_is_restored_and_drilled_though_nobody_saw_its_members() {
    let Some(version) = or_skip("adopt_restore", Etcd::newest()) else { return };
    let mut cluster = cluster(&version);
    let site = Site::new(&cluster).unwrap();
    write(&site, "one.db", &save(&cluster, "one"), 0);
    cluster.stop(0).unwrap();
    let raw = std::fs::read(cluster.members()[0].data_dir.join("member/snap/db")).unwrap();
    write(&site, "db", &raw, 1);
    let answer = adopt(&site, &["one.db", "db"]).code(0).json();
    for file in ["one.db", "db"] {
        let backup = told(&answer, file)["backup"].as_str().unwrap();
        // The snapshot itself names its members.
        let data = format!("data-{file}");
        let arguments = ["restore", backup, "--member", "m1", "--data-dir", &data];
        let _ = site.lifeboat(&arguments).code(0);
        assert!(site.path(&data).join("member/snap/db").exists());
        let etcd = version.etcd.to_str().unwrap();
        let drill = site.lifeboat(&["drill", backup, "--etcd", etcd, "--json"]).code(0).json();
        assert_eq!(drill["drills"][0]["result"], "proven", "{drill}");
        assert_eq!(shown(&site, backup)["copies"][0]["state"], "proven");
    }
}

#[test]
fn what_cannot_be_is_told_for_each_file_and_the_worst_is_the_exit_code() {
    let Some(version) = or_skip("adopt_usage", Etcd::newest()) else { return };
    let cluster = cluster(&version);
    let site = Site::new(&cluster).unwrap();
    let snapshot = save(&cluster, "one");
    write(&site, "one.db", &snapshot, 0);
    site.write("old.db", &snapshot);
    let file = std::fs::File::options().write(true).open(site.path("old.db")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let _ = adopt(&site, &["--taken-at", "2026-11-20T02:14:00Z", "one.db", "old.db"])
        .code(2)
        .said("are for one file");
    let _ =
        adopt(&site, &["--taken-at", "2999-11-20T02:14:00Z", "one.db"]).code(2).said("cannot be");
    let _ = adopt(&site, &["--taken-at", "yesterday", "one.db"]).code(2);
    let _ = adopt(&site, &[]).code(2);
    site.assert_nothing_stored();
    let ran = adopt(&site, &["nowhere.db", "keys", "old.db", "one.db"]).code(2);
    let answer = ran.json();
    for (name, says) in
        [("nowhere.db", "cannot read"), ("keys", "not a file"), ("old.db", "1970-01-01")]
    {
        let told = told(&answer, name);
        assert_eq!((&told["verdict"], &told["exit"]), (&"failed".into(), &2.into()));
        assert!(told["cause"]["message"].as_str().unwrap().contains(says), "{told}");
    }
    assert_eq!(told(&answer, "one.db")["verdict"], "adopted");
    // A time that is given counts, as does a name.
    write(&site, "two.db", &save(&cluster, "two"), 0);
    let arguments = ["--taken-at", "2026-03-04T05:06:07Z", "--name", "by hand", "two.db"];
    let answer = adopt(&site, &arguments).code(0).json();
    let two = told(&answer, "two.db");
    assert_eq!(
        (&two["time_from"], &two["taken_at"]),
        (&"given".into(), &"2026-03-04T05:06:07Z".into())
    );
    let backup = two["backup"].as_str().unwrap();
    assert!(backup.starts_with("20260304T050607Z-"), "{backup}");
    assert_eq!(shown(&site, backup)["manifest"]["etcd"]["adopted"]["file"], "by hand");
    // Without the key nothing comes of an age file, and that has a code of its own.
    if let Some(packed) = age(&site, "adopt_no_key", &snapshot) {
        write(&site, "locked.age", &packed, 0);
        let _ = site.lifeboat(&["keygen", "other.txt"]).code(0);
        let _ = adopt(&site, &["--identity", "other.txt", "locked.age"]).code(21);
    }
    assert!(!Path::new(&site.path("state/demo/last-backup.json")).exists());
}
