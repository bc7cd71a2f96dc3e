//! How large each block of an upload is, and what it is called.
//!
//! Azure takes 50,000 blocks of up to 4,000 MiB. The length is not known beforehand, so blocks
//! begin small: the first 10,000 have one size, after that it doubles every 1,000, so that even the
//! smallest of the common settings (5 MiB) reaches more than 100 TiB.

use azure_core::Uuid;

/// The most blocks that Azure takes.
pub(super) const BLOCKS_MAX: u32 = 50_000;
/// The largest block that it takes.
pub(super) const BLOCK_BYTES_MAX: u64 = 4_000 << 20;
/// The smallest that the settings may ask for.
pub(super) const BLOCK_BYTES_MIN: u64 = 64 << 10;
/// So many blocks have the configured size.
const EQUAL_BLOCKS: u32 = 10_000;
/// After those, the size doubles with every so many.
const BLOCKS_PER_DOUBLING: u32 = 1_000;

/// The size of block `number`, which counts from 1.
pub(super) fn block_bytes(first: u64, number: u32) -> usize {
    let doublings = match number.checked_sub(EQUAL_BLOCKS + 1) {
        None => 0,
        Some(grown) => grown / BLOCKS_PER_DOUBLING + 1,
    };
    let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let bytes = first.saturating_mul(factor).min(BLOCK_BYTES_MAX);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The names of the blocks of one upload: no other's, because the blocks of all writers on a key
/// lie together until one of them commits.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockIds(Uuid);

impl BlockIds {
    pub(super) fn new() -> Self {
        BlockIds(Uuid::new_v4())
    }

    /// The name of block `number`. All are equally long, as Azure demands.
    pub(super) fn id(self, number: u32) -> Vec<u8> {
        [self.0.as_bytes().as_slice(), &number.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PART_BYTES_DEFAULT, PART_BYTES_MIN};

    #[test]
    fn blocks_grow_late_and_reach_a_hundred_tebibytes() {
        assert_eq!(block_bytes(PART_BYTES_MIN, 1), 5 << 20);
        assert_eq!(block_bytes(PART_BYTES_MIN, 10_000), 5 << 20);
        assert_eq!(block_bytes(PART_BYTES_MIN, 10_001), 10 << 20);
        assert_eq!(block_bytes(PART_BYTES_MIN, 11_001), 20 << 20);
        let sum = |first| (1..=BLOCKS_MAX).map(|n| block_bytes(first, n) as u64).sum::<u64>();
        assert!(sum(PART_BYTES_MIN) >= 100 << 40);
        assert!(sum(PART_BYTES_DEFAULT) >= 100 << 40);
        for first in [BLOCK_BYTES_MIN, PART_BYTES_DEFAULT, BLOCK_BYTES_MAX] {
            assert!((1..=BLOCKS_MAX).all(|n| block_bytes(first, n) as u64 <= BLOCK_BYTES_MAX));
        }
    }

    #[test]
    fn f28_names_of_blocks_are_of_one_length_and_of_one_upload() {
        let (one, other) = (BlockIds::new(), BlockIds::new());
        assert_eq!(one.id(1).len(), one.id(BLOCKS_MAX).len());
        assert!(one.id(1).len() <= 64, "the most that Azure takes");
        assert_ne!(one.id(1), one.id(2));
        assert_ne!(one.id(1), other.id(1));
    }
}
