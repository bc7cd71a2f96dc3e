//! What needs neither an etcd nor a kill: refusals, publication, moving aside, undo, clearing up.

use super::*;
use crate::wal::WAL_FILE_NAME;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

pub(super) const NOW: &str = "20261120T021400Z";
pub(super) const LATER: &str = "20261120T021500Z";

pub(super) type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Every file and directory with its mode and content.
pub(super) fn tree(dir: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let bytes = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        // A WAL is long and full of zeros.
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        let below = path.strip_prefix(dir).unwrap().to_path_buf();
        found.insert(below, (meta.permissions().mode() & 0o777, bytes[..end].to_vec()));
    }
    found
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn replacing() -> Wishes {
    Wishes { replace: true, owner: None }
}

/// All of it as the stage does it, with `text` in the place of a database.
pub(super) fn restore(
    target: &Target,
    wishes: Wishes,
    text: &str,
) -> Result<Published, PlaceError> {
    settle(target)?;
    build(target, wishes, text)?.publish(NOW)
}

pub(super) fn build(target: &Target, wishes: Wishes, text: &str) -> Result<Staging, PlaceError> {
    let staging = Staging::begin(look(target, wishes)?, "n0nce")?;
    let mut database = staging.new_database(0)?;
    database.write_all(text.as_bytes()).unwrap();
    staging.sync_database(0, &database)?;
    for at in 0..target.members.len().max(1) {
        if at > 0 {
            staging.copy_database(&database, at)?;
        }
        assert!(staging.write_log(at, ("1-1.snap", b"snap"), format!("{text} log").as_bytes())?);
    }
    staging.seal()?;
    Ok(staging)
}

pub(super) fn text_of(data_dir: &Path) -> String {
    std::fs::read_to_string(data_dir.join("member/snap/db")).unwrap()
}

pub(super) fn log_of(wal_dir: &Path) -> String {
    let bytes = std::fs::read(wal_dir.join(WAL_FILE_NAME)).unwrap();
    assert_eq!(bytes.len() as u64, crate::wal::WAL_SEGMENT_BYTES);
    String::from_utf8(bytes.into_iter().take_while(|b| *b != 0).collect()).unwrap()
}

#[test]
fn f55_i23_a_new_directory_has_the_modes_of_etcd_and_nothing_is_left_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    for before in ["absent", "empty"] {
        if before == "empty" {
            durable::remove_tree(&data).unwrap();
            std::fs::DirBuilder::new().create(&data).unwrap();
        }
        let target = Target::one(data.join(""), None);
        let published = restore(&target, Wishes::default(), "one").unwrap();
        assert_eq!(published.moved_aside, []);
        assert_eq!(published.data_dirs, std::slice::from_ref(&data));
        let tree = tree(&data);
        let modes: Vec<(&str, u32)> =
            tree.iter().map(|(path, (mode, _))| (path.to_str().unwrap(), *mode)).collect();
        let log = format!("member/wal/{WAL_FILE_NAME}");
        assert_eq!(
            modes,
            [
                ("", 0o700),
                ("member", 0o700),
                ("member/snap", 0o700),
                ("member/snap/1-1.snap", 0o600),
                ("member/snap/db", 0o600),
                ("member/wal", 0o700),
                (&*log, 0o600),
            ]
        );
        assert_eq!(log_of(&data.join("member/wal")), "one log");
        assert_eq!(names(dir.path()), ["etcd"], "{before}");
    }
}

#[test]
fn f55_what_is_in_the_way_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    durable::write_new(&path("file"), b"mine").unwrap();
    durable::create_private_dir(&path("full/member/snap")).unwrap();
    durable::create_private_dir(&path("home/member")).unwrap();
    durable::create_private_dir(&path("other/thing")).unwrap();
    std::os::unix::fs::symlink("full", path("link")).unwrap();
    let before = tree(dir.path());
    let refused = |name: &str, wishes: Wishes| {
        let refused = look(&Target::one(path(name), None), wishes).unwrap_err();
        assert_eq!(refused.class(), PlaceClass::Refused, "{refused}");
        assert!(refused.hint().is_some());
        refused.to_string()
    };
    for wishes in [Wishes::default(), replacing()] {
        assert!(refused("link", wishes).contains("is a symbolic link"));
        assert!(refused("file", wishes).contains("is a file"));
        assert!(refused("none/etcd", wishes).contains("none does not exist"));
        assert!(refused("full/..", wishes).contains("does not name a directory of its own"));
    }
    assert!(refused("full", Wishes::default()).contains("is not empty: it holds member"));
    assert!(refused("other", replacing()).contains("is no data directory of etcd: it holds thing"));
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn f55_a_database_that_is_locked_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::one(dir.path().join("etcd"), None);
    restore(&target, Wishes::default(), "one").unwrap();
    let database = dir.path().join("etcd/member/snap/db");
    let file = std::fs::File::open(&database).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for refused in [
        look(&target, replacing()).unwrap_err(),
        undo(&target, LATER).unwrap_err(),
        look(&target, Wishes::default()).unwrap_err(),
    ] {
        assert!(matches!(&refused, PlaceError::Running { file, .. } if *file == database));
        assert!(refused.hint().unwrap().contains("systemctl stop etcd"), "{refused}");
    }
    let staging = {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::Unlock).unwrap();
        build(&target, replacing(), "two").unwrap()
    };
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(staging.publish(LATER), Err(PlaceError::Running { .. })), "looked at again");
    assert_eq!(text_of(&dir.path().join("etcd")), "one");
    assert_eq!(names(dir.path()), ["etcd"]);
}

