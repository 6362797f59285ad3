//! LogFMT: a sign and a step on a logarithmic scale, which every tile has of its own.
//!
//! Of a tile of `m` elements the least and the greatest `ln |x|` are kept; of each element its sign and the number of a step
//! between them, `2^(n-1) - 1` codes of which zero stands for 0. Steps are chosen by the nearest *value*, not the nearest
//! logarithm, so that sums stay unbiased. Source: arXiv:2505.09343 section 3.2; the scale spans at most a factor of 2^32, as
//! there. Breaks for tiles whose elements differ by more: the smallest become the least step or zero, whichever is nearer.

use crate::error::NumericsError;

/// Natural logarithm of the widest span of a tile, a factor of 2^32.
const SPAN_MAX: f64 = 32.0 * std::f64::consts::LN_2;

/// LogFMT of some bits an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFormat {
    bits: u32,
}

impl LogFormat {
    /// Of `bits` an element, the sign among them.
    ///
    /// # Errors
    /// Fewer than 3 bits, which leave no two steps, or more than 24.
    pub fn new(bits: u32) -> Result<Self, NumericsError> {
        if (3..=24).contains(&bits) { Ok(Self { bits }) } else { Err(NumericsError::LogBits(bits)) }
    }

    /// The elements of one tile as they come back. Zeros and elements that are not finite stay what they are.
    #[must_use]
    pub fn round_trip(self, tile: &[f64]) -> Vec<f64> {
        let logarithm = |x: &f64| (*x != 0.0 && x.is_finite()).then(|| x.abs().ln());
        let greatest = tile.iter().filter_map(logarithm).fold(f64::NEG_INFINITY, f64::max);
        let least = tile.iter().filter_map(logarithm).fold(f64::INFINITY, f64::min).max(greatest - SPAN_MAX);
        let n_steps = f64::from((1_u32 << (self.bits - 1)) - 2);
        let step = (greatest - least) / n_steps;
        let nearest = |x: f64| {
            let at = |index: f64| (least + index * step).exp();
            let below = if step > 0.0 { ((x.ln() - least) / step).floor().clamp(0.0, n_steps) } else { 0.0 };
            let above = (below + 1.0).min(n_steps);
            // Below the least step the neighbor is zero.
            let low = if x < at(0.0) && x < at(0.0) / 2.0 { 0.0 } else { at(below) };
            if (x - low).abs() <= (at(above) - x).abs() { low } else { at(above) }
        };
        tile.iter().map(|x| if logarithm(x).is_some() { nearest(x.abs()).copysign(*x) } else { *x }).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::format::Format;

    /// Root mean square of the error over that of the values, normal tiles of 128.
    fn error(bits: u32) -> f64 {
        let format = LogFormat::new(bits).expect("bits");
        error_of(|tile| format.round_trip(tile))
    }

    fn error_of(round_trip: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut errors, mut squares) = (0.0, 0.0);
        for _ in 0..2000 {
            let tile: Vec<f64> = (0..128).map(|_| StandardNormal.sample(&mut rng)).collect();
            for (x, y) in tile.iter().zip(round_trip(&tile)) {
                errors += (x - y) * (x - y);
                squares += x * x;
            }
        }
        (errors / squares).sqrt()
    }

    #[test]
    fn an_error_is_that_of_even_steps_and_halves_with_each_bit() {
        // Steps of s are off by up to s / 2 either way, evenly: s / sqrt(12). A normal tile of 128 spans a factor of some 400.
        let expectation = |bits: u32| 400.0_f64.ln() / f64::from((1_u32 << (bits - 1)) - 2) / 12.0_f64.sqrt();
        for bits in [8, 10, 12] {
            let (expected, actual) = (expectation(bits), error(bits));
            assert!((actual / expected - 1.0).abs() < 0.15, "{bits} bits: expectation {expected}, actual {actual}");
        }
        assert!((error(8) / error(10) - 510.0 / 126.0).abs() < 0.05);
    }

    #[test]
    fn ten_bits_lose_what_the_proposal_says() {
        let (ten, eight) = (error(10), error(8));
        assert!((0.0033..0.0037).contains(&ten), "{ten}");
        let bf16 = error_of(|tile| tile.iter().map(|x| Format::BF16.decode(Format::BF16.encode(*x))).collect());
        assert!((0.0016..0.0018).contains(&bf16), "{bf16}");
        assert!((0.012..0.016).contains(&eight), "{eight}");
    }

    #[test]
    fn what_comes_back_stays() {
        let format = LogFormat::new(8).expect("bits");
        let tile = [0.0, -1.0, 0.001, 3.0, -2.5, 1e-20, f64::INFINITY];
        let once = format.round_trip(&tile);
        assert_eq!(once[0], 0.0);
        assert!(once[6].is_infinite());
        assert!(
            once[5] == 0.0 && (once[3] - 3.0).abs() < 1e-12,
            "beyond the span nothing is left; the greatest is kept"
        );
        let once = format.round_trip(&tile[..5]);
        let again = format.round_trip(&once);
        let same = once.iter().zip(&again).all(|(a, b)| a == b || (a - b).abs() < 1e-12 * a.abs());
        assert!(same, "{once:?} and {again:?}");
        assert!((format.round_trip(&[2.0, -2.0])[1] + 2.0).abs() < 1e-12);
        assert!(format.round_trip(&[]).is_empty());
        assert!(LogFormat::new(2).is_err() && LogFormat::new(25).is_err());
    }
}
