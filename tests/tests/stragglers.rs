//! A destination that is slow, or stands still, beside others that are not: the others have the
//! backup as soon as enough of them do, and it is waited for the slow one only so long.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::fault_front::{Effect, Fault, Operation, Rule};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::store_scene::{Place, StoreScene, files};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Parts are taken, and never answered.
fn stands_still(place: &Place<'_>) {
    place.front.script(vec![Rule::on(Operation::Part, Fault::Silence(Effect::Before))]);
}

/// The backup is whole in a directory: artifact and manifest.
fn is_stored(place: &Place<'_>, disk: &str) -> bool {
    let found = files(&place.disk_dir(disk));
    found.len() == 2 && found.iter().any(|path| path.to_string_lossy().ends_with(".json"))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn f36_i24_a_straggler_is_waited_for_only_so_long() {
    let test = "f36_i24_a_straggler_is_waited_for_only_so_long";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("straggler");
    let all = [place.disk("one"), place.disk("two"), place.bucket("timeout = \"5m\"\n")];
    place.configure("2\npatience = \"1s\"", &all, "");
    stands_still(&place);
    let ran = place.replicate().code(40).said("destination \"s3s\"").said("was given up 1 s after");
    let _ = ran.said("`lifeboat sync` brings it level");
    assert!(is_stored(&place, "one") && is_stored(&place, "two"));
    place.holds(0).unwrap();
    assert_eq!(scene.unfinished(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn f36_a_slow_destination_keeps_no_other_from_its_backup() {
    let test = "f36_a_slow_destination_keeps_no_other_from_its_backup";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("slow");
    place.configure("1", &[place.disk("one"), place.bucket("timeout = \"5m\"\n")], "");
    stands_still(&place);
    let mut child = begin(&place);
    wait_until("the backup in the fast destination", || is_stored(&place, "one"));
    assert_eq!(child.try_wait().unwrap(), None, "the slow one is still waited for");
    // From here on parts are answered again; those that were not are sent once more.
    place.front.script(Vec::new());
    end(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The signal ends the waiting. What was committed before is told, and stays.
    assert_eq!(output.status.code(), Some(40), "{said}");
    assert!(is_stored(&place, "one"), "{said}");
    place.holds(0).unwrap();
}

#[test]
fn i02_nothing_is_recorded_before_enough_copies_are_proved() {
    let test = "i02_nothing_is_recorded_before_enough_copies_are_proved";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("all");
    place.configure("\"all\"", &[place.disk("one"), place.bucket("timeout = \"5m\"\n")], "");
    stands_still(&place);
    let child = begin(&place);
    wait_until("the artifact in the fast destination", || {
        files(&place.disk_dir("one")).iter().any(|path| path.to_string_lossy().ends_with(".age"))
    });
    assert!(!is_stored(&place, "one"));
    end(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(&place.disk_dir("one")), Vec::<std::path::PathBuf>::new());
    place.holds(0).unwrap();
}

/// The step is begun again in its run directory. What the manifest says of the copies is what it said
/// the first time, though by now they are others.
#[test]
fn f03_f04_i02_a_step_that_died_after_its_commit_says_the_same_when_it_is_begun_again() {
    let test = "f03_f04_i02_a_step_that_died_after_its_commit_says_the_same_when_it_is_begun_again";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("again");
    place.configure("1", &[place.disk("one"), place.bucket("timeout = \"5m\"\n")], "");
    stands_still(&place);
    let mut command = place.replicate_command();
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    wait_until("the backup in the fast destination", || is_stored(&place, "one"));
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    place.front.script(Vec::new());
    let mut again = place.command("lifeboat-replicate");
    // It made one copy; the directory that has its copy already is left to the next sync.
    let _ = Ran::of(&again.args(command.get_args()).output().unwrap()).code(40);
    place.holds(1).unwrap();
    let there = std::fs::read(&place.objects(".json")[0]).unwrap();
    let found = files(&place.disk_dir("one"));
    let here = found.iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    assert_eq!(
        std::fs::read(here).unwrap(),
        there,
        "one backup, and two that contradict each other"
    );
    let list = place.lifeboat(&["list", "--json"]).code(0).json();
    let copies = &list["backups"][0]["copies"];
    assert_eq!((&copies["one"], &copies["s3s"]), (&"verified".into(), &"verified".into()));
}

#[test]
fn f25_f36_a_manifest_that_is_never_answered_keeps_no_other_from_its_backup() {
    let test = "f25_f36_a_manifest_that_is_never_answered_keeps_no_other_from_its_backup";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("unanswered");
    let first = place.bucket_at("a_silent_one", &place.front.endpoint(), "timeout = \"5m\"");
    place.configure("2", &[first, place.disk("one"), place.disk("two")], "");
    place.front.script(vec![Rule::on(Operation::Put, Fault::Silence(Effect::Before))]);
    let child = begin(&place);
    wait_until("the backup in the others", || is_stored(&place, "one") && is_stored(&place, "two"));
    end(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(40), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A manifest of the same name that says something else: another process of this run, say. Nothing
/// of it is removed, and what nobody knows the fate of stays whole.
#[test]
fn f26_f28_i04_what_another_process_committed_is_never_taken_back() {
    let test = "f26_f28_i04_what_another_process_committed_is_never_taken_back";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("theirs");
    place.configure("\"all\"", &[place.disk("one")], "");
    let _ = place.replicate().code(0);
    let ends = |ending: &str| {
        let found = files(&place.disk_dir("one"));
        found.into_iter().find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
    };
    let (manifest, artifact) = (ends(".json"), ends(".age"));
    let mut story: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    story["placed"]["required"] = 7.into();
    let other = story.to_string();
    durable::replace(&manifest, other.as_bytes()).unwrap();
    durable::remove_file(&artifact).unwrap();
    let _ = place.replicate().code(50);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), other);
    assert!(artifact.exists(), "a manifest without its artifact is a broken backup");
    // The same beside a store that stored the manifest and never said so.
    durable::remove_file(&artifact).unwrap();
    place.front.script(vec![Rule::on(Operation::Put, Fault::Silence(Effect::After))]);
    place.configure("\"all\"", &[place.disk("one"), place.bucket("timeout = \"3s\"\n")], "");
    assert!(![0, 40].contains(&place.replicate().code));
    place.holds(1).unwrap();
}

#[test]
fn i17_one_bucket_behind_two_endpoints_is_one_copy() {
    let test = "i17_one_bucket_behind_two_endpoints_is_one_copy";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let place = scene.place("twins");
    let direct = format!("http://127.0.0.1:{}", scene.server.port());
    let twins = [place.bucket_at("one", &direct, ""), place.bucket("")];
    place.configure("\"all\"", &twins, "");
    // One after the other: this server has a moment in which both would be told that they made it.
    let one_by_one = || vec![Rule::on(Operation::Complete, Fault::slow_down(3)).once()];
    place.front.script(one_by_one());
    let _ = place.replicate().code(3).said("it is one place, and one copy");
    place.holds(0).unwrap();
    place.configure("1", &twins, "");
    place.front.script(one_by_one());
    let _ = place.replicate().code(40);
    place.holds(1).unwrap();
}

fn begin(place: &Place<'_>) -> Child {
    let mut command = place.replicate_command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}
