//! A death at every point of every program, judged by the independent checker.
//!
//! After each death the destinations hold the old set, or the old set and one more whole backup;
//! whatever the run said about it is true; the next undisturbed run succeeds.
//!
//! Here every failpoint of the programs that write to destinations is died at (`replicate`,
//! `prune`), and of the others the first of each name, with a few more that are drawn from a seed.
//! `make soak` dies at every point of every program (`KILL_POINTS=all`).

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::LoadSpec;
use lifeboat_tests::checker::{Claim, Deed, Picture};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::soak::deaths::{Choice, Death};
use lifeboat_tests::soak::world::{Judged, Kind, Leave, Shape, World};
use lifeboat_tests::toxics::Line;
use std::path::Path;

/// Draws which of the other points are died at.
const SEED: u64 = 20_261_120;
/// How many others.
const OTHERS: usize = 3;

/// A small database, one directory and one bucket.
fn world(test: &str) -> Option<World> {
    or_skip(test, World::new(&[Kind::Directory, Kind::Bucket], &LoadSpec::default()))
}

fn sample() -> Choice {
    match std::env::var("KILL_POINTS").as_deref() {
        Ok("all") => Choice::All,
        _ => Choice::Sample { others: OTHERS, seed: SEED },
    }
}

/// What a death of this program may leave behind.
fn leave(program: &str) -> Leave {
    match program {
        "replicate" => Leave::Anything,
        "lifeboat" => Leave::Backup,
        _ => Leave::Nothing,
    }
}

fn must_be_right(what: &str, wrong: &[String], ran: &Ran) {
    let wrong = wrong.join("\n  ");
    assert!(wrong.is_empty(), "{what}:\n  {wrong}\n--- it said\n{}\n{}", ran.stdout, ran.stderr);
}

/// Runs until the program has died at every point of the choice; `each` looks closer at every
/// death. Gives how often it died.
fn die_in_runs(
    world: &mut World,
    shape: &Shape,
    program: &str,
    choice: Choice,
    mut each: impl FnMut(&mut World, &Judged),
) -> usize {
    world.configure(shape);
    let points = world.points(program, &["run", "--json"]);
    let mut before = world.look();
    let mut deaths = 0;
    for number in choice.of(&points) {
        let death = Death { program: program.to_owned(), number };
        let (ran, place) = world.die(&death, &["run", "--json"]);
        let what = format!("{program}:{number} ({})", place.as_deref().unwrap_or("lived"));
        let judged = world.judge(shape, &before, ran, leave(program));
        must_be_right(&what, &judged.wrong, &judged.ran);
        let lived = place.is_none();
        // Whoever is killed after its receipt is written has cost nothing.
        let must_be = |codes: &[i32]| codes.contains(&judged.ran.code);
        let expected =
            if lived || program == "catalogue" { must_be(&[0]) } else { must_be(&[0, 137]) };
        assert!(expected, "{what}: exit {}\n{}", judged.ran.code, judged.ran.stderr);
        if lived && choice == Choice::All {
            before = judged.after;
            break;
        }
        deaths += usize::from(!lived);
        must_be_right(&what, &world.misread(&judged.after), &judged.ran);
        each(world, &judged);
        before = world.look();
    }
    runs_again(world, shape, &before, program);
    deaths
}

/// An undisturbed run: a backup in every destination, and said so.
fn runs_again(world: &mut World, shape: &Shape, before: &Picture, what: &str) {
    let ran = world.site.lifeboat(&["run", "--json"]).code(0);
    let judged = world.judge(shape, before, ran, Leave::Nothing);
    must_be_right(what, &judged.wrong, &judged.ran);
    must_be_right(what, &world.misread(&judged.after), &judged.ran);
}

#[test]
fn f01_f02_f08_i02_a_death_of_a_stage_that_stores_nothing_leaves_nothing() {
    let Some(mut world) = world("kill_before_storing") else { return };
    let shape = Shape { program: true, ..Shape::usual(2) };
    for program in ["capture", "verify", "compress", "encrypt"] {
        let deaths = die_in_runs(&mut world, &shape, program, sample(), |_, judged| {
            assert_eq!(judged.claim.backup.is_some(), judged.ran.code == 0);
            if judged.ran.code != 0 {
                assert_eq!(judged.ran.json()["cause"]["stage"], program);
            }
        });
        assert!(deaths > 5, "{program} died {deaths} times");
    }
}

#[test]
fn f03_f04_i01_i02_i03_a_death_of_replicate_leaves_no_half_of_a_backup() {
    let Some(mut world) = world("kill_replicate") else { return };
    world.checker.deeply(true);
    let deaths = die_in_runs(&mut world, &Shape::usual(2), "replicate", Choice::All, |_, _| {});
    assert!(deaths > 30, "replicate died {deaths} times");
}