#[test]
fn f55_room_is_counted_for_every_member_and_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let members = || ["a", "b", "c"].map(str::to_owned).to_vec();
    let one = look(&Target::one(dir.path().join("x"), None), Wishes::default()).unwrap();
    let all = look(&Target::all(dir.path().join("x"), members()), Wishes::default()).unwrap();
    must_have_room(&one, 4_096).unwrap();
    for (ground, members) in [(one, 1), (all, 3)] {
        let refused = must_have_room(&ground, 1 << 60).unwrap_err();
        assert_eq!(refused.class(), PlaceClass::Local);
        let PlaceError::NoRoom { needed_bytes, free_bytes, .. } = refused else { panic!() };
        assert_eq!(needed_bytes, members * ((1 << 60) + (1 << 20) + 64_000_000));
        assert!(free_bytes > 0);
    }
}

#[test]
fn f55_owners_are_numbers() {
    assert_eq!("2379".parse(), Ok(Owner { uid: 2_379, gid: 2_379 }));
    assert_eq!("0:7".parse(), Ok(Owner { uid: 0, gid: 7 }));
    for wrong in ["", "etcd", "1:", ":1", "-1", "4294967295", "1:2:3", "99999999999"] {
        assert!(wrong.parse::<Owner>().is_err(), "{wrong}");
    }
}

#[test]
fn i19_what_is_replaced_is_moved_aside_as_it_is_and_undo_puts_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    assert!(matches!(undo(&target, NOW), Err(PlaceError::NothingToUndo(_))));
    restore(&target, Wishes::default(), "one").unwrap();
    let one = tree(&data);
    assert!(matches!(restore(&target, Wishes::default(), "two"), Err(PlaceError::NotEmpty { .. })));
    assert_eq!(tree(&data), one);

    // Two restores of one second have names of their own.
    let moved = restore(&target, replacing(), "two").unwrap().moved_aside;
    let aside = dir.path().join("etcd.before-20261120T021400Z");
    assert_eq!(moved, [MovedAside { from: data.clone(), to: aside.clone() }]);
    assert_eq!(tree(&aside), one);
    let two = tree(&data);
    restore(&target, replacing(), "three").unwrap();
    let names_now = ["etcd", "etcd.before-20261120T021400Z", "etcd.before-20261120T021400Z-1"];
    assert_eq!(names(dir.path()), names_now);
    assert_eq!(text_of(&data), "three");

    // The newest first, and nothing is lost.
    let done = undo(&target, LATER).unwrap();
    let undone = dir.path().join("etcd.undone-20261120T021500Z");
    assert_eq!(done.set_aside, [MovedAside { from: data.clone(), to: undone.clone() }]);
    assert_eq!(tree(&data), two);
    undo(&target, LATER).unwrap();
    assert_eq!(tree(&data), one);
    assert_eq!(text_of(&undone), "three");
    assert_eq!(text_of(&dir.path().join("etcd.undone-20261120T021500Z-1")), "two");
    assert!(matches!(undo(&target, LATER), Err(PlaceError::NothingToUndo(_))));

    // Also when the restored directory was removed meanwhile.
    restore(&target, replacing(), "four").unwrap();
    durable::remove_tree(&data).unwrap();
    undo(&target, LATER).unwrap();
    assert_eq!(tree(&data), one);
}

