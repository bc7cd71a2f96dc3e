//! Destinations brought level: what `lifeboat sync` and each run copy, what they leave alone, and
//! that a death at any point costs nothing.
//!
//! What the destinations hold is looked at as files, and opened by the independent checker.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::checker::Picture;
use lifeboat_tests::cloud_scene::{Backend, CloudScene};
use lifeboat_tests::copies_scene::{Copies, Damage, name_of};
use lifeboat_tests::fault_front::{Fault, Operation, Rule};
use lifeboat_tests::running::Process;
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::soak::deaths::{Choice, Death};
use lifeboat_tests::soak::stores::Stores;
use lifeboat_tests::soak::world::{Kind, Shape};
use lifeboat_tests::store_scene::StoreScene;
use lifeboat_tests::toxics::Line;
use serde_json::Value;
use std::path::PathBuf;

/// Draws which failpoints are died at, besides the first of each name; `make soak` takes all.
fn sample() -> Choice {
    match std::env::var("KILL_POINTS").as_deref() {
        Ok("all") => Choice::All,
        _ => Choice::Sample { others: 3, seed: 20_261_130 },
    }
}

fn copies(test: &str, count: usize) -> Option<Copies> {
    or_skip(test, Copies::new(count))
}

fn sync(copies: &Copies, arguments: &[&str]) -> Ran {
    copies.world.site.lifeboat(&[&["sync", "--json"], arguments].concat())
}

/// Result, destination and reason of every copy in the answer.
fn told(report: &Value) -> Vec<(String, String, String)> {
    let word = |copy: &Value, key: &str| copy[key].as_str().unwrap_or_default().to_owned();
    let one = |c: &Value| (word(c, "result"), word(c, "destination"), word(c, "why"));
    report["copies"].as_array().unwrap().iter().map(one).collect()
}

