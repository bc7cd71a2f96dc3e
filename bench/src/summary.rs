//! Medians, and ratios between contestants, of a comparison.
//!
//! Does not: print; see `report`.

use crate::contestants::Contestant;
use crate::measure::Measured;
use crate::results::Run;
use crate::statistics::Spread;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A number of a run that is worth comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    WallSeconds,
    CpuSeconds,
    EtcdCpuSeconds,
    HeldSeconds,
    PeakRssBytes,
    WrittenBytes,
    ElsewhereBytes,
}

impl Metric {
    pub(crate) const ALL: [Metric; 7] = [
        Metric::WallSeconds,
        Metric::CpuSeconds,
        Metric::EtcdCpuSeconds,
        Metric::HeldSeconds,
        Metric::PeakRssBytes,
        Metric::WrittenBytes,
        Metric::ElsewhereBytes,
    ];
    /// Those that are never zero, so that a ratio means something, and that are the contestant's.
    pub(crate) const WITH_RATIOS: [Metric; 4] =
        [Metric::WallSeconds, Metric::CpuSeconds, Metric::PeakRssBytes, Metric::WrittenBytes];

    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 bytes")]
    pub(crate) fn of(self, measured: &Measured) -> f64 {
        match self {
            Metric::WallSeconds => measured.wall_seconds,
            Metric::CpuSeconds => measured.cpu_seconds,
            Metric::EtcdCpuSeconds => measured.etcd_cpu_seconds,
            Metric::HeldSeconds => measured.held_seconds,
            Metric::PeakRssBytes => measured.peak_rss_bytes as f64,
            Metric::WrittenBytes => measured.written_bytes as f64,
            Metric::ElsewhereBytes => measured.elsewhere_bytes() as f64,
        }
    }
}

/// The same number of several rounds, for each metric.
pub(crate) type Spreads = BTreeMap<Metric, Spread>;

/// What the rounds of a comparison come to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// The numbers of each contestant.
    pub(crate) absolute: BTreeMap<Contestant, Spreads>,
    /// Reference → contestant → how many times the reference's number its own is.
    pub(crate) multiples: BTreeMap<Contestant, BTreeMap<Contestant, Spreads>>,
}

impl Summary {
    /// Of all runs of all rounds.
    pub(crate) fn of(runs: &[Run]) -> Self {
        let values = |contestant: Contestant, metric: Metric| -> Vec<f64> {
            let own = runs.iter().filter(|run| run.contestant == contestant);
            own.map(|run| metric.of(&run.measured)).collect()
        };
        let absolute = |of: Contestant| {
            Metric::ALL.map(|metric| (metric, Spread::of(values(of, metric)))).into()
        };
        let multiple = |of: Contestant, reference: Contestant| {
            let ratio = |m| Spread::of_ratios(&values(of, m), &values(reference, m));
            Metric::WITH_RATIOS.map(|metric| (metric, ratio(metric))).into()
        };
        let multiples = |reference: Contestant| {
            let others = Contestant::ALL.into_iter().filter(|other| *other != reference);
            others.map(|other| (other, multiple(other, reference))).collect()
        };
        Summary {
            absolute: Contestant::ALL.map(|of| (of, absolute(of))).into(),
            multiples: Contestant::ALL.map(|reference| (reference, multiples(reference))).into(),
        }
    }

    /// How many times the reference's number that of `of` is.
    pub(crate) fn multiple(&self, of: Contestant, reference: Contestant, metric: Metric) -> Spread {
        let found = self.multiples.get(&reference).and_then(|all| all.get(&of)?.get(&metric));
        found.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_is_that_of_the_same_round() {
        let run = |round, contestant, wall_seconds| Run {
            round,
            contestant,
            measured: Measured { wall_seconds, ..Measured::default() },
            stages: Vec::new(),
        };
        let summary = Summary::of(&[
            run(1, Contestant::Etcdctl, 1.0),
            run(1, Contestant::Lifeboat, 3.0),
            run(2, Contestant::Lifeboat, 4.0),
            run(2, Contestant::Etcdctl, 4.0),
        ]);
        let of = |one, two| summary.multiple(one, two, Metric::WallSeconds);
        let ours = of(Contestant::Lifeboat, Contestant::Etcdctl);
        assert_eq!(ours, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(of(Contestant::Etcdctl, Contestant::Lifeboat).max, 1.0);
        let text = serde_json::to_value(&summary).unwrap();
        assert_eq!(text["absolute"]["gzip-script"]["wall_seconds"]["median"], 0.0);
        assert_eq!(text["multiples"]["etcdctl"]["lifeboat"]["wall_seconds"]["median"], 2.0);
    }
}
