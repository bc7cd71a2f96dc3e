//! What is lacking, over catalogues that are made up.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::{Aim, Kind, Level, Past, Why, compare};
use catalogue::{
    Backup, BackupName, Catalogue, Depth, DestinationCatalogue, Looked, Manifest, State,
};
use contract::{Digest, RunId};
use jiff::Timestamp;
use retention::Policy;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn manifest(day: i64) -> Manifest {
    let (taken_at, run) = (at(day * 86_400), RunId::new(at(day * 86_400), 7));
    let backup = BackupName::new(taken_at, &run);
    serde_json::from_value(serde_json::json!({
        "version": 1, "backup": backup.as_str(), "cluster": "prod", "tier": "frequent",
        "run": run.as_str(), "taken_at": taken_at, "tool": "lifeboat 0", "steps": [],
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "a", "endpoint": "http://e:2379",
            "etcd_version": "3.6.0", "leader_id": "1", "raft_term": 2, "raft_index": 9,
            "raft_applied_index": 9, "db_bytes": 4096, "db_bytes_in_use": 4096,
            "revision_barrier": 5, "alarms": [], "members": [], "hashkv": [],
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": day + 1,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {}, "hashkv": [],
        },
        "artifact": { "file": format!("{backup}.db.zst.age"), "bytes": 100, "sha256": "00" },
    }))
    .unwrap()
}

fn backup(manifest: &Manifest, state: State) -> Backup {
    Backup {
        name: manifest.backup.clone(),
        state,
        problem: (!state.is_trusted()).then(|| "something".into()),
        exit: None,
        manifest_key: manifest.object_name().key(&manifest.cluster),
        manifest_sha256: Digest::of(&manifest.to_bytes()).sha256,
        manifest: state.is_usable().then(|| manifest.clone()),
        signed: None,
        proven_at: None,
        drill: None,
        verified: None,
        doubt: None,
        records: vec![],
        superfluous: vec![],
        notes: vec![],
    }
}

fn catalogue(held: Vec<Vec<Backup>>) -> Catalogue {
    let destinations = held.into_iter().enumerate().map(|(n, backups)| DestinationCatalogue {
        destination: format!("d{n}"),
        location: String::new(),
        problem: None,
        exit: None,
        backups,
        orphans: vec![],
        stray_records: vec![],
    });
    let destinations = destinations.collect();
    Catalogue { version: 1, cluster: "prod".into(), read_at: at(0), destinations }
}

fn aim(policy: Option<&Policy>) -> Aim {
    let order = ["d2", "d1", "d0"].map(str::to_owned).to_vec();
    Aim { order, policy: policy.cloned(), ..Aim::default() }
}

fn lacks(level: &Level) -> Vec<(String, Why)> {
    let all = level.works.iter().flat_map(|work| &work.lacks);
    all.map(|lack| (lack.destination.clone(), lack.why)).collect()
}

fn compared(held: Vec<Vec<Backup>>, policy: Option<&Policy>) -> Level {
    compare(&catalogue(held), &aim(policy), at(10 * 86_400))
}

fn whole(days: &[i64]) -> Vec<Backup> {
    days.iter().map(|day| backup(&manifest(*day), State::Verified)).collect()
}

fn keeping(last: u32) -> Policy {
    Policy { last, min_keep: 1, ..Policy::default() }
}

#[test]
fn f36_what_one_lacks_and_another_has_is_copied_from_the_nearest_newest_first() {
    assert_eq!(compared(vec![whole(&[1, 2]), whole(&[1, 2])], None), Level::default());
    let level = compared(vec![whole(&[1, 2, 3]), vec![], whole(&[2])], None);
    let missing = |name: &str| (name.to_owned(), Why::Missing);
    assert_eq!(lacks(&level), [("d1"), ("d2"), ("d1"), ("d1"), ("d2")].map(missing));
    let days: Vec<&BackupName> = level.works.iter().map(|work| &work.backup).collect();
    assert_eq!(days, [3, 2, 1].map(|day| manifest(day).backup).iter().collect::<Vec<_>>());
    assert_eq!(level.works[1].sources, ["d2", "d0"]);
    assert_eq!(level.lagging()["d1"], 3);
}

#[test]
fn f47_a_fork_and_what_its_own_cluster_doubts_are_told_and_never_copied() {
    let mut other = manifest(1);
    other.snapshot.total_key_live += 1;
    let forked = vec![whole(&[1]), vec![backup(&other, State::Suspect)], vec![]];
    let level = compared(forked, None);
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Fork));
    let doubted = vec![vec![backup(&manifest(1), State::Suspect)], vec![]];
    let level = compared(doubted, None);
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Suspect));
    assert!(!level.remarks[0].kind.is_lack());
}

