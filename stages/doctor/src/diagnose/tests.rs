//! Tables of made-up clusters: which case, how sure, whether to restore, and what to type.

use super::scene::{CLUSTER, INDEX, REVISION, Scene, TERM, list, listed, no_quorum, url};
use super::*;
use crate::observation::{Address, Silence};
use contract::Level;
use etcd::certificates::Certificate;
use etcd::{HashKv, Listed, Status, Trouble};
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

/// Case, how sure, and whether to restore.
type Expected = (Case, Confidence, Restore);

const HEALTHY: Expected = (Case::Healthy, Confidence::High, Restore::NotNeeded);
const DOWN: Expected = (Case::MemberDown, Confidence::High, Restore::Never);
const CORRUPT: Expected = (Case::MemberCorrupt, Confidence::High, Restore::Never);
const CORRUPTION: Expected = (Case::DataCorruption, Confidence::High, Restore::LastResort);
const LOST: Expected = (Case::QuorumLost, Confidence::High, Restore::LastResort);
const SPLIT: Expected = (Case::MembershipSplit, Confidence::High, Restore::Never);
const FULL: Expected = (Case::NoSpace, Confidence::High, Restore::Never);
const LAGGING: Expected = (Case::MemberLagging, Confidence::High, Restore::Never);
const UNPROVEN: Expected = (Case::Unproven, Confidence::Medium, Restore::NotNeeded);
const UNREACHABLE: Expected = (Case::Unreachable, Confidence::Low, Restore::LastResort);

fn medium((case, _, restore): Expected) -> Expected {
    (case, Confidence::Medium, restore)
}

fn check(name: &str, scene: &Scene, expected: Expected) {
    let verdict = verdict(scene);
    let found = (verdict.case, verdict.confidence, verdict.restore);
    assert_eq!(found, expected, "{name}: {verdict:#?}");
    assert!(!verdict.headline.is_empty() && !verdict.reasons.is_empty(), "{name}");
    assert!(verdict.steps.iter().any(|step| step.command.is_some()), "{name}: no command");
    assert_eq!(verdict.case == Case::Healthy, verdict.exit == Exit::Ok, "{name}");
}

#[test]
fn members_that_are_down_and_a_quorum_that_is_lost_are_told_apart() {
    let (three, five) = (|| Scene::of(3), || Scene::of(5));
    check("one voter", &Scene::of(1), HEALTHY);
    check("three voters", &three(), HEALTHY);
    check("five voters", &five(), HEALTHY);
    check("a learner", &three().learner(4), HEALTHY);
    check("one of three down", &three().down(&[3]), DOWN);
    check("two of five down", &five().down(&[2, 3]), DOWN);
    check("a learner down", &three().learner(4).down(&[4]), DOWN);
    check("one silent", &three().silent(3, &timed_out()), medium(DOWN));
    let low = (DOWN.0, Confidence::Low, DOWN.2);
    check("one refuses us", &three().silent(3, &Trouble::OtherName("x".into())), low);

    let alone = || three().down(&[2, 3]).leaderless();
    check("two of three down", &alone(), LOST);
    check("the same with an old backup", &alone().backup("stale", 4_000), LOST);
    let yes = (LOST.0, LOST.1, Restore::Yes);
    check("the same with a young one", &alone().backup("safe", 4_000), yes);
    check("one of two down", &Scene::of(2).down(&[2]).leaderless(), LOST);
    let never = (LOST.0, LOST.1, Restore::Never);
    check("all there, no leader", &three().leaderless(), never);
    let named = three().down(&[1, 2]).with(3, |a| a.linearizable = Err(no_quorum()));
    check("still naming a leader", &named, medium(LOST));
    let no_login = three().down(&[2, 3]).silent(1, &Trouble::NoQuorum("x".into()));
    check("alive, and nobody can log in", &no_login, medium(LOST));
}

