//! A death at every point of `lifeboat-restore`: what was there is whole and byte-identical, what is new
//! is complete or not there, no etcd starts on anything between, and the next call succeeds.
//!
//! Every failpoint from the first rename on is died at, and of those before the first of each name;
//! with `KILL_POINTS=all` every one.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::restore_scene::{ONE_MEMBER, RestoreScene, SNAPSHOT, Tree, names, piped, tree};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Etcd, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const WAL: &str = "0000000000000000-0000000000000000.wal";
/// etcd gives up on a damaged WAL at once. One that starts is stopped then, with code 124.
const REFUSES_WITHIN: &str = "60";

/// One way to restore, died at at every point.
struct Trial {
    scene: RestoreScene,
    /// What is typed, in the directory of a case.
    arguments: Vec<&'static str>,
    /// What must have its place, and what was there before each case.
    old: Vec<(&'static str, Tree)>,
    new: Vec<(&'static str, Tree)>,
    /// What each case begins with.
    begin: PathBuf,
    etcd: PathBuf,
    /// What etcd was seen to refuse.
    refused: BTreeSet<String>,
}

fn scene() -> RestoreScene {
    RestoreScene::in_memory().unwrap()
}

/// Restores `dir`, and shortens the WAL, which is a sound one then and faster to compare.
fn earlier(scene: &RestoreScene, home: &str, token: &str, arguments: &[&str]) {
    durable::create_private_dir(&scene.path(home)).unwrap();
    let all = ["-C", home, "--initial-cluster-token", token, "--replace"];
    let _ = scene.pipe(&[&all[..], arguments, &ONE_MEMBER].concat(), SNAPSHOT).code(0);
    for wal in ["etcd/member/wal", "wal"] {
        let file = std::fs::File::options().write(true).open(scene.path(home).join(wal).join(WAL));
        if let Ok(file) = file {
            file.set_len(8_192).unwrap();
        }
    }
}

const UNITS: [&str; 2] = ["etcd", "wal"];

fn trees(home: &Path) -> Vec<(&'static str, Tree)> {
    let of = |unit: &'static str| {
        let mut tree = tree(&home.join(unit));
        // Once the true WAL has its name, the note that is left says nothing more.
        if !tree.contains_key(Path::new("lifeboat-true.tmp")) {
            tree.remove(Path::new("lifeboat-incomplete.tmp"));
        }
        (unit, tree)
    };
    UNITS.into_iter().map(of).filter(|(_, tree)| tree.len() > 1).collect()
}

/// The failpoints that are died at, of those that an undisturbed call passes.
fn choice(points: &[String]) -> BTreeSet<usize> {
    let every = std::env::var("KILL_POINTS").is_ok_and(|value| value == "all");
    let begun = points.iter().position(|point| point == "place.publishing").unwrap_or(0);
    let mut names = BTreeSet::new();
    let mut is_chosen = |at: usize| names.insert(points[at].as_str()) || every || at >= begun;
    (0..points.len()).filter(|at| is_chosen(*at)).map(|at| at + 1).collect()
}

impl Trial {
    fn new(etcd: PathBuf, before: Option<&[&str]>, arguments: &[&'static str]) -> Self {
        let scene = scene();
        durable::create_private_dir(&scene.path("begin")).unwrap();
        if let Some(before) = before {
            earlier(&scene, "begin", "old", before);
        }
        let begin = scene.path("begin");
        let old = trees(&begin);
        let arguments = arguments.to_vec();
        let refused = BTreeSet::new();
        let mut trial = Trial { scene, arguments, old, new: Vec::new(), begin, etcd, refused };
        let home = trial.case("undisturbed");
        let _ = trial.call(&home, None).code(0);
        trial.new = trees(&home);
        trial
    }

    /// A new directory with what each case begins with.
    fn case(&self, name: &str) -> PathBuf {
        let home = self.scene.path(name);
        run(Command::new("cp").arg("-a").arg(&self.begin).arg(&home)).unwrap();
        home
    }

    fn call(&self, home: &Path, death: Option<usize>) -> Ran {
        let undoes = self.arguments.contains(&"--undo");
        let restoring = [&["--initial-cluster-token", "new"], &ONE_MEMBER[..]].concat();
        let more: &[&str] = if undoes { &[] } else { &restoring };
        let home = home.to_str().unwrap();
        let all = [&["-C", home], &self.arguments[..], more].concat();
        let mut command = self.scene.command(&all);
        command.env(failpoint::TRACE, self.scene.path("trace"));
        if let Some(number) = death {
            command.env(failpoint::FAIL_AT, format!("restore:{number}"));
        }
        if undoes { self.scene_run(&mut command) } else { piped(&mut command, SNAPSHOT) }
    }

    fn scene_run(&self, command: &mut Command) -> Ran {
        Ran::of(&command.output().unwrap())
    }

    /// The failpoints that an undisturbed call passes, in order.
    fn points(&self) -> Vec<String> {
        let home = self.case("counted");
        let _ = std::fs::remove_file(self.scene.path("trace"));
        let _ = self.call(&home, None).code(0);
        durable::remove_tree(&home).unwrap();
        self.passed()
    }

    fn passed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.scene.path("trace")).unwrap();
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    }