#[test]
fn f45_what_is_broken_or_called_damaged_is_lacking_and_gives_nothing() {
    let mut damaged = backup(&manifest(1), State::Suspect);
    let looked = |second, depth| Some(Looked { at: at(second), depth });
    damaged.doubt = looked(5, Depth::Digest);
    let broken = backup(&manifest(1), State::Broken);
    let level = compared(vec![vec![damaged.clone()], vec![broken.clone()], whole(&[1])], None);
    assert_eq!(lacks(&level), [("d0".into(), Why::Damaged), ("d1".into(), Why::Broken)]);
    assert_eq!(level.works[0].sources, ["d2"]);
    // What a drill doubts is read again once.
    damaged.doubt = looked(5, Depth::Etcd);
    let level = compared(vec![vec![damaged.clone()], whole(&[1])], None);
    assert_eq!(lacks(&level), [("d0".into(), Why::InDoubt)]);
    damaged.verified = looked(6, Depth::Digest);
    let level = compared(vec![vec![damaged.clone()], whole(&[1])], None);
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Suspect));
    // Nowhere whole.
    damaged.doubt = looked(5, Depth::Digest);
    let level = compared(vec![vec![damaged], vec![broken]], None);
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::NoSource));
}

/// The right bytes whose content is not sound get no better by being copied, however often.
#[test]
fn f45_what_is_unsound_inside_is_read_again_once_and_then_told() {
    let looked = |second, depth| Some(Looked { at: at(second), depth });
    let mut unsound = backup(&manifest(1), State::Suspect);
    unsound.doubt = looked(5, Depth::Content);
    unsound.verified = looked(4, Depth::Digest);
    let level = compared(vec![vec![unsound.clone()], whole(&[1])], None);
    assert_eq!(lacks(&level), [("d0".into(), Why::InDoubt)]);
    unsound.verified = looked(6, Depth::Digest);
    let level = compared(vec![vec![unsound.clone()], whole(&[1])], None);
    assert_eq!((lacks(&level).len(), level.remarks.len()), (0, 1));
    assert_eq!(level.remarks[0].kind, Kind::Suspect);
    assert_eq!(level.remarks[0].destination.as_deref(), Some("d0"));
    // All copies are suspect for what they are: nobody has anything better, and nothing is lacking.
    let all = vec![vec![unsound.clone()], vec![unsound.clone()], vec![]];
    let level = compared(all, None);
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Suspect));
    // One that is hurt besides is another matter: a whole one would be worth having.
    for hurt in [State::Broken, State::Suspect] {
        let mut other = backup(&manifest(1), hurt);
        other.doubt = looked(5, Depth::Digest).filter(|_| hurt == State::Suspect);
        let level = compared(vec![vec![unsound.clone()], vec![other]], None);
        assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::NoSource), "{hurt:?}");
    }
}

/// A destination on the network that was named later gets nothing of what nobody encrypted.
#[test]
fn i13_what_nobody_encrypted_is_brought_to_no_destination_on_the_network() {
    let sealed = Aim { sealed: ["d1".to_owned()].into(), ..aim(None) };
    let mut encrypted = manifest(2);
    let step = serde_json::json!({ "stage": "encrypt", "tool": "x", "output": { "bytes": 100, "sha256": "00" } });
    encrypted.steps = vec![serde_json::from_value(step).unwrap()];
    let held = vec![backup(&manifest(1), State::Verified), backup(&encrypted, State::Verified)];
    let catalogue = catalogue(vec![held, vec![], vec![]]);
    let level = compare(&catalogue, &sealed, at(10 * 86_400));
    let missing = |name: &str| (name.to_owned(), Why::Missing);
    assert_eq!(lacks(&level), ["d1", "d2", "d2"].map(missing), "{level:#?}");
    assert_eq!(level.works[0].backup, encrypted.backup);
    let [remark] = level.remarks.as_slice() else { panic!("{:#?}", level.remarks) };
    assert_eq!((remark.kind, remark.destination.as_deref()), (Kind::Plaintext, Some("d1")));
    assert!(remark.kind.is_lack() && remark.problem.contains("allow_plaintext"));
    // Nor is a damaged copy replaced there.
    let broken = vec![whole(&[1]), vec![backup(&manifest(1), State::Broken)]];
    let level = compare(&self::catalogue(broken), &sealed, at(10 * 86_400));
    assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Plaintext));
    // What the policy would not keep there is not spoken of.
    let policy = keeping(1);
    let sealed = Aim { policy: Some(policy), ..sealed };
    assert_eq!(compare(&catalogue, &sealed, at(10 * 86_400)).remarks, []);
}