fn bytes_of(paths: &[PathBuf]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A destination that is named for the first time holds the whole history afterwards; nobody needs
/// a key for it.
#[test]
fn f36_a_new_destination_is_filled_with_the_history_newest_first_and_without_a_key() {
    let Some(mut copies) = copies("sync_new", 3) else { return };
    let whole = copies.must_be_level("before");
    copies.empty(1);
    copies.empty(2);
    let empty = copies.world.look();
    // Nobody who copies ciphertext needs what opens it.
    let (identity, away) =
        (copies.world.site.path("keys/identity.txt"), copies.world.site.path("i"));
    std::fs::rename(&identity, &away).unwrap();
    let planned = sync(&copies, &["--dry-run"]).code(40).json();
    assert_eq!(planned["copies"].as_array().unwrap().len(), 6);
    assert_eq!(planned["copies"][0]["backup"], copies.backups[0].as_str());
    assert_eq!(copies.world.look(), empty, "a dry run does nothing");
    let status = copies.world.site.lifeboat(&["status", "--json"]).code(40).json();
    assert_eq!(
        (&status["lagging"]["place_1"], &status["lagging"]["place_2"]),
        (&3.into(), &3.into())
    );
    let shown = copies.world.site.lifeboat(&["list"]).code(0).stdout;
    assert!(shown.contains("copies are lacking in place_1 (3), place_2 (3)"), "{shown}");

    let report = sync(&copies, &[]).code(0).json();
    assert!(told(&report).iter().all(|(result, _, _)| result == "copied"), "{report:#}");
    assert_eq!(report["copies"][0]["from"], "place_0");
    assert_eq!(report["copies"][0]["backup"], copies.backups[0].as_str(), "the newest first");
    std::fs::rename(&away, &identity).unwrap();
    let filled = copies.must_be_level("after");
    for (place, holds) in &whole {
        assert_eq!(filled[place].objects, holds.objects, "byte for byte");
    }
    // Level: nothing is done again.
    let said = copies.world.site.lifeboat(&["sync"]).code(0).stdout;
    assert!(said.contains("level: nothing is lacking"), "{said}");
    assert_eq!(copies.world.look(), filled);
    let list = copies.world.site.lifeboat(&["list", "--json"]).code(0).json();
    assert_eq!(list["lagging"], serde_json::json!({}));
}

/// From a directory to every cloud, in one read; and back from what a cloud alone has.
#[test]
fn f36_i17_clouds_that_were_away_are_filled_by_one_sync() {
    let stores = Stores::start("sync_clouds");
    let kinds = [Kind::Directory, Kind::Bucket, Kind::Gcs, Kind::Azure].map(|k| stores.or(k));
    let made = Copies::with(&kinds, 1, stores);
    let Some(mut copies) = or_skip("sync_clouds", made) else { return };
    let line = |copies: &Copies, at: usize, line| {
        copies.world.destinations[at].front.as_ref().unwrap().toxic(line);
    };
    for at in 1..4 {
        line(&copies, at, Line::Cut { after_bytes: 0 });
    }
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(40).json();
    copies.backups.insert(0, report["backup"].as_str().unwrap().to_owned());
    for at in 1..4 {
        line(&copies, at, Line::Sound);
    }
    let report = sync(&copies, &[]).code(0).json();
    let result = told(&report);
    assert_eq!(result.len(), 3, "{report:#}");
    assert!(result.iter().all(|(result, _, _)| result == "copied"), "{report:#}");
    copies.must_be_level("filled from the directory");
    copies.empty(0);
    let report = sync(&copies, &[]).code(0).json();
    assert_eq!(report["copies"][0]["from"], "place_1", "{report:#}");
    copies.must_be_level("filled from a bucket");
    let scrubbed = copies.world.site.lifeboat(&["scrub", "--json"]).code(0).json();
    assert_eq!(scrubbed["copies"].as_array().unwrap().len(), 8, "{scrubbed:#}");
    let whole = copies.must_be_level("read back from all of them");
    // A bit flips in each of the clouds, and another one has it right.
    for at in 2..4 {
        let place = copies.world.destinations[at].place.clone();
        let key = whole[&place.name].backups[&copies.backups[0]].artifact.clone().unwrap();
        let mut bytes = std::fs::read(copies.artifact(0, &copies.backups[0])).unwrap();
        bytes[99] ^= 1;
        place.put(&key, &bytes);
        let said = copies.world.site.lifeboat(&["scrub", "--json"]).code(0).json();
        assert_eq!(said["repairs"][0]["result"], "replaced", "{said:#}");
        let held = copies.must_be_level(&place.name)[&place.name].clone();
        let kept = said["repairs"][0]["quarantined"][0].as_str().unwrap();
        assert_eq!(held.objects[kept].bytes, bytes.len() as u64);
    }
}

#[test]
fn f45_f46_f47_what_a_listing_shows_to_be_damaged_is_replaced_and_its_bytes_are_kept() {
    let Some(mut copies) = copies("sync_damaged", 1) else { return };
    let backup = copies.backups[0].clone();
    for at in [1, 2] {
        for damage in Damage::SEEN {
            let what = format!("{damage:?} in {at}");
            let before = copies.quarantine(at).len();
            let bytes = copies.damage(at, &backup, damage);
            let report = sync(&copies, &[]).code(0).json();
            assert_eq!(told(&report).len(), 1, "{what}: {report:#}");
            copies.must_be_level(&what);
            let kept = copies.quarantine(at);
            assert_eq!(kept.len(), before + usize::from(bytes.is_some()), "{what}: {kept:#?}");
            assert!(bytes.is_none_or(|bytes| bytes_of(&kept).contains(&bytes)), "{what}");
            let _ = sync(&copies, &[]).code(0);
        }
    }
    // What is kept is no backup, and no run or prune stumbles over it.
    let listed = copies.world.site.backups();
    assert_eq!(listed, [backup]);
}

/// The nearest source is damaged, and nobody knows: the copy is not completed, the next source is
/// asked, and the first one is made good too.
#[test]
fn f45_a_source_that_turns_out_damaged_is_passed_over_marked_and_made_good() {
    let Some(mut copies) = copies("sync_source", 1) else { return };
    let backup = copies.backups[0].clone();
    copies.empty(1);
    let bytes = copies.damage(0, &backup, Damage::Flip).unwrap();
    let report = sync(&copies, &[]).code(0).said("damaged").json();
    let expected = [("copied", "place_1", "missing"), ("replaced", "place_0", "damaged")];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(told(&report), expected, "{report:#}");
    assert_eq!(report["copies"][0]["from"], "place_2");
    assert_eq!(bytes_of(&copies.quarantine(0)), [bytes]);
    assert_eq!(copies.records(0, &backup, "suspect").len(), 1);
    assert_eq!(copies.records(0, &backup, "checked").len(), 1);
    copies.must_be_level("after");
}

/// Nothing is taken away where no whole copy is known.
#[test]
fn f45_f37_without_a_whole_copy_anywhere_nothing_is_touched() {
    let Some(mut copies) = copies("sync_none", 1) else { return };
    let backup = copies.backups[0].clone();
    for at in 0..3 {
        let _ = copies.damage(at, &backup, Damage::Cut);
    }
    let before = copies.world.look();
    let report = sync(&copies, &[]).code(40).json();
    assert_eq!(report["remarks"][0]["kind"], "no-source", "{report:#}");
    assert_eq!(copies.world.look(), before);
    // And where the only whole one turns out not to be.
    let artifact = copies.artifact(0, &backup);
    std::fs::copy(copies.artifact(1, &backup), &artifact).unwrap();
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(copies.manifest(0, &backup)).unwrap()).unwrap();
    let length = manifest["artifact"]["bytes"].as_u64().unwrap();
    std::fs::File::options().write(true).open(&artifact).unwrap().set_len(length).unwrap();
    let kept = bytes_of(&[copies.artifact(1, &backup), copies.artifact(2, &backup)]);
    let report = sync(&copies, &[]).code(40).json();
    assert!(told(&report).iter().all(|(result, _, _)| result == "failed"), "{report:#}");
    assert_eq!(bytes_of(&[copies.artifact(1, &backup), copies.artifact(2, &backup)]), kept);
}

