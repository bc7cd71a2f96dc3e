//! The guards one by one, each at its limit and one step past it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{OURS, at, history, now, ours};
use jiff::ToSpan;
use lifeboat_retention::{
    Action, BACKUPS_MAX, Backup, Guards, Ignored, Plan, Policy, Reason, Refusal, State, Tier, plan,
};

/// Keeps one, so that everything else goes unless a guard holds it.
fn greedy() -> Policy {
    let guards = Guards { allow_large_removal: true, ..Guards::default() };
    Policy { last: 1, min_keep: 1, guards, ..Policy::default() }
}

/// `count` verified backups, one a minute, the last one at noon.
fn row(count: i64) -> Vec<Backup> {
    let noon = at("2026-11-20T12:00:00Z");
    let one = |number: i64| {
        let mut backup =
            ours(&format!("r{number:02}"), "2026-11-20T12:00:00Z", number, State::Verified);
        backup.taken_at = noon - (count - number).minutes();
        backup
    };
    (1..=count).map(one).collect()
}

fn removed(plan: &Plan) -> Vec<&str> {
    plan.removals().iter().map(|decision| decision.id.as_str()).collect()
}

fn action<'a>(plan: &'a Plan, id: &str) -> &'a Action {
    &plan.decisions().iter().find(|decision| decision.id == id).unwrap().action
}

#[test]
fn removals_come_oldest_first_and_decisions_newest_first() {
    let plan = plan(&greedy(), &row(4), now(), OURS).unwrap();
    assert_eq!(removed(&plan), ["r01", "r02", "r03"]);
    let ids: Vec<_> = plan.decisions().iter().map(|decision| decision.id.as_str()).collect();
    assert_eq!(ids, ["r04", "r03", "r02", "r01"]);
    assert_eq!((plan.kept(), plan.removed(), plan.ignored()), (1, 3, 0));
    assert_eq!(plan.newest_verified(), "r04");
}

#[test]
fn removal_order_is_that_of_revisions_where_clocks_differ_a_little() {
    let mut backups = row(5);
    backups[1].taken_at = backups[2].taken_at + 30.seconds();
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    assert_eq!(removed(&plan), ["r01", "r02", "r03", "r04"]);
}

#[test]
fn an_empty_policy_is_refused_before_anything_is_looked_at() {
    let refusal = plan(&Policy::default(), &[], now(), OURS).unwrap_err();
    assert_eq!(refusal, Refusal::EmptyPolicy);
    assert!(refusal.is_policy_fault());
}

#[test]
fn every_rule_alone_makes_a_policy() {
    let span = Some(1.days());
    let none = Policy::default;
    let policies = [
        Policy { last: 1, ..none() },
        Policy { hourly: 1, ..none() },
        Policy { daily: 1, ..none() },
        Policy { weekly: 1, ..none() },
        Policy { monthly: 1, ..none() },
        Policy { yearly: 1, ..none() },
        Policy { within: span, ..none() },
        Policy { within_hourly: span, ..none() },
        Policy { within_daily: span, ..none() },
        Policy { within_weekly: span, ..none() },
        Policy { within_monthly: span, ..none() },
        Policy { within_yearly: span, ..none() },
    ];
    for policy in policies {
        assert!(plan(&policy, &row(1), now(), OURS).is_ok(), "{policy}");
    }
}

#[test]
fn every_duration_must_be_positive() {
    let none = greedy;
    for span in [0.hours(), (-1).days()] {
        let window = Some(span);
        let policies = [
            ("within", Policy { within: window, ..none() }),
            ("within_hourly", Policy { within_hourly: window, ..none() }),
            ("within_daily", Policy { within_daily: window, ..none() }),
            ("within_weekly", Policy { within_weekly: window, ..none() }),
            ("within_monthly", Policy { within_monthly: window, ..none() }),
            ("within_yearly", Policy { within_yearly: window, ..none() }),
            ("stale_after", Policy { stale_after: span, ..none() }),
        ];
        for (name, policy) in policies {
            let refusal = plan(&policy, &row(1), now(), OURS).unwrap_err();
            let Refusal::BadDuration { setting, .. } = &refusal else { panic!("{refusal}") };
            assert_eq!(*setting, name);
            assert!(refusal.is_policy_fault());
        }
    }
}

