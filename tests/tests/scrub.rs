//! Copies read back: what a scrub finds, what it leaves on record, and what it repairs.
//!
//! What the destinations hold is looked at as files, and opened by the independent checker.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::checker::sha256_of;
use lifeboat_tests::copies_scene::{Copies, Damage};
use lifeboat_tests::fault_front::{Fault, Operation, Rule};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::soak::deaths::{Choice, Death};
use lifeboat_tests::soak::stores::Stores;
use lifeboat_tests::soak::world::{Kind, Shape};
use lifeboat_tests::toxics::Line;
use serde_json::Value;

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

fn scrub(copies: &Copies, arguments: &[&str]) -> Ran {
    copies.world.site.lifeboat(&[&["scrub", "--json"], arguments].concat())
}

/// The result of each copy, by destination, newest backup first.
fn results(report: &Value) -> Vec<(String, String)> {
    let word = |copy: &Value, key: &str| copy[key].as_str().unwrap_or_default().to_owned();
    let copies = report["copies"].as_array().unwrap();
    copies.iter().map(|copy| (word(copy, "destination"), word(copy, "result"))).collect()
}

fn show(copies: &Copies, at: usize) -> Value {
    let name = format!("place_{at}");
    let shown = copies.world.site.lifeboat(&["show", "--json", &copies.backups[0]]).code(0).json();
    let all = shown["copies"].as_array().unwrap().clone();
    all.into_iter().find(|copy| copy["destination"] == name.as_str()).unwrap()
}

#[test]
fn i22_a_scrub_of_what_is_whole_says_so_on_record_and_records_do_not_pile_up() {
    let Some(mut copies) = copies("scrub_whole", 2) else { return };
    let before = copies.world.look();
    let status = copies.world.site.lifeboat(&["status", "--json"]).code(0).json();
    assert!(status["verified_at"].is_null());
    let report = scrub(&copies, &["--no-record"]).code(0).json();
    assert!(results(&report).iter().all(|(_, result)| result == "whole"), "{report:#}");
    assert_eq!((results(&report).len(), copies.world.look()), (6, before));
    for _ in 0..4 {
        let _ = scrub(&copies, &[]).code(0);
    }
    for at in 0..3 {
        for backup in &copies.backups {
            let records = copies.records(at, backup, "checked");
            assert!((1..=2).contains(&records.len()), "{records:#?}");
        }
        let shown = show(&copies, at);
        assert_eq!(
            (&shown["state"], &shown["verified_depth"]),
            (&"verified".into(), &"digest".into())
        );
        assert!(shown["verified_at"].is_string(), "{shown:#}");
    }
    let list = copies.world.site.lifeboat(&["list", "--json"]).code(0).json();
    assert!(list["backups"][1]["verified_at"]["place_2"].is_string(), "{list:#}");
    let said = copies.world.site.lifeboat(&["status"]).code(0).stdout;
    assert!(said.contains("read back"), "{said}");
    let page = copies.world.site.lifeboat(&["show"]).code(0).stdout;
    assert!(page.contains("ago: whole (digest)"), "{page}");
    copies.must_be_level("after");
}

/// No listing shows it: only whoever reads every byte finds it.
#[test]
fn f45_a_bit_that_flipped_at_rest_is_found_kept_and_repaired() {
    let Some(mut copies) = copies("scrub_flip", 1) else { return };
    let backup = copies.backups[0].clone();
    for at in 0..3 {
        let whole = std::fs::read(copies.artifact(at, &backup)).unwrap();
        for place in [0, whole.len() / 3, whole.len() - 1] {
            let what = format!("byte {place} in {at}");
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            durable::replace(&copies.artifact(at, &backup), &bytes).unwrap();
            let report = scrub(&copies, &[]).code(0).said("damaged").json();
            let expected = |name: usize| if name == at { "repaired" } else { "whole" };
            let found = results(&report);
            for (name, (_, result)) in found.iter().enumerate() {
                assert_eq!(result, expected(name), "{what}: {report:#}");
            }
            assert_eq!(report["repairs"][0]["result"], "replaced", "{what}");
            copies.must_be_level(&what);
            assert_eq!(std::fs::read(copies.artifact(at, &backup)).unwrap(), whole, "{what}");
            let kept = copies.quarantine(at);
            assert!(kept.iter().any(|path| std::fs::read(path).unwrap() == bytes), "{what}");
        }
        assert_eq!(copies.quarantine(at).len(), 3);
        assert_eq!(show(&copies, at)["state"], "verified");
    }
}

