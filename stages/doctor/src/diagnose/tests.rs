//! Tables of made-up clusters: which case, how sure, whether to restore, and what to type.

use super::scene::{CLUSTER, INDEX, REVISION, Scene, TERM, list, listed, no_quorum, url};
use super::*;
use crate::observation::{Address, Silence};
use contract::Level;
use etcd::certificates::Certificate;
use etcd::{HashKv, Listed, Trouble};
use std::time::Duration;

fn verdict(scene: &Scene) -> Verdict {
    diagnose(&scene.0).verdict
}

/// The names of the findings, for a table.
fn finding_names(scene: &Scene) -> Vec<String> {
    diagnose(&scene.0).findings.into_iter().map(|finding| finding.name).collect()
}

fn other_hash(answer: &mut crate::observation::Answer) {
    answer.hashkv = Ok(HashKv { hash: 0xbad, compact_revision: 4_000 });
}

fn alarm(id: u64, name: &str) -> String {
    format!("memberID:{id} alarm:{name} ")
}

fn timed_out() -> Trouble {
    Trouble::TimedOut { request: "status", limit: Duration::from_secs(3) }
}

/// Case by case, with what the verdict must be.
#[test]
fn every_case_is_named() {
    use Case::*;
    use Confidence::{High, Low, Medium};
    use Restore::{LastResort, Never, NotNeeded, Yes};
    let table: Vec<(&str, Scene, Case, Confidence, Restore)> = vec![
        ("one voter", Scene::of(1), Healthy, High, NotNeeded),
        ("three voters", Scene::of(3), Healthy, High, NotNeeded),
        ("five voters", Scene::of(5), Healthy, High, NotNeeded),
        ("a learner", Scene::of(3).learner(4), Healthy, High, NotNeeded),
        ("one of three down", Scene::of(3).down(&[3]), MemberDown, High, Never),
        ("two of five down", Scene::of(5).down(&[2, 3]), MemberDown, High, Never),
        ("one silent", Scene::of(3).silent(3, &timed_out()), MemberDown, Medium, Never),
        (
            "one refuses us",
            Scene::of(3).silent(3, &Trouble::OtherName("x".into())),
            MemberDown,
            Low,
            Never,
        ),
        ("a learner down", Scene::of(3).learner(4).down(&[4]), MemberDown, High, Never),
        ("other data", Scene::of(3).with(3, other_hash), MemberCorrupt, High, Never),
        (
            "two of five with other data",
            Scene::of(5).with(4, other_hash).with(5, other_hash),
            MemberCorrupt,
            High,
            Never,
        ),
        (
            "other data, one down",
            Scene::of(5).with(5, other_hash).down(&[4]),
            MemberCorrupt,
            High,
            Never,
        ),
        (
            "two with other data each",
            Scene::of(2).with(2, other_hash),
            DataCorruption,
            High,
            LastResort,
        ),
        (
            "a tie while one is down",
            Scene::of(3).with(2, other_hash).down(&[3]),
            DataCorruption,
            High,
            LastResort,
        ),
        (
            "a tie, and a backup",
            Scene::of(2).with(2, other_hash).backup("safe", REVISION),
            DataCorruption,
            High,
            Yes,
        ),
        (
            "two of three down",
            Scene::of(3).down(&[2, 3]).leaderless(),
            QuorumLost,
            High,
            LastResort,
        ),
        (
            "the same with a backup",
            Scene::of(3).down(&[2, 3]).leaderless().backup("safe", 4_000),
            QuorumLost,
            High,
            Yes,
        ),
        (
            "the same with an old one",
            Scene::of(3).down(&[2, 3]).leaderless().backup("stale", 4_000),
            QuorumLost,
            High,
            LastResort,
        ),
        ("one of two down", Scene::of(2).down(&[2]).leaderless(), QuorumLost, High, LastResort),
        ("all there, no leader", Scene::of(3).leaderless(), QuorumLost, High, Never),
        (
            "still naming a leader",
            Scene::of(3).down(&[1, 2]).all(|a| a.linearizable = Err(no_quorum())),
            QuorumLost,
            Medium,
            LastResort,
        ),
        ("a removed one runs", Scene::of(3).stranger(9, CLUSTER), MembershipSplit, High, Never),
        ("another cluster", Scene::of(3).stranger(9, 0xc2), MembershipSplit, High, Never),
        (
            "another list",
            Scene::of(3).with(3, |a| a.members = Ok(list(&[1, 2, 3, 4]))),
            MembershipSplit,
            High,
            Never,
        ),
        (
            "full",
            Scene::of(3).all(|a| a.status.errors = vec![alarm(2, "NOSPACE")]),
            NoSpace,
            High,
            Never,
        ),
        (
            "full, as one knows",
            Scene::of(3).with(2, |a| a.status.errors = vec![alarm(2, "NOSPACE")]),
            NoSpace,
            High,
            Never,
        ),
        (
            "an alarm and equal data",
            Scene::of(3).all(|a| a.status.errors = vec![alarm(3, "CORRUPT")]),
            MemberCorrupt,
            Medium,
            Never,
        ),
        (
            "an alarm and other data",
            Scene::of(3).with(3, other_hash).all(|a| a.status.errors = vec![alarm(3, "CORRUPT")]),
            MemberCorrupt,
            High,
            Never,
        ),
        (
            "an alarm for nobody",
            Scene::of(3).all(|a| a.status.errors = vec![alarm(0, "CORRUPT")]),
            DataCorruption,
            Medium,
            LastResort,
        ),
        (
            "an alarm for the only one",
            Scene::of(1).all(|a| a.status.errors = vec![alarm(1, "CORRUPT")]),
            DataCorruption,
            Medium,
            LastResort,
        ),
        (
            "entries behind",
            Scene::of(3).with(3, |a| a.status.raft_applied_index = INDEX - 1001),
            MemberLagging,
            High,
            Never,
        ),
        (
            "revisions behind",
            Scene::of(3).with(3, |a| a.status.revision = REVISION - 1001),
            MemberLagging,
            High,
            Never,
        ),
        (
            "a learner behind",
            Scene::of(3).learner(4).with(4, |a| a.status.raft_applied_index = 1),
            MemberLagging,
            High,
            Never,
        ),
        (
            "no leader for one",
            Scene::of(3).with(3, |a| a.status.leader = 0),
            MemberLagging,
            High,
            Never,
        ),
        (
            "another leader",
            Scene::of(3).with(3, |a| a.status.leader = 3),
            MemberLagging,
            High,
            Never,
        ),
        (
            "another term",
            Scene::of(3).with(3, |a| a.status.raft_term = TERM - 1),
            MemberLagging,
            High,
            Never,
        ),
        (
            "no read from one",
            Scene::of(3).with(3, |a| a.linearizable = Err(no_quorum())),
            MemberLagging,
            High,
            Never,
        ),
        (
            "an unknown alarm",
            Scene::of(3).all(|a| a.status.errors = vec![alarm(2, "LAZY")]),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "an unknown complaint",
            Scene::of(3).with(1, |a| a.status.errors = vec!["odd".into()]),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "no list from one",
            Scene::of(3).with(2, |a| a.members = Err(timed_out())),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "no list at all",
            Scene::of(3).all(|a| a.members = Err(Trouble::PermissionDenied)),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "no hash from one",
            Scene::of(3).with(2, |a| a.hashkv = Err(timed_out())),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "no hashes",
            Scene::of(3).all(|a| a.hashkv = Err(Trouble::PermissionDenied)),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "compacted apart",
            Scene::of(3).with(2, |a| a.hashkv = Ok(HashKv { hash: 7, compact_revision: 3 })),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "no own read",
            Scene::of(3).with(2, |a| a.serializable = Err(timed_out())),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "not permitted to read",
            Scene::of(3).all(|a| a.linearizable = Err(Trouble::PermissionDenied)),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "most not to be seen",
            Scene::of(3).silent(2, &timed_out()).silent(3, &timed_out()),
            Unproven,
            Medium,
            NotNeeded,
        ),
        (
            "one seen that may not read",
            Scene::of(3).down(&[2, 3]).with(1, |a| a.linearizable = Err(Trouble::PermissionDenied)),
            Unproven,
            Low,
            Never,
        ),
        ("nobody", Scene::of(3).down(&[1, 2, 3]), Unreachable, Low, LastResort),
        ("nobody, too slow", Scene::of(1).silent(1, &timed_out()), Unreachable, Low, LastResort),
        (
            "nobody trusts us",
            Scene::of(3)
                .silent(1, &Trouble::CertificateRequired)
                .silent(2, &Trouble::CertificateRequired)
                .silent(3, &Trouble::CertificateRequired),
            Unreachable,
            Medium,
            Never,
        ),
        (
            "some refuse, some do not trust us",
            Scene::of(2).down(&[1]).silent(2, &Trouble::UnknownAuthority),
            Unreachable,
            Low,
            LastResort,
        ),
    ];
    for (name, scene, case, confidence, restore) in table {
        let verdict = verdict(&scene);
        let found = (verdict.case, verdict.confidence, verdict.restore);
        assert_eq!(found, (case, confidence, restore), "{name}: {verdict:#?}");
        assert!(!verdict.headline.is_empty() && !verdict.reasons.is_empty(), "{name}");
        assert!(verdict.steps.iter().any(|step| step.command.is_some()), "{name}: no command");
        assert_eq!(verdict.case == Healthy, verdict.exit == Exit::Ok, "{name}");
    }
}