/// An artifact of two parts. Parts of an upload that was never completed are nobody's object.
#[test]
fn f03_a_death_between_the_parts_of_an_upload_leaves_no_object() {
    let load = LoadSpec::bulk(11, 3_000);
    let made = World::new(&[Kind::Directory, Kind::Bucket], &load);
    let Some(mut world) = or_skip("kill_multipart", made) else { return };
    let shape = Shape { level: None, ..Shape::usual(2) };
    let deaths = die_in_runs(&mut world, &shape, "replicate", sample(), |_, _| {});
    assert!(deaths > 20, "replicate died {deaths} times");
}

#[test]
fn f05_a_death_of_prune_never_leaves_a_manifest_without_its_artifact() {
    let Some(mut world) = world("kill_prune") else { return };
    let shape = Shape::usual(2);
    let runs = die_in_runs(&mut world, &shape, "prune", Choice::All, |world, judged| {
        assert!(judged.claim.backup.is_some(), "the backup was committed before");
        // The next prune finishes, whatever the one that died had begun.
        let ran = world.site.lifeboat(&["prune", "--allow-large-removal"]);
        let (code, deed) = (ran.code, Deed::Prune);
        let claim = Claim { code, deed, min_keep: Some(2), ..Claim::default() };
        let pruned = world.judge_claim(&judged.after, ran, claim);
        must_be_right("the next prune", &pruned.wrong, &pruned.ran);
        assert_eq!(pruned.ran.code, 0, "{}", pruned.ran.stderr);
        for (place, holds) in &pruned.after {
            assert_eq!(holds.restorable().len(), 2, "{place}");
        }
    });
    assert!(runs > 20, "prune died {runs} times");
}

#[test]
fn i02_i03_a_death_of_the_front_leaves_a_whole_backup_or_none() {
    let Some(mut world) = world("kill_front") else { return };
    let shape = Shape::usual(2);
    for program in ["lifeboat", "catalogue"] {
        let deaths = die_in_runs(&mut world, &shape, program, sample(), |_, _| {});
        assert!(deaths > 3, "{program} died {deaths} times");
    }
}

#[test]
fn i15_i03_a_death_on_the_way_back_leaves_no_output() {
    let Some(mut world) = world("kill_fetch") else { return };
    let shape = Shape::usual(2);
    world.configure(&shape);
    let _ = world.site.lifeboat(&["run"]).code(0);
    let before = world.look();
    let output = world.site.path("out.db");
    let arguments = ["fetch", "latest", "-o", "out.db"];
    for program in ["fetch", "encrypt", "compress", "verify", "lifeboat", "catalogue"] {
        let points = world.points(program, &arguments);
        assert!(points.len() > 2, "{program} passes {points:?}");
        durable::remove_file(&output).unwrap();
        for number in sample().of(&points) {
            let death = Death { program: program.to_owned(), number };
            let (ran, place) = world.die(&death, &arguments);
            let what = format!("{program}:{number} ({place:?})");
            must_be_whole_or_absent(&world, &before, &output, &what, &ran);
            let claim = Claim { code: ran.code, deed: Deed::Read, ..Claim::default() };
            let judged = world.judge_claim(&before, ran, claim);
            must_be_right(&what, &judged.wrong, &judged.ran);
            durable::remove_file(&output).unwrap();
            if place.is_none() && number > points.len() as u64 {
                break;
            }
        }
        let _ = world.site.lifeboat(&arguments).code(0);
        durable::remove_file(&output).unwrap();
    }
}

/// Under its own name a fetched file is whole; a hidden one is nobody's.
fn must_be_whole_or_absent(world: &World, picture: &Picture, output: &Path, what: &str, ran: &Ran) {
    if ran.code == 0 {
        assert!(output.exists(), "{what}: exit 0 without a file");
    }
    if output.exists() {
        let whole = world.captured_sha256(picture);
        assert_eq!(lifeboat_tests::checker::sha256_of(output), whole, "{what}\n{}", ran.stderr);
    }
}

#[test]
fn i19_a_fetch_never_touches_what_is_there() {
    let Some(mut world) = world("fetch_over") else { return };
    world.configure(&Shape::usual(2));
    let _ = world.site.lifeboat(&["run"]).code(0);
    world.site.write("mine.db", b"mine");
    durable::create_private_dir(&world.site.path("folder.db")).unwrap();
    std::os::unix::fs::symlink("nowhere", world.site.path("link.db")).unwrap();
    for taken in ["mine.db", "folder.db", "link.db"] {
        for extra in [&[][..], &["--raw"][..]] {
            let arguments = [&["fetch", "latest", "-o", taken], extra].concat();
            let _ = world.site.lifeboat(&arguments).code(2).said("exists already");
        }
    }
    assert_eq!(std::fs::read(world.site.path("mine.db")).unwrap(), b"mine");
    assert!(world.site.path("folder.db").read_dir().unwrap().next().is_none());
    assert!(!world.site.path("nowhere").exists());
    let before = world.look();
    runs_again(&mut world, &Shape::usual(2), &before, "after the refusals");
}