#[test]
fn f47_f48_two_stories_of_one_backup_are_told_and_left_alone() {
    let Some(mut copies) = copies("sync_fork", 1) else { return };
    let backup = copies.backups[0].clone();
    copies.empty(2);
    let manifest = copies.manifest(1, &backup);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let forged = text.replacen("\"total_key_live\": ", "\"total_key_live\": 1", 1);
    assert_ne!(text, forged);
    durable::replace(&manifest, forged.as_bytes()).unwrap();
    let before = copies.world.look();
    let report = sync(&copies, &[]).code(40).json();
    assert_eq!(report["remarks"][0]["kind"], "fork", "{report:#}");
    assert_eq!((report["copies"].as_array().unwrap().len(), copies.world.look()), (0, before));
}

#[test]
fn f37_a_deletion_is_never_copied_and_what_was_pruned_does_not_come_back() {
    let Some(mut copies) = copies("sync_deletion", 4) else { return };
    let oldest = copies.backups[3].clone();
    // Somebody removed it where it is taken from first.
    let _ = copies.damage(0, &oldest, Damage::Nothing);
    let _ = sync(&copies, &[]).code(0);
    copies.must_be_level("after a deletion");
    // Pruning did, in one destination more than in the others.
    let shape = Shape { prune: Some((2, 1)), ..copies.shape.clone() };
    copies.world.configure(&shape);
    let _ = copies.world.site.lifeboat(&["prune"]).code(0);
    let pruned = copies.world.look();
    assert_eq!(pruned["place_0"].backups.len(), 2);
    let _ = sync(&copies, &[]).code(0);
    assert_eq!(copies.world.look(), pruned);
    // One returns with an old state: it is pruned, and nobody gets it back.
    copies.world.configure(&copies.shape);
    copies.empty(1);
    let _ = copies.world.site.lifeboat(&["run"]).code(0);
    copies.world.configure(&shape);
    let _ = sync(&copies, &[]).code(0);
    let _ = copies.world.site.lifeboat(&["prune"]).code(0);
    let level = copies.world.look();
    let names = |picture: &Picture, place: &str| -> Vec<String> {
        picture[place].restorable().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(names(&level, "place_0").len(), 2);
    assert_eq!(names(&level, "place_1"), names(&level, "place_0"));
    let _ = sync(&copies, &[]).code(0);
    assert_eq!(copies.world.look(), level, "sync and prune do not fight");
    // Unless it is asked for.
    copies.empty(1);
    let _ = sync(&copies, &["--all"]).code(0);
    assert_eq!(names(&copies.world.look(), "place_1").len(), 2);
}

/// The credentials of a writer may not delete, and a lock lets nobody.
#[test]
fn f38_f45_where_nothing_may_be_removed_the_damage_is_told_and_nothing_is_lost() {
    let Some(scene) = or_skip("sync_denied", StoreScene::small()) else { return };
    let place = scene.place("denied");
    place.configure("1", &[place.disk("near"), place.bucket("timeout = \"20s\"\n")], "");
    let _ = place.replicate().code(0);
    let artifact = place.objects(".age").remove(0);
    std::fs::File::options().write(true).open(&artifact).unwrap().set_len(100).unwrap();
    let cut = std::fs::read(&artifact).unwrap();
    let denied = Rule::on(Operation::Delete, Fault::refuse(403, "AccessDenied"));
    place.front.script(vec![denied]);
    for _ in 0..2 {
        let report = place.lifeboat(&["sync", "--json"]).code(40).json();
        assert_eq!(told(&report)[0].0, "failed", "{report:#}");
        let error = report["copies"][0]["error"].as_str().unwrap();
        assert!(error.contains("may not be removed"), "{error}");
        assert_eq!(std::fs::read(&artifact).unwrap(), cut);
    }
    let kept = place.objects("").into_iter().filter(|p| p.to_string_lossy().contains("quarantine"));
    assert_eq!(kept.count(), 1, "the same bytes are kept once");
    place.front.calm();
    let _ = place.lifeboat(&["sync", "--json"]).code(0);
    assert_ne!(std::fs::read(&artifact).unwrap(), cut);
    // One that is dark is told, and gives and gets nothing.
    place.front.script(Rule::all(&Fault::refuse(403, "AccessDenied")));
    let report = place.lifeboat(&["sync", "--json"]).code(11).json();
    assert!(report["unreadable"]["s3s"].is_string(), "{report:#}");
}

/// Whatever it died at, what is listed is whole, nothing that was whole is gone, and the next sync
/// goes on from there.
#[test]
fn f03_f11_i02_a_death_of_sync_at_any_point_leaves_nothing_that_the_next_does_not_finish() {
    let Some(mut copies) = copies("sync_deaths", 2) else { return };
    let (newest, oldest) = (copies.backups[0].clone(), copies.backups[1].clone());
    let break_it = |copies: &Copies| {
        let _ = copies.damage(1, &newest, Damage::Cut);
        let _ = copies.damage(2, &newest, Damage::GarbledManifest);
        let _ = copies.damage(2, &oldest, Damage::Emptied);
        let _ = copies.damage(1, &oldest, Damage::Nothing);
    };
    break_it(&copies);
    let points = copies.world.points("sync", &["sync"]);
    assert!(points.len() > 20, "{points:?}");
    copies.must_be_level("undisturbed");
    let whole = copies.world.look()["place_0"].clone();
    let mut deaths = 0;
    for number in sample().of(&points) {
        break_it(&copies);
        let death = Death { program: "sync".into(), number };
        let (ran, place) = copies.world.die(&death, &["sync"]);
        let what = format!("sync:{number} ({})", place.as_deref().unwrap_or("lived"));
        assert_eq!(copies.world.look()["place_0"], whole, "{what}: the source changed");
        let picture = copies.world.look();
        let wrong = copies.world.misread(&picture);
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{}", ran.stderr);
        let again = sync(&copies, &[]);
        assert_eq!(again.code, 0, "{what}: {}\n{}", again.stdout, again.stderr);
        copies.must_be_level(&what);
        // A program that lives on passed fewer points than the undisturbed one.
        if place.is_none() {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 10, "it died {deaths} times");
    // Whatever was damaged is kept, once.
    let kept = copies.quarantine(1).iter().map(|path| name_of(path)).collect::<Vec<_>>();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

/// The front dies, and what it started goes on or ends; either way nothing is lost.
#[test]
fn f03_a_signal_ends_sync_and_the_next_goes_on() {
    let Some(mut copies) = copies("sync_signal", 2) else { return };
    copies.empty(2);
    let line = |line| copies.world.destinations[2].front.as_ref().unwrap().toxic(line);
    line(Line::Slow { each_ms: 700 });
    let mut running = copies.world.site.start("lifeboat", &["sync"]);
    running.wait_open("demo/lock");
    let _ = copies.world.site.lifeboat(&["run"]).code(12);
    let _ = copies.world.site.lifeboat(&["sync"]).code(12).said("another run for cluster");
    let _ = copies.world.site.lifeboat(&["scrub"]).code(12);
    let _ = running.step("sync");
    running.signal(rustix::process::Signal::TERM);
    let ran = running.end();
    assert_eq!(ran.code, 143, "{}", ran.stderr);
    line(Line::Sound);
    let home = copies.world.site.path("").canonicalize().unwrap();
    assert!(Process::working_in(&home).is_empty(), "nothing is left behind");
    let _ = sync(&copies, &[]).code(0);
    copies.must_be_level("after");
}

#[test]
fn a_budget_ends_what_it_does_not_cover_and_is_told() {
    let Some(mut copies) = copies("sync_budget", 2) else { return };
    copies.empty(1);
    let report = sync(&copies, &["--budget", "1ms"]).code(40).json();
    assert!(told(&report).iter().all(|(result, _, _)| result == "left"), "{report:#}");
    let _ = sync(&copies, &["--destination", "place_2"]).code(0);
    let _ = sync(&copies, &["--destination", "nowhere"]).code(2);
    let _ = sync(&copies, &["--budget", "2m", "--destination", "place_1"]).code(0);
    copies.must_be_level("after");
}

/// Each run makes good what lags behind, and a run with nothing to make good asks nobody for it.
#[test]
fn f36_each_run_makes_good_what_lags_behind_within_its_budget() {
    let Some(mut copies) = copies("run_repairs", 1) else { return };
    // With a policy a run brings all that is to be kept.
    copies.world.configure(&Shape { prune: Some((9, 1)), ..copies.shape.clone() });
    copies.empty(1);
    // Off means off.
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
    assert!(report["repair"].is_null(), "{report:#}");
    copies.world.site.unset("LIFEBOAT__REPLICATE__REPAIR");
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
    assert_eq!(report["repair"]["exit"], 0, "{report:#}");
    assert_eq!((&report["repair"]["copied"], &report["repair"]["lacking"]), (&1.into(), &0.into()));
    copies.must_be_level("after the repair");
    let text = std::fs::read(
        copies
            .world
            .site
            .path(&format!("state/demo/runs/{}/report.json", report["run"].as_str().unwrap())),
    );
    let left: Value = serde_json::from_slice(&text.unwrap()).unwrap();
    assert_eq!(left, report);
    let points = copies.world.points("sync", &["run"]);
    assert!(points.is_empty(), "nothing lags behind, and it was asked: {points:?}");

    // A destination that is down costs its copy, and the next run brings it there.
    copies.world.destinations[2].front.as_ref().unwrap().toxic(Line::Cut { after_bytes: 0 });
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(40).json();
    assert_ne!(report["repair"]["exit"], 0, "{report:#}");
    let missed = report["backup"].as_str().unwrap().to_owned();
    copies.world.destinations[2].front.as_ref().unwrap().toxic(Line::Sound);
    let ran = copies.world.site.lifeboat(&["run", "--json"]).code(0);
    assert_eq!(ran.json()["repair"]["copied"], 1, "{}", ran.stdout);
    copies.backups.push(missed);
    copies.must_be_level("after the second repair");
}

/// Without a policy a rule of the bucket may remove what is old: it does not come back with each run.
#[test]
fn f37_a_run_brings_back_nothing_that_a_rule_of_the_bucket_removed() {
    let Some(mut copies) = copies("run_lifecycle", 4) else { return };
    copies.world.site.unset("LIFEBOAT__REPLICATE__REPAIR");
    let oldest = copies.backups[3].clone();
    let _ = copies.damage(1, &oldest, Damage::Nothing);
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
    assert!(report["repair"].is_null(), "{report:#}");
    let status = copies.world.site.lifeboat(&["status", "--json"]).code(0).json();
    assert_eq!(status["lagging"], serde_json::json!({}));
    // One that is missing within its own time is brought, and nothing besides.
    let middle = copies.backups[1].clone();
    let _ = copies.damage(1, &middle, Damage::Nothing);
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
    assert_eq!((&report["repair"]["copied"], &report["repair"]["lacking"]), (&1.into(), &0.into()));
    let held = copies.world.look()["place_1"].clone();
    assert!(held.backups.contains_key(&middle) && !held.backups.contains_key(&oldest), "{held:?}");
    // A person who asks for all gets all.
    let _ = sync(&copies, &[]).code(0);
    copies.must_be_level("after sync");
}

/// The backup is committed before `prune` has its say.
#[test]
fn f36_a_run_whose_prune_refuses_makes_good_what_lags_behind() {
    let Some(mut copies) = copies("run_refused", 5) else { return };
    copies.world.site.unset("LIFEBOAT__REPLICATE__REPAIR");
    let newest = copies.backups[0].clone();
    let _ = copies.damage(1, &newest, Damage::Nothing);
    copies.world.configure(&Shape { prune: Some((2, 1)), ..copies.shape.clone() });
    copies.world.site.set("LIFEBOAT__PRUNE__MAX_FRACTION", "0.01");
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(50).json();
    assert_eq!(report["repair"]["copied"], 1, "{report:#}");
    copies.must_be_level("after the repair");
}

/// What a run began within its time is not waited for until the run's own deadline.
#[test]
fn f36_a_repair_is_given_up_a_while_after_its_budget() {
    let Some(mut copies) = copies("sync_given_up", 2) else { return };
    copies.empty(2);
    let line = |line| copies.world.destinations[2].front.as_ref().unwrap().toxic(line);
    line(Line::Slow { each_ms: 700 });
    let arguments = ["--budget", "5m", "--give-up-after", "2s"];
    let report = copies.world.site.program("lifeboat-sync", &arguments).code(40).json();
    assert!(told(&report).iter().all(|(result, _, _)| result == "left"), "{report:#}");
    line(Line::Sound);
    let _ = sync(&copies, &[]).code(0);
    copies.must_be_level("after");
}

/// Two prefixes of one server: the bytes of the artifact do not pass through here.
#[test]
fn f36_stores_of_one_provider_copy_among_themselves() {
    let Some(scene) = or_skip("sync_neighbours", CloudScene::small("sync_neighbours")) else {
        return;
    };
    for backend in scene.clouds() {
        let (one, twin) = (scene.place(backend, "one"), scene.place(backend, "twin"));
        let _ = one.replicate().code(0);
        let calm = "timeout = \"20s\"\n";
        let other = twin.destination_at("twin", &one.front().endpoint(), calm);
        one.configure("1", &[one.destination(calm), other], "");
        let report = one.lifeboat(&["sync", "--json"]).code(0).json();
        let expected = ("copied".to_owned(), "twin".to_owned(), "missing".to_owned());
        assert_eq!(told(&report), [expected], "{backend:?}: {report:#}");
        // Azurite does not read from elsewhere by itself: there the bytes come through here.
        let among = backend != Backend::Azure;
        let copy = &report["copies"][0];
        assert_eq!(copy["server_side"].as_bool().unwrap_or(false), among, "{backend:?}: {copy:#}");
        one.holds(1).and_then(|()| twin.holds(1)).unwrap_or_else(|e| panic!("{backend:?}: {e}"));
    }
}

/// A cloud loses an old backup, or comes back with one that was pruned.
#[test]
fn f37_on_every_cloud_a_deletion_is_made_good_and_what_was_pruned_stays_away() {
    let stores = Stores::start("sync_clouds_old");
    let kinds = [Kind::Directory, Kind::Gcs, Kind::Azure].map(|k| stores.or(k));
    let made = Copies::with(&kinds, 3, stores);
    let Some(mut copies) = or_skip("sync_clouds_old", made) else { return };
    let whole = copies.must_be_level("before");
    let oldest = copies.backups[2].clone();
    let found = whole["place_0"].backups[&oldest].clone();
    let keys = [found.artifact.unwrap(), found.manifest];
    let folder = copies.world.destinations[0].place.folder.clone();
    let old = keys.clone().map(|key| (std::fs::read(folder.join(&key)).unwrap(), key));
    for at in [1, 2] {
        keys.iter().for_each(|key| copies.world.destinations[at].place.remove(key));
    }
    let report = sync(&copies, &[]).code(0).json();
    assert_eq!(told(&report).len(), 2, "{report:#}");
    copies.must_be_level("after a deletion");
    copies.world.configure(&Shape { prune: Some((2, 1)), ..copies.shape.clone() });
    let _ = copies.world.site.lifeboat(&["prune"]).code(0);
    let pruned = copies.world.look();
    assert!(pruned.values().all(|held| held.backups.len() == 2), "{pruned:#?}");
    let _ = sync(&copies, &[]).code(0);
    assert_eq!(copies.world.look(), pruned);
    for at in [1, 2] {
        let place = copies.world.destinations[at].place.clone();
        old.iter().for_each(|(bytes, key)| place.put(key, bytes));
        let _ = sync(&copies, &[]).code(0);
        let held = copies.world.look();
        let has = held.iter().filter(|(_, held)| held.backups.contains_key(&oldest)).count();
        assert_eq!(has, 1, "{}: nobody gets it back: {held:#?}", place.name);
        let _ = copies.world.site.lifeboat(&["prune"]).code(0);
        assert_eq!(copies.world.look(), pruned, "{}", place.name);
    }
}

/// What a pipeline without `encrypt` has put into directories stays there, whoever copies.
#[test]
fn i13_a_backup_that_nobody_encrypted_leaves_no_directory_until_that_is_allowed() {
    let Some(mut copies) = copies("sync_plaintext", 1) else { return };
    let line = |copies: &Copies, line| {
        copies.world.destinations[2].front.as_ref().unwrap().toxic(line);
    };
    copies.world.site.set("LIFEBOAT__STAGES", "capture,verify,compress,replicate");
    copies.world.site.set("LIFEBOAT__REPLICATE__ALLOW_PLAINTEXT", "true");
    line(&copies, Line::Cut { after_bytes: 0 });
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(40).json();
    let plain = report["backup"].as_str().unwrap().to_owned();
    line(&copies, Line::Sound);
    copies.world.site.unset("LIFEBOAT__STAGES");
    copies.world.site.unset("LIFEBOAT__REPLICATE__ALLOW_PLAINTEXT");
    copies.world.site.unset("LIFEBOAT__REPLICATE__REPAIR");
    copies.world.rest();
    let report = sync(&copies, &[]).code(40).json();
    let remark = &report["remarks"][0];
    assert_eq!((&remark["kind"], &remark["backup"]), (&"plaintext".into(), &plain.as_str().into()));
    assert_eq!((&remark["destination"], told(&report).len()), (&"place_2".into(), 0));
    // Nor does a run bring it there, and it does not try each time.
    let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
    assert!(report["repair"].is_null(), "{report:#}");
    let report = copies.world.site.lifeboat(&["scrub", "--json"]).code(0).json();
    assert_eq!(report["repairs"], serde_json::json!([]), "{report:#}");
    assert_eq!(copies.files(2, &plain), Vec::<PathBuf>::new());
    // Unless that is meant.
    copies.world.site.set("LIFEBOAT__REPLICATE__ALLOW_PLAINTEXT", "true");
    let report = sync(&copies, &[]).code(0).json();
    assert_eq!(told(&report).len(), 1, "{report:#}");
    assert_eq!(copies.files(2, &plain).len(), 2);
}