    /// Dies at every chosen point, and judges what is left. Gives the names of the points.
    fn die_everywhere(&mut self, mut each: impl FnMut(&mut Trial, &Path, &str)) -> Vec<String> {
        let points = self.points();
        let mut died = Vec::new();
        for number in choice(&points) {
            let home = self.case(&format!("case-{number}"));
            let _ = std::fs::remove_file(self.scene.path("trace"));
            let ran = self.call(&home, Some(number));
            let place = self.passed().pop().unwrap();
            let what = format!("{number} ({place})");
            assert_eq!(ran.code, 137, "{what}: {}", ran.stderr);
            each(self, &home, &what);
            durable::remove_tree(&home).unwrap();
            died.push(place);
        }
        died
    }

    /// Each unit is old, new or absent; both together, or etcd refuses.
    fn must_be_old_or_new_or_refused(&mut self, home: &Path, what: &str) {
        let found = trees(home);
        if found == self.old || found == self.new {
            return;
        }
        // Told apart by what a file is, not by its bytes: etcd needs to be asked once.
        let kind = |unit: &&str| {
            let of = |all: &[(&'static str, Tree)]| all.iter().find(|(n, _)| n == unit).cloned();
            let now = of(&found);
            match now {
                None => "absent".to_owned(),
                now if now == of(&self.old) => "old".to_owned(),
                now if now == of(&self.new) => "new".to_owned(),
                Some((_, tree)) => {
                    let names = tree.keys().map(|path| path.display().to_string());
                    names.collect::<Vec<_>>().join(" ")
                }
            }
        };
        let state = UNITS.iter().map(kind).collect::<Vec<_>>().join(" | ");
        if self.refused.insert(state.clone()) {
            self.must_be_refused(home, &format!("{what}: {state}"));
        }
    }

    /// Starts a real etcd on a copy.
    fn must_be_refused(&self, home: &Path, what: &str) {
        let copy = self.scene.path("for-etcd");
        run(Command::new("cp").arg("-a").arg(home).arg(&copy)).unwrap();
        let mut command = Command::new("timeout");
        command.arg(REFUSES_WITHIN).arg(&self.etcd).args(["--data-dir", "etcd", "--name", "m1"]);
        if self.arguments.contains(&"--wal-dir") {
            command.args(["--wal-dir", "wal"]);
        }
        command.args(["--initial-cluster", "m1=http://127.0.0.1:27001"]);
        command.args(["--initial-advertise-peer-urls", "http://127.0.0.1:27001"]);
        command.args([
            "--listen-peer-urls",
            "unix://peer",
            "--listen-client-urls",
            "unix://client",
        ]);
        command.args(["--advertise-client-urls", "http://127.0.0.1:1", "--logger", "zap"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let ran = Ran::of(&command.current_dir(&copy).output().unwrap());
        assert!(![0, 124].contains(&ran.code), "{what}: etcd has started\n{}", ran.stderr);
        assert!(ran.stderr.contains("crc mismatch"), "{what}: {}", ran.stderr);
        durable::remove_tree(&copy).unwrap();
    }

    /// Everything that was there before is somewhere, and is what it was.
    fn old_must_be_somewhere(&self, home: &Path, what: &str) {
        for (unit, old) in &self.old {
            let mut places: Vec<PathBuf> = names(home).into_iter().map(|n| home.join(n)).collect();
            places.extend(places.clone().into_iter().map(|place| place.join("new")));
            let without_fence = |mut tree: Tree| {
                tree.retain(|path, _| !path.to_string_lossy().starts_with("ffff"));
                tree
            };
            let is_there = places.iter().any(|place| without_fence(tree(place)) == *old);
            assert!(is_there, "{what}: what was in {unit} is nowhere in {:?}", names(home));
        }
    }

    /// Undoes until there is nothing to undo: then what was there at first is there again.
    fn must_go_back(&self, home: &Path, what: &str) {
        let typed: Vec<&str> =
            self.arguments.iter().copied().filter(|word| *word != "--replace").collect();
        let home_name = home.to_str().unwrap();
        let undo = [&["-C", home_name, "--undo"], &typed[..]].concat();
        for _ in 0..4 {
            let ran = self.scene.run(&undo);
            if ran.code == 50 {
                assert!(ran.stderr.contains("nothing to put back"), "{what}: {}", ran.stderr);
                assert_eq!(trees(home), self.old, "{what}");
                return;
            }
            let _ = ran.code(0);
        }
        panic!("{what}: there is always more to undo in {:?}", names(home));
    }
}

fn nothing_is_left_over(home: &Path, what: &str) {
    let left = |name: &String| name.starts_with('.') || name.contains(".undoing-");
    let found: Vec<String> = names(home).into_iter().filter(left).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
}

/// After the death: the same call again.
fn restores_again(trial: &mut Trial, home: &Path, what: &str) {
    trial.must_be_old_or_new_or_refused(home, what);
    trial.old_must_be_somewhere(home, what);
    let is_published = trees(home) == trial.new && trial.new != trial.old;
    let again = trial.call(home, None);
    if is_published && !trial.arguments.contains(&"--replace") {
        let _ = again.code(50).said("is not empty");
        return;
    }
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    assert_eq!(trees(home), trial.new, "{what}");
    nothing_is_left_over(home, what);
    trial.old_must_be_somewhere(home, what);
    if !trial.old.is_empty() {
        trial.must_go_back(home, what);
    }
}

const DATA: [&str; 2] = ["--data-dir", "etcd"];
const BOTH: [&str; 4] = ["--data-dir", "etcd", "--wal-dir", "wal"];
const REPLACE: [&str; 3] = ["--data-dir", "etcd", "--replace"];
const REPLACE_BOTH: [&str; 5] = ["--data-dir", "etcd", "--wal-dir", "wal", "--replace"];

fn etcd(test: &str) -> Option<PathBuf> {
    Some(or_skip(test, Etcd::newest())?.etcd)
}

fn must_have(points: &[String], wanted: &[&str]) {
    for name in wanted {
        assert!(points.iter().any(|point| point == name), "no death at {name}: {points:?}");
    }
}

#[test]
fn f06_a_death_before_anything_is_there_leaves_nothing_there() {
    let Some(etcd) = etcd("kill_restore") else { return };
    let mut trial = Trial::new(etcd, None, &DATA);
    let points = trial.die_everywhere(restores_again);
    let wanted = ["restore.looked", "restore.read", "restore.verified", "restore.built"];
    must_have(&points, &wanted);
    must_have(&points, &["place.snap.written", "place.wal.written", "place.staging.sealed"]);
    must_have(&points, &["restore.proved", "durable.tree.renamed", "restore.published"]);
    assert!(trial.refused.is_empty(), "one rename publishes: {:?}", trial.refused);
}

#[test]
fn f06_i19_a_death_while_replacing_leaves_what_was_there_or_what_is_new() {
    let Some(etcd) = etcd("kill_replace") else { return };
    let mut trial = Trial::new(etcd, Some(&DATA), &REPLACE);
    let points = trial.die_everywhere(restores_again);
    must_have(&points, &["place.aside.noted", "place.exchanged", "place.old.put_aside"]);
    assert!(trial.refused.is_empty(), "one rename publishes: {:?}", trial.refused);
}

#[test]
fn f06_a_death_between_two_directories_leaves_a_wal_that_etcd_refuses() {
    let Some(etcd) = etcd("kill_wal_dir") else { return };
    let mut trial = Trial::new(etcd, None, &BOTH);
    let points = trial.die_everywhere(restores_again);
    must_have(&points, &["place.wal.marked", "place.wal.published", "place.data.published"]);
    assert!(!trial.refused.is_empty());
}

#[test]
fn f06_i19_a_death_while_replacing_two_directories_can_be_taken_back() {
    let Some(etcd) = etcd("kill_replace_wal_dir") else { return };
    let mut trial = Trial::new(etcd, Some(&BOTH), &REPLACE_BOTH);
    let points = trial.die_everywhere(restores_again);
    must_have(&points, &["place.wal.published", "place.data.published", "place.wal.committed"]);
    assert!(!trial.refused.is_empty());
}

/// A restore that was killed, and then an undo instead of another restore.
#[test]
fn f06_i19_an_undo_takes_back_a_restore_that_was_killed() {
    let Some(etcd) = etcd("kill_then_undo") else { return };
    let mut trial = Trial::new(etcd, Some(&BOTH), &REPLACE_BOTH);
    let points = trial.die_everywhere(|trial, home, what| trial.must_go_back(home, what));
    must_have(&points, &["place.wal.published", "place.data.published", "place.wal.committed"]);
}

#[test]
fn f06_i19_a_death_in_an_undo_loses_nothing_and_the_next_one_ends_it() {
    let Some(etcd) = etcd("kill_undo") else { return };
    for (before, undo) in [
        (&DATA[..], &["--data-dir", "etcd", "--undo"][..]),
        (&BOTH[..], &["--data-dir", "etcd", "--wal-dir", "wal", "--undo"][..]),
    ] {
        let scene = scene();
        earlier(&scene, "begin", "old", before);
        let old = trees(&scene.path("begin"));
        earlier(&scene, "begin", "new", before);
        let begin = scene.path("begin");
        let mut trial = Trial {
            old: trees(&begin),
            new: old,
            arguments: undo.to_vec(),
            begin,
            etcd: etcd.clone(),
            refused: BTreeSet::new(),
            scene,
        };
        let points = trial.die_everywhere(|trial, home, what| {
            trial.must_be_old_or_new_or_refused(home, what);
            trial.old_must_be_somewhere(home, what);
            let again = trial.call(home, None);
            let was_done = again.code == 50 && again.stderr.contains("nothing to put back");
            assert!(again.code == 0 || was_done, "{what}: {}", again.stderr);
            assert_eq!(trees(home), trial.new, "{what}");
            trial.old_must_be_somewhere(home, what);
            nothing_is_left_over(home, what);
        });
        must_have(&points, &["place.undo.begun", "place.undo.exchanged", "place.undone"]);
        assert_eq!(trial.refused.is_empty(), before == DATA, "{:?}", trial.refused);
    }
}