#[test]
fn other_data_and_alarms_are_told_apart() {
    let three = || Scene::of(3);
    let alarmed = |scene: Scene, id, name: &str| {
        let error = alarm(id, name);
        scene.all(move |a| a.status.errors = vec![error.clone()])
    };
    check("other data", &three().with(3, other_hash), CORRUPT);
    check("two of five", &Scene::of(5).with(4, other_hash).with(5, other_hash), CORRUPT);
    check("one of four that answer", &Scene::of(5).with(5, other_hash).down(&[4]), CORRUPT);
    check("an alarm and other data", &alarmed(three().with(3, other_hash), 3, "CORRUPT"), CORRUPT);
    check("an alarm and equal data", &alarmed(three(), 3, "CORRUPT"), medium(CORRUPT));
    check("two with other data each", &Scene::of(2).with(2, other_hash), CORRUPTION);
    check("a tie while one is down", &three().with(2, other_hash).down(&[3]), CORRUPTION);
    let yes = (CORRUPTION.0, CORRUPTION.1, Restore::Yes);
    check("a tie, and a backup", &Scene::of(2).with(2, other_hash).backup("safe", 9), yes);
    check("an alarm for nobody", &alarmed(three(), 0, "CORRUPT"), medium(CORRUPTION));
    check("an alarm for the only one", &alarmed(Scene::of(1), 1, "CORRUPT"), medium(CORRUPTION));
    check("full", &alarmed(three(), 2, "NOSPACE"), FULL);
    let one_knows = three().with(2, |a| a.status.errors = vec![alarm(2, "NOSPACE")]);
    check("full, as one knows", &one_knows, FULL);
    check("an unknown alarm", &alarmed(three(), 2, "LAZY"), UNPROVEN);
}

#[test]
fn members_that_do_not_belong_or_do_not_keep_up_are_told_apart() {
    let three = || Scene::of(3);
    check("a removed one runs", &three().stranger(9, CLUSTER), SPLIT);
    check("another cluster", &three().stranger(9, 0xc2), SPLIT);
    check("another list", &three().with(3, |a| a.members = Ok(list(&[1, 2, 3, 4]))), SPLIT);
    let late = |a: &mut crate::observation::Answer| {
        a.members = Ok(list(&[1, 2]));
        a.status.raft_applied_index -= 1;
    };
    check("a list that may be late", &three().with(3, late), medium(SPLIT));
    let entries = three().with(3, |a| a.status.raft_applied_index = INDEX - 1001);
    check("entries behind", &entries, LAGGING);
    let revisions = three().with(3, |a| a.status.revision = REVISION - 1001);
    check("revisions behind", &revisions, LAGGING);
    let allowed = three().with(3, |a| {
        a.status.raft_applied_index = INDEX - 1000;
        a.status.revision = REVISION - 1000;
    });
    check("as far behind as is allowed", &allowed, HEALTHY);
    let learner = three().learner(4).with(4, |a| a.status.raft_applied_index = 1);
    check("a learner behind", &learner, LAGGING);
    check("no leader for one", &three().with(3, |a| a.status.leader = 0), LAGGING);
    check("another leader", &three().with(3, |a| a.status.leader = 3), LAGGING);
    check("another term", &three().with(3, |a| a.status.raft_term = TERM - 1), LAGGING);
    check("no read from one", &three().with(3, |a| a.linearizable = Err(no_quorum())), LAGGING);
}

