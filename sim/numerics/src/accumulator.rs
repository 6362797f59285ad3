//! How a tensor core adds products.

use crate::error::NumericsError;
use crate::format::{EXPONENT_OF_ZERO, Format, exp2, leading_exponent};
use crate::operands::{Operands, check_inner};

/// Fraction bits of an `f64`, which holds what was accumulated. Significands below 4 with so many still leave room in
/// 64 bits to add [`N_SUMMANDS`] of them.
const FRACTION_BITS_MAX: u32 = 52;
/// Products added in 64 bits before the sum goes to 128.
const N_SUMMANDS: usize = 256;
/// No product of numbers has its leading place below it, and every product with a zero has.
const EXPONENT_MIN: i32 = -2048;

/// A tensor core's accumulator, bit by bit.
///
/// Products are added a `group` at a time. With `F` fraction bits, one step is
///
/// ```text
/// e   = the largest exponent among the group's products and what was accumulated
/// sum = trunc(accumulated 2^(F-e)) + trunc(product 2^(F-e)) + ..    exact integers
/// accumulated = sum 2^(e-F), truncated to `stored_bits` fraction bits of its own leading one
/// ```
///
/// where `trunc` is toward zero. A product's exponent is the sum of its factors' exponents as written: its significand
/// is in [1, 4) and is not normalized first, a subnormal factor counts with the smallest exponent, and a product with a
/// zero not at all. The order of products within a group does not matter.
///
/// With `promote` set, what was accumulated is added to an FP32 register (round to nearest) after so many products and
/// once more at the end, and the tensor core starts again from zero: what CUDA cores do between instructions.
/// What leaves the tensor core is FP32, rounded to nearest where more bits are stored.
///
/// Source: MMA-Sim (arXiv:2511.10909), which agrees bit for bit with the hardware its authors tried; *Insights into
/// DeepSeek-V3* (arXiv:2505.09343), section 3.1. FP8 on Hopper is 13 fraction bits, groups of 32 and 13 bits stored;
/// BF16 there and FP8 on Blackwell align with 25 bits and store the 23 of an FP32 register. A long sum then loses more
/// by the truncation of what is stored than it gains by the two bits.
///
/// Breaks: where a tensor core adds in two levels (Ada, AMD), and for numbers that are not finite, which
/// [`Operands`] refuses. A sum beyond the exponents of FP32 becomes an infinity and stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accumulator {
    fraction_bits: u32,
    stored_bits: u32,
    group: usize,
    promote: Option<usize>,
}

impl Accumulator {
    /// An accumulator that keeps `fraction_bits` (the leading one excluded, 1 to 52) when it aligns, adds `group`
    /// products at a time, and is promoted every `promote` products or never.
    ///
    /// It stores as many fraction bits as it aligns with; [`Accumulator::with_stored_bits`] is for hardware that does
    /// not.
    ///
    /// # Errors
    ///
    /// If there are no such bits, the group is empty, or `promote` is no multiple of it.
    pub fn new(fraction_bits: u32, group: usize, promote: Option<usize>) -> Result<Self, NumericsError> {
        check_bits("fraction bits", fraction_bits, FRACTION_BITS_MAX)?;
        if group == 0 {
            return Err(NumericsError::EmptyGroup);
        }
        if let Some(interval) = promote
            && (interval == 0 || !interval.is_multiple_of(group))
        {
            return Err(NumericsError::Interval { interval, group });
        }
        Ok(Self { fraction_bits, stored_bits: fraction_bits, group, promote })
    }

    /// The same with other fraction bits stored between groups, 1 to 52: 23 for an FP32 register.
    ///
    /// # Errors
    ///
    /// If there are no such bits.
    pub fn with_stored_bits(self, stored_bits: u32) -> Result<Self, NumericsError> {
        check_bits("stored bits", stored_bits, FRACTION_BITS_MAX)?;
        Ok(Self { stored_bits, ..self })
    }

    /// Fraction bits kept when aligning, the leading one excluded.
    #[must_use]
    pub fn fraction_bits(&self) -> u32 {
        self.fraction_bits
    }

    /// Fraction bits stored between groups, the leading one excluded.
    #[must_use]
    pub fn stored_bits(&self) -> u32 {
        self.stored_bits
    }

    /// Products added together.
    #[must_use]
    pub fn group(&self) -> usize {
        self.group
    }

    /// Products after which the partial sum goes to an FP32 register; none for never.
    #[must_use]
    pub fn promote(&self) -> Option<usize> {
        self.promote
    }

    /// `A B^T` as the tensor core gives it, `[m, n]` row-major, of A `[m, k]` and B `[n, k]`.
    ///
    /// The last group and the last promotion are shorter where K is no multiple of theirs.
    ///
    /// # Errors
    ///
    /// If the inner dimensions differ.
    pub fn multiply(&self, a: &Operands, b: &Operands) -> Result<Vec<f32>, NumericsError> {
        check_inner(a, b)?;
        let mut outputs = Vec::with_capacity(a.rows() * b.rows());
        for row in 0..a.rows() {
            outputs.extend((0..b.rows()).map(|column| self.dot(a.products(row, b, column))));
        }
        Ok(outputs)
    }