#[test]
fn a_share_must_be_a_number_from_0_to_1() {
    for max_fraction in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        let guards = Guards { max_fraction, ..Guards::default() };
        let refusal = plan(&Policy { guards, ..greedy() }, &row(1), now(), OURS).unwrap_err();
        assert!(matches!(refusal, Refusal::BadFraction { .. }), "{refusal}");
    }
}

#[test]
fn i09_f34_an_empty_catalogue_and_one_without_a_verified_backup_are_refused() {
    let expected = |seen| Refusal::NoVerified { cluster_id: OURS, seen };
    assert_eq!(plan(&greedy(), &[], now(), OURS).unwrap_err(), expected(0));
    let mut backups = row(3);
    backups[0].state = State::Unverified;
    backups[1].cluster_id = Some(common::OTHER);
    backups[2].state = State::Suspect;
    assert_eq!(plan(&greedy(), &backups, now(), OURS).unwrap_err(), expected(3));
}

#[test]
fn a_name_listed_twice_is_refused() {
    let mut backups = row(3);
    backups[2].id = "r01".to_owned();
    let refusal = plan(&greedy(), &backups, now(), OURS).unwrap_err();
    assert_eq!(refusal, Refusal::DuplicateId { id: "r01".to_owned() });
    assert!(!refusal.is_policy_fault());
}

#[test]
fn a_listing_beyond_the_limit_is_refused() {
    let template = &row(1)[0];
    let numbered = |number: usize| Backup { id: format!("n{number}"), ..template.clone() };
    let mut backups: Vec<_> = (0..BACKUPS_MAX).map(numbered).collect();
    assert!(plan(&greedy(), &backups, now(), OURS).is_ok());
    backups.push(numbered(BACKUPS_MAX));
    let expected = Refusal::TooManyBackups { found: BACKUPS_MAX + 1, max: BACKUPS_MAX };
    assert_eq!(plan(&greedy(), &backups, now(), OURS).unwrap_err(), expected);
}

#[test]
fn i07_min_keep_holds_the_newest_and_0_counts_as_1() {
    for (min_keep, kept) in [(0, 1), (1, 1), (2, 2), (3, 3), (9, 5)] {
        let policy = Policy { min_keep, ..greedy() };
        let plan = plan(&policy, &row(5), now(), OURS).unwrap();
        assert_eq!(plan.kept(), kept, "min_keep {min_keep}");
        assert_eq!(removed(&plan), ["r01", "r02", "r03", "r04"][..5 - kept]);
    }
}

#[test]
fn i08_a_failed_backup_takes_no_place() {
    let mut backups = row(6);
    for (number, state) in [(5, State::Unverified), (4, State::Suspect), (3, State::Broken)] {
        backups[number].state = state;
    }
    let policy = Policy { last: 2, ..greedy() };
    let plan = plan(&policy, &backups, now(), OURS).unwrap();
    assert_eq!(removed(&plan), ["r01"]);
    assert_eq!(plan.newest_verified(), "r03");
}

#[test]
fn i11_a_forged_date_far_back_in_history_neither_protects_nor_evicts() {
    let mut backups = row(6);
    backups[2].taken_at = at("2031-01-01T00:00:00Z");
    let policy = Policy { last: 2, ..greedy() };
    let plan = plan(&policy, &backups, now(), OURS).unwrap();
    assert_eq!(action(&plan, "r03"), &Action::Ignore { why: Ignored::FutureDated });
    assert_eq!(removed(&plan), ["r01", "r02", "r04"]);
}

#[test]
fn i11_f39_a_newest_backup_with_an_old_date_is_not_taken_for_an_old_one() {
    let mut backups = row(6);
    backups[5].taken_at = at("2020-01-01T00:00:00Z");
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    assert_eq!(action(&plan, "r06"), &Action::Ignore { why: Ignored::TimeDisagrees });
    assert_eq!(plan.newest_verified(), "r05");
}