#[test]
fn i19_a_wal_directory_of_its_own_goes_and_comes_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("disk/wal"));
    durable::create_private_dir(&dir.path().join("disk")).unwrap();
    let target = Target::one(data.clone(), Some(wal.clone()));
    let published = restore(&target, Wishes::default(), "one").unwrap();
    assert_eq!(published.wal_dir.as_deref(), Some(&*wal));
    assert_eq!((text_of(&data), log_of(&wal)), ("one".into(), "one log".into()));
    assert_eq!(names(&wal), [WAL_FILE_NAME]);
    assert_eq!(names(&data.join("member")), ["snap"]);
    let before = (tree(&data), tree(&wal));

    let moved = restore(&target, replacing(), "two").unwrap().moved_aside;
    assert_eq!(moved.len(), 2);
    assert_eq!((text_of(&data), log_of(&wal)), ("two".into(), "two log".into()));
    let alone = Target::one(data.clone(), None);
    assert!(matches!(undo(&alone, LATER), Err(PlaceError::UndoNeedsWal(_))));
    let elsewhere = Target::one(data.clone(), Some(dir.path().join("disk/other")));
    assert!(matches!(undo(&elsewhere, LATER), Err(PlaceError::UndoLacksWal { .. })));
    undo(&target, LATER).unwrap();
    assert_eq!((tree(&data), tree(&wal)), before);
    assert_eq!(log_of(&dir.path().join(format!("disk/wal.undone-{LATER}"))), "two log");
}

#[test]
fn i19_an_undo_takes_only_what_a_restore_has_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    restore(&target, Wishes::default(), "one").unwrap();
    let own = ["upgrade.tar.gz", "x", "20261120T0214", "20261120T021400Zx", "20261120T021400Z-x"];
    let own = own.map(|end| dir.path().join(format!("etcd.before-{end}")));
    own.iter().for_each(|path| durable::write_new(path, b"mine").unwrap());
    assert!(matches!(undo(&target, LATER), Err(PlaceError::NothingToUndo(_))));
    restore(&target, replacing(), "two").unwrap();
    let done = undo(&target, LATER).unwrap();
    assert_eq!(done.put_back[0].from, dir.path().join(format!("etcd.before-{NOW}")));
    assert_eq!(text_of(&data), "one");
    assert!(own.iter().all(|path| path.is_file()));
}

#[test]
fn f55_a_wal_directory_that_leads_out_of_the_data_directory_is_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let out = data.join("../wal");
    let target = Target::one(data.clone(), Some(out.clone()));
    // Where it leads to cannot be told while the data directory is not there.
    assert!(matches!(look(&target, Wishes::default()), Err(PlaceError::NoParent(_))));
    durable::create_private_dir(&data).unwrap();
    restore(&target, Wishes::default(), "one").unwrap();
    assert_eq!(log_of(&dir.path().join("wal")), "one log");
    assert_eq!(names(dir.path()), ["data", "wal"]);
    let back = Target::one(data.clone(), Some(data.join("x/../member")));
    assert!(look(&back, replacing()).is_err());
}

#[test]
fn f55_a_wal_that_lies_elsewhere_has_to_be_named_before_its_data_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
    let target = Target::one(data.clone(), Some(wal.clone()));
    restore(&target, Wishes::default(), "one").unwrap();
    let before = tree(dir.path());
    let forgotten = look(&Target::one(data.clone(), None), replacing());
    assert!(matches!(forgotten, Err(PlaceError::NeedsWal(_))), "{forgotten:?}");
    assert_eq!(tree(dir.path()), before);
    // A directory that has lost its WAL is replaced by whoever says where it was.
    let usual = Target::one(data.clone(), Some(data.join("member/wal")));
    restore(&usual, replacing(), "two").unwrap();
    assert_eq!(log_of(&data.join("member/wal")), "two log");
}

#[test]
fn i19_an_undo_brings_back_a_wal_that_lay_inside() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
    restore(&Target::one(data.clone(), None), Wishes::default(), "one").unwrap();
    let before = tree(&data);
    let target = Target::one(data.clone(), Some(wal.clone()));
    restore(&target, replacing(), "two").unwrap();
    undo(&target, LATER).unwrap();
    assert_eq!(tree(&data), before);
    assert_eq!(
        names(dir.path()),
        ["data", &format!("data.undone-{LATER}"), &format!("wal.undone-{LATER}")]
    );
}

