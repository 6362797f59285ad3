//! What an exchange must have written, computed by the host from what it read.

use super::Exchange;
use crate::bench::BenchError;

/// Every token's bytes and scales, in every row that awaited it.
pub(super) fn dispatch(exchange: &Exchange, set: usize) -> Result<(), BenchError> {
    let (sizes, rows_max) = (&exchange.sizes, exchange.rows_max);
    let all = |side: &super::Side| -> Result<_, BenchError> {
        Ok([
            (
                side.tokens.read(range(set, sizes.tokens, sizes.row()))?,
                side.rows.read(range(set, rows_max, sizes.row()))?,
            ),
            (
                side.token_scales.read(range(set, sizes.tokens, sizes.scales()))?,
                side.row_scales.read(range(set, rows_max, sizes.scales()))?,
            ),
        ])
    };
    let sides = exchange.sides.iter().map(all).collect::<Result<Vec<_>, _>>()?;
    for source in 0..sizes.n_ranks {
        for (token, slots) in exchange.layout.slots(source).chunks(sizes.n_ranks).enumerate() {
            for (target, &slot) in slots.iter().enumerate().filter(|&(_, &slot)| slot >= 0) {
                for (part, bytes) in [sizes.row(), sizes.scales()].into_iter().enumerate() {
                    let sent = &sides[source][part].0[token * bytes..][..bytes];
                    let came = &sides[target][part].1[slot as usize * bytes..][..bytes];
                    if let Some(at) = sent.iter().zip(came).position(|(a, b)| a != b) {
                        return Err(BenchError::Failed(format!(
                            "dispatch: byte {at} of the {} of token {token} of rank {source} is {} on rank {target}, not {}",
                            ["elements", "scales"][part],
                            came[at],
                            sent[at]
                        )));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Every element of every token: the sum of its rows in FP32, the next rank's first, rounded to BF16. To the bit.
pub(super) fn combine(exchange: &Exchange, set: usize) -> Result<(), BenchError> {
    let (sizes, n) = (&exchange.sizes, exchange.sizes.n_ranks);
    let rows = exchange
        .sides
        .iter()
        .map(|side| side.rows.read(range(set, exchange.rows_max, sizes.row())))
        .collect::<Result<Vec<_>, _>>()?;
    for (rank, side) in exchange.sides.iter().enumerate() {
        let out = side.tokens.read(range(set, sizes.tokens, sizes.row()))?;
        for (token, slots) in exchange.layout.slots(rank).chunks(n).enumerate() {
            let mut sums = vec![0.0_f32; sizes.dim];
            for peer in (1..=n).map(|k| (rank + k) % n).filter(|&peer| slots[peer] >= 0) {
                let row = &rows[peer][slots[peer] as usize * sizes.row()..][..sizes.row()];
                sums.iter_mut().zip(row.chunks_exact(2)).for_each(|(sum, bytes)| *sum += bf16(bytes));
            }
            let came = &out[token * sizes.row()..][..sizes.row()];
            let wrong = sums.iter().zip(came.chunks_exact(2)).position(|(sum, bytes)| round(*sum) != bits(bytes));
            if let Some(at) = wrong {
                return Err(BenchError::Failed(format!(
                    "combine: element {at} of token {token} of rank {rank} is {}, not {} rounded",
                    bf16(&came[2 * at..]),
                    sums[at]
                )));
            }
        }
    }
    Ok(())
}

/// Bytes of a set of `n` rows.
const fn range(set: usize, n: usize, row: usize) -> std::ops::Range<usize> {
    set * n * row..(set + 1) * n * row
}

/// The code of a BF16 from its bytes, least first.
const fn bits(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// The number that a BF16 is.
pub(crate) const fn bf16(bytes: &[u8]) -> f32 {
    f32::from_bits((bits(bytes) as u32) << 16)
}

/// The nearest BF16, ties to even; for numbers that are not NaN.
const fn round(number: f32) -> u16 {
    let bits = number.to_bits();
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        // One, the next BF16 above it, and what lies between.
        assert_eq!(round(1.0), 0x3F80);
        assert_eq!(round(1.0 + 1.0 / 128.0), 0x3F81);
        assert_eq!(round(1.0 + 0.49 / 128.0), 0x3F80);
        assert_eq!(round(1.0 + 0.51 / 128.0), 0x3F81);
        assert_eq!(round(1.0 + 0.5 / 128.0), 0x3F80, "a tie goes to the even code");
        assert_eq!(round(1.0 + 1.5 / 128.0), 0x3F82, "a tie goes to the even code");
        assert_eq!(round(-2.5), 0xC020);
    }

    #[test]
    fn sets_lie_one_after_the_other() {
        assert_eq!(range(0, 3, 4), 0..12);
        assert_eq!(range(2, 3, 4), 24..36);
    }
}
