//! From policy and catalogue to a plan, past every guard.
//!
//! Owns: the order of the checks. First the policy and the input, then whether the present is sane
//! (a verified backup, a fresh one, a clock that is not behind), then the rules, then how
//! much would go. The first refusal ends it; there is no partial plan.
//!
//! Does not: check what it cannot see: whether the listing was complete, and whether every
//! destination could be reached, is the caller's to know before it asks.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::order::Field;
use crate::{Action, Backup, Decision, Guards, Plan, Policy, Refusal, rules};

/// More entries than this are a fault of the listing, not a catalogue: a backup every five minutes
/// for nearly two years.
pub const BACKUPS_MAX: usize = 200_000;

/// Decides what happens to each of `backups`, seen at `now`, in the catalogue of the etcd cluster
/// `ours`. Give it everything that the catalogue holds, all tiers and failures included: what does
/// not count is recognised here.
///
/// # Errors
/// A [`Refusal`] names the guard. Nothing may then be removed.
pub fn plan(
    policy: &Policy,
    backups: &[Backup],
    now: Timestamp,
    ours: u64,
) -> Result<Plan, Refusal> {
    policy.check()?;
    check_listing(backups)?;
    let field = Field::sort(backups, now, ours)?;
    let Some(newest) = field.rivals.first() else {
        return Err(Refusal::NoVerified { cluster_id: ours, seen: backups.len() });
    };
    check_fresh(policy, newest, now)?;
    let reasons = rules::reasons(policy, &field);
    let newest_id = newest.id.clone();
    let decisions = decide(field, reasons);
    check_removals(policy.guards, &decisions)?;
    Ok(Plan::new(newest_id, decisions))
}

fn check_listing(backups: &[Backup]) -> Result<(), Refusal> {
    if backups.len() > BACKUPS_MAX {
        return Err(Refusal::TooManyBackups { found: backups.len(), max: BACKUPS_MAX });
    }
    let mut ids = HashSet::with_capacity(backups.len());
    match backups.iter().find(|backup| !ids.insert(&backup.id)) {
        Some(twin) => Err(Refusal::DuplicateId { id: twin.id.clone() }),
        None => Ok(()),
    }
}

fn check_fresh(policy: &Policy, newest: &Backup, now: Timestamp) -> Result<(), Refusal> {
    let limit = policy.before(now, policy.stale_after);
    if newest.taken_at >= limit {
        return Ok(());
    }
    Err(Refusal::Stale {
        id: newest.id.clone(),
        taken_at: newest.taken_at,
        now,
        stale_after: format!("{:#}", policy.stale_after),
    })
}

/// The newest date first, which is what people look for; ties by revision, then by name.
fn decide(field: Field<'_>, reasons: Vec<Vec<crate::Reason>>) -> Vec<Decision> {
    let rivals = field.rivals.into_iter().zip(reasons).map(|(rival, reasons)| {
        let action = if reasons.is_empty() { Action::Remove } else { Action::Keep { reasons } };
        Decision::new(rival, action)
    });
    let bystanders = field.bystanders.into_iter();
    let ignored = bystanders.map(|(backup, why)| Decision::new(backup, Action::Ignore { why }));
    let mut decisions: Vec<Decision> = rivals.chain(ignored).collect();
    decisions.sort_by(|a, b| (b.taken_at, b.revision, &b.id).cmp(&(a.taken_at, a.revision, &a.id)));
    decisions
}

/// A first removal of many, or a policy with a typing error, looks like this: a person decides.
fn check_removals(guards: Guards, decisions: &[Decision]) -> Result<(), Refusal> {
    let count = |wanted: fn(&Action) -> bool| {
        decisions.iter().filter(|decision| wanted(&decision.action)).count()
    };
    let removed = count(|action| *action == Action::Remove);
    let of = removed + count(|action| matches!(action, Action::Keep { .. }));
    let too_many = guards.max_count.is_some_and(|max| removed > max as usize);
    let too_large =
        removed > guards.small_count as usize && removed as f64 > guards.max_fraction * of as f64;
    if guards.allow_large_removal || !(too_many || too_large) {
        return Ok(());
    }
    let limit = match guards.max_count {
        Some(max) if too_many => format!("max_count is {max}"),
        _ => format!("max_fraction is {}", guards.max_fraction),
    };
    Err(Refusal::LargeRemoval { removed, of, limit, decisions: decisions.to_vec() })
}
