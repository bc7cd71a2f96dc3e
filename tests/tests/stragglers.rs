//! A destination that is slow, or stands still, beside others that are not: the others have the
//! backup as soon as enough of them do, and it is waited for the slow one only so long.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::fault_front::{Effect, Fault, Operation, Rule};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::store_scene::{Place, StoreScene, files};
use rustix::process::{Pid, Signal, kill_process};
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

fn begin(place: &Place<'_>) -> Child {
    let mut command = place.replicate_command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}