#[test]
fn i11_two_forged_revisions_do_not_make_the_real_history_old() {
    // Whoever invents a high revision for old dates is the smaller side of the contradiction.
    let mut backups = row(6);
    backups.push(ours("forged-1", "2026-01-01T00:00:00Z", 900, State::Verified));
    backups.push(ours("forged-2", "2026-01-02T00:00:00Z", 901, State::Verified));
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    assert_eq!(plan.newest_verified(), "r06");
    assert_eq!(plan.ignored(), 2);
}

#[test]
fn the_good_side_of_a_suspect_change_outlives_the_rules() {
    let mut backups = row(8);
    backups[3].state = State::Suspect;
    backups[4].state = State::Suspect;
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    let suspect = "r04".to_owned();
    let reasons = vec![Reason::BeforeSuspect { suspect }];
    assert_eq!(action(&plan, "r03"), &Action::Keep { reasons });
    assert_eq!(removed(&plan), ["r01", "r02", "r06", "r07"]);
}

#[test]
fn only_suspects_of_our_cluster_protect() {
    let mut backups = row(8);
    backups[4].state = State::Suspect;
    backups[4].cluster_id = Some(common::OTHER);
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    assert_eq!(removed(&plan), ["r01", "r02", "r03", "r04", "r06", "r07"]);
}

#[test]
fn the_newest_proven_backup_outlives_the_rules() {
    let mut backups = row(6);
    backups[1].state = State::Proven;
    backups[3].state = State::Proven;
    let plan = plan(&greedy(), &backups, now(), OURS).unwrap();
    assert_eq!(action(&plan, "r04"), &Action::Keep { reasons: vec![Reason::NewestProven] });
    assert_eq!(removed(&plan), ["r01", "r02", "r03", "r05"]);
}

