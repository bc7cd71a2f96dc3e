//! The CRC-32C of a concatenation from the CRCs of its parts.
//!
//! CRC(A‖B) = CRC(A)·x^(8·|B|) + CRC(B), over GF(2) modulo the Castagnoli polynomial.
//! `crc32c_combine` of the crc32c crate squares matrices on each call; here it is two table look-ups
//! and two products, which matters at one call per row.

use std::sync::LazyLock;

/// The Castagnoli polynomial, bit-reflected: x^31 is bit 0.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const ONE: u32 = 1 << 31;
/// x^8, which is one zero byte.
const BYTE: u32 = 1 << 23;

const LOW_BITS: u32 = 12;
const HIGH_BITS: u32 = 14;

/// Tables of x^(8·n), for n below 2^12, and for n a multiple of 2^12 up to 2^26.
#[derive(Debug)]
pub(crate) struct CrcCombiner {
    low: Vec<u32>,
    high: Vec<u32>,
}

impl CrcCombiner {
    /// The one of this process. Its tables cost as much as the proof of a small database.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<CrcCombiner> = LazyLock::new(CrcCombiner::new);
        &SHARED
    }

    fn new() -> Self {
        let low = powers(BYTE, 1 << LOW_BITS);
        let step = multiply(low.last().copied().unwrap_or(ONE), BYTE);
        Self { low, high: powers(step, 1 << HIGH_BITS) }
    }

    /// The CRC of A‖B, from the CRC of each and the length of B in bytes.
    pub(crate) fn combine(&self, crc_a: u32, crc_b: u32, b_bytes: u64) -> u32 {
        let mut shifted = crc_a;
        let mut rest = b_bytes;
        loop {
            let low = rest & ((1 << LOW_BITS) - 1);
            let high = (rest >> LOW_BITS).min((1 << HIGH_BITS) - 1);
            shifted = multiply(power_at(&self.low, low), shifted);
            if high > 0 {
                shifted = multiply(power_at(&self.high, high), shifted);
            }
            rest -= low + (high << LOW_BITS);
            if rest == 0 {
                return shifted ^ crc_b;
            }
        }
    }
}

fn power_at(powers: &[u32], exponent: u64) -> u32 {
    usize::try_from(exponent).ok().and_then(|at| powers.get(at)).copied().unwrap_or(ONE)
}

/// The first `count` powers of `step`, from 1 on.
fn powers(step: u32, count: usize) -> Vec<u32> {
    std::iter::successors(Some(ONE), |power| Some(multiply(*power, step))).take(count).collect()
}

/// The product of two reflected polynomials.
fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted) = (0, b);
    for bit in (0..32).rev() {
        product ^= shifted & (a >> bit & 1).wrapping_neg();
        shifted = (shifted >> 1) ^ (POLYNOMIAL & (shifted & 1).wrapping_neg());
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_crc_is_the_crc_of_the_concatenation() {
        let combiner = CrcCombiner::new();
        let bytes: Vec<u8> =
            (0..40_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        for cut in [0, 1, 7, 4_095, 4_096, 4_097, 12_345, 39_999, 40_000] {
            let (a, b) = bytes.split_at(cut);
            let combined = combiner.combine(crc32c::crc32c(a), crc32c::crc32c(b), b.len() as u64);
            assert_eq!(combined, crc32c::crc32c(&bytes), "cut at {cut}");
        }
    }

    #[test]
    fn lengths_beyond_the_tables_agree_with_the_reference() {
        let combiner = CrcCombiner::new();
        for length in [1_usize << 25, 1 << 26, (1 << 26) + 4_097, (3 << 26) + 5] {
            let reference = crc32c::crc32c_combine(0x1234_5678, 0x9abc_def0, length);
            assert_eq!(
                combiner.combine(0x1234_5678, 0x9abc_def0, length as u64),
                reference,
                "{length}"
            );
        }
    }
}