#[test]
fn a_wal_directory_may_lie_inside_the_data_directory_but_not_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let inside = Target::one(data.clone(), Some(data.join("wal")));
    restore(&inside, Wishes::default(), "one").unwrap();
    assert_eq!(log_of(&data.join("wal")), "one log");
    restore(&inside, replacing(), "two").unwrap();
    undo(&inside, LATER).unwrap();
    assert_eq!(log_of(&data.join("wal")), "one log");
    let usual = Target::one(dir.path().join("usual"), Some(dir.path().join("usual/member/wal")));
    restore(&usual, Wishes::default(), "one").unwrap();
    assert_eq!(log_of(&dir.path().join("usual/member/wal")), "one log");
    for around in ["data", "data/member", "data/member/snap", "data/member/wal/x", "."] {
        let target = Target::one(data.clone(), Some(dir.path().join(around)));
        let refused = look(&target, replacing());
        assert!(matches!(refused, Err(PlaceError::Overlap { .. })), "{around}: {refused:?}");
    }
}

#[test]
fn all_members_appear_at_once_and_have_one_database() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("all");
    let target = Target::all(data.clone(), ["m1", "m2", "m3"].map(str::to_owned).to_vec());
    let published = restore(&target, Wishes::default(), "one").unwrap();
    let dirs: Vec<PathBuf> = ["m1", "m2", "m3"].iter().map(|name| data.join(name)).collect();
    assert_eq!(published.data_dirs, dirs);
    for dir in &dirs {
        assert_eq!(
            (text_of(dir), log_of(&dir.join("member/wal"))),
            ("one".into(), "one log".into())
        );
    }
    let before = tree(&data);
    assert!(matches!(look(&target, Wishes::default()), Err(PlaceError::NotEmpty { .. })));
    restore(&target, replacing(), "two").unwrap();
    undo(&Target::one(data.clone(), None), LATER).unwrap();
    assert_eq!(tree(&data), before);
    // A folder with anything else in it is not moved away.
    durable::write_new(&data.join("notes"), b"mine").unwrap();
    assert!(matches!(look(&target, replacing()), Err(PlaceError::NotOfEtcd { .. })));
}

#[test]
fn i19_what_is_not_published_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
    let target = Target::one(data.clone(), Some(wal.clone()));
    drop(build(&target, Wishes::default(), "one").unwrap());
    assert_eq!(names(dir.path()), [""; 0]);
    // Somebody was quicker.
    let staging = build(&target, Wishes::default(), "one").unwrap();
    durable::create_private_dir(&data.join("member")).unwrap();
    assert!(matches!(staging.publish(NOW), Err(PlaceError::Changed(_))));
    // The WAL directory was published already, and is taken back at once.
    assert_eq!(names(dir.path()), ["data"]);
    durable::remove_tree(&data).unwrap();
    assert_eq!(settle(&target).unwrap(), [""; 0]);
    restore(&target, Wishes::default(), "two").unwrap();
    assert_eq!(log_of(&wal), "two log");
}

#[test]
fn f06_left_overs_are_removed_only_when_they_are_ours_and_nobody_is_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    let staging = build(&target, Wishes::default(), "one").unwrap();
    let at_work = dir.path().join(".etcd.lifeboat-incomplete-n0nce");
    let notes = settle(&target).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("at work"), "{notes:?}");
    look(&target, Wishes::default()).unwrap();
    let second = Staging::begin(look(&target, Wishes::default()).unwrap(), "second");
    assert!(matches!(second, Err(PlaceError::AtWork(_))), "{second:?}");
    assert!(matches!(undo(&target, LATER), Err(PlaceError::AtWork(_))));
    assert_eq!(names(dir.path()), [".etcd.lifeboat-incomplete-n0nce"]);
    assert!(at_work.exists());
    drop(staging);

    let left = |nonce: &str| dir.path().join(format!(".etcd.lifeboat-incomplete-{nonce}"));
    durable::create_private_dir(&left("empty")).unwrap();
    durable::create_private_dir(&left("foreign/new")).unwrap();
    durable::create_private_dir(&left("dead/new/member")).unwrap();
    let number = left("dead/new").metadata().unwrap().ino();
    let lock = format!("lifeboat-restore 1\nnew {number}\n");
    durable::write_new(&left("dead").join("lock"), lock.as_bytes()).unwrap();
    durable::create_private_dir(&left("early/new")).unwrap();
    durable::write_new(&left("early").join("lock"), b"lifeboat-restore").unwrap();
    // It was killed after the exchange: what it holds is what was there before.
    durable::create_private_dir(&left("swapped/new/member")).unwrap();
    durable::write_new(&left("swapped").join("lock"), b"lifeboat-restore 1\nnew 1\n").unwrap();
    durable::write_new(&left("swapped").join("aside"), NOW.as_bytes()).unwrap();
    durable::write_new(&left("other-lock"), b"").unwrap();
    let notes = settle(&target).unwrap();
    assert_eq!(notes.len(), 6, "{notes:#?}");
    let (foreign, file) =
        (".etcd.lifeboat-incomplete-foreign", ".etcd.lifeboat-incomplete-other-lock");
    assert_eq!(names(dir.path()), [foreign, file, &format!("etcd.before-{NOW}")]);
    assert!(dir.path().join(format!("etcd.before-{NOW}/member")).exists());
}