#[test]
fn what_cannot_be_proved_and_what_cannot_be_seen_are_said_to_be_so() {
    let three = || Scene::of(3);
    let denied = || Trouble::PermissionDenied;
    check("a complaint", &three().with(1, |a| a.status.errors = vec!["odd".into()]), UNPROVEN);
    check("no list from one", &three().with(2, |a| a.members = Err(timed_out())), UNPROVEN);
    check("no list at all", &three().all(|a| a.members = Err(denied())), UNPROVEN);
    check("no hash from one", &three().with(2, |a| a.hashkv = Err(timed_out())), UNPROVEN);
    check("no hashes", &three().all(|a| a.hashkv = Err(denied())), UNPROVEN);
    let apart = HashKv { hash: 7, compact_revision: 3 };
    check("compacted apart", &three().with(2, |a| a.hashkv = Ok(apart)), UNPROVEN);
    check("no own read", &three().with(2, |a| a.serializable = Err(timed_out())), UNPROVEN);
    check("no reads permitted", &three().all(|a| a.linearizable = Err(denied())), UNPROVEN);
    let hidden = three().silent(2, &timed_out()).silent(3, &timed_out());
    check("most not to be seen", &hidden, UNPROVEN);
    check("a mute learner", &three().learner(4).silent(4, &Trouble::Learner), UNPROVEN);
    let blind = three().down(&[2, 3]).with(1, |a| a.linearizable = Err(denied()));
    check("one that may not read", &blind, (UNPROVEN.0, Confidence::Low, Restore::Never));

    check("nobody", &three().down(&[1, 2, 3]), UNREACHABLE);
    check("nobody, too slow", &Scene::of(1).silent(1, &timed_out()), UNREACHABLE);
    let mixed = Scene::of(2).down(&[1]).silent(2, &Trouble::UnknownAuthority);
    check("some refuse, some do not trust us", &mixed, UNREACHABLE);
    let refused = || Trouble::CertificateRequired;
    let refuses = Scene::of(2).silent(1, &refused()).silent(2, &refused());
    let never = (UNREACHABLE.0, Confidence::Medium, Restore::Never);
    check("nobody trusts us", &refuses, never);
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

/// Asserts that the cluster is healthy all the same, and what is told of it.
fn tells(name: &str, scene: &Scene, expected: &[&str]) {
    let diagnosis = diagnose(&scene.0);
    assert_eq!(diagnosis.verdict.case, Case::Healthy, "{name}: {diagnosis:#?}");
    assert_eq!(finding_names(scene), expected, "{name}: {diagnosis:#?}");
    let findings = &diagnosis.findings;
    assert!(findings.iter().all(|f| f.next.is_some() && f.level != Level::Ok), "{name}");
}

/// A cluster of three, of which the first says something else.
fn first(change: impl FnOnce(&mut Status)) -> Scene {
    Scene::of(3).with(1, |answer| change(&mut answer.status))
}

#[test]
fn facts_that_make_nobody_sick_are_told() {
    tells("nothing", &Scene::of(3), &[]);
    let full = first(|s| s.db_bytes = s.db_quota_bytes / 5 * 4 + 9);
    tells("80 % of the quota", &full, &["quota", "fragmentation"]);
    let unsaid = first(|s| {
        (s.db_quota_bytes, s.db_bytes, s.db_bytes_in_use) = (0, 1900 << 20, 1800 << 20);
    });
    tells("an unsaid quota", &unsaid, &["quota"]);
    let free = first(|s| (s.db_bytes, s.db_bytes_in_use) = (200 << 20, 20 << 20));
    tells("free pages", &free, &["fragmentation"]);
    tells("few free pages", &first(|s| s.db_bytes_in_use = 1), &[]);
    tells("slow", &Scene::of(3).with(1, |a| a.latency_ms = 501), &["latency"]);
    tells("an election", &Scene::of(3).with(1, |a| a.before = (2, TERM - 1)), &["leader"]);
    tells("a patch apart", &first(|s| s.version = "3.6.13".into()), &["version"]);
    tells("a minor apart", &first(|s| s.version = "3.5.30".into()), &["version"]);
    tells("two minors apart", &first(|s| s.version = "3.4.45".into()), &["version", "version"]);
    let faulty = Scene::of(1).with(1, |a| a.status.version = "3.5.1".into());
    tells("a faulty version", &faulty, &["version"]);
    tells("a downgrade", &first(|s| s.downgrade_to = Some("3.5.0".into())), &["downgrade"]);
    tells("a learner", &Scene::of(3).learner(4), &["learner"]);
}

#[test]
fn certificates_strays_and_backups_are_told() {
    let ends = |date: &str| {
        let mut scene = Scene::of(3);
        let ends = date.parse().unwrap();
        scene.0.certificates =
            vec![Certificate { what: "server certificate", about: url(1), ends }];
        scene
    };
    tells("a certificate for long", &ends("2027-11-20T00:00:00Z"), &[]);
    tells("one for 13 days", &ends("2026-12-03T00:00:00Z"), &["server certificate"]);
    tells("one that ended", &ends("2026-11-19T00:00:00Z"), &["server certificate"]);
    let mut stray = Scene::of(3);
    let silence = Some(Silence::Trouble(Trouble::Refused));
    stray.0.strays = vec![Address { url: "http://old:1".into(), is_configured: true, silence }];
    tells("an address of nobody", &stray, &["endpoint"]);
    tells("a fresh backup", &Scene::of(3).backup("safe", 1), &[]);
    tells("too few copies", &Scene::of(3).backup("partial", 1), &["backup"]);
    tells("no backup", &Scene::of(3).backup("none", 1), &["backup"]);
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
