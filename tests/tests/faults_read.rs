//! Faults of a store as those who read from it meet them: `list`, `status`, `prune` and `fetch`.
//!
//! One rule for all: what cannot be trusted is told, nothing is removed on its word, and no file
//! appears that is not the snapshot.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::fault_front::{Effect, Fault, Operation, Reply, Rule, Tamper};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::store_scene::{Place, StoreScene, files};
use std::fs;

use Operation::{Delete, Get, List, Put};

/// Everything but the newest goes.
const GREEDY: &str = "[prune]\nlast = 1\nmin_keep = 1\nmax_fraction = 1.0\n";
/// Names the file that bends the clock of every program of ours.
const CLOCK_FILE: &str = "LIFEBOAT_TEST_CLOCK_FILE";
/// age encrypts in pieces of so many bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// A place with `count` backups in the bucket `a_s3s`, which is asked first, and in `disk`.
fn with_backups<'a>(scene: &'a StoreScene, name: &str, count: usize) -> Place<'a> {
    let place = scene.place(name);
    let both = [place.bucket_at("a_s3s", &place.front.endpoint(), ""), place.disk("disk")];
    place.configure("\"all\"", &both, "");
    for _ in 0..count {
        let _ = place.lifeboat(&["run"]).code(0);
    }
    place.configure("\"all\"", &both, GREEDY);
    place
}

/// Only the bucket, with a policy.
fn bucket_alone(place: &Place<'_>) {
    let bucket = place.bucket_at("a_s3s", &place.front.endpoint(), "");
    place.configure("\"all\"", &[bucket], GREEDY);
}

fn removes_nothing(place: &Place<'_>, ran: Ran) -> Ran {
    let ran = ran.code(50).said("nothing was removed").said("next: ");
    assert_eq!(place.front.count(Delete), 0, "{:#?}", place.front.seen());
    ran
}

#[test]
fn f34_a_listing_that_may_be_incomplete_is_never_believed() {
    let test = "f34_a_listing_that_may_be_incomplete_is_never_believed";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = with_backups(&scene, "untrusted", 3);
    let lies = [
        (Fault::Listing(Tamper::Cut), "does not say whether it is the last one"),
        (Fault::Listing(Tamper::Loop), "twice"),
        (Fault::Listing(Tamper::Twice), "is in it twice"),
        (Fault::Listing(Tamper::Torn), "a page breaks off before its end"),
        (Fault::Answer(Reply::web_page(), Effect::Before), "could not"),
        (Fault::refuse(404, "NoSuchBucket"), "there is no bucket"),
    ];
    for (lie, why) in lies {
        place.front.script(vec![Rule::on(List, lie.clone())]);
        let list = place.lifeboat(&["list"]).code(0).stdout;
        assert!(
            list.contains("! a_s3s could not be read") && list.contains(why),
            "{lie:?}: {list}"
        );
        let status = place.lifeboat(&["status"]).code(40).stdout;
        assert!(status.contains("could not read a_s3s"), "{lie:?}: {status}");
        let _ = removes_nothing(&place, place.lifeboat(&["prune"])).said("a_s3s");
    }
    assert_eq!(place.holds(3), Ok(()));

    bucket_alone(&place);
    place.front.script(vec![Rule::on(List, Fault::Listing(Tamper::Cut))]);
    let list = place.lifeboat(&["list"]).code(10).stdout;
    assert!(list.contains("! a_s3s could not be read"), "{list}");
    let status = place.lifeboat(&["status"]).code(10).stdout;
    assert!(status.contains("UNKNOWN"), "{status}");
}

/// A listing of a minute ago: the newest backup is not in it yet, and what else is not?
#[test]
fn f34_a_listing_without_what_was_just_stored_prunes_nothing() {
    let test = "f34_a_listing_without_what_was_just_stored_prunes_nothing";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = with_backups(&scene, "stale", 2);
    place.front.script(vec![Rule::on(List, Fault::Listing(Tamper::Stale))]);
    let list = place.lifeboat(&["list", "--json"]).code(0).json();
    let newest = &list["backups"][0]["copies"];
    assert_eq!(*newest, serde_json::json!({ "disk": "verified" }), "{list}");
    let status = place.lifeboat(&["status"]).code(40).stdout;
    assert!(status.contains("1 of 2 copies"), "{status}");

    let ran = removes_nothing(&place, place.lifeboat(&["run"]));
    let _ = ran.said("destination \"a_s3s\" does not list backup").said("stored and read back");
    place.front.calm();
    assert_eq!(place.holds(3), Ok(()));
    let _ = place.lifeboat(&["prune"]).code(0);
    assert_eq!(place.holds(1), Ok(()));
    assert_eq!(files(&place.disk_dir("disk")).len(), 2);
}

