use super::*;
use catalogue::{Backup, BackupName, State};
use config::Prune;
use contract::RunId;
use std::collections::BTreeSet;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_763_600_000 + day * DAY).unwrap()
}

/// A backup of each day, in this state.
fn backup(day: i64, state: State) -> Backup {
    let run = RunId::new(at(day), day.unsigned_abs().into());
    let name = BackupName::new(at(day), &run);
    let manifest = serde_json::json!({
        "version": 1, "backup": name, "cluster": "prod", "tier": "frequent", "run": run,
        "taken_at": at(day), "tool": "lifeboat 0", "steps": [],
        "artifact": { "file": format!("{name}.db"), "bytes": 1, "sha256": "00" },
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "a", "endpoint": "http://e:2379",
            "etcd_version": "3.6.0", "leader_id": "1", "raft_term": 2, "raft_index": 9,
            "raft_applied_index": 9, "db_bytes": 4096, "db_bytes_in_use": 4096,
            "revision_barrier": 5, "alarms": [], "members": [], "hashkv": [],
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": 100 + day,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {}, "hashkv": [],
        },
    });
    Backup {
        name: name.clone(),
        state,
        problem: None,
        exit: None,
        manifest_key: format!("prod/frequent/{name}-{:020}.json", 100 + day),
        manifest_sha256: String::new(),
        manifest: Some(serde_json::from_value(manifest).unwrap()),
        signed: None,
        proven_at: None,
        drill: None,
        verified: None,
        doubt: None,
        superfluous: vec![],
        records: Vec::new(),
        notes: Vec::new(),
    }
}

fn planned(states: &[State], now: i64) -> Result<BTreeSet<i64>, Error> {
    let mut pipeline = Pipeline::default();
    pipeline.run.stale_after = config::Duration::from_secs(2 * DAY.unsigned_abs());
    pipeline.prune = Some(Prune { last: 3, min_keep: 1, max_fraction: 1.0, ..Prune::default() });
    let backups: Vec<Backup> = (0..).zip(states).map(|(day, state)| backup(day, *state)).collect();
    let names: Vec<String> = backups.iter().map(|b| b.name.to_string()).collect();
    let catalogue = DestinationCatalogue {
        destination: "disk".into(),
        location: String::new(),
        problem: None,
        exit: None,
        backups,
        orphans: Vec::new(),
        stray_records: Vec::new(),
    };
    let plans = make(&pipeline, &[catalogue], at(now), true)?;
    let removed = plans["disk"].removals();
    let day_of = |id: &str| names.iter().position(|name| name == id).unwrap() as i64;
    Ok(removed.iter().map(|decision| day_of(&decision.id)).collect())
}

use State::{Broken, Proven, Suspect, Verified};

/// That a drill failed takes a backup out of the count: older ones fill its place, and none of them
/// goes because of it.
#[test]
fn f56_a_failed_drill_lets_no_older_backup_go() {
    let all = [Verified; 8];
    let before = planned(&all, 8).unwrap();
    assert_eq!(before, BTreeSet::from([0, 1, 2, 3, 4]));
    for failed in 0..all.len() {
        let mut states = all;
        states[failed] = Suspect;
        let after = planned(&states, 8).unwrap();
        assert!(after.is_subset(&before), "day {failed}: {after:?}");
        assert!(!after.contains(&(failed as i64)), "a suspect one is not removed: {after:?}");
        // What was good just before it stays until somebody has decided.
        let good = (0..failed as i64).next_back();
        assert!(good.is_none_or(|day| !after.contains(&day)), "day {failed}: {after:?}");
    }
    // Every one after the third failed: nothing that is left to trust goes, or nothing at all goes.
    let mut states = all;
    states[3..].fill(Suspect);
    assert!(planned(&states, 8).is_err(), "the newest that is trusted is stale");
    assert_eq!(planned(&states, 3).unwrap(), BTreeSet::new());
}

#[test]
fn i20_the_newest_proven_backup_outlives_the_policy() {
    let mut states = [Verified; 8];
    states[1] = Proven;
    states[0] = Proven;
    assert_eq!(planned(&states, 8).unwrap(), BTreeSet::from([0, 2, 3, 4]));
    // A proven one counts as a backup like a verified one.
    states[7] = Proven;
    assert_eq!(planned(&states, 8).unwrap(), BTreeSet::from([0, 1, 2, 3, 4]));
    states[6] = Broken;
    assert_eq!(planned(&states, 8).unwrap(), BTreeSet::from([0, 1, 2, 3]));
}
