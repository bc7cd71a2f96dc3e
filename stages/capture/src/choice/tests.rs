//! The choice as a table: who is seen, what is wished, who is asked in which order.

use super::*;
use MemberChoice::{Follower, Leader, Rotate};

/// A member in sync: leader 1, everything applied.
fn member(id: u64) -> Seen {
    Seen {
        id,
        name: format!("m{id}"),
        endpoint: format!("https://10.0.0.{id}:2379"),
        is_configured: true,
        is_learner: false,
        is_corrupt: false,
        leader: 1,
        raft_term: 5,
        raft_index: 10_000,
        raft_applied_index: 10_000,
        revision: 7_000,
    }
}

fn three() -> Vec<Seen> {
    vec![member(1), member(2), member(3)]
}

fn wish(member: &MemberChoice) -> Wish<'_> {
    Wish { member, avoid: &[], max_lag: 1000, turn: 0, has_quorum: true }
}

fn ids(seen: &[Seen], wish: &Wish<'_>) -> Vec<u64> {
    choose(seen, wish).order.iter().map(|&index| seen[index].id).collect()
}

/// Why member 2 is refused once it was changed.
fn reason(change: impl FnOnce(&mut Seen)) -> Option<Reason> {
    let mut seen = three();
    change(&mut seen[1]);
    let choice = choose(&seen, &wish(&Follower));
    choice.refused.into_iter().find(|(index, _)| *index == 1).map(|(_, reason)| reason)
}

#[test]
fn followers_come_first_and_the_leader_last() {
    assert_eq!(ids(&three(), &wish(&Follower)), [2, 3, 1]);
}

#[test]
fn the_leader_comes_first_when_it_is_wished() {
    assert_eq!(ids(&three(), &wish(&Leader)), [1, 2, 3]);
    let mut seen = three();
    seen[0].is_configured = false;
    assert_eq!(ids(&seen, &wish(&Leader)), [1, 2, 3], "wherever it is");
}

#[test]
fn a_configured_leader_comes_before_a_follower_known_from_the_list_only() {
    let mut seen = three();
    seen[1].is_configured = false;
    seen[2].is_configured = false;
    assert_eq!(ids(&seen, &wish(&Follower)), [1, 2, 3]);
}

#[test]
fn f13_f16_the_one_to_avoid_comes_last_but_is_not_lost() {
    let avoiding = |seen: &[Seen], avoid: &[u64]| ids(seen, &Wish { avoid, ..wish(&Follower) });
    assert_eq!(avoiding(&three(), &[2]), [3, 1, 2]);
    assert_eq!(avoiding(&three(), &[2, 3]), [1, 2, 3]);
    assert_eq!(avoiding(&[member(1)], &[1]), [1]);
}

#[test]
fn f19_a_corrupt_member_comes_after_the_sound_ones() {
    let mut seen = three();
    seen[1].is_corrupt = true;
    assert_eq!(ids(&seen, &wish(&Follower)), [3, 1, 2]);
}

#[test]
fn everyone_has_a_turn() {
    let turn = |turn| ids(&three(), &Wish { turn, ..wish(&Rotate) });
    assert_eq!(turn(0), [1, 2, 3]);
    assert_eq!(turn(1), [2, 3, 1]);
    assert_eq!(turn(2), [3, 1, 2]);
    assert_eq!(turn(u64::MAX), [1, 2, 3]);
}

#[test]
fn turns_go_round_among_the_best_only() {
    let mut seen = three();
    seen[2].is_corrupt = true;
    let turn = |turn| ids(&seen, &Wish { turn, ..wish(&Rotate) });
    assert_eq!(turn(1), [2, 1, 3]);
    assert_eq!(turn(2), [1, 2, 3]);
    assert!(ids(&[], &wish(&Rotate)).is_empty());
}

#[test]
fn a_member_is_named_by_name_id_or_endpoint() {
    let mut seen = three();
    seen[2].id = 0xb9ae_3223_ba67_8b62;
    for name in [
        "m3",
        "b9ae3223ba678b62",
        "B9AE3223BA678B62",
        "https://10.0.0.3:2379",
        "https://10.0.0.3:2379/",
        "10.0.0.3:2379",
    ] {
        let named = MemberChoice::Named(name.into());
        let choice = choose(&seen, &wish(&named));
        assert_eq!(choice.order, [2], "{name}");
        assert!(choice.refused.iter().all(|(_, reason)| *reason == Reason::NotNamed));
    }
    let nobody = MemberChoice::Named("m4".into());
    assert!(ids(&seen, &wish(&nobody)).is_empty());
}

#[test]
fn f17_a_named_member_must_be_fit_too() {
    let mut seen = three();
    seen[1].is_learner = true;
    let named = MemberChoice::Named("m2".into());
    let choice = choose(&seen, &wish(&named));
    assert!(choice.order.is_empty());
    assert!(choice.refused.contains(&(1, Reason::Learner)));
    assert!(!choice.lacks_only_a_leader());
}

#[test]
fn f17_whoever_is_not_fit_is_refused_with_the_reason() {
    assert_eq!(reason(|_| ()), None);
    assert_eq!(reason(|m| m.is_learner = true), Some(Reason::Learner));
    assert_eq!(reason(|m| m.leader = 0), Some(Reason::NoLeader));
    let older = |m: &mut Seen| (m.leader, m.raft_term) = (3, 4);
    assert_eq!(reason(older), Some(Reason::OtherLeader { own: 3, others: 1 }));
    assert_eq!(reason(|m| m.raft_applied_index -= 1000), None);
    assert_eq!(
        reason(|m| m.raft_applied_index -= 1001),
        Some(Reason::EntriesBehind { by: 1001, max: 1000 })
    );
    assert_eq!(
        reason(|m| m.revision -= 1001),
        Some(Reason::RevisionsBehind { by: 1001, max: 1000 })
    );
}

#[test]
fn the_leader_of_the_newest_term_is_the_leader() {
    let mut seen = three();
    for member in &mut seen[1..] {
        (member.leader, member.raft_term) = (3, 6);
    }
    // Member 1 was cut off and still takes itself for the leader.
    let choice = choose(&seen, &wish(&Follower));
    assert_eq!(choice.order, [1, 2]);
    assert_eq!(choice.refused, [(0, Reason::OtherLeader { own: 1, others: 3 })]);
}

#[test]
fn f18_without_a_quorum_the_most_advanced_is_the_best() {
    let mut seen = three();
    for (member, revision) in seen.iter_mut().zip([50, 7_000, 6_900]) {
        (member.leader, member.revision) = (0, revision);
    }
    let choice = choose(&seen, &wish(&Follower));
    assert!(choice.lacks_only_a_leader());
    let degraded = Wish { has_quorum: false, ..wish(&Follower) };
    assert_eq!(ids(&seen, &degraded), [2, 3, 1]);
    seen[1].is_learner = true;
    assert_eq!(ids(&seen, &degraded), [3, 1]);
}