#[test]
fn the_worst_case_is_the_verdict_and_the_others_are_findings() {
    let full = |a: &mut crate::observation::Answer| a.status.errors = vec![alarm(1, "NOSPACE")];
    let scene = Scene::of(5).with(5, other_hash).down(&[4]).all(full).stranger(9, CLUSTER);
    let scene = scene.with(2, |a| a.status.raft_applied_index = 1);
    let diagnosis = diagnose(&scene.0);
    assert_eq!(diagnosis.verdict.case, Case::MembershipSplit, "{diagnosis:#?}");
    let names = finding_names(&scene);
    assert_eq!(names[..4], ["no-space", "member-corrupt", "member-down", "member-lagging"]);
    assert!(diagnosis.findings[..4].iter().all(|f| f.next.is_some() && f.exit.is_some()));
    // Different data without a majority are worse than a lost quorum.
    let scene = Scene::of(5).down(&[3, 4, 5]).with(2, other_hash).leaderless();
    assert_eq!(verdict(&scene).case, Case::DataCorruption);
    assert_eq!(finding_names(&scene)[0], "quorum-lost");
}

/// Each breaks one thing that `healthy` needs, in a cluster of three.
#[test]
fn nothing_is_healthy_that_lacks_a_piece_of_evidence() {
    type Break = fn(&mut crate::observation::Answer);
    let breaks: [(&str, Break); 12] = [
        ("leader", |a| a.status.leader = 2),
        ("term", |a| a.status.raft_term += 1),
        ("cluster", |a| a.status.cluster_id = 7),
        ("applied", |a| a.status.raft_applied_index -= 1001),
        ("hash", other_hash),
        ("hash revision", |a| a.hashkv_revision -= 1),
        ("no hash", |a| a.hashkv = Err(Trouble::Compacted)),
        ("list", |a| a.members = Ok(list(&[1, 2]))),
        ("no list", |a| a.members = Err(Trouble::Unimplemented)),
        ("linearizable", |a| a.linearizable = Err(Trouble::Lost("x".into()))),
        ("serializable", |a| a.serializable = Err(Trouble::Lost("x".into()))),
        ("alarm", |a| a.status.errors = vec![alarm(9, "NEW")]),
    ];
    for voter in 1..=3 {
        for (name, change) in breaks {
            let verdict = verdict(&Scene::of(3).with(voter, change));
            assert_ne!(verdict.case, Case::Healthy, "{name} of m{voter}");
            assert_ne!(verdict.exit, Exit::Ok, "{name} of m{voter}");
        }
        assert_ne!(verdict(&Scene::of(3).down(&[voter])).case, Case::Healthy);
    }
}

