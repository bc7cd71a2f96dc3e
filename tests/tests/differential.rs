//! Our verdict on damaged databases beside that of etcd's own tools.
//!
//! A sample of sound databases is damaged, sealed again (meta checksums and the SHA-256 behind the
//! file), and given to `lifeboat`'s verifier and to `etcdutl snapshot status`, which opens the
//! database with bbolt and runs its check over every page. What theirs rejects ours must reject.
//! Ours may be stricter; what it refuses beyond theirs is counted by kind, and each kind has a
//! reason in [`STRICTER`].
//!
//! `LIFEBOAT_DIFFERENTIAL_CASES` and `LIFEBOAT_DIFFERENTIAL_SEED` look further; the counts are
//! left in `target/tmp/differential.txt`.

#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_fuzz_targets::{STRUCTURED, damaged_snapshot, sound_snapshots, verify};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Etcd, EtcdVersion};
use serde_json::Value;
use snapshot::{Options, Report, VerifyError};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const SEED: u64 = 20_261_120;
const CASES: usize = 200;
/// What etcd's tool may take on some damaged kilobytes; a damaged tree can lead it in circles.
const TOOL_SECONDS_MAX: &str = "20";

/// Kinds of refusal that etcd's tool does not know, and why they are right.
const STRICTER: [(&str, &str); 13] = [
    ("Record", "the tool decodes no record beyond its key; a restore would take what is there"),
    ("Truncated", "the tool does not compare the file's length with the high-water mark"),
    ("meta page", "bbolt goes on with one sound meta page; a server sends two that fit together"),
    ("ElementOutsidePage", "bbolt follows a position wherever it leads, over other elements too"),
    ("ElementFlags", "bbolt looks at the one bit that it knows"),
    ("EmptyBranch", "bbolt takes a branch without children for an empty tree and never writes one"),
    ("BucketHeader", "bbolt does not look at the header of the page inside an inline bucket"),
    ("KeyOrder", "bbolt does not check the order of keys inside an inline bucket"),
    ("NestedBucket", "sound for bbolt; etcd never makes one, and would count it as a key"),
    ("RootElement", "sound for bbolt; etcd keeps nothing beside its buckets"),
    ("Fact", "the tool does not read `meta`; a server that starts from it does, and panics"),
    ("MissingBucket", "the tool counts what is there; without `key` or `meta` it is not etcd's"),
    ("Unsupported", "a limit of ours, which the message names"),
];

/// A small generator (SplitMix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn input(&mut self) -> Vec<u8> {
        let length = 4 + self.next() % 24;
        let choices = (0..length).map(|_| self.next().to_le_bytes()[0]);
        std::iter::once(STRUCTURED).chain(choices).collect()
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What etcd's tool prints; the reason when it rejects the file.
fn theirs(version: &EtcdVersion, file: &Path) -> Result<Value, String> {
    let mut command = Command::new("timeout");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg(TOOL_SECONDS_MAX).arg(version.snapshot_tool());
    command.args(["snapshot", "status", "--write-out", "json"]).arg(file);
    let output = command.output().unwrap();
    match serde_json::from_slice(&output.stdout) {
        Ok(status) if output.status.success() => Ok(status),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Err(format!("{} {last:.300}", output.status))
        }
    }
}

fn kind(error: &VerifyError) -> String {
    let name = |shown: String| shown.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    match error {
        VerifyError::Structure { page: 0 | 1, .. } => "meta page".into(),
        VerifyError::Structure { problem, .. } => name(format!("{problem:?}")),
        other => name(format!("{other:?}")),
    }
}

fn assert_same(report: &Report, status: &Value, case: &str) {
    assert_eq!(status["hash"], report.status.hash, "{case}");
    assert_eq!(status["revision"], report.status.revision, "{case}");
    assert_eq!(status["totalSize"], report.status.total_size, "{case}");
}

#[test]
fn f49_f57_i06_what_etcds_tools_reject_is_never_accepted() {
    let test = "differential";
    let Some(version) = or_skip(test, Etcd::newest()) else { return };
    let seed = number("LIFEBOAT_DIFFERENTIAL_SEED", SEED);
    let cases = number("LIFEBOAT_DIFFERENTIAL_CASES", CASES as u64);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("damaged.db");
    for (at, sound) in sound_snapshots().into_iter().enumerate() {
        std::fs::write(&file, &sound).unwrap();
        let report = verify(&sound, sound.len(), Options::default()).unwrap();
        assert_same(&report, &theirs(&version, &file).unwrap(), &format!("sound {at}"));
    }

    let mut rng = Rng(seed);
    let (mut both_accept, mut both_reject) = (0, 0);
    let mut stricter: BTreeMap<String, usize> = BTreeMap::new();
    for case in 0..cases {
        let input = rng.input();
        let damaged = damaged_snapshot(&input);
        let name = format!("seed {seed}, case {case}, input {input:?}");
        std::fs::write(&file, &damaged).unwrap();
        let ours = verify(&damaged, damaged.len(), Options::default());
        match (ours, theirs(&version, &file)) {
            (Ok(report), Ok(status)) => {
                assert_same(&report, &status, &name);
                both_accept += 1;
            }
            (Ok(_), Err(reason)) => panic!("accepted, but etcdutl says {reason}: {name}"),
            (Err(error), Ok(_)) => *stricter.entry(kind(&error)).or_default() += 1,
            (Err(_), Err(_)) => both_reject += 1,
        }
    }
    let found = format!("both accept {both_accept}, both reject {both_reject}, ours {stricter:?}");
    let noted = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt");
    std::fs::write(noted, format!("seed {seed}, {cases} cases: {found}\n")).unwrap();
    let unexplained = |kind: &&String| !STRICTER.iter().any(|(known, _)| *known == kind.as_str());
    let unexplained: Vec<&String> = stricter.keys().filter(unexplained).collect();
    assert!(unexplained.is_empty(), "no reason for {unexplained:?}: {found}");
    // A sample that one side always or never accepts shows nothing.
    assert!(both_accept * 20 > cases && both_reject * 10 > cases, "{found}");
}
