//! Publications, undoes and clearings up that fail or die half way, and what is said then.

use super::super::tests::{LATER, NOW, build, log_of, names, replacing, restore, text_of, tree};
use super::super::{PlaceClass, PlaceError, Target, Wishes, look, running, settle, staging, undo};
use super::Staging;
use crate::wal::WAL_FILE_NAME;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn both(dir: &Path) -> (PathBuf, PathBuf, Target) {
    let (data, wal) = (dir.join("data"), dir.join("wal"));
    (data.clone(), wal.clone(), Target::one(data, Some(wal)))
}

#[test]
fn i19_a_publication_that_fails_before_the_commit_is_taken_back_at_once() {
    for wal_apart in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (data, _, apart) = both(dir.path());
        let target = if wal_apart { apart } else { Target::one(data, None) };
        restore(&target, Wishes::default(), "old").unwrap();
        let before = tree(dir.path());
        let staging = build(&target, replacing(), "new").unwrap();
        // What is moved aside cannot be noted, when the WAL directory is published already.
        let aside = dir.path().join(".data.lifeboat-incomplete-n0nce/aside");
        durable::write_new(&aside, b"x").unwrap();
        let failed = staging.publish(LATER).unwrap_err();
        assert!(matches!(failed, PlaceError::Write(_)), "{failed:?}");
        assert_eq!(tree(dir.path()), before, "{wal_apart}");
    }
}

#[test]
fn i19_empty_directories_are_there_again_when_a_publication_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal, target) = both(dir.path());
    durable::create_private_dir(&data).unwrap();
    durable::create_private_dir(&wal).unwrap();
    let staging = build(&target, Wishes::default(), "new").unwrap();
    durable::write_new(&data.join("mine"), b"mine").unwrap();
    assert!(matches!(staging.publish(NOW), Err(PlaceError::Changed(_))));
    assert_eq!((names(dir.path()), names(&wal)), (vec!["data".into(), "wal".into()], vec![]));
    assert_eq!(names(&data), ["mine"]);
}

#[test]
fn i19_what_fails_after_the_commit_is_said_as_restored() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let target = Target::one(data.clone(), None);
    restore(&target, Wishes::default(), "old").unwrap();
    let old = tree(&data);
    let staging = build(&target, replacing(), "new").unwrap();
    let left = dir.path().join(".data.lifeboat-incomplete-n0nce");
    durable::remove_file(&left.join("lock")).unwrap();
    let failed = staging.publish(LATER).unwrap_err();
    assert_eq!(text_of(&data), "new");
    assert_eq!(tree(&left.join("new")), old, "the only copy is not removed");
    assert_eq!(failed.class(), PlaceClass::Local);
    let said = failed.to_string();
    assert!(said.starts_with("restored, but") && said.contains("is complete"), "{said}");
    assert!(said.contains(&format!("what was in {} is {}/new", data.display(), left.display())));
    let undo = format!("lifeboat-restore --undo --data-dir {}", data.display());
    assert!(failed.hint().unwrap().ends_with(&undo), "{failed:?}");
}

#[test]
fn i19_where_nothing_was_moved_aside_no_undo_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::one(dir.path().join("data"), None);
    let staging = build(&target, Wishes::default(), "new").unwrap();
    durable::remove_file(&dir.path().join(".data.lifeboat-incomplete-n0nce/lock")).unwrap();
    let failed = staging.publish(LATER).unwrap_err();
    assert!(matches!(failed, PlaceError::Untidy { undo: None, .. }), "{failed:?}");
    assert!(!failed.hint().unwrap().contains("--undo"), "{failed:?}");
}

