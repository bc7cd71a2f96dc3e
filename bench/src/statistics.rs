//! Medians and spreads of a handful of rounds.

use serde::{Deserialize, Serialize};

/// A median and the range around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Half are not above it.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The most.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; zeros if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return Spread::default();
        };
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Spread { median, min: *min, max: *max }
    }

    /// Of the quotients of each round: what disturbs a whole round is in both and cancels out.
    pub(crate) fn of_ratios(values: &[f64], references: &[f64]) -> Self {
        Spread::of(values.iter().zip(references).map(|(value, reference)| value / reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let spread = Spread::of_ratios(&[2.0, 6.0, 4.0], &[1.0, 2.0, 4.0]);
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
    }
}