#[test]
fn f45_f46_f47_what_a_scrub_may_not_repair_is_marked_and_sync_makes_it_good() {
    let Some(mut copies) = copies("scrub_mark", 1) else { return };
    let backup = copies.backups[0].clone();
    let bytes = copies.damage(1, &backup, Damage::Flip).unwrap();
    for _ in 0..2 {
        let _ = scrub(&copies, &["--no-repair"]).code(20);
    }
    let report = scrub(&copies, &["--no-repair"]).code(20).json();
    assert_eq!(copies.records(1, &backup, "suspect").len(), 1, "it is said once");
    assert_eq!(results(&report)[1], ("place_1".to_owned(), "damaged".to_owned()));
    assert_eq!(std::fs::read(copies.artifact(1, &backup)).unwrap(), bytes);
    let page = copies.world.site.lifeboat(&["scrub", "--no-repair"]).code(20).stdout;
    assert!(page.contains("1 DAMAGED\n  next: `lifeboat sync`"), "{page}");
    let shown = show(&copies, 1);
    assert_eq!(shown["state"], "suspect");
    assert!(shown["problem"].as_str().unwrap().contains("it was found damaged"), "{shown:#}");
    let status = copies.world.site.lifeboat(&["status", "--json"]).code(40).json();
    assert_eq!((&status["copies"], &status["lagging"]["place_1"]), (&2.into(), &1.into()));
    // It is no copy that counts, and none that anybody fetches unasked.
    let _ = copies.world.site.lifeboat(&["fetch", "latest", "-o", "out.db"]).code(0);
    let report = copies.world.site.lifeboat(&["sync", "--json"]).code(0).json();
    assert_eq!(report["copies"][0]["result"], "replaced", "{report:#}");
    assert_eq!(show(&copies, 1)["state"], "verified");
    copies.must_be_level("after sync");
    // A suspicion without a reason goes with the next look.
    let _ = copies.damage(1, &backup, Damage::Flip).unwrap();
    let _ = scrub(&copies, &["--no-repair", "--destination", "place_1"]).code(20);
    std::fs::copy(copies.artifact(0, &backup), copies.artifact(1, &backup)).unwrap();
    let report = scrub(&copies, &["--destination", "place_1"]).code(0).json();
    assert_eq!(results(&report), [("place_1".to_owned(), "whole".to_owned())]);
    assert_eq!(show(&copies, 1)["state"], "verified");
    for damage in Damage::SEEN {
        if !matches!(damage, Damage::NoManifest | Damage::Nothing) {
            let _ = copies.damage(2, &backup, damage);
            let report = scrub(&copies, &[]).code(0).json();
            assert_eq!(results(&report)[2].1, "repaired", "{damage:?}: {report:#}");
            copies.must_be_level(&format!("{damage:?}"));
        }
    }
}

#[test]
fn f45_what_is_damaged_everywhere_stays_and_is_told() {
    let Some(mut copies) = copies("scrub_all", 1) else { return };
    let backup = copies.backups[0].clone();
    let kept: Vec<Vec<u8>> =
        (0..3).map(|at| copies.damage(at, &backup, Damage::Flip).unwrap()).collect();
    let report = scrub(&copies, &[]).code(20).json();
    assert!(results(&report).iter().all(|(_, result)| result == "damaged"), "{report:#}");
    for (at, bytes) in kept.iter().enumerate() {
        assert_eq!(&std::fs::read(copies.artifact(at, &backup)).unwrap(), bytes);
        assert_eq!(copies.quarantine(at).len(), 0);
    }
    assert_eq!(copies.world.site.lifeboat(&["status"]).code, 41);
    let _ = copies.world.look();
}

