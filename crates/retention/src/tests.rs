//! The parts that the outside cannot see: which clocks are believed.

use jiff::{SignedDuration, Timestamp};

use crate::order::{CLOCK_SKEW_MAX, believable, longest_run};

fn times(seconds: &[i64]) -> Vec<Timestamp> {
    seconds.iter().map(|&second| Timestamp::from_second(second).unwrap()).collect()
}

fn believed(minutes: &[i64]) -> Vec<bool> {
    believable(&times(&minutes.iter().map(|minute| minute * 60).collect::<Vec<_>>()))
}

#[test]
fn no_backups_have_no_order() {
    assert!(believable(&[]).is_empty());
}

#[test]
fn equal_times_are_in_order() {
    assert_eq!(believed(&[5, 5, 5]), [true; 3]);
}

#[test]
fn one_clock_that_was_ahead_is_the_one_to_blame() {
    assert_eq!(believed(&[0, 60, 9000, 120, 180]), [true, true, false, true, true]);
}

#[test]
fn one_clock_that_was_behind_is_the_one_to_blame() {
    assert_eq!(believed(&[0, 60, -9000, 120, 180]), [true, true, false, true, true]);
}

#[test]
fn a_wrong_clock_at_either_end_is_found_too() {
    assert_eq!(believed(&[9000, 0, 60, 120]), [false, true, true, true]);
    assert_eq!(believed(&[0, 60, 120, -9000]), [true, true, true, false]);
}

#[test]
fn clocks_may_disagree_by_the_skew_and_no_second_more() {
    let skew = CLOCK_SKEW_MAX.as_secs();
    assert_eq!(CLOCK_SKEW_MAX, SignedDuration::from_secs(180));
    for (excess, fits) in [(0, true), (1, false)] {
        // Two later, or two earlier, neighbours make it the outlier, once ahead and once behind.
        let ahead = times(&[0, 10, 20 + skew + excess, 20, 120, 1000]);
        assert_eq!(believable(&ahead)[2], fits, "ahead by {excess} s too much");
        let behind = times(&[0, 400, 900, 1000, 1000 - skew - excess, 2000]);
        assert_eq!(believable(&behind)[4], fits, "behind by {excess} s too much");
    }
}

#[test]
fn the_longest_run_is_as_long_as_trying_every_subset_finds() {
    // A linear congruence gives the same thousand short histories every time.
    let mut state = 12345_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(state >> 61).unwrap()
    };
    for _ in 0..1000 {
        let history = times(&(0..9).map(|_| next()).collect::<Vec<_>>());
        let run = longest_run(&history);
        assert!(run.is_sorted_by(|a, b| a < b), "{history:?}: {run:?}");
        assert!(run.is_sorted_by_key(|&index| history[index]), "{history:?}: {run:?}");
        assert_eq!(run.len(), longest_by_trial(&history), "{history:?}");
    }
}

fn longest_by_trial(history: &[Timestamp]) -> usize {
    let subsets = (0_u32..1 << history.len()).map(|mask| {
        let chosen = history.iter().enumerate().filter(move |(bit, _)| mask >> bit & 1 == 1);
        chosen.map(|(_, time)| time)
    });
    let sorted = subsets.filter(|subset| subset.clone().is_sorted());
    sorted.map(Iterator::count).max().unwrap()
}
