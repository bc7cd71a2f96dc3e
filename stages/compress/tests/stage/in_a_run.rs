//! Receipts: nothing is published unless the step before signed for the same bytes.

use crate::common::{command, first_receipt, noise, prose, run_dir, stage};
use contract::{RunDir, Written};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

struct Ground {
    root: tempfile::TempDir,
    dir: RunDir,
}

fn ground(steps: &[&str]) -> Ground {
    let root = tempfile::tempdir().unwrap();
    let dir = run_dir(root.path(), steps);
    Ground { root, dir }
}

impl Ground {
    fn output(&self) -> std::path::PathBuf {
        self.root.path().join("out")
    }

    fn run(&self, args: &[&str], input: &[u8]) -> crate::common::Ended {
        let output = self.output();
        let streams =
            ["--run-dir", self.dir.path().to_str().unwrap(), "-o", output.to_str().unwrap()];
        stage(&[args, &streams].concat(), input)
    }

    fn assert_nothing_happened(&self, step: usize, stage: &str) {
        assert!(!self.output().exists());
        assert!(self.dir.receipt(step, stage).unwrap().is_none());
    }
}

#[test]
fn a_receipt_that_matches_is_answered_by_a_receipt() {
    let content = prose(100_000);
    let ground = ground(&["verify", "compress", "encrypt"]);
    first_receipt(&ground.dir, &content);
    ground.run(&["--level", "5"], &content).expect(0);
    let receipt = ground.dir.receipt(1, "compress").unwrap().unwrap();
    assert_eq!(receipt.input, Some(Written::of(&content).tally()));
    assert_eq!(receipt.output, Written::of(&std::fs::read(ground.output()).unwrap()));
    assert_eq!(receipt.facts, serde_json::json!({"format": "zstd", "level": 5}));
    assert!(receipt.tool.starts_with("lifeboat-compress "), "{}", receipt.tool);
}

#[test]
fn without_the_receipt_before_nothing_is_published() {
    let ground = ground(&["verify", "compress"]);
    let ended = ground.run(&[], &prose(1000)).expect(10);
    assert!(ended.stderr.contains(r#""blame":"upstream""#), "{}", ended.stderr);
    ground.assert_nothing_happened(1, "compress");
}

#[test]
fn with_another_receipt_before_nothing_is_published() {
    let ground = ground(&["verify", "compress"]);
    first_receipt(&ground.dir, &prose(1001));
    ground.run(&[], &prose(1000)).expect(20);
    ground.assert_nothing_happened(1, "compress");
}

#[test]
fn the_way_back_has_a_name_of_its_own() {
    let content = prose(100_000);
    let frame = stage(&[], &content).expect(0).stdout;
    let ground = ground(&["fetch", "decompress", "restore"]);
    first_receipt(&ground.dir, &frame);
    ground.run(&["-d"], &frame).expect(0);
    assert!(std::fs::read(ground.output()).unwrap() == content);
    let receipt = ground.dir.receipt(1, "decompress").unwrap().unwrap();
    assert_eq!(receipt.facts, serde_json::json!({"format": "zstd"}));
    assert!(receipt.tool.starts_with("lifeboat-compress "), "{}", receipt.tool);
    ground.run(&[], &content).expect(2);
}

#[test]
fn a_cut_input_is_blamed_on_the_step_that_died() {
    let frame = stage(&[], &noise(1 << 20, 8)).expect(0).stdout;
    let ground = ground(&["fetch", "decompress"]);
    let ended = ground.run(&["-d"], &frame[..1 << 19]).expect(10);
    assert!(ended.stderr.contains(r#""blame":"upstream""#), "{}", ended.stderr);
    ground.assert_nothing_happened(1, "decompress");
}

#[test]
fn damage_that_the_step_before_signed_for_is_in_the_artifact() {
    let mut frame = stage(&[], &noise(1 << 20, 9)).expect(0).stdout;
    frame[1 << 19] ^= 4;
    let ground = ground(&["fetch", "decompress"]);
    first_receipt(&ground.dir, &frame);
    let ended = ground.run(&["-d"], &frame).expect(20);
    assert!(ended.stderr.contains("frame is damaged"), "{}", ended.stderr);
    ground.assert_nothing_happened(1, "decompress");
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    const SIGTERM: i32 = 15;
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out");
    let mut child = command(&["-o", output.to_str().unwrap()]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds, so that the stage is at work when the write returns.
    stdin.write_all(&noise(4 << 20, 10)).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGTERM));
    drop(stdin);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
