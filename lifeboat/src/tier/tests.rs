use super::*;
use catalogue::{Backup, BackupName, DestinationCatalogue, State};
use contract::RunId;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pipeline(tiers: &[&str], time_zone: Option<&str>) -> Pipeline {
    let mut pipeline = Pipeline::default();
    pipeline.replicate.tiers = tiers.iter().map(|tier| (*tier).to_owned()).collect();
    pipeline.prune = time_zone
        .map(|zone| config::Prune { time_zone: zone.to_owned(), ..config::Prune::default() });
    pipeline
}

fn backup(tier: &str, taken_at: Timestamp, state: State) -> Backup {
    let run = RunId::new(taken_at, 7);
    let name = BackupName::new(taken_at, &run);
    let manifest = serde_json::json!({
        "version": 1, "backup": name, "cluster": "prod", "tier": tier, "run": run,
        "taken_at": taken_at, "tool": "lifeboat 0", "steps": [],
        "artifact": { "file": format!("{name}.db"), "bytes": 1, "sha256": "00" },
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "a", "endpoint": "http://e:2379",
            "etcd_version": "3.6.0", "leader_id": "1", "raft_term": 2, "raft_index": 9,
            "raft_applied_index": 9, "db_bytes": 4096, "db_bytes_in_use": 4096,
            "revision_barrier": 5, "alarms": [], "members": [], "hashkv": [],
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": 100,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {}, "hashkv": [],
        },
    });
    Backup {
        name,
        state,
        problem: None,
        exit: None,
        manifest_key: String::new(),
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

fn destination(name: &str, backups: Vec<Backup>) -> DestinationCatalogue {
    DestinationCatalogue {
        destination: name.into(),
        location: String::new(),
        problem: None,
        exit: None,
        backups,
        orphans: Vec::new(),
        stray_records: Vec::new(),
    }
}

fn seen(destinations: Vec<DestinationCatalogue>) -> Catalogue {
    let read_at = at("2026-11-20T00:00:00Z");
    Catalogue { version: 1, cluster: "prod".into(), read_at, destinations }
}

const ALL: [&str; 3] = ["frequent", "daily", "monthly"];

#[test]
fn the_first_of_a_month_and_of_a_day_are_told_from_the_others() {
    let now = at("2026-11-20T10:00:00Z");
    let (this_month, today) = (at("2026-11-03T00:10:00Z"), at("2026-11-20T00:10:00Z"));
    let last_month = at("2026-10-31T23:50:00Z");
    for (tiers, made, expected) in [
        (&ALL[..], vec![], "monthly"),
        (&ALL, vec![("frequent", today), ("daily", today)], "monthly"),
        (&ALL, vec![("monthly", last_month)], "monthly"),
        (&ALL, vec![("monthly", this_month)], "daily"),
        (&ALL, vec![("monthly", this_month), ("daily", this_month)], "daily"),
        (&ALL, vec![("monthly", this_month), ("daily", today)], "frequent"),
        (&ALL, vec![("monthly", today)], "frequent"),
        (&["frequent", "daily"], vec![], "daily"),
        (&["frequent", "daily"], vec![("daily", today)], "frequent"),
        (&["frequent", "monthly"], vec![("monthly", this_month)], "frequent"),
        (&["frequent"], vec![], "frequent"),
    ] {
        let backups = made.iter().map(|(tier, time)| backup(tier, *time, State::Verified));
        let seen = seen(vec![destination("a", backups.collect())]);
        let chosen = choose(&pipeline(tiers, None), Some(&seen), now);
        assert_eq!(chosen, expected, "{tiers:?} {made:?}");
    }
}

#[test]
fn a_day_begins_where_prune_says() {
    let now = at("2026-11-20T11:30:00Z");
    let yesterday_there = at("2026-11-20T10:30:00Z");
    let seen = seen(vec![destination("a", vec![backup("daily", yesterday_there, State::Proven)])]);
    for (zone, expected) in [(None, "frequent"), (Some("Pacific/Auckland"), "daily")] {
        let chosen = choose(&pipeline(&["frequent", "daily"], zone), Some(&seen), now);
        assert_eq!(chosen, expected, "{zone:?}");
    }
}

#[test]
fn f36_what_cannot_be_trusted_or_read_does_not_count() {
    let now = at("2026-11-20T10:00:00Z");
    let with = |state| vec![backup("daily", at("2026-11-20T00:10:00Z"), state)];
    let daily = pipeline(&["frequent", "daily"], None);
    for (state, expected) in [
        (State::Proven, "frequent"),
        (State::Verified, "frequent"),
        (State::Suspect, "daily"),
        (State::Broken, "daily"),
    ] {
        let seen = seen(vec![destination("a", with(state))]);
        assert_eq!(choose(&daily, Some(&seen), now), expected, "{state:?}");
    }
    let dark = |name| DestinationCatalogue {
        problem: Some("away".into()),
        ..destination(name, Vec::new())
    };
    let one_dark = seen(vec![dark("a"), destination("b", Vec::new())]);
    assert_eq!(choose(&daily, Some(&one_dark), now), "daily", "the other one decides");
    let all_dark = seen(vec![dark("a"), dark("b")]);
    assert_eq!(choose(&daily, Some(&all_dark), now), "frequent");
    assert_eq!(choose(&daily, None, now), "frequent");
}
