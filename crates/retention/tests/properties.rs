//! What holds for any history, policy, clock and state.
//!
//! The seed is fixed, so that every run sees the same cases; `PROPTEST_RNG_SEED` and
//! `PROPTEST_CASES` look at others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{OTHER, OURS, at};
use jiff::{Span, Timestamp, ToSpan, Zoned, tz::TimeZone};
use lifeboat_retention::{
    Action, Backup, Guards, Ignored, Period, Plan, Policy, Reason, Refusal, State, Tier, plan,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(20_261_120);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 600;
    }
    config
}

// === what is generated ===

/// A catalogue in which clocks run right: times and revisions grow together, some of them equal.
fn orderly(state: impl Strategy<Value = State>) -> impl Strategy<Value = Vec<Backup>> {
    let minutes =
        prop_oneof![1 => Just(0_i64), 4 => 1..90_i64, 4 => 90..3000_i64, 1 => 3000..90_000_i64];
    let tier =
        prop_oneof![6 => Just(Tier::Frequent), 2 => Just(Tier::Daily), 1 => Just(Tier::Monthly)];
    let step = (minutes, 0..20_i64, state, tier);
    prop::collection::vec(step, 0..45).prop_map(|steps| {
        // Near the end of a year and of the clocks' summer.
        let mut taken_at = at("2025-10-20T21:30:00Z");
        let mut revision = 1000;
        let mut backups = Vec::new();
        for (number, (minutes, revisions, state, tier)) in steps.into_iter().enumerate() {
            taken_at += minutes.minutes();
            revision += revisions;
            let id = format!("b{number:02}");
            let (cluster_id, is_adopted) = (Some(OURS), false);
            backups.push(Backup { id, cluster_id, is_adopted, taken_at, revision, state, tier });
        }
        backups
    })
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        8 => Just(State::Verified),
        1 => Just(State::Proven),
        1 => Just(State::Unverified),
        1 => Just(State::Suspect),
        1 => Just(State::Broken),
    ]
}

/// A catalogue with foreign entries, wrong clocks, and revisions that went back.
fn messy() -> impl Strategy<Value = Vec<Backup>> {
    let cluster = prop_oneof![
        8 => Just((Some(OURS), false)),
        1 => Just((Some(OTHER), false)),
        1 => Just((None, false)),
        2 => Just((None, true)),
    ];
    let clock_seconds = prop_oneof![
        12 => Just(0_i64), 2 => -400..400_i64, 1 => -40_000_000..40_000_000_i64, 1 => any::<i64>(),
    ];
    let revision = prop_oneof![20 => Just(None), 1 => any::<i64>().prop_map(Some)];
    let faults = prop::collection::vec((cluster, clock_seconds, revision), 45);
    (orderly(any_state()), faults).prop_map(|(mut backups, faults)| {
        for (backup, (cluster, clock_seconds, revision)) in backups.iter_mut().zip(faults) {
            (backup.cluster_id, backup.is_adopted) = cluster;
            let seconds = backup.taken_at.as_second().saturating_add(clock_seconds);
            let range = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
            let seconds = seconds.clamp(*range.start(), *range.end());
            backup.taken_at = Timestamp::from_second(seconds).unwrap();
            backup.revision = revision.unwrap_or(backup.revision);
        }
        backups
    })
}

fn window() -> impl Strategy<Value = Option<Span>> {
    let spans =
        ["1s", "1h", "36h", "1d", "3d", "2w", "1mo 3d", "1y", "15000y"].map(|s| s.parse().unwrap());
    prop_oneof![5 => Just(None), 1 => select(spans.to_vec()).prop_map(Some)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => Just(0), 4 => 1..4_u32, 3 => 4..30_u32, 1 => Just(u32::MAX)]
}

