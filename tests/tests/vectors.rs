//! The committed vectors: one fault each, judged as the file beside it says.
//!
//! `tests/vectors/AREA/NAME` are the bytes, `tests/vectors/AREA/NAME.toml` says which exit code
//! they lead to, which words, and why. The archive of each format version is brought back, with
//! our programs and with standard tools alone.

#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_fuzz_targets::{TARGETS, Verdict, verdict};
use lifeboat_tests::site::Site;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Etcd, run, servers};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const VECTOR_BYTES_MAX: u64 = 64 << 10;
const ALL_BYTES_MAX: u64 = 1 << 20;
/// Areas that only a stage's own program reads, with the program.
const PROGRAMS: [(&str, &str); 2] = [("zstd", "lifeboat-compress"), ("age", "lifeboat-encrypt")];

const ARCHIVE: &str = "archive/v1";
const BACKUP: &str = "20261120T164547Z-01m7wxk46vmts03n7nrz933gr9";

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).unwrap();
    let mut all: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[derive(Debug)]
struct Vector {
    area: String,
    path: PathBuf,
    bytes: Vec<u8>,
    expected: toml::Table,
}

fn all() -> Vec<Vector> {
    let mut found = Vec::new();
    let is_area = |path: &PathBuf| path.is_dir() && !path.ends_with("archive");
    for folder in entries(&vectors()).into_iter().filter(is_area) {
        let area = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for path in entries(&folder) {
            let beside = PathBuf::from(format!("{}.toml", path.display()));
            if !beside.exists() {
                let bytes_of = path.with_extension("");
                assert!(bytes_of.exists(), "{} says nothing about itself", path.display());
                continue;
            }
            let expected = std::fs::read_to_string(&beside).unwrap().parse().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            found.push(Vector { area: area.clone(), path, bytes, expected });
        }
    }
    assert!(found.len() > 80, "the vectors were not found");
    found
}

/// Runs a stage's program the way back, into a folder that must stay empty unless it succeeds.
fn by_program(site: &Site, program: &str, vector: &Vector) -> Verdict {
    let output = site.path("opened");
    let identity = vectors().join(ARCHIVE).join("identity.txt");
    let mut arguments = vec!["-d", "-i", vector.path.to_str().unwrap()];
    arguments.extend(["-o", output.to_str().unwrap()]);
    if program == "lifeboat-encrypt" {
        arguments.extend(["--identity", identity.to_str().unwrap()]);
    }
    let ran = site.program(program, &arguments);
    assert_eq!(output.exists(), ran.code == 0, "{}: {ran:?}", vector.path.display());
    let _ = std::fs::remove_file(&output);
    Verdict { exit: u8::try_from(ran.code).unwrap(), said: ran.stderr }
}

