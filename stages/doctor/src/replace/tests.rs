//! What is replaced, and what is refused.

use super::plan::{Plan, Refusal, Wish, plan};
use crate::diagnose::Evidence;
use crate::diagnose::scene::{CLUSTER, Scene, list, listed};
use etcd::{HashKv, Listed, Trouble};

fn ask(scene: &Scene, name: &str, peer_urls: &[&str], force: bool) -> Result<Plan, Refusal> {
    let peer_urls: Vec<String> = peer_urls.iter().map(|url| (*url).to_owned()).collect();
    let evidence = Evidence::of(&scene.0).unwrap();
    plan(&evidence, &Wish { name, peer_urls: &peer_urls, force })
}

/// A member was added and has not started.
fn waiting(ids: &[u64], id: u64) -> Scene {
    let mut everybody = list(ids);
    everybody.push(Listed { name: String::new(), client_urls: Vec::new(), ..listed(id) });
    let count = u64::try_from(ids.len()).unwrap() + 1;
    let mut scene = Scene::of(count).down(&[id]).lists(&everybody);
    scene.0.members.iter_mut().filter(|m| m.id == id).for_each(|m| m.name.clear());
    scene
}

#[test]
fn a_broken_member_is_taken_out_and_added_anew() {
    let corrupt =
        Scene::of(3).with(3, |a| a.hashkv = Ok(HashKv { hash: 0xbad, compact_revision: 4_000 }));
    let lagging = Scene::of(3).with(3, |a| a.status.leader = 0);
    let confused = Scene::of(3).with(3, |a| {
        a.members = Ok(list(&[3]));
        a.status.leader = 0;
    });
    let silent = Scene::of(3).silent(3, &Trouble::Unresolvable);
    for scene in [Scene::of(3).down(&[3]), corrupt, lagging, confused, silent] {
        let plan = ask(&scene, "m3", &[], false).unwrap();
        assert_eq!((plan.remove, plan.add), (Some(3), true), "{plan:?}");
        assert_eq!(plan.peer_urls, ["http://peer-3:2380"]);
        assert_eq!(plan.through, "http://m1:2379", "the leader: {plan:?}");
        assert_eq!((plan.working, plan.voters), (2, 3));
        assert!(plan.margin().contains("stands still"), "{}", plan.margin());
    }
    let by_id = ask(&Scene::of(3).down(&[3]), "3", &["http://new:2380"], false).unwrap();
    assert_eq!((by_id.name.as_str(), by_id.peer_urls), ("m3", vec!["http://new:2380".into()]));
    let roomy = ask(&Scene::of(5).down(&[5]), "m5", &[], false).unwrap();
    assert!(roomy.margin().contains("1 more may fail"), "{}", roomy.margin());
}

#[test]
fn a_learner_is_replaced_by_a_learner() {
    let plan = ask(&Scene::of(3).learner(4).down(&[4]), "m4", &[], false).unwrap();
    assert!(plan.is_learner);
    assert_eq!((plan.working, plan.voters), (3, 3));
}

#[test]
fn whoever_died_half_way_goes_on() {
    // Removed, not added.
    let plan = ask(&Scene::of(2), "m3", &["http://peer-3:2380"], false).unwrap();
    assert_eq!((plan.remove, plan.add), (None, true));
    assert_eq!((plan.working, plan.voters), (2, 3));
    // Added, not started: only what is to be done on the machine is said.
    let plan = ask(&waiting(&[1, 2], 3), "m3", &["http://peer-3:2380"], false).unwrap();
    assert_eq!((plan.remove, plan.add, plan.changes_anything()), (None, false, false));
    let refusal = ask(&waiting(&[1, 2], 3), "m3", &[], false).unwrap_err();
    assert!(refusal.hint().contains("--peer-url http://peer-3:2380"), "{}", refusal.hint());
}

fn refused(scene: &Scene, name: &str, peer_urls: &[&str], force: bool, expected: &Refusal) {
    let refusal = ask(scene, name, peer_urls, force).unwrap_err();
    assert_eq!(refusal, *expected, "{name} {peer_urls:?}");
    assert!(!refusal.to_string().is_empty() && !refusal.hint().is_empty());
}

#[test]
fn what_would_cost_the_quorum_is_refused_also_by_force() {
    let stands = |working, needed, voters| Refusal::WouldStandStill { working, needed, voters };
    let no_leader = Scene::of(3).down(&[2, 3]).leaderless();
    for force in [false, true] {
        refused(&no_leader, "m3", &[], force, &Refusal::NoQuorum);
        refused(&Scene::of(3).down(&[3]), "m2", &[], true, &stands(1, 2, 3));
    }
    refused(&Scene::of(1), "m1", &[], true, &stands(0, 1, 1));
    refused(&Scene::of(2), "m2", &[], true, &stands(1, 2, 2));
    let two_bad = Scene::of(5).down(&[5]).with(4, |a| a.status.leader = 0);
    let two_bad = two_bad.with(3, |a| a.status.raft_applied_index = 1);
    refused(&two_bad, "m5", &[], false, &stands(2, 3, 5));
    // One more beside one that is down.
    refused(&Scene::of(3).down(&[3]), "m4", &["http://new:1"], false, &stands(2, 3, 4));
}

#[test]
fn what_is_not_known_or_not_broken_is_not_replaced() {
    let down = || Scene::of(3).down(&[3]);
    refused(&Scene::of(3), "m3", &[], false, &Refusal::Healthy);
    let other = HashKv { hash: 1, compact_revision: 4_000 };
    let tie = Scene::of(2).with(2, |a| a.hashkv = Ok(other));
    refused(&tie, "m2", &[], true, &Refusal::Undecided);
    refused(&down().stranger(9, CLUSTER), "m3", &[], false, &Refusal::Split);
    let another_list = Scene::of(5).down(&[5]).with(4, |a| a.members = Ok(list(&[1])));
    refused(&another_list, "m5", &[], false, &Refusal::Split);
    let known = ["m1", "m2", "m3"].map(str::to_owned).to_vec();
    refused(&down(), "m4", &[], false, &Refusal::Unknown { known, waiting: Vec::new() });
    let taken = |url: &str, by: &str| Refusal::UrlTaken { url: url.into(), by: by.into() };
    // A slip in the name, and another one's address.
    let (own, others) = ("http://peer-3:2380", "http://peer-1:2380");
    refused(&down(), "m4", &[own], false, &taken(own, "m3"));
    refused(&down(), "m3", &[others], false, &taken(others, "m1"));
}

#[test]
fn a_healthy_member_is_replaced_by_force_only() {
    let plan = ask(&Scene::of(3), "m2", &[], true).unwrap();
    assert_eq!(plan.remove, Some(2));
    assert_eq!(plan.through, "http://m1:2379");
}