/// With an identity a scrub looks inside, once for each backup; without the right one it says so,
/// and calls nothing suspect for it.
#[test]
fn f44_i20_with_an_identity_a_scrub_looks_inside_and_without_one_it_calls_nothing_suspect() {
    let Some(mut copies) = copies("scrub_content", 1) else { return };
    let backup = copies.backups[0].clone();
    let site = &copies.world.site;
    let other = site.lifeboat(&["keygen", "keys/other.txt"]);
    assert_eq!(other.code, 0);
    let _ = scrub(&copies, &["--identity", "keys/other.txt"]).code(21).said("identit");
    assert_eq!(show(&copies, 0)["state"], "verified");
    let report = scrub(&copies, &["--identity", "keys/identity.txt"]).code(0).json();
    assert_eq!(report["copies"][0]["depth"], "content", "{report:#}");
    assert_eq!(report["copies"][1]["depth"], "digest");
    assert_eq!(show(&copies, 0)["verified_depth"], "content");
    assert!(!copies.records(0, &backup, "checked").is_empty());
    let _ = scrub(&copies, &["--content", "--destination", "place_1"]).code(0);
    assert_eq!(show(&copies, 1)["verified_depth"], "content");
    let left = std::fs::read_dir(copies.world.site.path("state/demo/scrubs")).unwrap();
    assert_eq!(left.count(), 0, "nothing of it is left on this machine");
    copies.must_be_level("after");
}

/// Every copy has the bytes that the manifest says, and nobody can open them: all are suspect, once,
/// and nothing is copied for it.
#[test]
fn f45_what_is_not_sound_inside_is_marked_everywhere_once_and_copied_nowhere() {
    // No store but a directory lets a hand change what it keeps checksums of.
    let made = Copies::with(&[Kind::Directory; 3], 2, Stores::default());
    let Some(copies) = or_skip("scrub_unsound", made) else { return };
    let backup = copies.backups[0].clone();
    let mut bytes = std::fs::read(copies.artifact(0, &backup)).unwrap();
    let text = std::fs::read_to_string(copies.manifest(0, &backup)).unwrap();
    let before = sha256_of(&copies.artifact(0, &backup));
    *bytes.last_mut().unwrap() ^= 1;
    for at in 0..3 {
        durable::replace(&copies.artifact(at, &backup), &bytes).unwrap();
    }
    let text = text.replace(&before, &sha256_of(&copies.artifact(0, &backup)));
    for at in 0..3 {
        durable::replace(&copies.manifest(at, &backup), text.as_bytes()).unwrap();
    }
    let suspects = || [0, 1, 2].map(|at| copies.records(at, &backup, "suspect").len());
    // Without a key nothing is wrong with it.
    let _ = scrub(&copies, &[]).code(0);
    let report = scrub(&copies, &["--identity", "keys/identity.txt"]).code(20).json();
    let found = results(&report);
    assert!(found[..3].iter().all(|(_, result)| result == "damaged"), "{report:#}");
    assert!(found[3..].iter().all(|(_, result)| result == "whole"), "{report:#}");
    assert_eq!(suspects(), [1, 1, 1]);
    for at in 0..3 {
        assert_eq!(show(&copies, at)["state"], "suspect", "{at}");
    }
    let status = copies.world.site.lifeboat(&["status", "--json"]).code(0).json();
    assert_eq!(status["newest"], copies.backups[1].as_str(), "{status:#}");
    // It is told each time, and nothing is done for it, however often.
    for _ in 0..2 {
        let report = copies.world.site.lifeboat(&["sync", "--json"]).code(0).json();
        assert_eq!(report["copies"], serde_json::json!([]), "{report:#}");
        assert_eq!(report["remarks"][0]["kind"], "suspect", "{report:#}");
        let _ = scrub(&copies, &["--identity", "keys/identity.txt"]).code(20);
        assert_eq!(suspects(), [1, 1, 1]);
    }
    assert!((0..3).all(|at| copies.quarantine(at).is_empty()));
}

/// What lies in an archive is read by nobody every day: it is told, and is no failure.
#[test]
fn f45_a_copy_in_an_archive_is_told_and_changes_no_exit_code() {
    let Some(mut copies) = copies("scrub_archive", 1) else { return };
    let backup = copies.backups[0].clone();
    let front = || copies.world.destinations[2].front.as_ref().unwrap();
    let archived = Fault::refuse(403, "InvalidObjectState");
    front().script(vec![Rule::on(Operation::Get, archived).artifacts()]);
    let report = scrub(&copies, &[]).code(0).json();
    assert_eq!(results(&report)[2], ("place_2".to_owned(), "archived".to_owned()), "{report:#}");
    assert_eq!(copies.files(2, &backup).len(), 2, "artifact and manifest, and no record");
    let said = copies.world.site.lifeboat(&["scrub"]).code(0).stdout;
    assert!(said.contains("1 in an archive"), "{said}");
    front().calm();
    copies.must_be_level("after");
}