#[test]
fn f15_f16_f34_f44_f46_f47_f49_f50_f51_f52_f57_every_vector_is_judged_as_it_says() {
    let site = Site::without_cluster().unwrap();
    let mut wrong = Vec::new();
    for vector in all() {
        let program = PROGRAMS.iter().find(|(area, _)| *area == vector.area);
        let found = match program {
            Some((_, program)) => by_program(&site, program, &vector),
            None => verdict(&vector.area, &vector.bytes).unwrap(),
        };
        let exit = vector.expected["exit"].as_integer().unwrap();
        let says = vector.expected["says"].as_str().unwrap();
        if i64::from(found.exit) != exit || !found.said.contains(says) {
            let expected = format!("expected {exit} {says:?}");
            wrong.push(format!("{}: {expected}, found {found:?}", vector.path.display()));
        }
        assert!(!found.said.contains("SECRETCANARY"), "{found:?}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Vectors are also what fuzzing begins with: each target must stand all of its area's.
#[test]
fn every_target_stands_the_vectors() {
    let areas = [("s3", "s3_answers"), ("snapshot", "snapshot"), ("snapshot", "bbolt_pages")];
    for vector in all() {
        let same = [(vector.area.as_str(), vector.area.as_str())];
        for (_, name) in areas.iter().chain(&same).filter(|(area, _)| *area == vector.area) {
            for (_, target) in TARGETS.iter().filter(|(known, _)| known == name) {
                target(&vector.bytes);
            }
        }
    }
}

#[test]
fn every_vector_is_small_and_says_why() {
    let mut total = 0;
    for vector in all() {
        let bytes = vector.bytes.len() as u64;
        assert!(bytes < VECTOR_BYTES_MAX, "{} has {bytes} bytes", vector.path.display());
        total += bytes;
        for key in ["why", "ids", "says", "exit"] {
            assert!(vector.expected.contains_key(key), "{}: {key}", vector.path.display());
        }
    }
    assert!(total < ALL_BYTES_MAX, "{total} bytes");
}

// === archives ===

/// A site whose destination holds the archive, and whose identity opens it.
fn archive_site() -> Site {
    let site = Site::without_cluster().unwrap();
    let toml = "cluster = \"golden\"\n[decrypt]\nidentities_files = [\"identity.txt\"]\n\
                [destinations.archive]\nurl = \"file:archive\"\n[encrypt]\n\
                recipients_files = [\"keys/recipients.txt\"]\n[prune]\nlast = 1\n";
    site.configure(toml).unwrap();
    copy(&vectors().join(ARCHIVE).join("golden"), &site.path("archive/golden"));
    std::fs::copy(vectors().join(ARCHIVE).join("identity.txt"), site.path("identity.txt")).unwrap();
    site
}

fn copy(from: &Path, to: &Path) {
    durable::create_private_dir(to).unwrap();
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn manifest_file(root: &Path) -> PathBuf {
    let files = entries(&root.join("golden/frequent"));
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap()
}

fn manifest(root: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(manifest_file(root)).unwrap()).unwrap()
}

#[test]
fn i25_the_archive_of_version_1_is_brought_back_by_our_programs() {
    let site = archive_site();
    assert_eq!(site.lifeboat(&["list", "--json"]).code(0).backups(), [BACKUP]);
    let _ = site.lifeboat(&["fetch", "latest", "-o", "fetched.db"]).code(0);
    let fetched = site.path("fetched.db");
    let report = site.program("lifeboat-verify", &["--json", fetched.to_str().unwrap()]);
    let report = report.code(0).json();
    let manifest = manifest(&site.path("archive"));
    assert_eq!(report["sha256"], manifest["snapshot"]["db_sha256"]);
    assert_eq!(report["status"]["hash"], manifest["snapshot"]["status_hash"]);
    assert_eq!(report["revision"], manifest["snapshot"]["revision"]);
}

#[test]
fn i25_the_archive_of_version_1_is_brought_back_by_standard_tools_alone() {
    let test = "i25_standard_tools";
    let Some(age) = or_skip(test, servers::tool("age")) else { return };
    let Some(zstd) = or_skip(test, servers::tool("zstd")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = vectors().join(ARCHIVE);
    let manifest = manifest(&root);
    let file = manifest["artifact"]["file"].as_str().unwrap();
    let (packed, database) = (dir.path().join("packed"), dir.path().join("snapshot.db"));
    let opened = |command: &mut Command| run(command.env_clear()).unwrap();
    let artifact = root.join("golden/frequent").join(file);
    opened(
        Command::new(age)
            .args(["-d", "-i"])
            .arg(root.join("identity.txt"))
            .arg("-o")
            .args([&packed, &artifact]),
    );
    opened(Command::new(zstd).args(["-q", "-d", "-o"]).args([&database, &packed]));
    for version in Etcd::available() {
        let status = opened(
            version
                .snapshot_command()
                .args(["snapshot", "status", "--write-out", "json"])
                .arg(&database),
        );
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["hash"], manifest["snapshot"]["status_hash"], "{}", version.label);
        assert_eq!(status["revision"], manifest["snapshot"]["revision"]);
        let data = dir.path().join(version.label);
        let mut restore = version.snapshot_command();
        restore.args(["snapshot", "restore"]).arg(&database).arg("--data-dir").arg(&data);
        opened(&mut restore);
        assert!(data.join("member/snap/db").exists(), "{}", version.label);
    }
}

#[test]
fn i25_a_manifest_of_a_newer_program_asks_for_an_upgrade() {
    let site = archive_site();
    let path = manifest_file(&site.path("archive"));
    let text = std::fs::read_to_string(&path).unwrap();
    let newer = text.replacen("\"version\": 1", "\"version\": 2", 1);
    assert_ne!(newer, text);
    std::fs::write(&path, newer).unwrap();
    let _ = site.lifeboat(&["fetch", BACKUP, "-o", "x.db"]).code(60).said("format version 2");
    assert!(!site.path("x.db").exists());
}