/// What a power cut tears after the commit is seen by whoever reads it, and another copy serves.
#[test]
fn f11_i03_an_object_that_is_torn_after_the_commit_is_caught_by_reading() {
    let Some(mut world) = world("torn") else { return };
    world.configure(&Shape::usual(2));
    let _ = world.site.lifeboat(&["run"]).code(0);
    let whole = world.look();
    for at in 0..world.destinations.len() {
        let place = world.destinations[at].place.clone();
        for (key, stored) in &whole[&place.name].objects {
            let path = place.folder.join(key);
            let bytes = std::fs::read(&path).unwrap();
            let length = usize::try_from(stored.bytes).unwrap();
            // Without its last byte, a newline, a manifest still says everything.
            for cut in [0, 1, length / 2, length - 2] {
                durable::replace(&path, &bytes[..cut]).unwrap();
                a_torn_object_is_caught(&mut world, &place.name, &format!("{key} at {cut}"));
            }
            // The right length, with a hole where a block was never written.
            let mut hole = bytes.clone();
            hole[length / 2..].fill(0);
            durable::replace(&path, &hole).unwrap();
            a_torn_object_is_caught(&mut world, &place.name, &format!("{key} with a hole"));
            durable::replace(&path, &bytes).unwrap();
        }
    }
    assert_eq!(world.look(), whole);
}

fn a_torn_object_is_caught(world: &mut World, place: &str, what: &str) {
    let picture = world.look();
    let other = picture.keys().find(|name| *name != place).unwrap();
    assert!(picture[place].restorable().is_empty(), "{what}: {picture:?}");
    assert_eq!(picture[other].restorable().len(), 1, "{what}");
    let wrong = world.misread(&picture);
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
    let output = world.site.path("torn.db");
    let from = world.site.lifeboat(&["fetch", "latest", "--from", place, "-o", "torn.db"]);
    assert_eq!(from.code, 20, "{what}: {}", from.stderr);
    assert!(!output.exists(), "{what}: nothing has the name of a whole file");
    let _ = world.site.lifeboat(&["fetch", "latest", "-o", "torn.db"]).code(0);
    let fetched = lifeboat_tests::checker::sha256_of(&output);
    assert_eq!(fetched, world.captured_sha256(&picture), "{what}");
    durable::remove_file(&output).unwrap();
}

/// Two machines know nothing of each other: each has a lock of its own.
#[test]
fn f41_two_runs_at_once_are_turned_away_or_both_whole() {
    let Some(mut world) = world("two_at_once") else { return };
    let keeping = Shape { prune: None, ..Shape::usual(2) };
    two_machines_at_once(&mut world, &keeping, 2);
    let shape = Shape::usual(2);
    two_machines_at_once(&mut world, &shape, 4);
    let before = world.look();
    // On one machine the second is turned away while the first is at work.
    let program = Shape { program: true, ..shape };
    world.configure(&program);
    world.etcd.set(Line::Slow { each_ms: 1_000 });
    let mut first = world.site.start("lifeboat", &["run", "--json"]);
    first.wait_open("demo/lock");
    let _ = world.site.lifeboat(&["run"]).code(12).said("another run for cluster");
    world.etcd.set(Line::Sound);
    let ran = first.end().code(0);
    let judged = world.judge(&program, &before, ran, Leave::Nothing);
    must_be_right("the first of two", &judged.wrong, &judged.ran);
}

/// Neither breaks what the other makes, nor does the pruning of both together leave too few.
fn two_machines_at_once(world: &mut World, shape: &Shape, rounds: usize) {
    world.configure(shape);
    for _ in 0..rounds {
        let held = world.look();
        let first = world.site.start("lifeboat", &["run", "--json"]);
        world.site.set("LIFEBOAT__RUN__STATE_DIR", "elsewhere");
        let second = world.site.start("lifeboat", &["run", "--json"]);
        world.site.unset("LIFEBOAT__RUN__STATE_DIR");
        let both = [first, second].map(|mut running| running.end().code(0));
        let after = world.look();
        assert_eq!(world.misread(&after), Vec::<String>::new());
        let least = shape.prune.map_or(2 + held["place_0"].backups.len(), |(last, _)| last);
        for (place, holds) in &after {
            let sound = holds.restorable();
            assert!(sound.len() >= least && holds.orphans.is_empty(), "{place}: {holds:?}");
            assert_eq!(sound.len(), holds.backups.len(), "{place}: {holds:?}");
            for ran in both.iter().filter(|_| shape.prune.is_none()) {
                let backup = ran.json()["backup"].as_str().unwrap().to_owned();
                assert!(sound.contains(backup.as_str()), "{place}: {backup} is not there");
            }
        }
    }
}