/// A writer that may not delete leaves its records; whoever prunes takes those away that say nothing.
#[test]
fn i22_prune_sweeps_the_records_that_newer_ones_make_superfluous() {
    let Some(copies) = copies("scrub_sweep", 1) else { return };
    let backup = copies.backups[0].clone();
    let front = copies.world.destinations[2].front.as_ref().unwrap();
    front.script(vec![Rule::on(Operation::Delete, Fault::refuse(403, "AccessDenied"))]);
    for _ in 0..4 {
        let _ = scrub(&copies, &[]).code(0);
    }
    assert_eq!(copies.records(2, &backup, "checked").len(), 4);
    front.calm();
    copies.world.configure(&Shape { prune: Some((9, 1)), ..copies.shape.clone() });
    let _ = copies.world.site.lifeboat(&["prune"]).code(0);
    assert_eq!(copies.records(2, &backup, "checked").len(), 1);
    assert_eq!(show(&copies, 2)["verified_depth"], "digest");
}

#[test]
fn what_is_scrubbed_is_what_was_asked_for_and_a_dark_destination_is_told() {
    let Some(copies) = copies("scrub_choice", 3) else { return };
    let named = |report: &Value| -> Vec<String> {
        let all = report["copies"].as_array().unwrap().iter();
        all.map(|copy| copy["backup"].as_str().unwrap().to_owned()).collect()
    };
    let one = ["--destination", "place_0"];
    let newest = scrub(&copies, &[&one[..], &["--newest", "2"]].concat()).code(0).json();
    assert_eq!(named(&newest), copies.backups[..2]);
    let latest = scrub(&copies, &[&one[..], &["--backup", "latest"]].concat()).code(0).json();
    assert_eq!(named(&latest), copies.backups[..1]);
    let third = scrub(&copies, &[&one[..], &["--backup", &copies.backups[2]]].concat()).code(0);
    assert_eq!(named(&third.json()), copies.backups[2..]);
    let _ = scrub(&copies, &["--backup", "2001"]).code(41);
    let _ = scrub(&copies, &["--sample", "3/2"]).code(2);
    let left = scrub(&copies, &["--budget", "1ms"]).code(40).json();
    assert!(results(&left).iter().all(|(_, result)| result == "left"), "{left:#}");
    copies.world.destinations[2].front.as_ref().unwrap().toxic(Line::Cut { after_bytes: 0 });
    let dark = scrub(&copies, &[]).code(10).json();
    assert!(dark["unreadable"]["place_2"].is_string());
    assert_eq!(results(&dark).len(), 6, "the others are read all the same");
}

#[test]
fn f03_f45_a_death_of_scrub_at_any_point_leaves_nothing_that_the_next_does_not_finish() {
    let Some(mut copies) = copies("scrub_deaths", 1) else { return };
    let backup = copies.backups[0].clone();
    let break_it = |copies: &Copies| {
        let _ = copies.damage(1, &backup, Damage::Flip);
        let _ = copies.damage(2, &backup, Damage::Flip);
    };
    break_it(&copies);
    let points = copies.world.points("scrub", &["scrub"]);
    assert!(points.len() > 20, "{points:?}");
    let mut deaths = 0;
    for number in sample().of(&points) {
        break_it(&copies);
        let death = Death { program: "scrub".into(), number };
        let (ran, place) = copies.world.die(&death, &["scrub"]);
        let what = format!("scrub:{number} ({})", place.as_deref().unwrap_or("lived"));
        let artifact = std::fs::read(copies.artifact(0, &backup));
        assert!(artifact.is_ok(), "{what}: the source is gone\n{}", ran.stderr);
        let again = scrub(&copies, &[]);
        assert_eq!(again.code, 0, "{what}: {}\n{}", again.stdout, again.stderr);
        copies.must_be_level(&what);
        // A program that lives on passed fewer points than the undisturbed one.
        if place.is_none() {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 10, "it died {deaths} times");
}