/// Whether `removed` of `of` backups pass these guards.
fn passes(guards: Guards, removed: i64, of: i64) -> bool {
    let last = u32::try_from(of - removed).unwrap();
    let policy = Policy { last, min_keep: 1, guards, ..Policy::default() };
    match plan(&policy, &row(of), now(), OURS) {
        Ok(plan) => {
            assert_eq!(plan.removed(), usize::try_from(removed).unwrap());
            true
        }
        Err(Refusal::LargeRemoval { removed: found, of: total, decisions, .. }) => {
            assert_eq!(
                (i64::try_from(found).unwrap(), i64::try_from(total).unwrap()),
                (removed, of)
            );
            assert_eq!(decisions.len(), total);
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn i09_half_may_go_by_default_and_three_in_any_case() {
    let guards = Guards::default();
    assert!(passes(guards, 10, 20));
    assert!(!passes(guards, 11, 20));
    assert!(passes(guards, 3, 4), "few are not measured as a share");
    assert!(!passes(guards, 4, 5));
    assert!(passes(guards, 4, 8));
}

#[test]
fn the_share_is_of_what_competes_not_of_what_is_listed() {
    let mut backups = row(40);
    backups[10..30].iter_mut().for_each(|backup| backup.state = State::Unverified);
    let policy = Policy { last: 9, guards: Guards::default(), ..greedy() };
    let refusal = plan(&policy, &backups, now(), OURS).unwrap_err();
    assert!(matches!(refusal, Refusal::LargeRemoval { removed: 11, of: 20, .. }), "{refusal}");
}

#[test]
fn max_count_holds_for_few_too() {
    let guards = |max| Guards { max_count: Some(max), ..Guards::default() };
    assert!(passes(guards(2), 2, 20));
    assert!(!passes(guards(2), 3, 20));
    assert!(!passes(guards(0), 1, 20));
    assert!(passes(guards(0), 0, 20));
    assert!(!passes(guards(100), 11, 20), "a number does not replace the share");
}

#[test]
fn the_refusal_names_the_limit_that_was_passed() {
    let message = |max_count, rows| {
        let guards = Guards { max_count, ..Guards::default() };
        plan(&Policy { guards, ..greedy() }, &row(rows), now(), OURS).unwrap_err().to_string()
    };
    let share = "the policy would remove 9 of 10 verified backups; max_fraction is 0.5";
    assert_eq!(message(None, 10), share);
    assert_eq!(message(Some(9), 10), share);
    let number = "the policy would remove 9 of 10 verified backups; max_count is 8";
    assert_eq!(message(Some(8), 10), number);
}

#[test]
fn a_person_may_allow_both() {
    let guards = Guards { max_count: Some(0), allow_large_removal: true, ..Guards::default() };
    assert!(passes(guards, 19, 20));
}

#[test]
fn a_kept_backup_has_reasons_and_a_removed_one_has_none_in_json_too() {
    let policy = Policy { last: 1, daily: 1, min_keep: 1, ..Policy::default() };
    let mut backups = row(3);
    backups[0].cluster_id = Some(0xabc);
    let json = serde_json::to_value(plan(&policy, &backups, now(), OURS).unwrap()).unwrap();
    let expected = serde_json::json!({
        "newest_verified": "r03", "kept": 1, "removed": 1, "ignored": 1,
        "decisions": [
            {"id": "r03", "taken_at": "2026-11-20T12:00:00Z", "revision": 3, "state": "verified",
             "action": "keep", "reasons": [
                {"rule": "newest_verified"},
                {"rule": "last", "rank": 1, "of": 1},
                {"rule": "bucket", "period": "daily", "bucket": "2026-11-20", "rank": 1, "of": 1}]},
            {"id": "r02", "taken_at": "2026-11-20T11:59:00Z", "revision": 2, "state": "verified",
             "action": "remove"},
            {"id": "r01", "taken_at": "2026-11-20T11:58:00Z", "revision": 1, "state": "verified",
             "action": "ignore", "why": {"kind": "foreign", "cluster_id": "abc"}},
        ],
    });
    assert_eq!(json, expected);
}

#[test]
fn the_frozen_catalogue_is_what_the_golden_files_were_made_of() {
    let backups = history();
    assert_eq!(backups.len(), 73);
    let verified = |backup: &&Backup| backup.state.is_verified();
    assert_eq!(backups.iter().filter(verified).count(), 68);
}

/// One that another tool had made, and somebody said is of our cluster.
fn adopted(id: &str, taken_at: &str, revision: i64) -> Backup {
    let cluster_id = None;
    Backup { cluster_id, is_adopted: true, ..ours(id, taken_at, revision, State::Verified) }
}

fn actions(plan: &Plan) -> Vec<(&str, String)> {
    plan.decisions().iter().map(|d| (d.id.as_str(), d.action.to_string())).collect()
}

#[test]
fn i08_what_was_adopted_competes_where_it_fits_into_the_history() {
    let verified = |id, taken_at, revision| ours(id, taken_at, revision, State::Verified);
    let backups = [
        adopted("a-first", "2026-11-16T12:00:00Z", 50),
        adopted("a-same-day", "2026-11-17T11:00:00Z", 90),
        verified("c-1", "2026-11-17T12:00:00Z", 100),
        adopted("a-between", "2026-11-18T12:00:00Z", 150),
        verified("c-2", "2026-11-19T12:00:00Z", 200),
        // Its revision is of the past, its time is that of a copy.
        adopted("a-copied", "2026-11-20T11:00:00Z", 120),
        // Of another cluster, as it seems.
        adopted("a-other", "2026-11-16T18:00:00Z", 9_000),
        verified("c-3", "2026-11-20T12:00:00Z", 300),
    ];
    let policy = Policy { daily: 9, min_keep: 1, ..Policy::default() };
    let plan = plan(&policy, &backups, now(), OURS).unwrap();
    let found = actions(&plan);
    let action = |id| found.iter().find(|(known, _)| *known == id).unwrap().1.clone();
    for id in ["a-copied", "a-other"] {
        assert_eq!(action(id), "ignore: its time and its revision disagree", "{id}");
    }
    assert_eq!(action("a-same-day"), "remove");
    for id in ["a-first", "a-between", "c-1", "c-2", "c-3"] {
        assert!(action(id).starts_with("keep: "), "{id}: {found:?}");
    }
}

#[test]
fn i08_many_adopted_backups_do_not_outvote_the_history() {
    let mut backups: Vec<Backup> = (0..9)
        .map(|day| {
            adopted(&format!("a-{day}"), &format!("2026-11-{:02}T12:00:00Z", 11 + day), 9_000 + day)
        })
        .collect();
    backups.push(ours("c-1", "2026-11-19T12:00:00Z", 100, State::Verified));
    backups.push(ours("c-2", "2026-11-20T12:00:00Z", 200, State::Verified));
    let policy = Policy { last: 1, min_keep: 1, ..Policy::default() };
    let plan = plan(&policy, &backups, now(), OURS).unwrap();
    assert_eq!((plan.newest_verified(), plan.ignored(), plan.removed()), ("c-2", 9, 1));
}

#[test]
fn i07_the_newest_captured_backup_stays_beside_a_newer_adopted_one() {
    let backups = [
        ours("c-1", "2026-11-20T10:00:00Z", 100, State::Verified),
        ours("c-2", "2026-11-20T11:00:00Z", 200, State::Verified),
        adopted("a", "2026-11-20T12:00:00Z", 300),
    ];
    let policy = Policy { last: 1, min_keep: 1, ..Policy::default() };
    let plan = plan(&policy, &backups, now(), OURS).unwrap();
    assert_eq!(
        actions(&plan),
        [
            ("a", "keep: newest verified, last (1 of 1)".to_owned()),
            ("c-2", "keep: newest captured".to_owned()),
            ("c-1", "remove".to_owned()),
        ]
    );
    // A date of the future, which a wrong clock gave it, neither stops the others nor counts.
    let ahead = adopted("a", "2026-11-21T12:00:00Z", 300);
    let plan = lifeboat_retention::plan(&policy, &[backups[0].clone(), ahead], now(), OURS);
    let found = plan.unwrap();
    assert_eq!(found.newest_verified(), "c-1");
    assert_eq!(found.ignored(), 1);
}

#[test]
fn the_first_of_a_day_or_month_stays_and_not_the_newest() {
    let tiered = |id: &str, at: &str, revision: i64, tier: Tier| Backup {
        tier,
        ..ours(id, at, revision, State::Verified)
    };
    let backups = [
        tiered("monthly", "2026-11-01T00:10:00Z", 1, Tier::Monthly),
        tiered("later that day", "2026-11-01T12:00:00Z", 2, Tier::Frequent),
        tiered("daily 02", "2026-11-02T00:10:00Z", 3, Tier::Daily),
        tiered("noon of the 2nd", "2026-11-02T12:00:00Z", 4, Tier::Frequent),
        tiered("daily 20", "2026-11-20T00:10:00Z", 5, Tier::Daily),
        tiered("newest", "2026-11-20T12:00:00Z", 6, Tier::Frequent),
    ];
    let base = Policy { min_keep: 1, guards: greedy().guards, ..Policy::default() };
    for (policy, gone) in [
        (Policy { daily: 9, ..base.clone() }, vec!["later that day", "noon of the 2nd"]),
        // A monthly one is the one of its day as well; 1 November was a Sunday.
        (Policy { weekly: 9, ..base.clone() }, vec!["later that day", "noon of the 2nd"]),
        (
            Policy { monthly: 1, ..base.clone() },
            vec!["later that day", "daily 02", "noon of the 2nd", "daily 20"],
        ),
        // Within an hour nothing is preferred.
        (
            Policy { hourly: 1, ..base.clone() },
            vec!["monthly", "later that day", "daily 02", "noon of the 2nd", "daily 20"],
        ),
    ] {
        assert_eq!(removed(&plan(&policy, &backups, now(), OURS).unwrap()), gone, "{policy}");
    }
}
