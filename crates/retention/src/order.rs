//! Who competes: sorting the catalogue into rivals and bystanders.
//!
//! Owns: the order of history and the distrust of clocks. Verified backups of our cluster are put
//! in the order of their revisions. Their times must then not fall: the longest run of
//! backups for which that holds is the history, and whoever contradicts it by more than
//! [`CLOCK_SKEW_MAX`] had a wrong clock and is left alone. One machine with a wrong clock can
//! thus neither take a good backup's place nor lose its own. What was adopted does not know its
//! cluster: it never has a part in what the history is, and competes where it fits into it.
//!
//! Does not: apply rules.

use jiff::{SignedDuration, Timestamp};

use crate::{Backup, Ignored, Refusal, State};

/// How far the clocks of two machines may be apart before retention stops believing them.
pub const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);

/// The catalogue, sorted by who may be kept or removed.
pub(crate) struct Field<'a> {
    /// Verified, of our cluster, and on time; the newest first.
    pub(crate) rivals: Vec<&'a Backup>,
    /// Suspect ones of our cluster, the newest first.
    pub(crate) suspects: Vec<&'a Backup>,
    /// Everything else, suspect ones included, and why.
    pub(crate) bystanders: Vec<(&'a Backup, Ignored)>,
}

impl<'a> Field<'a> {
    /// Sorts `backups` as seen at `now` by the owner of cluster `ours`.
    pub(crate) fn sort(
        backups: &'a [Backup],
        now: Timestamp,
        ours: u64,
    ) -> Result<Field<'a>, Refusal> {
        let mut by_age: Vec<&Backup> = backups.iter().collect();
        by_age.sort_by_key(|backup| backup.age_order());
        let mut field = Field { rivals: vec![], suspects: vec![], bystanders: vec![] };
        let mut adopted = vec![];
        for backup in by_age {
            match bystander(backup, ours) {
                None if backup.cluster_id.is_none() => adopted.push(backup),
                None => field.rivals.push(backup),
                Some(why) => field.bystanders.push((backup, why)),
            }
        }
        field.set_aside_future(now)?;
        field.set_aside_disagreeing();
        field.admit(adopted, now);
        field.rivals.reverse();
        field.suspects = field
            .bystanders
            .iter()
            .rev()
            .filter(|b| b.1 == Ignored::Suspect)
            .map(|b| b.0)
            .collect();
        Ok(field)
    }

    /// A future date on the newest revision means that our own clock is behind, and then no age
    /// can be computed. Further back in history it is the fault of whoever took that backup.
    fn set_aside_future(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if let Some(newest) = self.rivals.last().filter(|newest| is_future(newest, now)) {
            let (id, taken_at) = (newest.id.clone(), newest.taken_at);
            return Err(Refusal::ClockBehind { id, taken_at, now });
        }
        let future = self.rivals.extract_if(.., |backup| is_future(backup, now));
        self.bystanders.extend(future.map(|backup| (backup, Ignored::FutureDated)));
        Ok(())
    }

    fn set_aside_disagreeing(&mut self) {
        let times: Vec<Timestamp> = self.rivals.iter().map(|backup| backup.taken_at).collect();
        let mut on_time = believable(&times).into_iter();
        let late = self.rivals.extract_if(.., |_| on_time.next() == Some(false));
        self.bystanders.extend(late.map(|backup| (backup, Ignored::TimeDisagrees)));
    }

    /// Takes in those of `adopted`, in the order of their revisions, whose times fit between those of
    /// the history, and then between each other's.
    fn admit(&mut self, mut adopted: Vec<&'a Backup>, now: Timestamp) {
        let future = adopted.extract_if(.., |backup| is_future(backup, now));
        self.bystanders.extend(future.map(|backup| (backup, Ignored::FutureDated)));
        let history = Between::of(&self.rivals);
        let strange = adopted.extract_if(.., |backup| !history.fits(backup));
        self.bystanders.extend(strange.map(|backup| (backup, Ignored::TimeDisagrees)));
        let times: Vec<Timestamp> = adopted.iter().map(|backup| backup.taken_at).collect();
        let mut on_time = believable(&times).into_iter();
        let late = adopted.extract_if(.., |_| on_time.next() == Some(false));
        self.bystanders.extend(late.map(|backup| (backup, Ignored::TimeDisagrees)));
        self.rivals.append(&mut adopted);
        self.rivals.sort_by_key(|backup| backup.age_order());
    }
}

