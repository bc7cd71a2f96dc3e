//! How the memory of `replicate` is shared out.
//!
//! Owns one sum: `replicate.memory_bytes_max` covers the log that all destinations read from and
//! the parts that each upload holds, whatever their number. Half of it is for parts, in equal
//! shares; what they leave is the log's.
//!
//! Does not: count what a client library allocates besides. A directory holds no parts.

use config::{Destination, Pipeline};
use store::{PART_BYTES_DEFAULT, PART_BYTES_MIN};

/// Parts of one upload on their way at once, where memory allows it.
const PARTS_IN_FLIGHT_MAX: u64 = 3;
/// What the log has at least, to be more than a pair of blocks.
const LOG_BYTES_MIN: u64 = 8 << 20;

/// What one upload may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) part_bytes: u64,
    pub(crate) parts_in_flight: usize,
}

impl Share {
    /// The share of `destination`. What its own settings say stands.
    pub(crate) fn of(destination: &Destination, pipeline: &Pipeline) -> Self {
        let uploads = pipeline.destinations.values().filter(|d| d.is_remote()).count().max(1);
        let share = pipeline.replicate.memory_bytes_max / 2 / uploads as u64;
        // One part is filled while another is on its way.
        let part_bytes = destination
            .part_bytes
            .unwrap_or_else(|| (share / 2).clamp(PART_BYTES_MIN, PART_BYTES_DEFAULT));
        let in_flight = (share / part_bytes).saturating_sub(1).clamp(1, PARTS_IN_FLIGHT_MAX);
        let in_flight = usize::try_from(in_flight).unwrap_or(1);
        let parts_in_flight = destination.parts_in_flight.unwrap_or(in_flight);
        Share { part_bytes, parts_in_flight }
    }

    fn bytes(self) -> u64 {
        self.part_bytes.saturating_mul(self.parts_in_flight as u64 + 1)
    }
}

/// What is left for the log, in bytes.
#[must_use]
pub fn log_bytes_max(pipeline: &Pipeline) -> u64 {
    let remote = pipeline.destinations.values().filter(|d| d.is_remote());
    let parts: u64 = remote.map(|destination| Share::of(destination, pipeline).bytes()).sum();
    pipeline.replicate.memory_bytes_max.saturating_sub(parts).max(LOG_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(buckets: usize) -> Pipeline {
        let mut pipeline = Pipeline::default();
        for n in 0..buckets {
            let url = format!("s3://bucket-{n}");
            pipeline
                .destinations
                .insert(format!("d{n}"), Destination { url, ..Default::default() });
        }
        pipeline
    }

    #[test]
    fn i24_parts_and_log_together_stay_within_the_budget() {
        for buckets in 0..=5 {
            let pipeline = pipeline(buckets);
            let shares = pipeline.destinations.values().map(|d| Share::of(d, &pipeline).bytes());
            let all = shares.sum::<u64>() + log_bytes_max(&pipeline);
            assert_eq!(all, pipeline.replicate.memory_bytes_max, "{buckets} buckets");
        }
    }

    #[test]
    fn one_bucket_has_three_parts_on_their_way_and_what_is_set_stands() {
        let mut pipeline = pipeline(1);
        let share = |p: &Pipeline| Share::of(&p.destinations["d0"], p);
        let usual = Share { part_bytes: PART_BYTES_DEFAULT, parts_in_flight: 3 };
        assert_eq!(share(&pipeline), usual);
        if let Some(destination) = pipeline.destinations.get_mut("d0") {
            destination.part_bytes = Some(64 << 20);
            destination.parts_in_flight = Some(2);
        }
        assert_eq!(share(&pipeline), Share { part_bytes: 64 << 20, parts_in_flight: 2 });
        assert_eq!(log_bytes_max(&pipeline), LOG_BYTES_MIN);
    }
}
