//! The three ways to join stages, and what a stage refuses: bytes without a receipt, or with
//! another one. Nothing may be stored then.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{REGIONS, Ran, Site, shipped};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, Running};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STAGES: [&str; 6] = ["capture", "verify", "compress", "encrypt", "replicate", "prune"];
/// What each of the first steps writes to, when they are joined by files.
const FILES: [&str; 4] = ["0.db", "1.db", "2.db.zst", "3.db.zst.age"];

/// A small cluster and a site for it.
fn cluster_and_site(test: &str) -> Option<(Cluster, Site)> {
    let cluster = ClusterSpec::new(&or_skip(test, Etcd::newest())?).start().unwrap();
    let _ = cluster.load(&LoadSpec::default()).unwrap();
    let site = Site::new(&cluster).unwrap();
    Some((cluster, site))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn receipt_path(run: &str, stage: &str) -> String {
    let step = STAGES.iter().position(|known| *known == stage).unwrap();
    format!("{run}/receipts/{step:02}-{stage}.json")
}

#[test]
fn i22_i23_pipes_leave_a_whole_chain_of_private_receipts() {
    let Some((_cluster, site)) = cluster_and_site("pipes") else { return };
    let _ = site.lifeboat(&["run"]).code(0);
    let runs: Vec<PathBuf> = std::fs::read_dir(site.path("state/demo/runs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    let relative = run.strip_prefix(site.path("")).unwrap().to_str().unwrap();
    assert_whole_chain(&site, relative);
    assert_eq!(read_json(&run.join("report.json"))["exit"], 0);
    for place in ["state", "backups"] {
        assert_private(&site.path(place));
    }
    site.assert_fetchable();
    let left = std::fs::read_dir(site.path("state/demo/fetches")).unwrap().count();
    assert_eq!(left, 0, "a fetch leaves no run directory");
}

/// Every step has a receipt of this run, and read what the one before wrote.
fn assert_whole_chain(site: &Site, run: &str) {
    let plan = read_json(&site.path(&format!("{run}/plan.json")));
    let mut before: Option<Value> = None;
    for (step, stage) in STAGES.into_iter().enumerate() {
        let receipt = read_json(&site.path(&receipt_path(run, stage)));
        assert_eq!(receipt["run"], plan["run"]);
        assert_eq!((&receipt["step"], &receipt["stage"]), (&json!(step), &json!(stage)));
        match &before {
            None => assert_eq!(receipt["input"], Value::Null),
            // Not every stage needs the SHA-256 of what it reads.
            Some(before) => {
                for part in ["bytes", "crc64"] {
                    assert_eq!(receipt["input"][part], before[part], "what {stage} read");
                }
                assert!(before["crc64"].is_string() && before["bytes"].is_u64(), "{before}");
            }
        }
        before = Some(receipt["output"].clone());
    }
    assert_eq!(before.unwrap()["bytes"], 0, "the last step writes nothing");
    let count = std::fs::read_dir(site.path(&format!("{run}/receipts"))).unwrap().count();
    assert_eq!(count, STAGES.len());
}

/// Directories 0700, files and FIFOs 0600, all the way down.
fn assert_private(path: &Path) {
    let meta = path.symlink_metadata().unwrap();
    let expected = if meta.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(meta.permissions().mode() & 0o7777, expected, "{}", path.display());
    if meta.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

/// Starts one stage between its two FIFOs.
fn start_between_fifos(site: &Site, stage: &str) -> Running {
    let step = STAGES.iter().position(|known| *known == stage).unwrap();
    let fifo = |step: usize| format!("fifos/{step:02}-{}.pipe", STAGES[step]);
    let mut arguments = vec!["--run-dir".to_owned(), "run".to_owned()];
    if step > 0 {
        arguments.extend(["--input".to_owned(), fifo(step - 1)]);
    }
    if step + 1 < STAGES.len() {
        arguments.extend(["--output".to_owned(), fifo(step)]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    site.start(&format!("lifeboat-{stage}"), &arguments)
}

fn plan_with_fifos(site: &Site) {
    for old in ["run", "fifos"] {
        let _ = std::fs::remove_dir_all(site.path(old));
    }
    let _ = site.lifeboat(&["plan", "--run-dir", "run", "--fifos", "fifos"]).code(0);
}

/// All orders in which six stages can be started are 720; these are the extremes and some others.
const ORDERS: [[usize; 6]; 5] = [
    [0, 1, 2, 3, 4, 5],
    [5, 4, 3, 2, 1, 0],
    [3, 0, 5, 1, 4, 2],
    [4, 5, 0, 2, 1, 3],
    [1, 3, 2, 5, 0, 4],
];

#[test]
fn fifos_join_stages_that_start_in_any_order() {
    let Some((_cluster, site)) = cluster_and_site("fifos") else { return };
    for (number, order) in ORDERS.into_iter().enumerate() {
        plan_with_fifos(&site);
        assert_private(&site.path("fifos"));
        assert_private(&site.path("run"));
        let pipe = site.path("fifos/00-capture.pipe").symlink_metadata().unwrap();
        assert!(pipe.file_type().is_fifo());
        let mut running: Vec<Running> =
            order.into_iter().map(|step| start_between_fifos(&site, STAGES[step])).collect();
        for stage in &mut running {
            let _ = stage.end().code(0);
        }
        assert_whole_chain(&site, "run");
        assert_eq!(site.backups().len(), number + 1);
        site.assert_fetchable();
    }
}

#[test]
fn f01_f02_a_stage_that_dies_between_fifos_takes_the_run_with_it() {
    let Some((cluster, mut site)) = cluster_and_site("fifos_broken") else { return };
    // capture waits for a member that does not answer.
    cluster.pause(0).unwrap();
    plan_with_fifos(&site);
    let mut running = STAGES.map(|stage| start_between_fifos(&site, stage));
    // Whoever opens a FIFO waits for the other side; what dies before has no other side to tell.
    running[0].wait_open("fifos/00-capture.pipe");
    running[0].signal(Signal::KILL);
    assert_eq!(running[0].end().code, 137);
    for stage in &mut running[1..] {
        let _ = stage.end().code(10).said("stage \"capture\" ended without a receipt");
    }
    cluster.resume(0).unwrap();
    site.assert_nothing_stored();

    // replicate fails by itself: prune must hear of it and not wait for ever.
    site.write("blocker", b"");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:blocker/region-b");
    plan_with_fifos(&site);
    let mut running = STAGES.map(|stage| start_between_fifos(&site, stage));
    let [.., replicate, prune] = &mut running;
    let _ = replicate.end().code(30).said("region_b");
    let _ = prune.end().code(10).said("stage \"replicate\" ended without a receipt");
    assert_eq!(site.objects("region_a", ""), Vec::<PathBuf>::new());
}

/// Runs one stage between its two files.
fn run_between_files(site: &Site, run: &str, stage: &str) -> Ran {
    let step = STAGES.iter().position(|known| *known == stage).unwrap();
    let mut arguments = vec!["--run-dir", run];
    if (1..=FILES.len()).contains(&step) {
        arguments.extend(["--input", FILES[step - 1]]);
    }
    if step < FILES.len() {
        arguments.extend(["--output", FILES[step]]);
    }
    site.program(&format!("lifeboat-{stage}"), &arguments)
}

/// A run as far as the file that `replicate` is to read.
fn run_up_to_replicate(site: &Site) {
    let _ = site.lifeboat(&["plan", "--run-dir", "run"]).code(0);
    for stage in &STAGES[..4] {
        let _ = run_between_files(site, "run", stage).code(0);
    }
}

#[test]
fn i04_f04_files_join_the_steps_of_a_job() {
    let Some((_cluster, mut site)) = cluster_and_site("files") else { return };
    run_up_to_replicate(&site);
    for file in FILES {
        assert_private(&site.path(file));
    }
    site.assert_nothing_stored();
    let _ = run_between_files(&site, "run", "replicate").code(0);
    let _ = run_between_files(&site, "run", "prune").code(0);
    assert_whole_chain(&site, "run");
    assert_private(&site.path("run"));
    site.assert_fetchable();
    a_run_directory_is_used_once(&mut site);
}

/// Also by a job that starts a step again although it had succeeded.
fn a_run_directory_is_used_once(site: &mut Site) {
    let before = REGIONS.map(|region| site.objects(region, ""));
    let _ = site.lifeboat(&["plan", "--run-dir", "run"]).code(2).said("plan.json exists already");
    for stage in STAGES {
        if let Some(file) = STAGES.iter().position(|s| *s == stage).and_then(|at| FILES.get(at)) {
            durable::remove_file(&site.path(file)).unwrap();
        }
        // What is read here does not matter: it is refused before.
        site.write("empty", b"");
        let name = format!("lifeboat-{stage}");
        let arguments = ["--run-dir", "run", "--input", "empty", "--output", "again"];
        let _ = site.program(&name, &arguments[..]).code(2).said(&format!("{stage}.json exists"));
        assert!(!site.path("again").exists());
    }
    // Even one that was killed between its commit and its receipt, where another destination is
    // away now: what the first process committed is not taken back.
    durable::remove_file(&site.path(&receipt_path("run", "prune"))).unwrap();
    durable::remove_file(&site.path(&receipt_path("run", "replicate"))).unwrap();
    site.write(FILES[3], &std::fs::read(&site.objects("region_a", ".age")[0]).unwrap());
    site.write("blocker", b"");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:blocker/region-b");
    let _ = run_between_files(site, "run", "replicate").code(50).said("the key is taken");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/region-b");
    let _ = run_between_files(site, "run", "replicate").code(50).said("the key is taken");
    assert_eq!(before, REGIONS.map(|region| site.objects(region, "")));
    site.assert_fetchable();
}

/// What was done to a run directory, the exit code and the words that follow.
type Damage = (&'static str, fn(&Site), u8, &'static str);

fn edit(site: &Site, file: &str, change: impl FnOnce(&mut Value)) {
    let file = format!("tampered/{file}");
    let mut value = read_json(&site.path(&file));
    change(&mut value);
    site.write(&file, &serde_json::to_vec(&value).unwrap());
}

fn change_receipt(site: &Site, stage: &str, pointer: &str, to: Value) {
    let file = receipt_path("", stage);
    edit(site, &file, |receipt| *receipt.pointer_mut(pointer).unwrap() = to);
}

fn lose(site: &Site, stage: &str) {
    durable::remove_file(&site.path(&receipt_path("tampered", stage))).unwrap();
}

const ANOTHER_RUN: &str = "01arz3ndektsv4rrffq69g5fav";
const ANOTHER_CRC: &str = "0123456789abcdef";
const ANOTHER_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Each of them must keep `replicate` from committing.
const DAMAGES: [Damage; 23] = [
    ("encrypt left none", |s| lose(s, "encrypt"), 10, "stage \"encrypt\" ended without a receipt"),
    ("verify left none", |s| lose(s, "verify"), 10, "stage \"verify\" ended without a receipt"),
    ("capture left none", |s| lose(s, "capture"), 10, "stage \"capture\" ended without a receipt"),
    (
        "another tally",
        |s| change_receipt(s, "encrypt", "/output/crc64", ANOTHER_CRC.into()),
        20,
        "stage \"encrypt\" wrote",
    ),
    (
        "another digest",
        |s| change_receipt(s, "encrypt", "/output/sha256", ANOTHER_HASH.into()),
        20,
        "the receipts name an artifact with SHA-256 e3b0c442",
    ),
    (
        "no digest",
        |s| change_receipt(s, "encrypt", "/output/sha256", Value::Null),
        20,
        "has the SHA-256 of what it wrote",
    ),
    (
        "another length",
        |s| change_receipt(s, "encrypt", "/output/bytes", 7.into()),
        20,
        "stage \"encrypt\" wrote 7 bytes",
    ),
    (
        "another tally in the middle",
        |s| change_receipt(s, "compress", "/input/crc64", ANOTHER_CRC.into()),
        20,
        "stage \"verify\" wrote",
    ),
    (
        "something that read nothing in the middle",
        |s| change_receipt(s, "compress", "/input", Value::Null),
        20,
        "stage \"compress\"",
    ),
    (
        "a first step that read something",
        |s| change_receipt(s, "capture", "/input", json!({ "bytes": 0, "crc64": ANOTHER_CRC })),
        20,
        "stage \"capture\"",
    ),
    (
        "another run",
        |s| change_receipt(s, "encrypt", "/run", ANOTHER_RUN.into()),
        20,
        "stage \"encrypt\"; expected run",
    ),
    (
        "another stage",
        |s| change_receipt(s, "encrypt", "/stage", "compress".into()),
        20,
        "03-encrypt.json is of run",
    ),
    ("another step", |s| change_receipt(s, "encrypt", "/step", 2.into()), 20, "03-encrypt.json"),
    (
        "a newer version",
        |s| change_receipt(s, "encrypt", "/version", 2.into()),
        60,
        "03-encrypt.json has format version 2; this program knows up to 1",
    ),
    (
        "an unknown field",
        |s| edit(s, &receipt_path("", "encrypt"), |r| r["more"] = true.into()),
        20,
        "03-encrypt.json is damaged",
    ),
    (
        "no version",
        |s| {
            edit(s, &receipt_path("", "encrypt"), |r| {
                drop(r.as_object_mut().unwrap().remove("version"));
            });
        },
        20,
        "03-encrypt.json is damaged",
    ),
    (
        "cut short",
        |s| s.write(&receipt_path("tampered", "encrypt"), b"{\"version\": 1, \"run\""),
        20,
        "03-encrypt.json is damaged",
    ),
    (
        "empty",
        |s| s.write(&receipt_path("tampered", "encrypt"), b""),
        20,
        "03-encrypt.json is damaged",
    ),
    ("no facts", |s| change_receipt(s, "capture", "/facts", json!({})), 20, "capture"),
    (
        "another plan",
        |s| edit(s, "plan.json", |p| p["run"] = ANOTHER_RUN.into()),
        20,
        "00-capture.json is of run",
    ),
    (
        "a newer plan",
        |s| edit(s, "plan.json", |p| p["version"] = 2.into()),
        60,
        "plan.json has format version 2",
    ),
    ("a damaged plan", |s| s.write("tampered/plan.json", b"{"), 20, "plan.json is damaged"),
    (
        "no plan",
        |s| durable::remove_file(&s.path("tampered/plan.json")).unwrap(),
        2,
        "is not a run directory",
    ),
];

/// A copy of `run`, to be damaged.
fn copy_run(site: &Site) {
    let _ = std::fs::remove_dir_all(site.path("tampered"));
    durable::create_private_dir(&site.path("tampered/receipts")).unwrap();
    let copy = |file: &str| {
        let bytes = std::fs::read(site.path(&format!("run/{file}"))).unwrap();
        site.write(&format!("tampered/{file}"), &bytes);
    };
    copy("plan.json");
    STAGES[..4].iter().for_each(|stage| copy(&receipt_path("", stage)[1..]));
}

#[test]
fn f52_i02_bytes_without_their_receipts_are_refused() {
    let Some((_cluster, site)) = cluster_and_site("refusals") else { return };
    run_up_to_replicate(&site);
    for (what, damage, code, words) in DAMAGES {
        copy_run(&site);
        damage(&site);
        let ran = run_between_files(&site, "tampered", "replicate");
        assert_eq!(ran.code, i32::from(code), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{what}: {}", ran.stderr);
        site.assert_nothing_stored();
        assert!(!site.path(&receipt_path("tampered", "replicate")).exists(), "{what}");
    }
    other_bytes_are_refused(&site);
    each_stage_asks_for_the_receipt_before_it(&site);
    only_planned_stages_run(&site);
    // None of this was refused for a reason of its own.
    let _ = run_between_files(&site, "run", "replicate").code(0);
    site.assert_fetchable();
}

fn other_bytes_are_refused(site: &Site) {
    let whole = std::fs::read(site.path(FILES[3])).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let longer = [&whole[..], b"x"].concat();
    for (what, bytes) in [
        ("cut", &whole[..whole.len() - 1]),
        ("flipped", &flipped),
        ("longer", &longer),
        ("empty", &[]),
    ] {
        copy_run(site);
        site.write("other.age", bytes);
        let ran = site.program("lifeboat-replicate", &["--run-dir", "tampered", "-i", "other.age"]);
        assert_eq!(ran.code, 20, "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains("stage \"encrypt\" wrote"), "{what}: {}", ran.stderr);
        site.assert_nothing_stored();
    }
}

fn each_stage_asks_for_the_receipt_before_it(site: &Site) {
    for step in 1..STAGES.len() {
        let (before, stage) = (STAGES[step - 1], STAGES[step]);
        copy_run(site);
        for later in STAGES.iter().skip(step).take(FILES.len().saturating_sub(step)) {
            lose(site, later);
        }
        if before != "replicate" {
            lose(site, before);
        }
        let input = FILES.get(step - 1).map(|file| ["--input", file]);
        let output = FILES.get(step).map(|_| ["--output", "unproved"]);
        let arguments: Vec<&str> = ["--run-dir", "tampered"]
            .into_iter()
            .chain(input.into_iter().chain(output).flatten())
            .collect();
        let ran = site.program(&format!("lifeboat-{stage}"), &arguments).code(10);
        let _ = ran.said(&format!("stage {before:?} ended without a receipt"));
        assert!(!site.path("unproved").exists(), "{stage} published its output");
        assert!(!site.path(&receipt_path("tampered", stage)).exists());
    }
    site.assert_nothing_stored();
}

fn only_planned_stages_run(site: &Site) {
    site.configure(&shipped().replace("\"compress\", ", "")).unwrap();
    let _ = site.lifeboat(&["plan", "--run-dir", "shorter"]).code(0);
    let arguments = ["--run-dir", "shorter", "--input", FILES[1], "--output", "unplanned"];
    let ran = site.program("lifeboat-compress", &arguments).code(2);
    let _ = ran.said("stage \"compress\" is not in the plan of this run (capture, verify, encrypt");
    assert!(!site.path("unplanned").exists());
    site.configure(&shipped()).unwrap();
}