#[test]
fn f06_a_publication_that_is_at_work_is_not_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
    let target = Target::one(data.clone(), Some(wal.clone()));
    restore(&target, Wishes::default(), "old").unwrap();
    let staging = build(&target, replacing(), "new").unwrap();
    let note = half::Note::new(LATER, &dir.path().join("none")).unwrap();
    half::mark(&staging.member(0).wal_dir, &note).unwrap();
    assert!(durable::exchange(&staging.member(0).wal_dir, &wal).unwrap());
    assert!(matches!(settle(&target), Err(PlaceError::AtWork(_))));
    assert!(matches!(undo(&target, LATER), Err(PlaceError::AtWork(_))));
    assert_eq!(text_of(&data), "old");
    assert!(half::read(&wal).unwrap().is_some());
}

/// What a restore with a WAL directory leaves when it is killed after each of its renames.
#[test]
fn f06_a_publication_that_was_killed_half_way_is_taken_back() {
    for (full, steps) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
        let target = Target::one(data.clone(), Some(wal.clone()));
        if full {
            restore(&target, Wishes::default(), "old").unwrap();
        }
        let before = (full.then(|| tree(&data)), full.then(|| tree(&wal)));
        let staging = build(&target, replacing(), "new").unwrap();
        let new = staging.member(0);
        let note = half::Note::new(LATER, new.member_dir.parent().unwrap()).unwrap();
        half::mark(&new.wal_dir, &note).unwrap();
        let swap = |from: &Path, to: &Path| {
            if full {
                durable::rename_new(to, &names::before(to, LATER)).unwrap();
            }
            durable::rename_new(from, to).unwrap();
        };
        swap(&new.wal_dir, &wal);
        if steps == 2 {
            swap(new.member_dir.parent().unwrap(), &data);
        }
        drop(staging);
        let marker = std::fs::read(wal.join(WAL_FILE_NAME)).unwrap();
        assert!(crate::wal::is_marker_wal(&marker), "etcd refuses what is there");
        // A look does not mind it, and changes nothing.
        look(&target, Wishes::default()).unwrap();
        assert!(wal.join(WAL_FILE_NAME).exists());
        let mut notes = settle(&target).unwrap();
        assert!(notes.pop().unwrap().contains("killed half way"), "{notes:?}");
        let after = (data.exists().then(|| tree(&data)), wal.exists().then(|| tree(&wal)));
        assert_eq!(after, before, "{full} {steps}");
        assert_eq!(settle(&target).unwrap(), [""; 0]);
        let expected: &[&str] = if full { &["data", "wal"] } else { &[] };
        assert_eq!(self::names(dir.path()), expected);
    }
}

#[test]
fn f06_a_directory_that_has_only_the_number_of_a_dead_one_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = (dir.path().join("data"), dir.path().join("wal"));
    let target = Target::one(data.clone(), Some(wal.clone()));
    durable::create_private_dir(&data.join("mine")).unwrap();
    durable::create_private_dir(&wal).unwrap();
    durable::write_new(&wal.join(WAL_FILE_NAME), b"new log").unwrap();
    let mut note = half::Note::new(LATER, &data).unwrap();
    note.born = Some(1);
    half::mark(&wal, &note).unwrap();
    if data.metadata().unwrap().created().is_ok() {
        settle(&target).unwrap();
        assert!(data.join("mine").exists() && !wal.exists());
    }
}

#[test]
fn f06_an_undo_that_was_killed_is_finished() {
    for swapped in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("etcd");
        let target = Target::one(data.clone(), None);
        restore(&target, Wishes::default(), "old").unwrap();
        restore(&target, replacing(), "new").unwrap();
        let aside = names::before(&data, NOW);
        let number = aside.metadata().unwrap().ino();
        let middle = names::undoing(&data, &format!("{LATER}_{NOW}_{number}"));
        durable::rename_new(&aside, &middle).unwrap();
        if swapped {
            assert!(durable::exchange(&middle, &data).unwrap());
        }
        let done = undo(&target, "20261120T021600Z").unwrap();
        assert_eq!(done.put_back.len(), 1);
        assert_eq!(text_of(&data), "old");
        assert_eq!(text_of(&names::undone(&data, LATER)), "new");
    }
}