/// Which destinations are sealed, the configuration says.
#[test]
fn i13_only_directories_take_plaintext_unless_it_is_allowed() {
    let text = |allow: bool| {
        serde_json::json!({
            "cluster": "prod",
            "replicate": { "allow_plaintext": allow },
            "destinations": {
                "near": { "url": "file:/b" },
                "amazon": { "url": "s3://b/p" }, "google": { "url": "gs://b/p" },
                "azure": { "url": "az://account/container/p" },
            },
        })
    };
    let aim = |allow| {
        let pipeline: config::Pipeline = serde_json::from_value(text(allow)).unwrap();
        Aim::new(&pipeline, None)
    };
    assert_eq!(aim(false).sealed.into_iter().collect::<Vec<_>>(), ["amazon", "azure", "google"]);
    assert_eq!((aim(true).sealed.len(), aim(true).order[0].as_str()), (0, "near"));
}

#[test]
fn f47_a_manifest_of_another_name_or_version_is_left_alone() {
    let mut newer = backup(&manifest(1), State::Broken);
    newer.exit = Some(60);
    let mut renamed = backup(&manifest(1), State::Broken);
    renamed.manifest_key += "x";
    for strange in [newer, renamed] {
        let level = compared(vec![vec![strange], whole(&[1])], None);
        assert_eq!((lacks(&level).len(), level.remarks[0].kind), (0, Kind::Strange));
    }
}

#[test]
fn f37_what_the_policy_removed_does_not_come_back() {
    let days: Vec<i64> = (1..=9).collect();
    let level = compared(vec![whole(&days), whole(&[8])], Some(&keeping(3)));
    let missing: Vec<&BackupName> = level.works.iter().map(|work| &work.backup).collect();
    assert_eq!(missing, [9, 7].map(|day| manifest(day).backup).iter().collect::<Vec<_>>());
    // However old the newest one is.
    let stale = Policy { stale_after: jiff::Span::new().seconds(1), ..keeping(3) };
    assert_eq!(compared(vec![whole(&days), whole(&[8])], Some(&stale)), level);
    // What is there and damaged would never be pruned as it is.
    let mut held = whole(&[8, 9]);
    held.insert(0, backup(&manifest(1), State::Broken));
    let level = compared(vec![whole(&days), held], Some(&keeping(2)));
    assert_eq!(lacks(&level), [("d1".into(), Why::Broken)]);
    // A policy that cannot be applied fills nothing, and is told.
    let ahead = compare(&catalogue(vec![whole(&days), vec![]]), &aim(Some(&keeping(3))), at(0));
    assert_eq!((lacks(&ahead).len(), ahead.remarks[0].kind), (0, Kind::Policy));
}

/// One that a machine with a wrong clock made, and one that contradicts it, go or stay by their
/// neighbours: neither comes back where it is gone.
#[test]
fn f37_f39_what_is_out_of_line_with_the_history_is_brought_nowhere() {
    let dated = |day: i64, revision: i64| {
        let mut manifest = manifest(day);
        manifest.snapshot.revision = revision;
        backup(&manifest, State::Verified)
    };
    // Made after the one of day 5, on a machine that thought it was day 1.
    let early = dated(1, 60);
    let held = vec![dated(5, 50), early.clone(), dated(8, 80), dated(9, 90)];
    let policy = keeping(4);
    let level = compared(vec![held, vec![early, dated(8, 80), dated(9, 90)]], Some(&policy));
    assert_eq!(lacks(&level), [], "{level:#?}");
}

/// Where a rule of the bucket removes what is old, what it removed does not come back with each run.
#[test]
fn f37_without_a_policy_a_run_brings_back_nothing_that_is_older_than_what_is_there() {
    let days: Vec<i64> = (1..=9).collect();
    let with = |past, held: Vec<Vec<Backup>>| {
        let level = compare(&catalogue(held), &aim(None).with_past(past), at(10 * 86_400));
        let of = |work: &crate::Work| work.manifest.snapshot.revision - 1;
        level.works.iter().map(of).collect::<Vec<i64>>()
    };
    let expired = || vec![whole(&days), whole(&[5, 6, 8])];
    assert_eq!(with(Past::None, expired()), [9, 7]);
    assert_eq!(with(Past::OfNewcomers, expired()), [9, 7]);
    assert_eq!(with(Past::Whole, expired()), [9, 7, 4, 3, 2, 1], "a person asks for all");
    // What is damaged is made good, however old it is.
    let mut held = whole(&[6, 8]);
    held.insert(0, backup(&manifest(5), State::Broken));
    assert_eq!(with(Past::None, vec![whole(&days), held]), [9, 7, 5]);
    // Each tier has a time of its own; of a tier that is not there the newest one is brought.
    let of_tier = |tier: &str, days: &[i64]| -> Vec<Backup> {
        let made = days.iter().map(|day| {
            let mut manifest = manifest(*day);
            manifest.tier = tier.to_owned();
            backup(&manifest, State::Verified)
        });
        made.collect()
    };
    let tiers = || [of_tier("daily", &[1, 2, 3]), whole(&[4, 5, 6])].concat();
    assert_eq!(with(Past::None, vec![tiers(), whole(&[5])]), [6, 3]);
    assert_eq!(with(Past::None, vec![tiers(), of_tier("daily", &[1])]), [6, 3, 2]);
    // Nothing at all is there: a run brings the newest ones, and the others are told of.
    assert_eq!(with(Past::None, vec![tiers(), vec![]]), [6, 3]);
    assert_eq!(with(Past::OfNewcomers, vec![tiers(), vec![]]), [6, 5, 4, 3, 2, 1]);
}