#[test]
fn i19_what_cannot_be_taken_back_is_said_with_the_command_that_does_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal, target) = both(dir.path());
    restore(&target, Wishes::default(), "old").unwrap();
    let before = tree(dir.path());
    let staging = build(&target, replacing(), "new").unwrap();
    let left = dir.path().join(".wal.lifeboat-incomplete-n0nce");
    let lock = std::fs::read(left.join("lock")).unwrap();
    durable::remove_file(&left.join("lock")).unwrap();
    let failed = staging.publish(LATER).unwrap_err();
    assert!(matches!(failed, PlaceError::NotTakenBack { .. }), "{failed:?}");
    let (said, shown) = (failed.to_string(), wal.display());
    let place =
        format!("{shown} is new and not complete, and what was there is {}/new", left.display());
    assert!(said.contains(&place), "{said}");
    assert!(said.contains(&format!("{} is as it was", data.display())), "{said}");
    let undo_it = format!("--undo --data-dir {} --wal-dir {shown}", data.display());
    assert!(failed.hint().unwrap().ends_with(&undo_it), "{failed:?}");
    let marker = std::fs::read(wal.join(WAL_FILE_NAME)).unwrap();
    assert!(crate::wal::is_marker_wal(&marker), "etcd refuses what is there");

    durable::write_new(&left.join("lock"), &lock).unwrap();
    undo(&target, LATER).unwrap();
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn i19_an_undo_that_fails_half_way_says_so_and_the_next_one_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal, target) = both(dir.path());
    restore(&target, Wishes::default(), "old").unwrap();
    restore(&target, replacing(), "new").unwrap();
    let in_the_way = wal.join("ffffffffffffffff-ffffffffffffffff.wal");
    durable::write_new(&in_the_way, b"not ours").unwrap();
    let failed = undo(&target, LATER).unwrap_err();
    assert!(matches!(failed, PlaceError::UndoUnfinished { .. }), "{failed:?}");
    assert!(failed.hint().unwrap().contains("the same --undo again"));
    durable::remove_file(&in_the_way).unwrap();
    undo(&target, LATER).unwrap();
    assert_eq!((text_of(&data), log_of(&wal)), ("old".into(), "old log".into()));
}

#[test]
fn i19_a_second_undo_does_not_go_further_back_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    for text in ["one", "two", "three", "four"] {
        restore(&target, replacing(), text).unwrap();
    }
    undo(&target, LATER).unwrap();
    assert_eq!(text_of(&data), "three");
    let before = tree(dir.path());
    let refused = undo(&target, LATER).unwrap_err();
    assert_eq!(tree(dir.path()), before);
    assert_eq!(refused.class(), PlaceClass::Refused);
    let (said, shown) = (refused.to_string(), data.display());
    assert!(said.contains(&format!("done already at {LATER}")), "{said}");
    assert!(said.contains(&format!("{shown}.before-{NOW}-1")), "{said}");
    let typed = format!("mv {shown}.undone-{LATER} {shown}.kept-{LATER}");
    assert!(refused.hint().unwrap().contains(&typed), "{refused:?}");

    let of = |infix: &str| dir.path().join(format!("etcd.{infix}-{LATER}"));
    durable::rename_new(&of("undone"), &of("kept")).unwrap();
    assert_eq!(undo(&target, LATER).unwrap().notes, [""; 0]);
    assert_eq!(text_of(&data), "two");
    // The last one is the only one that can be meant.
    let done = undo(&target, LATER).unwrap();
    assert!(done.notes[0].contains("done already at 20261120T021500Z"), "{done:?}");
    assert_eq!(text_of(&data), "one");
}

#[test]
fn i19_the_newest_comes_back_also_when_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    let at = |text: &str, stamp: &str| {
        build(&target, replacing(), text).unwrap().publish(stamp).unwrap();
    };
    at("one", LATER);
    at("two", LATER);
    at("three", NOW);
    let aside = [format!("etcd.before-{LATER}"), format!("etcd.before-{LATER}-1")];
    assert_eq!(names(dir.path())[1..], aside);
    undo(&target, NOW).unwrap();
    assert_eq!(text_of(&data), "two");
    assert_eq!(names(dir.path())[2], format!("etcd.undone-{LATER}-2"));
    // An undo that was done is no reason to refuse the next one after another restore.
    at("four", NOW);
    undo(&target, NOW).unwrap();
    assert_eq!(text_of(&data), "two");

    let unit = dir.path().join("x");
    let free = || super::super::names::free_stamp(&[&unit], NOW);
    for (taken, next) in [
        ("20261231T235959Z", Some("20261231T235959Z-1")),
        ("20261231T095959Z-9", Some("20261231T100000Z")),
        ("20261231T235959Z-9", None),
    ] {
        let path = dir.path().join(format!("x.before-{taken}"));
        durable::create_private_dir(&path).unwrap();
        assert_eq!(free().ok().as_deref(), next, "{taken}");
        durable::remove_tree(&path).unwrap();
    }
}

