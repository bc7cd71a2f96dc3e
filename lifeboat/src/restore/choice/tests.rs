//! Choices over made-up catalogues.

use super::super::made_up::{at, catalogue, manifest};
use super::*;
use crate::error::Error as Front;

fn of_time(second: i64) -> Wanted {
    Wanted::At(At { time: at(second), zone: None })
}

fn revision_of(catalogue: &Catalogue, wanted: &Wanted) -> Result<i64, Front> {
    choose(catalogue, wanted).map(|chosen| chosen.manifest.snapshot.revision)
}

#[test]
fn at_a_time_is_the_newest_trusted_backup_of_then() {
    let mut made = catalogue(&[&[manifest(0, 10), manifest(100, 20), manifest(200, 30)]]);
    for (second, revision) in [(0, 10), (99, 10), (100, 20), (199, 20), (200, 30), (9_999, 30)] {
        assert_eq!(revision_of(&made, &of_time(second)).unwrap(), revision, "at {second}");
    }
    // A time in the past may be before everything: the oldest is named.
    let error = choose(&made, &of_time(-1)).unwrap_err();
    let Front::Restore(Error::NoneAt { oldest: Some(oldest), .. }) = error else {
        panic!("{error}");
    };
    assert!(oldest.starts_with(manifest(0, 10).backup.as_str()), "{oldest}");
    // One that cannot be trusted is passed over.
    for state in [State::Suspect, State::Broken] {
        made.destinations[0].backups[1].state = state;
        assert_eq!(revision_of(&made, &of_time(199)).unwrap(), 10);
    }
}

#[test]
fn at_a_time_any_destination_will_do() {
    let mut made = catalogue(&[&[manifest(0, 10), manifest(100, 20)], &[manifest(100, 20)]]);
    made.destinations[0].backups[1].state = State::Suspect;
    assert_eq!(revision_of(&made, &of_time(150)).unwrap(), 20);
}

#[test]
fn a_revision_is_taken_from_the_first_backup_that_has_its_history() {
    let compacted = |second, revision, at| {
        let mut made = manifest(second, revision);
        made.snapshot.compact_revision = Some(at);
        made
    };
    let all = [manifest(0, 10), compacted(100, 20, 12), compacted(200, 30, 25)];
    let made = catalogue(&[&all]);
    let chosen = |revision| {
        let chosen = choose(&made, &Wanted::Revision(revision))?;
        Ok::<_, Front>((chosen.manifest.snapshot.revision, chosen.cut))
    };
    assert_eq!(chosen(10).unwrap(), (10, None), "just its end: nothing to cut");
    assert_eq!(chosen(7).unwrap(), (10, Some(7)));
    assert_eq!(chosen(12).unwrap(), (20, Some(12)), "etcd reads at its compact revision");
    assert_eq!(chosen(25).unwrap(), (30, Some(25)));
    assert_eq!(chosen(30).unwrap(), (30, None));
    // Compacted away in the only one that reaches so far.
    for (revision, below, above) in [(11, 10, Some(20)), (24, 20, Some(30)), (31, 30, None)] {
        let error = chosen(revision).unwrap_err();
        let Front::Restore(Error::NoneWithRevision { below: b, above: a, .. }) = &error else {
            panic!("{error}");
        };
        assert_eq!((b.as_ref().map(|n| n.to), a.as_ref().map(|n| n.to)), (Some(below), above));
        assert!(error.to_string().contains("the nearest below it is"), "{error}");
    }
}

/// Numbers of a cluster that was rebuilt mean other writes.
#[test]
fn a_revision_is_of_the_cluster_of_today() {
    let mut old = manifest(0, 10);
    old.etcd.cluster_id = "dead".into();
    let made = catalogue(&[&[old.clone(), manifest(100, 20)]]);
    assert_eq!(revision_of(&made, &Wanted::Revision(5)).unwrap(), 20);
    // Where the one of today does not have it, the one of then may.
    let mut today = manifest(100, 20);
    today.snapshot.compact_revision = Some(15);
    let made = catalogue(&[&[old, today]]);
    assert_eq!(revision_of(&made, &Wanted::Revision(5)).unwrap(), 10);
}

#[test]
fn a_backup_by_name_is_cut_only_within_its_history() {
    let mut one = manifest(0, 10);
    one.snapshot.compact_revision = Some(4);
    let name = one.backup.to_string();
    let made = catalogue(&[&[one]]);
    let cut = |revision| choose(&made, &Wanted::Name(name.clone(), Some(revision)));
    assert_eq!(cut(4).unwrap().cut, Some(4));
    assert_eq!(cut(10).unwrap().cut, None);
    for outside in [3, 11] {
        let error = cut(outside).unwrap_err();
        assert!(matches!(error, Front::Restore(Error::Outside { from: 4, to: 10, .. })), "{error}");
    }
}

#[test]
fn a_suspect_backup_is_had_by_its_name_and_its_doubts_are_told() {
    let one = manifest(0, 10);
    let name = one.backup.clone();
    let mut made = catalogue(&[&[one]]);
    assert_eq!(doubts(&made, &name), None);
    made.destinations[0].backups[0].state = State::Suspect;
    made.destinations[0].backups[0].problem = Some("a drill failed".into());
    assert!(choose(&made, &Wanted::Name("latest".into(), None)).is_err());
    assert_eq!(revision_of(&made, &Wanted::Name(name.to_string(), None)).unwrap(), 10);
    assert_eq!(doubts(&made, &name).as_deref(), Some("d0: a drill failed"));
}