#[test]
fn facts_that_make_nobody_sick_are_told() {
    let ends = |date: &str| {
        let mut scene = Scene::of(3);
        let ends = date.parse().unwrap();
        scene.0.certificates =
            vec![Certificate { what: "server certificate", about: url(1), ends }];
        scene
    };
    let stray = |is_configured| {
        let mut scene = Scene::of(3);
        let silence = Some(Silence::Trouble(Trouble::Refused));
        scene.0.strays = vec![Address { url: "http://old:2379".into(), is_configured, silence }];
        scene
    };
    let version = |text: &'static str| {
        move |a: &mut crate::observation::Answer| a.status.version = text.into()
    };
    let table: Vec<(&str, Scene, &[&str])> = vec![
        ("nothing", Scene::of(3), &[]),
        ("a certificate for long", ends("2027-11-20T00:00:00Z"), &[]),
        ("one for 13 days", ends("2026-12-03T00:00:00Z"), &["server certificate"]),
        ("one that ended", ends("2026-11-19T00:00:00Z"), &["server certificate"]),
        (
            "80 % of the quota",
            Scene::of(3).with(1, |a| a.status.db_bytes = a.status.db_quota_bytes / 5 * 4 + 9),
            &["quota", "fragmentation"],
        ),
        (
            "an unsaid quota",
            Scene::of(3).with(1, |a| {
                a.status.db_quota_bytes = 0;
                a.status.db_bytes = 1900 << 20;
                a.status.db_bytes_in_use = 1800 << 20;
            }),
            &["quota"],
        ),
        (
            "free pages",
            Scene::of(3).with(1, |a| {
                a.status.db_bytes = 200 << 20;
                a.status.db_bytes_in_use = 20 << 20;
            }),
            &["fragmentation"],
        ),
        ("few free pages", Scene::of(3).with(1, |a| a.status.db_bytes_in_use = 1), &[]),
        ("slow", Scene::of(3).with(1, |a| a.latency_ms = 501), &["latency"]),
        ("an election", Scene::of(3).with(1, |a| a.before = (2, TERM - 1)), &["leader"]),
        ("a patch apart", Scene::of(3).with(1, version("3.6.13")), &["version"]),
        ("a minor apart", Scene::of(3).with(1, version("3.5.30")), &["version"]),
        ("two minors apart", Scene::of(3).with(1, version("3.4.45")), &["version", "version"]),
        ("a faulty version", Scene::of(1).with(1, version("3.5.1")), &["version"]),
        (
            "a downgrade",
            Scene::of(3).with(1, |a| a.status.downgrade_to = Some("3.5.0".into())),
            &["downgrade"],
        ),
        ("a learner", Scene::of(3).learner(4), &["learner"]),
        ("an address of nobody", stray(true), &["endpoint"]),
        ("a fresh backup", Scene::of(3).backup("safe", 1), &[]),
        ("too few copies", Scene::of(3).backup("partial", 1), &["backup"]),
        ("no backup", Scene::of(3).backup("none", 1), &["backup"]),
    ];
    for (name, scene, expected) in table {
        let diagnosis = diagnose(&scene.0);
        assert_eq!(diagnosis.verdict.case, Case::Healthy, "{name}: {diagnosis:#?}");
        assert_eq!(finding_names(&scene), expected, "{name}: {diagnosis:#?}");
        assert!(
            diagnosis.findings.iter().all(|f| f.next.is_some() && f.level != Level::Ok),
            "{name}"
        );
    }
}