fn is_future(backup: &Backup, now: Timestamp) -> bool {
    backup.taken_at.duration_since(now) > CLOCK_SKEW_MAX
}

/// Between which times each place of a history lies.
struct Between<'a> {
    history: Vec<&'a Backup>,
    /// The latest time of the backups before each place, and after the last.
    latest_before: Vec<Timestamp>,
    /// The earliest time of the backups from each place on.
    earliest_from: Vec<Timestamp>,
}

impl<'a> Between<'a> {
    /// `history` is in the order of its revisions.
    fn of(history: &[&'a Backup]) -> Self {
        let times = || history.iter().map(|backup| backup.taken_at);
        // Of what came before each time; the one more at the end is for the place behind the last.
        let running = |pick: fn(Timestamp, Timestamp) -> Timestamp| {
            move |so_far: &mut Timestamp, time| {
                let next = pick(*so_far, time);
                Some(std::mem::replace(so_far, next))
            }
        };
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let latest = times().chain([max]).scan(min, running(Timestamp::max));
        let earliest = times().rev().chain([min]).scan(max, running(Timestamp::min));
        let mut earliest_from: Vec<Timestamp> = earliest.collect();
        earliest_from.reverse();
        Between { history: history.to_vec(), latest_before: latest.collect(), earliest_from }
    }

    /// Whether nothing before `backup` is later than it, and nothing after it earlier, give or take
    /// the allowed skew.
    fn fits(&self, backup: &Backup) -> bool {
        let place = self.history.partition_point(|known| known.age_order() < backup.age_order());
        let at = |times: &[Timestamp]| times.get(place).copied().unwrap_or(backup.taken_at);
        let (before, after) = (at(&self.latest_before), at(&self.earliest_from));
        before.duration_since(backup.taken_at) <= CLOCK_SKEW_MAX
            && backup.taken_at.duration_since(after) <= CLOCK_SKEW_MAX
    }
}

/// Why `backup` cannot compete whatever the clock says, if so.
fn bystander(backup: &Backup, ours: u64) -> Option<Ignored> {
    match (backup.cluster_id, backup.state) {
        (Some(cluster_id), _) if cluster_id != ours => Some(Ignored::Foreign { cluster_id }),
        (_, State::Broken) => Some(Ignored::Broken),
        (None, _) if !backup.is_adopted => Some(Ignored::UnknownCluster),
        (_, State::Unverified) => Some(Ignored::Unverified),
        (_, State::Suspect) => Some(Ignored::Suspect),
        (_, State::Verified | State::Proven) => None,
    }
}

/// For each of `times`, in the order of revisions: whether it fits between its neighbours on the
/// longest run that does not fall, give or take the allowed skew.
pub(crate) fn believable(times: &[Timestamp]) -> Vec<bool> {
    let mut believed = vec![false; times.len()];
    let run = longest_run(times);
    for &index in &run {
        believed[index] = true;
    }
    for (index, &time) in times.iter().enumerate() {
        if believed[index] {
            continue;
        }
        let next = run.partition_point(|&member| member < index);
        let before = next.checked_sub(1).and_then(|place| run.get(place));
        let after = run.get(next);
        let skew = |earlier: &Timestamp, later: &Timestamp| earlier.duration_since(*later);
        believed[index] = before.is_none_or(|&i| skew(&times[i], &time) <= CLOCK_SKEW_MAX)
            && after.is_none_or(|&i| skew(&time, &times[i]) <= CLOCK_SKEW_MAX);
    }
    believed
}

/// The indices of one longest subsequence that does not fall, by patience sorting.
pub(crate) fn longest_run(times: &[Timestamp]) -> Vec<usize> {
    // `tails[n]` ends the run of length n + 1 whose last time is the earliest.
    let mut tails: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(times.len());
    for (index, time) in times.iter().enumerate() {
        let place = tails.partition_point(|&tail| times[tail] <= *time);
        previous.push(place.checked_sub(1).map(|before| tails[before]));
        match tails.get_mut(place) {
            Some(tail) => *tail = index,
            None => tails.push(index),
        }
    }
    let mut run: Vec<usize> =
        std::iter::successors(tails.last().copied(), |&index| previous[index]).collect();
    run.reverse();
    run
}