/// With a policy nothing of that matters.
#[test]
fn f37_with_a_policy_a_run_fills_what_it_keeps() {
    let days: Vec<i64> = (1..=9).collect();
    let held = catalogue(vec![whole(&days), whole(&[9])]);
    let policy = keeping(3);
    let run = aim(Some(&policy)).with_past(Past::None);
    assert_eq!(compare(&held, &run, at(10 * 86_400)), compared_with(&held, &policy));
    assert_eq!(lacks(&compared_with(&held, &policy)).len(), 2);
}

fn compared_with(held: &Catalogue, policy: &Policy) -> Level {
    compare(held, &aim(Some(policy)), at(10 * 86_400))
}

/// Prune and sync never fight: what is filled is what the policy keeps.
#[test]
fn f37_pruning_what_was_filled_removes_nothing() {
    let policy = Policy { last: 2, weekly: 3, min_keep: 1, ..Policy::default() };
    for seed in 0_u64..200 {
        let has = |n: u32, day: u64| {
            (seed.wrapping_mul(0x9e37_79b9).rotate_left(7 * (n + 1)) >> (day % 61)) & 1 == 1
        };
        let days =
            |n| (1..=30).filter(|day| has(n, *day)).map(|day| day as i64).collect::<Vec<_>>();
        let held: Vec<Vec<Backup>> = (0..3).map(|n| whole(&days(n))).collect();
        let now = at(31 * 86_400);
        let level = compare(&catalogue(held.clone()), &aim(Some(&policy)), now);
        for (n, mut backups) in held.into_iter().enumerate() {
            let name = format!("d{n}");
            let mut filled = Vec::new();
            for work in &level.works {
                if work.lacks.iter().any(|lack| lack.destination == name) {
                    filled.push(work.backup.to_string());
                    backups.push(backup(&work.manifest, State::Verified));
                }
            }
            let all: Vec<_> = backups.iter().map(crate::candidate).collect();
            let loose = Policy {
                guards: retention::Guards { allow_large_removal: true, ..Default::default() },
                stale_after: jiff::Span::new().years(9_000),
                ..policy.clone()
            };
            let Ok(plan) = retention::plan(&loose, &all, now, 0xcafe) else { continue };
            let gone = plan.removals().iter().filter(|d| filled.contains(&d.id)).count();
            assert_eq!(gone, 0, "seed {seed}, {name}: {filled:?}\n{plan:#?}");
        }
    }
}

#[test]
fn f48_what_is_forged_is_made_good_where_a_copy_says_what_belongs_there_and_never_spread() {
    let true_one = manifest(1);
    let forged = |manifest: &Manifest| Backup { exit: Some(22), ..backup(manifest, State::Forged) };
    let good = || backup(&true_one, State::Verified);
    let level = compare(&catalogue(vec![vec![good()], vec![forged(&true_one)]]), &aim(None), at(0));
    assert_eq!(lacks(&level), [("d1".into(), Why::Forged)]);
    assert_eq!(level.works[0].sources, ["d0"]);

    // Nobody but the one who forged it knows the second one.
    let level = compare(
        &catalogue(vec![vec![good()], vec![good(), forged(&manifest(2))]]),
        &aim(None),
        at(0),
    );
    assert_eq!(lacks(&level), []);
    let told: Vec<_> = level.remarks.iter().map(|r| (r.kind, r.destination.as_deref())).collect();
    assert_eq!(told, [(Kind::Forged, Some("d1"))]);

    // Under the backup's name, but with another revision: it is in nobody's way.
    let mut other = forged(&true_one);
    other.manifest_key = other.manifest_key.replace(".json", "9.json");
    let level = compare(&catalogue(vec![vec![good()], vec![other]]), &aim(None), at(0));
    assert_eq!(lacks(&level), [("d1".into(), Why::Missing)]);
    assert_eq!(level.remarks.iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Forged]);
}