#[test]
fn a_second_address_that_is_silent_is_told_and_does_not_make_a_member_sick() {
    let mut scene = Scene::of(1);
    let silence = Some(Silence::NotAsked("it is advertised without TLS".into()));
    scene.0.members[0].addresses.push(Address {
        url: "http://b:1".into(),
        is_configured: false,
        silence,
    });
    let diagnosis = diagnose(&scene.0);
    assert_eq!(diagnosis.verdict.case, Case::Healthy);
    assert_eq!(diagnosis.findings[0].about, "http://b:1");
}

#[test]
fn a_member_that_never_started_counts_as_one_that_is_down() {
    let mut everybody = list(&[1, 2]);
    everybody.push(Listed { name: String::new(), client_urls: Vec::new(), ..listed(3) });
    let mut scene = Scene::of(3).down(&[3]).lists(&everybody);
    let third = scene.0.members.iter_mut().find(|m| m.id == 3).unwrap();
    third.name.clear();
    third.addresses.clear();
    let verdict = verdict(&scene);
    assert_eq!(verdict.case, Case::MemberDown);
    assert!(verdict.headline.contains("has never started"), "{verdict:#?}");
    let command = verdict.steps[0].command.as_ref().unwrap();
    assert!(command.contains("--replace-member NAME --peer-url http://peer-3:2380"), "{command}");
}