fn bent(place: &Place<'_>, seconds: i64, arguments: &[&str]) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), seconds.to_string()).unwrap();
    let mut command = place.command("lifeboat");
    Ran::of(&command.args(arguments).env(CLOCK_FILE, file.path()).output().unwrap())
}

#[test]
fn f39_i11_a_clock_that_is_off_prunes_nothing() {
    let test = "f39_i11_a_clock_that_is_off_prunes_nothing";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = with_backups(&scene, "clock", 3);
    let (hour, year) = (3_600, 365 * 86_400);
    bucket_alone(&place);
    place.front.calm();
    for seconds in [600, -600, 20 * hour, year, -year, -50 * year] {
        let ran = removes_nothing(&place, bent(&place, seconds, &["prune"]));
        let _ = ran.said("the clock here says").said("next: set this machine's clock");
    }
    // A minute is within what two machines may differ by.
    let _ = bent(&place, 60, &["prune", "--dry-run"]).code(0);
    // The store's own clock may be the wrong one; that is not ours to decide.
    place.front.script(vec![Rule::on(List, Fault::Date(-2 * hour))]);
    let _ = removes_nothing(&place, place.lifeboat(&["prune"]));

    // A directory has no clock: there the newest backup's own time is what can be compared.
    place.configure("\"all\"", &[place.disk("disk")], GREEDY);
    for seconds in [-600, -year, 40 * hour, year] {
        let _ = removes_nothing(&place, bent(&place, seconds, &["prune"]));
    }
    assert_eq!(files(&place.disk_dir("disk")).len(), 6);
    assert_eq!(place.holds(3), Ok(()));
}

/// The backup is as good as ever, and its name is its own; only what rests on ages waits.
#[test]
fn f39_a_clock_that_steps_while_a_backup_is_made_does_it_no_harm() {
    let test = "f39_a_clock_that_steps_while_a_backup_is_made_does_it_no_harm";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = scene.place("steps");
    let file = scene.site.path("clock");
    for (number, (before, after)) in
        [(0_i64, -86_400_i64), (0, 86_400 * 400), (-86_400 * 20_000, 0)].into_iter().enumerate()
    {
        fs::write(&file, before.to_string()).unwrap();
        let step = file.clone();
        // In the middle: the artifact is about to be stored.
        place.front.script_with(Vec::new(), move |call, _| {
            if call.operation == Put {
                fs::write(&step, after.to_string()).unwrap();
            }
        });
        let ran = place.command("lifeboat").arg("run").env(CLOCK_FILE, &file).output().unwrap();
        let _ = Ran::of(&ran).code(0);
        assert_eq!(place.holds(number + 1), Ok(()));
    }
    let list = place.lifeboat(&["list", "--json"]).code(0).backups();
    assert_eq!(list.len(), 3, "{list:?}");
    let _ = place.lifeboat(&["fetch", &list[0], "-o", "stepped.db"]).code(0);
}

/// A machine that begins in 1976 and learns the time while it makes a backup gives it a date that
/// makes it the oldest of all, and prune a clock that every store agrees with.
#[test]
fn f39_i11_i01_a_run_never_prunes_what_it_has_just_stored() {
    let test = "f39_i11_i01_a_run_never_prunes_what_it_has_just_stored";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = with_backups(&scene, "past", 3);
    let file = scene.site.path("clock_of_the_past");
    fs::write(&file, (-86_400 * 18_000).to_string()).unwrap();
    let step = file.clone();
    place.front.script_with(Vec::new(), move |call, _| {
        if call.operation == Put {
            fs::write(&step, "0").unwrap();
        }
    });
    let ran = place.command("lifeboat").arg("run").env(CLOCK_FILE, &file).output().unwrap();
    let _ = Ran::of(&ran).code(50).said("which was stored in this very run");
    assert_eq!(place.holds(4), Ok(()));
}

/// A fetch that must fail, or go on to the next copy, and leave no file but the right one.
fn fetch(place: &Place<'_>, scene: &StoreScene, file: &str, more: &[&str]) -> Ran {
    let output = scene.site.path(file);
    let _ = fs::remove_file(&output);
    let ran = place.lifeboat(&[&["fetch", "latest", "-o", file], more].concat());
    assert_eq!(output.exists(), ran.code == 0, "{ran:?}");
    if ran.code == 0 {
        let _ = scene.site.program("lifeboat-verify", &[file]).code(0);
    }
    ran
}

