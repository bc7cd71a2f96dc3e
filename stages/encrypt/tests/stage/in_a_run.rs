//! Receipts: nothing is published unless the step before signed for the same bytes.

use crate::common::{Ended, command, first_receipt, noise, run_dir, stage};
use crate::keys::{Key, Keys, encrypt};
use contract::{RunDir, Written};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;

struct Ground {
    keys: Keys,
    key: Key,
    dir: RunDir,
}

fn ground(steps: &[&str]) -> Ground {
    let keys = Keys::new();
    let key = keys.x25519("key");
    let dir = run_dir(&keys.path(""), steps);
    Ground { keys, key, dir }
}

impl Ground {
    fn run(&self, args: &[&str], input: &[u8]) -> Ended {
        let output = self.keys.arg("out");
        let streams = ["--run-dir", self.dir.path().to_str().unwrap(), "-o", &output];
        stage(&[args, &streams].concat(), input)
    }

    fn encrypt(&self, input: &[u8]) -> Ended {
        self.run(&["-r", &self.key.recipient], input)
    }

    fn decrypt(&self, input: &[u8]) -> Ended {
        self.run(&["-d", "--identity", &self.key.file], input)
    }

    fn assert_nothing_happened(&self, stage: &str) {
        assert_eq!(self.keys.names(), ["key", "run"]);
        assert!(self.dir.receipt(1, stage).unwrap().is_none());
    }
}

#[test]
fn a_receipt_that_matches_is_answered_by_a_receipt() {
    let ground = ground(&["compress", "encrypt", "replicate"]);
    let test = "encrypt: the name of an SSH key in a receipt";
    let ssh = ground.keys.ssh("s", "ed25519", "", test);
    let content = noise(100_000, 1);
    first_receipt(&ground.dir, &content);
    let mut args = vec!["-r", ground.key.recipient.as_str()];
    args.extend(ssh.iter().flat_map(|ssh| ["-r", ssh.recipient.as_str()]));
    ground.run(&args, &content).expect(0);
    let receipt = ground.dir.receipt(1, "encrypt").unwrap().unwrap();
    assert_eq!(receipt.input, Some(Written::of(&content).tally()));
    assert_eq!(receipt.output, Written::of(&std::fs::read(ground.keys.path("out")).unwrap()));
    assert!(receipt.tool.starts_with("lifeboat-encrypt "), "{}", receipt.tool);
    let mut names = vec![ground.key.recipient.clone()];
    // Without the comment, which is somebody's address.
    names.extend(ssh.map(|ssh| ssh.recipient.trim_end_matches(" somebody@example.org").to_owned()));
    assert_eq!(receipt.facts, serde_json::json!({"format": "age", "recipients": names}));
}

#[test]
fn without_the_receipt_before_nothing_is_published() {
    let ground = ground(&["compress", "encrypt"]);
    let ended = ground.encrypt(b"content").expect(10);
    assert!(ended.stderr.contains(r#""blame":"upstream""#), "{}", ended.stderr);
    ground.assert_nothing_happened("encrypt");
}

#[test]
fn with_another_receipt_before_nothing_is_published() {
    let ground = ground(&["compress", "encrypt"]);
    first_receipt(&ground.dir, b"other content");
    ground.encrypt(b"content").expect(20);
    ground.assert_nothing_happened("encrypt");
}

#[test]
fn the_way_back_has_a_name_of_its_own() {
    let ground = ground(&["fetch", "decrypt", "decompress"]);
    let sealed = encrypt(&[&ground.key.recipient], b"content");
    first_receipt(&ground.dir, &sealed);
    ground.decrypt(&sealed).expect(0);
    assert_eq!(std::fs::read(ground.keys.path("out")).unwrap(), b"content");
    let receipt = ground.dir.receipt(1, "decrypt").unwrap().unwrap();
    assert_eq!(receipt.facts, serde_json::json!({"format": "age"}));
    ground.encrypt(b"content").expect(2);
}

#[test]
fn a_cut_input_is_blamed_on_the_step_that_died() {
    let ground = ground(&["fetch", "decrypt"]);
    let sealed = encrypt(&[&ground.key.recipient], &noise(200_000, 2));
    for length in [10, 100, 70_000] {
        let ended = ground.decrypt(&sealed[..length]).expect(10);
        assert!(ended.stderr.contains(r#""blame":"upstream""#), "{}", ended.stderr);
        ground.assert_nothing_happened("decrypt");
    }
}

#[test]
fn damage_that_the_step_before_signed_for_is_in_the_artifact() {
    let ground = ground(&["fetch", "decrypt"]);
    let mut sealed = encrypt(&[&ground.key.recipient], &noise(200_000, 3));
    sealed[100_000] ^= 4;
    first_receipt(&ground.dir, &sealed);
    let ended = ground.decrypt(&sealed).expect(20);
    assert!(ended.stderr.contains("payload is damaged"), "{}", ended.stderr);
    ground.assert_nothing_happened("decrypt");
}

/// What comes out of a pipe when only the last byte of the artifact is wrong.
fn published_before_the_end(steps: &[&str]) -> usize {
    let ground = ground(steps);
    let mut sealed = encrypt(&[&ground.key.recipient], &noise(1 << 20, 4));
    *sealed.last_mut().unwrap() ^= 1;
    first_receipt(&ground.dir, &sealed);
    let run = ground.dir.path().to_str().unwrap();
    let ended = stage(&["-d", "--identity", &ground.key.file, "--run-dir", run], &sealed);
    ended.expect(20).stdout.len()
}

#[test]
fn bytes_flow_at_once_only_to_a_step_that_waits_for_the_receipt() {
    assert!(published_before_the_end(&["fetch", "decrypt", "decompress"]) > 0);
    assert_eq!(published_before_the_end(&["fetch", "decrypt"]), 0);
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    const SIGTERM: i32 = 15;
    let keys = Keys::new();
    let key = keys.x25519("key");
    let content = noise(8 << 20, 5);
    let sealed = encrypt(&[&key.recipient], &content);
    let output = keys.arg("out");
    let out = ["-r", &key.recipient, "-o", &output];
    let back = ["-d", "--identity", &key.file, "-o", &output];
    for (args, input) in [(out.as_slice(), &content), (&back, &sealed)] {
        let mut child = command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe holds, so that the stage is at work when the write returns.
        stdin.write_all(&input[..4 << 20]).unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(SIGTERM));
        assert_eq!(keys.names(), ["key"]);
    }
}