fn guards() -> impl Strategy<Value = Guards> {
    let fraction = prop_oneof![Just(0.5), 0.0..=1.0_f64];
    let fields = (fraction, 0..6_u32, prop::option::of(0..20_u32), prop::bool::weighted(0.7));
    fields.prop_map(|(max_fraction, small_count, max_count, allow_large_removal)| Guards {
        max_fraction,
        small_count,
        max_count,
        allow_large_removal,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Auckland", "Asia/Kathmandu"];
    let zone = select(zones.map(|name| TimeZone::get(name).unwrap()).to_vec());
    let stale = select(vec![1.hours(), 24.hours(), 90.days(), 15000.years()]);
    let counts = prop::array::uniform6(count());
    let windows = prop::array::uniform6(window());
    (counts, windows, 0..6_u32, stale, zone, guards()).prop_map(
        |(counts, windows, min_keep, stale_after, time_zone, guards)| {
            let [last, hourly, daily, weekly, monthly, yearly] = counts;
            let [
                within,
                within_hourly,
                within_daily,
                within_weekly,
                within_monthly,
                within_yearly,
            ] = windows;
            Policy {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
                within,
                within_hourly,
                within_daily,
                within_weekly,
                within_monthly,
                within_yearly,
                min_keep,
                stale_after,
                time_zone,
                guards,
            }
        },
    )
}

/// A clock that is mostly a little after the newest backup that ran right, and sometimes anything.
fn clock(backups: &[Backup], offset_seconds: i64) -> Timestamp {
    let plausible = backups.iter().filter(|backup| backup.taken_at < at("2040-01-01T00:00:00Z"));
    let newest = plausible.max_by_key(|backup| backup.revision);
    let base = newest.map_or_else(|| at("2026-11-20T13:00:00Z"), |backup| backup.taken_at);
    base.checked_add(offset_seconds.seconds()).unwrap_or(base)
}

fn offset_seconds() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..3600_i64, 1 => -300..0_i64, 1 => 3600..200_000_i64, 1 => -40_000_000..0_i64]
}

// === what is looked at ===

fn removed(plan: &Plan) -> BTreeSet<&str> {
    plan.removals().into_iter().map(|decision| decision.id.as_str()).collect()
}

fn by_id(plan: &Plan) -> BTreeMap<&str, &Action> {
    plan.decisions().iter().map(|decision| (decision.id.as_str(), &decision.action)).collect()
}

fn is_rival(backup: &Backup) -> bool {
    let is_ours = backup.cluster_id == Some(OURS) || backup.is_adopted;
    is_ours && backup.state.is_verified()
}

/// Everything that a plan must satisfy, whatever it was made of.
fn check_floor(plan: &Plan, policy: &Policy, backups: &[Backup], now: Timestamp) {
    let actions = by_id(plan);
    assert_eq!(actions.len(), backups.len());
    let ahead = |backup: &Backup| backup.taken_at.duration_since(now).as_secs();
    for backup in backups {
        match actions[backup.id.as_str()] {
            Action::Remove => assert!(is_rival(backup) && ahead(backup) <= 180),
            Action::Keep { reasons } => assert!(is_rival(backup) && !reasons.is_empty()),
            Action::Ignore { why: Ignored::FutureDated } => {
                assert!(is_rival(backup) && ahead(backup) > 180);
            }
            Action::Ignore { why: Ignored::TimeDisagrees } => assert!(is_rival(backup)),
            Action::Ignore { .. } => assert!(!is_rival(backup)),
        }
    }
    let (kept, removed) = (plan.kept(), plan.removed());
    let floor = policy.min_keep.max(1) as usize;
    assert!(kept >= floor.min(kept + removed), "{kept} kept, {removed} removed");
    let newest =
        backups.iter().filter(|b| is_rival(b)).max_by_key(|b| (b.revision, b.taken_at, &b.id));
    assert_ne!(actions[newest.unwrap().id.as_str()], &Action::Remove);
    let captured = backups.iter().filter(|b| is_rival(b) && !b.is_adopted);
    let counts = |b: &&Backup| !matches!(actions[b.id.as_str()], Action::Ignore { .. });
    let newest = captured.filter(counts).max_by_key(|b| (b.revision, b.taken_at, &b.id));
    assert!(newest.is_none_or(|b| *actions[b.id.as_str()] != Action::Remove), "{newest:?}");
    let named = plan.decisions().iter().find(|d| d.id == plan.newest_verified()).unwrap();
    let Action::Keep { reasons } = &named.action else { panic!("the newest verified is not kept") };
    assert!(reasons.contains(&Reason::NewestVerified));
    let stale = now.to_zoned(policy.time_zone.clone()).checked_sub(policy.stale_after);
    assert!(stale.is_err() || named.taken_at >= stale.unwrap().timestamp());
    let order: Vec<_> = plan.removals().iter().map(|d| (d.revision, d.taken_at)).collect();
    assert!(order.is_sorted());
    check_limits(policy.guards, removed, kept + removed);
}

