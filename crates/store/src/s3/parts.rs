//! How large each part of a multipart upload is.
//!
//! S3 takes 10,000 parts of 5 MiB to 5 GiB and objects of 5 TiB. The length is not known
//! beforehand, so parts begin small. The first 5,000 have one size, because some servers (R2)
//! demand equal parts; after that the size doubles every 500, so that even the smallest
//! setting reaches 4.9 TiB.

use crate::PART_BYTES_MAX;

/// The most parts that S3 takes.
pub(super) const PARTS_MAX: i32 = 10_000;
/// So many parts have the configured size.
const EQUAL_PARTS: i32 = 5_000;
/// After those, the size doubles with every so many.
const PARTS_PER_DOUBLING: i32 = 500;

/// The size of part `number`, which counts from 1.
pub(super) fn part_bytes(first: u64, number: i32) -> usize {
    let grown = (number - 1 - EQUAL_PARTS).max(-1);
    let doublings = if grown < 0 { 0 } else { grown / PARTS_PER_DOUBLING + 1 };
    let factor = 1u64.checked_shl(doublings.unsigned_abs()).unwrap_or(u64::MAX);
    let bytes = first.saturating_mul(factor).min(PART_BYTES_MAX);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PART_BYTES_DEFAULT, PART_BYTES_MIN};

    #[test]
    fn parts_grow_late_and_reach_the_largest_object() {
        assert_eq!(part_bytes(PART_BYTES_MIN, 1), 5 << 20);
        assert_eq!(part_bytes(PART_BYTES_MIN, 5_000), 5 << 20);
        assert_eq!(part_bytes(PART_BYTES_MIN, 5_001), 10 << 20);
        assert_eq!(part_bytes(PART_BYTES_MIN, 5_501), 20 << 20);
        let sum = |first| (1..=PARTS_MAX).map(|n| part_bytes(first, n) as u64).sum::<u64>();
        assert!(sum(PART_BYTES_MIN) >= (49 << 40) / 10);
        assert!(sum(PART_BYTES_DEFAULT) >= 5 << 40);
        for first in [PART_BYTES_MIN, PART_BYTES_DEFAULT, PART_BYTES_MAX] {
            assert!((1..=PARTS_MAX).all(|n| part_bytes(first, n) as u64 <= PART_BYTES_MAX));
        }
    }
}