    /// All products, promoted as this accumulator is.
    pub(crate) fn dot(&self, products: Products) -> f32 {
        match self.promote {
            None => self.partial(products),
            Some(interval) => products.cut(interval).fold(0.0, |sum, part| sum + self.partial(part)),
        }
    }

    /// All products within the tensor core, from zero.
    pub(crate) fn partial(&self, products: Products) -> f32 {
        products.cut(self.group).fold(0.0, |accumulated, group| self.step(accumulated, group)) as f32
    }

    /// One group.
    fn step(&self, accumulated: f64, group: Products) -> f64 {
        if accumulated.is_infinite() {
            return accumulated;
        }
        let (significand, exponent) = parts(accumulated);
        let top = group.exponent_max().max(exponent);
        if top < EXPONENT_MIN {
            return 0.0;
        }
        let held = Alignment::new(self.fraction_bits, FRACTION_BITS_MAX).of(significand, top - exponent);
        let alignment = Alignment::new(self.fraction_bits, group.fraction);
        let sum = group.cut(N_SUMMANDS).fold(i128::from(held), |sum, part| {
            let aligned = part.iter().map(|(significand, exponent)| alignment.of(significand, top - exponent));
            sum + i128::from(aligned.sum::<i64>())
        });
        stored(sum, top - self.fraction_bits.cast_signed(), self.stored_bits)
    }
}

/// Signed significand of [`FRACTION_BITS_MAX`] fraction bits and exponent, none below that of normal FP32.
fn parts(value: f64) -> (i64, i32) {
    if value == 0.0 {
        return (0, i32::from(EXPONENT_OF_ZERO));
    }
    let exponent = leading_exponent(value.abs()).max(Format::FP32.exponent_min());
    ((value * exp2(FRACTION_BITS_MAX.cast_signed() - exponent)) as i64, exponent)
}

/// Moves a significand of some fraction bits to those kept, and down to a larger exponent.
#[derive(Clone, Copy)]
struct Alignment {
    up: u32,
    down: u32,
}

impl Alignment {
    fn new(kept: u32, fraction: u32) -> Self {
        Self { up: kept.saturating_sub(fraction), down: fraction.saturating_sub(kept) }
    }

    /// Truncated toward zero, `below` places under the largest exponent.
    fn of(self, significand: i64, below: i32) -> i64 {
        let down = (self.down + below.cast_unsigned()).min(u64::BITS - 1);
        let magnitude = (significand.unsigned_abs() << self.up >> down).cast_signed();
        // All ones where negative: flips and adds one.
        let sign = significand >> (i64::BITS - 1);
        (magnitude ^ sign) - sign
    }
}

/// A sum in units of `2^place`, truncated to so many bits after its leading one, with the exponents of FP32: what lies
/// below the normal ones has fewer bits, what lies above is infinite.
fn stored(sum: i128, place: i32, bits: u32) -> f64 {
    let magnitude = sum.unsigned_abs();
    let Some(leading) = magnitude.checked_ilog2() else { return 0.0 };
    let leading = (leading.cast_signed() + place).max(Format::FP32.exponent_min());
    let last = leading - bits.cast_signed();
    let magnitude = match u32::try_from(last - place) {
        _ if leading > Format::FP32.exponent_max() => f64::INFINITY,
        Ok(dropped) => magnitude.checked_shr(dropped).unwrap_or(0) as f64 * exp2(last),
        Err(_) => magnitude as f64 * exp2(place),
    };
    if sum < 0 { -magnitude } else { magnitude }
}

fn check_bits(what: &'static str, bits: u32, max: u32) -> Result<(), NumericsError> {
    if !(1..=max).contains(&bits) {
        return Err(NumericsError::Bits { what, bits, max });
    }
    Ok(())
}

/// The factors of a run of products, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Products<'a> {
    /// Fraction bits of a product's significand.
    pub(crate) fraction: u32,
    pub(crate) significands: [&'a [i32]; 2],
    pub(crate) exponents: [&'a [i16]; 2],
}

impl<'a> Products<'a> {
    /// Runs of `length`, the last one shorter where it does not divide.
    pub(crate) fn cut(self, length: usize) -> impl Iterator<Item = Self> {
        let n = self.significands[0].len();
        (0..n).step_by(length).map(move |start| self.part(start..n.min(start.saturating_add(length))))
    }

    fn part(self, of: std::ops::Range<usize>) -> Self {
        Self {
            fraction: self.fraction,
            significands: self.significands.map(|all| &all[of.clone()]),
            exponents: self.exponents.map(|all| &all[of.clone()]),
        }
    }

    /// Signed significand and exponent of each product.
    fn iter(self) -> impl Iterator<Item = (i64, i32)> {
        let [a, b] = self.significands;
        let significands = a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b));
        significands.zip(self.exponents_of_products())
    }

    fn exponent_max(self) -> i32 {
        self.exponents_of_products().max().unwrap_or(i32::MIN)
    }

    fn exponents_of_products(self) -> impl Iterator<Item = i32> + use<'a> {
        let [a, b] = self.exponents;
        a.iter().zip(b).map(|(&a, &b)| i32::from(a) + i32::from(b))
    }
}

#[cfg(test)]
mod tests;