fn check_limits(guards: Guards, removed: usize, of: usize) {
    if guards.allow_large_removal {
        return;
    }
    assert!(guards.max_count.is_none_or(|max| removed <= max as usize));
    assert!(
        removed <= guards.small_count as usize || removed as f64 <= of as f64 * guards.max_fraction
    );
}

/// Every reason of a plan that stands for a period or for nothing but its place, without whose it is.
fn promises(plan: &Plan) -> BTreeSet<String> {
    let mut promises = BTreeSet::new();
    for decision in plan.decisions() {
        let Action::Keep { reasons } = &decision.action else { continue };
        for reason in reasons {
            let by_tier = match reason {
                Reason::Bucket { .. } => true,
                // Which of a bucket lies in the window is the same; what stands for it may differ.
                Reason::BucketWithin { .. } => true,
                // Both say what the rules have left over.
                Reason::MinKeep { .. } | Reason::Oldest { .. } => continue,
                _ => false,
            };
            let whose = if by_tier { "" } else { decision.id.as_str() };
            promises.insert(format!("{whose} {reason}"));
        }
    }
    promises
}

// === the rules a second time, each as a sentence about sets ===

/// One of the history, the newest at 0.
type Entry = (Zoned, Tier);

/// Whether rule `period`, with `count` places, wants `history[place]`.
fn count_wants(history: &[Entry], place: usize, period: Period, count: u32) -> bool {
    let bucket = |(zoned, _): &Entry| bucket_number(zoned, period);
    let mine = bucket(&history[place]);
    let newest_of_mine = history.iter().position(|entry| bucket(entry) == mine).unwrap();
    let newer: BTreeSet<_> = history[..newest_of_mine].iter().map(bucket).collect();
    let all: BTreeSet<_> = history.iter().map(bucket).collect();
    let chosen = stands_for(history, place, period, Timestamp::MIN) && newer.len() < count as usize;
    let is_oldest = place + 1 == history.len();
    chosen || (count > 0 && is_oldest && all.len() < count as usize)
}

/// Whether the window wants `history[place]`: recent enough, and nothing fits its bucket better.
fn window_wants(history: &[Entry], place: usize, period: Option<Period>, window: Span) -> bool {
    let age_limit = history[0].0.checked_sub(window).map_or(Timestamp::MIN, |z| z.timestamp());
    history[place].0.timestamp() > age_limit
        && period.is_none_or(|period| stands_for(history, place, period, age_limit))
}

/// Whether nothing after `limit` in the bucket of `history[place]` fits better, and nothing newer
/// as well.
fn stands_for(history: &[Entry], place: usize, period: Period, limit: Timestamp) -> bool {
    let fit = |tier: Tier| match period {
        Period::Hourly => 0,
        Period::Daily | Period::Weekly => u8::from(tier != Tier::Frequent),
        Period::Monthly | Period::Yearly => tier as u8,
    };
    let mine = (bucket_number(&history[place].0, period), fit(history[place].1));
    history.iter().enumerate().filter(|(_, (zoned, _))| zoned.timestamp() > limit).all(
        |(other, (zoned, tier))| {
            bucket_number(zoned, period) != mine.0
                || fit(*tier) < mine.1
                || (fit(*tier) == mine.1 && other >= place)
        },
    )
}

/// Numbers where the crate has names: a bucket is the moment at which it begins.
fn bucket_number(zoned: &Zoned, period: Period) -> Timestamp {
    let date = zoned.date();
    let midnight = |date: jiff::civil::Date| date.to_zoned(zoned.time_zone().clone()).unwrap();
    match period {
        Period::Hourly => {
            let past_hour = zoned.time().duration_since(jiff::civil::time(zoned.hour(), 0, 0, 0));
            return zoned.timestamp() - past_hour;
        }
        Period::Daily => midnight(date),
        Period::Weekly => midnight(date - i64::from(date.weekday().to_monday_zero_offset()).days()),
        Period::Monthly => midnight(date.first_of_month()),
        Period::Yearly => midnight(date.first_of_year()),
    }
    .timestamp()
}