#[test]
fn f45_f46_i15_a_damaged_answer_is_found_and_the_next_copy_is_fetched() {
    let test = "f45_f46_i15_a_damaged_answer_is_found_and_the_next_copy_is_fetched";
    let Some(scene) = or_skip(test, StoreScene::with(1 << 20)) else { return };
    let place = with_backups(&scene, "damaged", 1);
    let length = usize::try_from(place.objects(".age")[0].metadata().unwrap().len()).unwrap();
    let faults = [
        ("header", Fault::Altered(30)),
        ("body", Fault::Altered(length / 2)),
        ("tag", Fault::Altered(length - 1)),
        ("empty", Fault::Less(0)),
        ("short", Fault::Less(length - 1)),
        ("trailing", Fault::Longer(1)),
        ("twice", Fault::Longer(length)),
        ("web page", Fault::Answer(Reply::web_page(), Effect::Before)),
        ("gone", Fault::refuse(404, "NoSuchKey")),
    ];
    for (name, fault) in faults {
        place.front.script(vec![Rule::on(Get, fault).artifacts()]);
        let file = "damaged.db";
        let ran = fetch(&place, &scene, file, &["--from", "a_s3s"]).code(20);
        let ran = ran.said("error: ").said("from a_s3s").said("next: ");
        assert!(!ran.stderr.contains("trying the next copy"), "{name}: {ran:?}");
        let ran = fetch(&place, &scene, file, &[]).code(0).said("trying the next copy");
        let ran = ran.said("from disk is in");
        assert!(!ran.stderr.contains("error: "), "{name}: {ran:?}");
    }
    // A store that breaks off again and again is no damage.
    place.front.script(vec![Rule::on(Get, Fault::Short(10)).artifacts()]);
    let _ = fetch(&place, &scene, "cut.db", &["--from", "a_s3s"]).code(10).said("next: ");
    let _ = fetch(&place, &scene, "cut.db", &[]).code(0).said("from disk is in");
}

/// One bit in the record, on its way or in the store.
#[test]
fn f45_a_damaged_manifest_is_seen_and_gone_around() {
    let test = "f45_a_damaged_manifest_is_seen_and_gone_around";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = with_backups(&scene, "record", 1);
    let path = place.objects(".json").remove(0);
    let record = fs::read(&path).unwrap();
    let places = [0, record.len() / 3, record.len() / 2, record.len() - 2];
    for at in places.into_iter().chain((0..record.len()).step_by(record.len() / 8)) {
        let mut damaged = record.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let list = place.lifeboat(&["list"]).code(0).stdout;
        let is_told = list.contains("broken") || list.contains("suspect");
        assert!(is_told, "a flip at {at} goes unseen: {list}");
        let status = place.lifeboat(&["status"]);
        assert_ne!(status.code, 0, "a flip at {at}: {status:?}");
    }
}

/// The stage itself, at every boundary of a piece of age's and beside it.
#[test]
fn f46_i15_a_truncation_at_any_boundary_leaves_no_file() {
    let test = "f46_i15_a_truncation_at_any_boundary_leaves_no_file";
    let Some(scene) = or_skip(test, StoreScene::with(1 << 20)) else { return };
    let place = scene.place("boundaries");
    let _ = place.replicate().code(0);
    let manifest = place.objects(".json").remove(0);
    let root = scene.server.bucket_dir(lifeboat_tests::store_scene::BUCKET).unwrap();
    let key = manifest.strip_prefix(root.join(&place.name)).unwrap().to_str().unwrap().to_owned();
    let length = usize::try_from(place.objects(".age")[0].metadata().unwrap().len()).unwrap();
    let bytes = fs::read(&place.objects(".age")[0]).unwrap();
    let header = bytes.windows(4).position(|w| w == b"\n---").unwrap();
    let header = header + 1 + bytes[header + 1..].iter().position(|b| *b == b'\n').unwrap() + 1;
    // The payload begins with 16 bytes of nonce; each piece has a tag of 16.
    let pieces = (0..).map(|n| header + 16 + n * (CHUNK_BYTES + 16)).take_while(|at| *at < length);
    let around = pieces
        .chain((0..length).step_by(CHUNK_BYTES))
        .flat_map(|at| [at.saturating_sub(1), at, at + 1].into_iter().filter(|cut| *cut < length));
    let mut cuts: Vec<usize> = around.chain([0, length - 1]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    assert!(cuts.len() > 90, "{} cuts of {length} bytes", cuts.len());
    let output = scene.site.path("cut.age");
    let arguments =
        ["--destination", "s3s", "--manifest", &key, "--output", "cut.age"].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for cut in cuts {
        place.front.script(vec![Rule::on(Get, Fault::Less(cut)).artifacts()]);
        let ran = place.program("lifeboat-fetch", &arguments);
        assert_eq!(ran.code, 20, "cut at {cut}: {ran:?}");
        assert!(!output.exists(), "cut at {cut}");
    }
    place.front.calm();
    let _ = place.program("lifeboat-fetch", &arguments).code(0);
    assert_eq!(fs::read(output).unwrap(), bytes);
}
