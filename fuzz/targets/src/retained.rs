//! The retention plan, over any history, policy and clock. `crates/retention/tests` states more
//! properties over better histories; here the choices may be anything.
//!
//! Held to: only verified backups of the cluster are removed, never the newest of them, never
//! below `min_keep`, never more than the limit; the order of the listing does not matter.

use crate::choices::Choices;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use retention::{Action, Backup, Guards, Plan, Policy, State, Tier};

const OURS: u64 = 1;
const BACKUPS_MAX: usize = 40;
const BEGIN_SECOND: i64 = 1_760_000_000;

/// Choices as a history, a policy and a clock; other input is no choice at all.
pub fn retention_plan(input: &[u8]) {
    let mut choices = Choices::of(input).unwrap_or(Choices::new(input));
    let policy = policy(&mut choices);
    let offset = choices.of_slice(&[60_i64, 3_600, 86_400, -600, 40_000_000, -40_000_000]);
    let (mut backups, last) = history(&mut choices);
    let now = Timestamp::from_second(last + offset).unwrap();
    let plan = retention::plan(&policy, &backups, now, OURS);
    if let Ok(plan) = &plan {
        check(plan, &policy, &backups);
    }
    backups.reverse();
    assert_eq!(plan, retention::plan(&policy, &backups, now, OURS));
}

fn policy(choices: &mut Choices<'_>) -> Policy {
    let mut count = || choices.of_slice(&[0_u32, 0, 1, 2, 7, 24, u32::MAX]);
    let [last, hourly, daily, weekly, monthly, yearly] = [(); 6].map(|()| count());
    let min_keep = choices.below(6) as u32;
    let zone = choices.of_slice(&["UTC", "Europe/Berlin", "Pacific/Auckland"]);
    let windows =
        [None, None, Some(1.second()), Some(36.hours()), Some(2.months()), Some(15_000.years())];
    let [within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly] =
        [(); 6].map(|()| windows[choices.below(windows.len())]);
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
        stale_after: choices.of_slice(&[1.hour(), 24.hours(), 90.days(), 15_000.years()]),
        time_zone: TimeZone::get(zone).unwrap(),
        guards: Guards {
            max_fraction: choices.of_slice(&[0.5, 0.0, 0.1, 1.0]),
            small_count: choices.below(6) as u32,
            max_count: choices.of_slice(&[None, Some(0), Some(3)]),
            allow_large_removal: choices.one_in(2),
        },
    }
}

/// A history in the order of its revisions but for some entries, and its last sane time.
fn history(choices: &mut Choices<'_>) -> (Vec<Backup>, i64) {
    let (mut second, mut revision) = (BEGIN_SECOND, 1_000);
    let mut backups = Vec::new();
    for number in 0..BACKUPS_MAX {
        if choices.is_done() {
            break;
        }
        second += choices.of_slice(&[0_i64, 1, 300, 3_600, 3_599, 86_400, 2_592_000]);
        revision += i64::from(choices.byte() % 8);
        let odd = choices.one_in(16);
        let states =
            [State::Verified, State::Proven, State::Unverified, State::Suspect, State::Broken];
        backups.push(Backup {
            id: format!("b{number:02}"),
            cluster_id: choices.of_slice(&[Some(OURS), Some(OURS), Some(OURS), Some(2), None]),
            is_adopted: choices.one_in(2),
            taken_at: Timestamp::from_second(if odd { 3 * second } else { second }).unwrap(),
            revision: if odd { choices.odd_number().cast_signed() } else { revision },
            state: states[choices.below(8) % 5 * usize::from(choices.one_in(2))],
            tier: choices.of_slice(&[Tier::Frequent, Tier::Daily, Tier::Monthly]),
        });
    }
    (backups, second)
}

fn check(plan: &Plan, policy: &Policy, backups: &[Backup]) {
    let is_ours = |b: &Backup| b.cluster_id.map_or(b.is_adopted, |cluster_id| cluster_id == OURS);
    let is_rival = |b: &Backup| is_ours(b) && b.state.is_verified();
    let find = |id: &str| backups.iter().find(|b| b.id == id).unwrap();
    assert_eq!(plan.decisions().len(), backups.len());
    for decision in plan.decisions() {
        if !matches!(decision.action, Action::Ignore { .. }) {
            assert!(is_rival(find(&decision.id)), "{decision:?}");
        }
    }
    let newest =
        backups.iter().filter(|b| is_rival(b)).max_by_key(|b| (b.revision, b.taken_at, &b.id));
    let kept = plan.decisions().iter().find(|d| d.id == newest.unwrap().id).unwrap();
    assert_ne!(kept.action, Action::Remove, "the newest verified backup");
    let (kept, removed) = (plan.kept(), plan.removed());
    assert!(kept >= (policy.min_keep.max(1) as usize).min(kept + removed));
    let Guards { max_fraction, small_count, max_count, allow_large_removal } = policy.guards;
    if !allow_large_removal {
        assert!(max_count.is_none_or(|max| removed <= max as usize));
        let few = removed <= small_count as usize;
        assert!(few || removed as f64 <= (kept + removed) as f64 * max_fraction);
    }
}
