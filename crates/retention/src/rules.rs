//! The rules of a policy, applied to the backups that compete.
//!
//! Owns: for each backup, the list of reasons to keep it. The meaning of the rules is that of
//! `restic forget` (0.17 and later), with three differences: the hour that a clock change repeats
//! counts as two, the windows do not keep the oldest backup as a filler, and the one that stands
//! for a day or longer is of the tier that was made for it, if there is one.
//!
//! Invariants: every rule only adds reasons and none looks at another's, so more rules, or a larger
//! number in one, never take a reason away.
//!
//! Does not: remove, or know about limits on removal.

use std::collections::{HashMap, HashSet};

use jiff::{Timestamp, Zoned};

use crate::order::Field;
use crate::{Backup, Period, Policy, Reason, State, Tier};

/// The reasons to keep each of `field.rivals`, in the same order.
pub(crate) fn reasons(policy: &Policy, field: &Field<'_>) -> Vec<Vec<Reason>> {
    let rivals = &field.rivals;
    let mut board = Board { reasons: vec![Vec::new(); rivals.len()] };
    let Some(newest) = rivals.first() else {
        return board.reasons;
    };
    board.add(0, Reason::NewestVerified);
    board.newest_captured(rivals);
    board.newest_proven(rivals);
    board.before_suspects(field);
    board.last(policy.last);
    if let Some(span) = policy.within {
        let cutoff = policy.before(newest.taken_at, span);
        board.within(rivals, cutoff, &format!("{span:#}"));
    }
    let local = |rival: &&Backup| (rival.taken_at.to_zoned(policy.time_zone.clone()), rival.tier);
    let local: Vec<(Zoned, Tier)> = rivals.iter().map(local).collect();
    for period in Period::ALL {
        board.buckets(&local, period, policy.count(period));
        if let Some(span) = policy.window(period) {
            let cutoff = policy.before(newest.taken_at, span);
            board.buckets_within(&local, period, cutoff, &format!("{span:#}"));
        }
    }
    board.min_keep(policy.min_keep);
    board.reasons
}

/// Reasons by place, the newest backup at 0.
struct Board {
    reasons: Vec<Vec<Reason>>,
}

/// Ranks from 1 for the newest. They end where a count could not reach anyway.
fn ranks() -> impl Iterator<Item = u32> {
    1..=u32::MAX
}

impl Board {
    fn add(&mut self, place: usize, reason: Reason) {
        self.reasons[place].push(reason);
    }

    /// An adopted backup may be of another cluster after all. It must not be the only thing that is
    /// kept for sure.
    fn newest_captured(&mut self, rivals: &[&Backup]) {
        if let Some(place) = rivals.iter().position(|rival| rival.cluster_id.is_some())
            && place > 0
        {
            self.add(place, Reason::NewestCaptured);
        }
    }

    fn newest_proven(&mut self, rivals: &[&Backup]) {
        if let Some(place) = rivals.iter().position(|rival| rival.state == State::Proven) {
            self.add(place, Reason::NewestProven);
        }
    }

    /// What changed between these two may be a disaster: the good side of it must outlive the rules
    /// until somebody has decided about the suspect one. A row of suspects has one good side.
    fn before_suspects(&mut self, field: &Field<'_>) {
        let mut named = HashSet::new();
        for suspect in field.suspects.iter().rev() {
            let older = |rival: &&Backup| rival.age_order() < suspect.age_order();
            if let Some(place) = field.rivals.iter().position(older)
                && named.insert(place)
            {
                self.add(place, Reason::BeforeSuspect { suspect: suspect.id.clone() });
            }
        }
    }

    fn last(&mut self, count: u32) {
        for (reasons, rank) in self.reasons.iter_mut().zip(ranks()).take(count as usize) {
            reasons.push(Reason::Last { rank, of: count });
        }
    }

    fn within(&mut self, rivals: &[&Backup], cutoff: Timestamp, window: &str) {
        for (reasons, rival) in self.reasons.iter_mut().zip(rivals) {
            if rival.taken_at > cutoff {
                reasons.push(Reason::Within { window: window.to_owned() });
            }
        }
    }

    fn buckets(&mut self, local: &[(Zoned, Tier)], period: Period, count: u32) {
        let all = Buckets::of(local.iter().enumerate(), period);
        let mut free = ranks().take(count as usize);
        let mut is_oldest_chosen = false;
        for (bucket, (place, _)) in all.chosen {
            let Some(rank) = free.next() else { return };
            self.add(place, Reason::Bucket { period, bucket, rank, of: count });
            is_oldest_chosen |= place + 1 == local.len();
        }
        if !is_oldest_chosen
            && free.next().is_some()
            && let Some(reasons) = self.reasons.last_mut()
        {
            reasons.push(Reason::Oldest { period });
        }
    }

    fn buckets_within(
        &mut self,
        local: &[(Zoned, Tier)],
        period: Period,
        cutoff: Timestamp,
        window: &str,
    ) {
        let recent = local.iter().enumerate().filter(|(_, (time, _))| time.timestamp() > cutoff);
        for (bucket, (place, _)) in Buckets::of(recent, period).chosen {
            self.add(place, Reason::BucketWithin { period, bucket, window: window.to_owned() });
        }
    }

    /// Not a filler for what the rules left, but always the newest: otherwise one more rule that
    /// keeps an old backup would let a newer one go.
    fn min_keep(&mut self, count: u32) {
        for (reasons, rank) in self.reasons.iter_mut().zip(ranks()).take(count as usize) {
            if reasons.is_empty() {
                reasons.push(Reason::MinKeep { rank, of: count });
            }
        }
    }
}

/// The buckets of one period, the newest first, each with the place of the backup that stands for it
/// and how well that one fits.
struct Buckets {
    chosen: Vec<(String, (usize, Tier))>,
}

impl Buckets {
    /// Of those that fit equally well, the newest stands for its bucket.
    fn of<'a>(local: impl Iterator<Item = (usize, &'a (Zoned, Tier))>, period: Period) -> Self {
        let mut chosen: Vec<(String, (usize, Tier))> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (place, (time, tier)) in local {
            let (bucket, fit) = (period.bucket(time), fit(*tier, period));
            match known.get(&bucket) {
                Some(&at) if fit > chosen[at].1.1 => chosen[at].1 = (place, fit),
                Some(_) => {}
                None => {
                    let _ = known.insert(bucket.clone(), chosen.len());
                    chosen.push((bucket, (place, fit)));
                }
            }
        }
        Buckets { chosen }
    }
}

/// How well a backup of this tier stands for a period: a monthly one is the daily one of its day.
fn fit(tier: Tier, period: Period) -> Tier {
    match period {
        Period::Hourly => Tier::Frequent,
        Period::Daily | Period::Weekly => tier.min(Tier::Daily),
        Period::Monthly | Period::Yearly => tier,
    }
}