fn policy_wants(policy: &Policy, history: &[Entry], place: usize) -> bool {
    place < policy.last.max(policy.min_keep).max(1) as usize
        || policy.within.is_some_and(|window| window_wants(history, place, None, window))
        || Period::ALL.into_iter().any(|period| {
            count_wants(history, place, period, policy.count(period))
                || policy
                    .window(period)
                    .is_some_and(|window| window_wants(history, place, Some(period), window))
        })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i07_a_plan_never_goes_below_its_floor(
        backups in messy(), policy in policy(), offset in offset_seconds(),
    ) {
        let now = clock(&backups, offset);
        if let Ok(plan) = plan(&policy, &backups, now, OURS) {
            check_floor(&plan, &policy, &backups, now);
        }
    }

    #[test]
    fn the_order_of_the_listing_does_not_matter(
        (backups, shuffled) in messy().prop_flat_map(|b| (Just(b.clone()), Just(b).prop_shuffle())),
        policy in policy(), offset in offset_seconds(),
    ) {
        let now = clock(&backups, offset);
        prop_assert_eq!(
            plan(&policy, &backups, now, OURS), plan(&policy, &shuffled, now, OURS)
        );
    }

    #[test]
    fn more_rules_never_remove_more(
        backups in messy(), mut less in policy(), more in policy(), offset in offset_seconds(),
    ) {
        less.guards.allow_large_removal = true;
        less.stale_after = 15000.years();
        let both = Policy {
            last: less.last.max(more.last),
            hourly: less.hourly.max(more.hourly),
            daily: less.daily.max(more.daily),
            weekly: less.weekly.max(more.weekly),
            monthly: less.monthly.max(more.monthly),
            yearly: less.yearly.max(more.yearly),
            within: less.within.or(more.within),
            within_hourly: less.within_hourly.or(more.within_hourly),
            within_daily: less.within_daily.or(more.within_daily),
            within_weekly: less.within_weekly.or(more.within_weekly),
            within_monthly: less.within_monthly.or(more.within_monthly),
            within_yearly: less.within_yearly.or(more.within_yearly),
            min_keep: less.min_keep.max(more.min_keep),
            ..less.clone()
        };
        let now = clock(&backups, offset);
        if let Ok(with_less) = plan(&less, &backups, now, OURS) {
            let with_both = plan(&both, &backups, now, OURS).unwrap();
            prop_assert!(removed(&with_both).is_subset(&removed(&with_less)));
        }
    }

    #[test]
    fn i08_bystanders_change_nothing_for_the_others(
        backups in messy(), policy in policy(), offset in offset_seconds(),
    ) {
        let now = clock(&backups, offset);
        let with = plan(&policy, &backups, now, OURS);
        let bystander = |backup: &Backup| match &with {
            Ok(plan) => matches!(
                by_id(plan)[backup.id.as_str()],
                Action::Ignore { why } if !matches!(why, Ignored::Suspect | Ignored::TimeDisagrees)
            ),
            Err(_) => !is_rival(backup),
        };
        let others: Vec<Backup> = backups.iter().filter(|b| !bystander(b)).cloned().collect();
        match (&with, plan(&policy, &others, now, OURS)) {
            (Ok(with), Ok(without)) => for (id, action) in by_id(&without) {
                prop_assert_eq!(by_id(with)[id], action);
            },
            (Err(with), Err(without)) => prop_assert_eq!(
                std::mem::discriminant(with), std::mem::discriminant(&without)
            ),
            (with, without) => prop_assert!(false, "{with:?} became {without:?}"),
        }
    }

    #[test]
    fn i08_what_was_adopted_never_makes_a_captured_one_an_outsider(
        backups in messy(), mut policy in policy(), offset in offset_seconds(),
    ) {
        policy.guards.allow_large_removal = true;
        let now = clock(&backups, offset);
        let captured: Vec<Backup> = backups.iter().filter(|b| !b.is_adopted).cloned().collect();
        if let (Ok(with), Ok(without)) =
            (plan(&policy, &backups, now, OURS), plan(&policy, &captured, now, OURS))
        {
            for (id, action) in by_id(&without) {
                let is_ignored = |action: &Action| matches!(action, Action::Ignore { .. });
                prop_assert_eq!(is_ignored(by_id(&with)[id]), is_ignored(action), "{}", id);
            }
        }
    }

    #[test]
    fn the_rules_mean_what_they_say(
        backups in orderly(Just(State::Verified)), policy in policy(), offset in offset_seconds(),
    ) {
        let now = clock(&backups, offset);
        let mut newest_first: Vec<&Backup> = backups.iter().collect();
        newest_first.sort_by_key(|backup| (backup.revision, backup.taken_at, &backup.id));
        newest_first.reverse();
        let entry = |b: &&Backup| (b.taken_at.to_zoned(policy.time_zone.clone()), b.tier);
        let history: Vec<Entry> = newest_first.iter().map(entry).collect();
        match plan(&policy, &backups, now, OURS) {
            Ok(plan) => for (place, backup) in newest_first.iter().enumerate() {
                let kept = matches!(by_id(&plan)[backup.id.as_str()], Action::Keep { .. });
                prop_assert_eq!(kept, policy_wants(&policy, &history, place), "{}", &backup.id);
            },
            Err(Refusal::EmptyPolicy) => prop_assert!(policy.is_empty()),
            Err(Refusal::NoVerified { .. }) => prop_assert!(backups.is_empty()),
            Err(Refusal::ClockBehind { .. }) => {
                prop_assert!(now < newest_first[0].taken_at - 180.seconds());
            }
            Err(Refusal::Stale { .. }) => {
                let limit = now.to_zoned(policy.time_zone.clone()) - policy.stale_after;
                prop_assert!(newest_first[0].taken_at < limit.timestamp());
            }
            Err(Refusal::LargeRemoval { removed, of, .. }) => {
                prop_assert!(!policy.guards.allow_large_removal);
                let unwanted = |&place: &usize| !policy_wants(&policy, &history, place);
                prop_assert_eq!((0..of).filter(unwanted).count(), removed);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Whatever the tiers are, every rule keeps something in as many hours, days, … as it would
    /// without them, and what is kept whatever the rules say stays the same.
    #[test]
    fn i07_tiers_choose_within_a_period_and_break_no_guard(
        backups in messy(), mut policy in policy(), offset in offset_seconds(),
    ) {
        policy.guards.allow_large_removal = true;
        let now = clock(&backups, offset);
        let mut plain = backups.clone();
        plain.iter_mut().for_each(|backup| backup.tier = Tier::Frequent);
        match (plan(&policy, &backups, now, OURS), plan(&policy, &plain, now, OURS)) {
            (Ok(with), Ok(without)) => {
                check_floor(&with, &policy, &backups, now);
                prop_assert_eq!(with.newest_verified(), without.newest_verified());
                prop_assert_eq!(promises(&with), promises(&without));
                for (id, action) in by_id(&without) {
                    let is_ignored = |action: &Action| matches!(action, Action::Ignore { .. });
                    prop_assert_eq!(is_ignored(by_id(&with)[id]), is_ignored(action), "{}", id);
                }
            }
            (with, without) => prop_assert_eq!(with, without),
        }
    }

    #[test]
    fn a_second_plan_over_what_is_left_removes_nothing(
        backups in orderly(any_state()), mut policy in policy(), offset in offset_seconds(),
    ) {
        policy.guards.allow_large_removal = true;
        let now = clock(&backups, offset);
        if let Ok(first) = plan(&policy, &backups, now, OURS) {
            let gone = removed(&first);
            let left: Vec<Backup> =
                backups.iter().filter(|b| !gone.contains(b.id.as_str())).cloned().collect();
            let second = plan(&policy, &left, now, OURS).unwrap();
            prop_assert_eq!(removed(&second), BTreeSet::new());
        }
    }
}

/// The properties above say "if there is a plan"; this counts that there mostly is one, and that
/// every outcome occurs.
#[test]
fn the_generated_cases_reach_every_outcome() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..1000 {
        let strategy = (messy(), policy(), offset_seconds());
        let (backups, policy, offset) = strategy.new_tree(&mut runner).unwrap().current();
        let outcome = match plan(&policy, &backups, clock(&backups, offset), OURS) {
            Ok(plan) if plan.removed() > 0 => "removes",
            Ok(_) => "keeps all",
            Err(Refusal::EmptyPolicy) => "empty policy",
            Err(Refusal::NoVerified { .. }) => "none verified",
            Err(Refusal::ClockBehind { .. }) => "clock behind",
            Err(Refusal::Stale { .. }) => "stale",
            Err(Refusal::LargeRemoval { .. }) => "large removal",
            Err(other) => panic!("{other}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert_eq!(outcomes.len(), 7, "{outcomes:?}");
    assert!(outcomes["removes"] > 150, "{outcomes:?}");
}