#[test]
fn i19_of_two_undoes_at_once_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("etcd");
    let target = Target::one(data.clone(), None);
    restore(&target, Wishes::default(), "old").unwrap();
    restore(&target, replacing(), "new").unwrap();
    let held = dir.path().join(".etcd.lifeboat-incomplete-undo");
    durable::create_private_dir(&held.join("new")).unwrap();
    let lock = durable::new_file(&held.join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(matches!(undo(&target, LATER), Err(PlaceError::AtWork(_))));
    let ground = look(&target, replacing()).unwrap();
    assert!(matches!(Staging::begin(ground, "n0nce"), Err(PlaceError::AtWork(_))));
    assert!(settle(&target).unwrap()[0].contains("at work"));
    assert_eq!(text_of(&data), "new");
    drop(lock);
    undo(&target, LATER).unwrap();
    let aside = format!("etcd.undone-{LATER}");
    assert_eq!(names(dir.path()), ["etcd", &aside]);
}

/// Where a child of this test clears up.
const CHILD_DIR: &str = "LIFEBOAT_TEST_CLEAR_UP";

#[test]
fn f06_a_clearing_up_that_is_killed_leaves_nothing_that_nobody_knows() {
    let target_in = |dir: &Path| Target::one(dir.join("etcd"), None);
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        settle(&target_in(Path::new(&dir))).unwrap();
        return;
    }
    let own = std::env::current_exe().unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let mut half_way = false;
    for number in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let target = target_in(dir.path());
        let mut dead = build(&target, Wishes::default(), "plaintext").unwrap();
        dead.is_kept = true;
        drop(dead);
        let mut child = Command::new(&own);
        child.args(["--exact", &name]).env(CHILD_DIR, dir.path());
        let program = own.file_name().unwrap().to_str().unwrap();
        child.env(failpoint::FAIL_AT, format!("{program}:{number}"));
        let ran = child.output().unwrap();
        let left = dir.path().join(".etcd.lifeboat-incomplete-n0nce");
        let (lock, new) = (left.join("lock").exists(), left.join("new").exists());
        assert!(lock || !new, "{number}: nobody could tell whose it is");
        half_way |= lock && !new;
        settle(&target).unwrap();
        assert_eq!(names(dir.path()), [""; 0], "{number}");
        if ran.status.signal() != Some(9) {
            assert!(ran.status.success(), "{ran:?}");
            break;
        }
    }
    assert!(half_way, "the lock goes last");
}

#[test]
fn f06_a_lock_that_was_not_written_whole_keeps_nothing_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::one(dir.path().join("etcd"), None);
    for text in ["", "lifeboat-rest", "lifeboat-restore 1\n", "lifeboat-restore 1\nnew 1"] {
        let left = dir.path().join(".etcd.lifeboat-incomplete-full");
        durable::create_private_dir(&left.join("new")).unwrap();
        durable::write_new(&left.join("lock"), text.as_bytes()).unwrap();
        assert_eq!(settle(&target).unwrap().len(), 1);
        assert_eq!(names(dir.path()), [""; 0], "{text:?}");
    }
}

#[test]
fn only_a_file_system_that_cannot_preallocate_gets_a_short_log() {
    assert!(staging::is_allocated(Ok(())).unwrap());
    for errno in [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
        assert!(!staging::is_allocated(Err(errno)).unwrap());
    }
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::FBIG] {
        assert_eq!(
            staging::is_allocated(Err(errno)).unwrap_err().raw_os_error(),
            Some(errno.raw_os_error())
        );
    }
}

#[test]
fn f55_a_full_table_of_locks_does_not_say_that_nobody_holds_one() {
    use running::{Lock, judge};
    assert_eq!(judge(Ok(())).unwrap(), Lock::None);
    assert_eq!(judge(Err(Errno::OPNOTSUPP)).unwrap(), Lock::None);
    assert_eq!(judge(Err(Errno::WOULDBLOCK)).unwrap(), Lock::Held);
    assert_eq!(judge(Err(Errno::NOLCK)).unwrap(), Lock::Unknown);
    assert!(judge(Err(Errno::IO)).is_err());
    let (path, file) = (PathBuf::from("/etcd"), PathBuf::from("/etcd/member/snap/db"));
    let refused = PlaceError::LocksUnknown { path, file };
    assert_eq!(refused.class(), PlaceClass::Refused);
    assert!(refused.hint().unwrap().contains("/proc/locks"));
}
