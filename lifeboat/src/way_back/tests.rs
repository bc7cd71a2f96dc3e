//! What is undone, and when another copy is tried.

use super::*;
use crate::chain::{Cause, Outcome};
use crate::restore::made_up::{catalogue, manifest, step as made};
use catalogue::State;

fn undone(steps: &[(&str, u64)]) -> Result<Vec<String>, Error> {
    let mut manifest = manifest(0, 5);
    manifest.steps = steps.iter().map(|(stage, bytes)| made(stage, *bytes)).collect();
    let steps = super::steps(&manifest, "restore")?;
    Ok(steps.into_iter().map(|step| step.name).collect())
}

#[test]
fn what_was_done_after_verify_is_undone_in_turn() {
    let whole = [("capture", 9), ("verify", 9), ("scan", 9), ("compress", 5), ("encrypt", 6)];
    assert_eq!(undone(&whole).unwrap(), ["fetch", "decrypt", "decompress", "restore"]);
    assert_eq!(undone(&whole[..3]).unwrap(), ["fetch", "restore"]);
    let own = [("capture", 9), ("verify", 9), ("own", 7), ("encrypt", 8)];
    assert!(
        matches!(undone(&own).unwrap_err(), Error::CannotUndo { program, .. } if program == "own")
    );
}

/// A backup that was adopted: what opened the other tool's file stood before `verify`.
#[test]
fn what_made_the_bytes_that_verify_proved_stays() {
    let adopted = [
        ("adopt", 4),
        ("decompress", 8),
        ("own", 9),
        ("verify", 9),
        ("compress", 5),
        ("encrypt", 6),
    ];
    assert_eq!(undone(&adopted).unwrap(), ["fetch", "decrypt", "decompress", "restore"]);
    let mut manifest = manifest(0, 5);
    manifest.steps = adopted.iter().map(|(stage, bytes)| made(stage, *bytes)).collect();
    assert_eq!(proved(&manifest).map(|digest| digest.bytes), Some(9));
}

#[test]
fn another_copy_is_tried_for_what_another_copy_can_mend() {
    let ended = |stage: &str, exit: Exit| {
        let cause = Cause { stage: stage.into(), ..Cause::default() };
        another_copy_may_help(&Outcome::failed(exit.code(), cause))
    };
    for exit in [Exit::Corrupt, Exit::Transient, Exit::Credentials, Exit::Config] {
        assert!(ended("fetch", exit), "{exit}");
    }
    assert!(ended("restore", Exit::Corrupt) && ended("verify", Exit::Corrupt));
    for exit in [Exit::Refused, Exit::LocalDisk, Exit::Usage, Exit::Config, Exit::Unsupported] {
        assert!(!ended("restore", exit), "{exit}");
    }
    assert!(!ended("decrypt", Exit::NoKey) && !ended("fetch", Exit::LocalDisk));
    // No identity at all; and a deadline is over for every copy.
    assert!(!ended("decrypt", Exit::Config) && !ended("lifeboat", Exit::Transient));
}

/// What somebody has called suspect is still there for who wants it, after all others.
#[test]
fn f56_suspect_copies_are_tried_last() {
    let manifest = manifest(0, 5);
    let one = std::slice::from_ref(&manifest);
    let mut all = catalogue(&[one, one, one]);
    all.destinations[0].backups[0].state = State::Suspect;
    let order = |all: &Catalogue| {
        let copies = usable_copies(all, &manifest.backup, None).unwrap();
        copies.into_iter().map(|(destination, _)| destination.to_owned()).collect::<Vec<_>>()
    };
    let names: Vec<String> = all.destinations.iter().map(|d| d.destination.clone()).collect();
    assert_eq!(order(&all), [&names[1], &names[2], &names[0]].map(Clone::clone));
    all.destinations[1].backups[0].state = State::Broken;
    assert_eq!(order(&all), [&names[2], &names[0]].map(Clone::clone));
}