#[test]
fn of_two_clusters_the_one_that_more_of_its_voters_hold_is_the_cluster() {
    // Two of three were bootstrapped anew; the third is what is left of the old cluster.
    let scene = Scene::of(3).lists(&list(&[1, 2])).with(3, |a| {
        a.status.cluster_id = 0xc2;
        a.members = Ok(list(&[3]));
    });
    let evidence = Evidence::of(&scene.0).unwrap();
    assert_eq!(evidence.cluster_id, CLUSTER);
    assert_eq!(evidence.insiders.len(), 2);
    let verdict = verdict(&scene);
    assert_eq!(verdict.case, Case::MembershipSplit);
    assert!(verdict.reasons[0].contains("of cluster c2"), "{verdict:#?}");
    assert!(verdict.reasons[0].contains("takes writes of its own"), "{verdict:#?}");
}

#[test]
fn the_leader_is_defragmented_last_and_the_history_dropped_first() {
    let full = |a: &mut crate::observation::Answer| a.status.errors = vec![alarm(1, "NOSPACE")];
    let verdict = verdict(&Scene::of(3).all(full));
    let commands: Vec<&str> =
        verdict.steps.iter().filter_map(|step| step.command.as_deref()).collect();
    assert!(commands[0].ends_with("compact --physical 5000"), "{commands:?}");
    let defragmented: Vec<&&str> = commands.iter().filter(|c| c.contains("defrag")).collect();
    assert_eq!(defragmented.len(), 3);
    assert!(defragmented[2].contains("http://m1:2379"), "{commands:?}");
    assert!(commands[4].ends_with("alarm disarm"), "{commands:?}");
    assert_eq!(commands[5], "lifeboat doctor");
}

#[test]
fn a_lost_quorum_is_started_first_rescued_second_and_restored_last() {
    let scene = Scene::of(3).down(&[2, 3]).leaderless().backup("safe", REVISION - 10);
    let verdict = verdict(&scene);
    let commands: Vec<&str> =
        verdict.steps.iter().filter_map(|step| step.command.as_deref()).collect();
    let place = |text: &str| commands.iter().position(|c| c.contains(text)).unwrap();
    assert!(place("systemctl start etcd") < place("snapshot save"), "{commands:?}");
    assert!(place("snapshot save") < place("lifeboat restore --plan"), "{commands:?}");
    assert!(verdict.reasons.iter().any(|r| r.contains("10 revisions more")), "{verdict:#?}");
    assert!(!commands.iter().any(|c| c.contains("http://m2")), "m2 does not answer: {commands:?}");
}

#[test]
fn only_what_could_pass_is_looked_at_again() {
    let may_pass = |scene: Scene| diagnose(&scene.0).may_pass();
    assert!(!may_pass(Scene::of(3)));
    assert!(may_pass(Scene::of(3).leaderless()));
    assert!(may_pass(Scene::of(1).down(&[1])));
    assert!(!may_pass(Scene::of(1).silent(1, &Trouble::CertificateRequired)));
}

#[test]
fn the_exit_code_says_what_kind_of_trouble_it_is() {
    let code = |scene: Scene| verdict(&scene).exit.code();
    assert_eq!(code(Scene::of(3)), 0);
    assert_eq!(code(Scene::of(3).down(&[3])), 40);
    assert_eq!(code(Scene::of(3).with(3, other_hash)), 20);
    assert_eq!(code(Scene::of(3).leaderless()), 10);
    assert_eq!(code(Scene::of(1).down(&[1])), 10);
    assert_eq!(code(Scene::of(1).silent(1, &Trouble::UnknownAuthority)), 11);
    assert_eq!(code(Scene::of(1).silent(1, &Trouble::NotTls)), 3);
    // Not all of them say so.
    assert_eq!(code(Scene::of(2).down(&[1]).silent(2, &Trouble::UnknownAuthority)), 10);
}
