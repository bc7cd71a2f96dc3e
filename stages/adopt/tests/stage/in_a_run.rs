//! In a run: what the receipt says, and that nothing is published that was not signed for.

use crate::common::{Ended, database, first_receipt, gzip, sealed, stage};
use contract::facts::{CaptureFacts, TimeFrom};
use contract::{Clock, Plan, PlannedInput, RunDir, RunId, Step, Written};
use sha2::{Digest, Sha256};

struct Ground {
    root: tempfile::TempDir,
    dir: RunDir,
}

fn ground(steps: &[&str], has_input: bool) -> Ground {
    let root = tempfile::tempdir().unwrap();
    let now = Clock::system().now();
    let step = |name: &&str| Step { name: (*name).into(), program: None, suffix: String::new() };
    let steps = steps.iter().map(step).collect();
    let mut plan = Plan::new(RunId::new(now, 7), "test".into(), "frequent".into(), now, steps);
    let (file, time_from) = ("old.db.gz".to_owned(), TimeFrom::FileTime);
    plan.input = has_input.then_some(PlannedInput { file, time_from });
    let dir = RunDir::create(&root.path().join("run"), &plan).unwrap();
    Ground { root, dir }
}

impl Ground {
    fn run(&self, args: &[&str], input: &[u8]) -> Ended {
        let output = self.root.path().join("out");
        let streams =
            ["--run-dir", self.dir.path().to_str().unwrap(), "-o", output.to_str().unwrap()];
        stage(&[args, &streams].concat(), input)
    }

    fn output(&self) -> Option<Vec<u8>> {
        std::fs::read(self.root.path().join("out")).ok()
    }

    fn assert_nothing_happened(&self, step: usize) {
        assert_eq!(self.output(), None);
        assert!(self.dir.receipt(step, "adopt").unwrap().is_none());
    }

    fn facts(&self, step: usize) -> CaptureFacts {
        let receipt = self.dir.receipt(step, "adopt").unwrap().unwrap();
        serde_json::from_value(receipt.facts).unwrap()
    }
}

#[test]
fn the_receipt_tells_what_was_read_and_what_is_not_known() {
    let ground = ground(&["adopt", "verify"], true);
    let raw = database(20);
    let packed = gzip(&raw);
    let ended = ground.run(&[], &packed).expect(0);
    assert!(ended.stderr.contains("it has no SHA-256"), "{}", ended.stderr);
    let receipt = ground.dir.receipt(0, "adopt").unwrap().unwrap();
    assert_eq!(receipt.input, Some(Written::of(&packed).tally()));
    assert_eq!(receipt.output.tally(), Written::of(&sealed(&raw)).tally());
    let facts = ground.facts(0);
    let adopted = facts.adopted.clone().unwrap();
    assert_eq!((adopted.file.as_str(), adopted.has_trailer), ("old.db.gz", false));
    assert_eq!((adopted.wrapped, adopted.time_from), (vec!["gzip".into()], TimeFrom::FileTime));
    assert_eq!((facts.cluster_id.as_str(), facts.members.len(), facts.hashkv.len()), ("", 0, 0));
    assert!(ground.output() == Some(sealed(&raw)));
}

#[test]
fn after_a_decryption_the_receipt_tells_of_it() {
    let snapshot = sealed(&database(20));
    let ground = ground(&["decrypt", "adopt"], true);
    // A first step that read nothing where the plan has an input is no step of this plan.
    first_receipt(&ground.dir, &snapshot);
    let ended = ground.run(&[], &snapshot).expect(20);
    assert!(ended.stderr.contains("it does not say what it read"), "{}", ended.stderr);
    ground.assert_nothing_happened(1);

    let path = ground.dir.receipt_path(0, "decrypt");
    let mut receipt = ground.dir.receipt(0, "decrypt").unwrap().unwrap();
    receipt.input = Some(Written::of(b"an age file").tally());
    std::fs::write(&path, serde_json::to_vec(&receipt).unwrap()).unwrap();
    ground.run(&[], &snapshot).expect(0);
    let adopted = ground.facts(1).adopted.unwrap();
    assert_eq!((adopted.wrapped, adopted.has_trailer), (vec!["age".to_owned()], true));
}

#[test]
fn a_first_step_that_read_something_is_refused_where_the_plan_has_no_input() {
    let snapshot = sealed(&database(20));
    let ground = ground(&["decrypt", "adopt"], false);
    first_receipt(&ground.dir, &snapshot);
    let path = ground.dir.receipt_path(0, "decrypt");
    let mut receipt = ground.dir.receipt(0, "decrypt").unwrap().unwrap();
    receipt.input = Some(Written::of(b"an age file").tally());
    std::fs::write(&path, serde_json::to_vec(&receipt).unwrap()).unwrap();
    let ended = ground.run(&[], &snapshot).expect(20);
    assert!(ended.stderr.contains("it read something"), "{}", ended.stderr);
    ground.assert_nothing_happened(1);
}

#[test]
fn a_run_that_is_none_of_adopt_is_refused() {
    let ground = ground(&["adopt"], false);
    let ended = ground.run(&[], &sealed(&database(2))).expect(2);
    assert!(ended.stderr.contains("does not say which file"), "{}", ended.stderr);
    ground.assert_nothing_happened(0);
}

#[test]
fn a_cut_input_is_blamed_on_the_step_that_died() {
    let ground = ground(&["decrypt", "adopt"], true);
    let packed = gzip(&sealed(&database(200)));
    let ended = ground.run(&[], &packed[..packed.len() / 2]).expect(10);
    assert!(ended.stderr.contains(r#""blame":"upstream""#), "{}", ended.stderr);
    ground.assert_nothing_happened(1);
}

#[test]
fn bytes_that_are_a_backup_already_are_refused_with_its_name() {
    let (known, new) = (database(20), database(21));
    let list = tempfile::NamedTempFile::new().unwrap();
    let names = serde_json::json!({ hex::encode(Sha256::digest(&known)): "20260101T000000Z-x" });
    std::fs::write(list.path(), names.to_string()).unwrap();
    let arguments = ["--known", list.path().to_str().unwrap()];
    for input in [known.clone(), sealed(&known), gzip(&sealed(&known))] {
        let ground = ground(&["adopt"], true);
        let ended = ground.run(&arguments, &input).expect(50);
        assert!(ended.stderr.contains("backup 20260101T000000Z-x already"), "{}", ended.stderr);
        ground.assert_nothing_happened(0);
    }
    ground(&["adopt"], true).run(&arguments, &sealed(&new)).expect(0);
    ground(&["adopt"], true).run(&["--known", "/nowhere"], &sealed(&new)).expect(2);
}
