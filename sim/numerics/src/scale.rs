//! Scales that fit values into a narrow format, and products of matrices that have them.

use crate::accumulator::Accumulator;
use crate::error::NumericsError;
use crate::format::{Format, exp2, leading_exponent};
use crate::operands::{Operands, check_inner, check_shape};

/// Over which elements of a matrix one scale holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granularity {
    /// The whole matrix.
    Tensor,
    /// So many rows by so many columns, fewer at the far edges.
    Region {
        /// Rows.
        rows: usize,
        /// Columns, along K.
        columns: usize,
    },
}

impl Granularity {
    /// 1 x 128, as DeepSeek-V3 scales activations and gradients.
    pub const TILE: Self = Self::Region { rows: 1, columns: 128 };
    /// 128 x 128, as DeepSeek-V3 scales weights.
    pub const BLOCK: Self = Self::Region { rows: 128, columns: 128 };
}

/// What a scale may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScaleKind {
    /// Any FP32 number: the largest magnitude becomes the format's largest.
    Float,
    /// The next power of two at or above that, which rounds no element but can leave the top of the range unused.
    PowerOfTwo,
}

/// A matrix in a narrow format with its scales: element = code's number x scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    format: Format,
    rows: usize,
    columns: usize,
    codes: Vec<u32>,
    /// Rows and columns that one scale holds over; none of them is beyond the matrix.
    region: [usize; 2],
    /// Row-major, one a region.
    scales: Vec<f32>,
}

impl Quantized {
    /// Rounds a row-major matrix of `rows` x `columns` values to a format under scales of its own.
    ///
    /// A scale is the largest magnitude of its region over [`Format::max`], rounded to FP32 or up to a power of two; 1
    /// for a region of zeros, and never below the smallest normal FP32 number.
    ///
    /// # Errors
    ///
    /// If the number of values is another, a region is empty, or a value is an infinity or NaN.
    pub fn new(
        format: Format,
        granularity: Granularity,
        kind: ScaleKind,
        [rows, columns]: [usize; 2],
        values: &[f32],
    ) -> Result<Self, NumericsError> {
        check_shape(rows, columns, values.len())?;
        let region = match granularity {
            Granularity::Tensor => [rows.max(1), columns.max(1)],
            Granularity::Region { rows, columns } if rows == 0 || columns == 0 => {
                return Err(NumericsError::EmptyRegion { rows, columns });
            }
            Granularity::Region { rows: high, columns: wide } => [high.min(rows.max(1)), wide.min(columns.max(1))],
        };
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(NumericsError::NoScale { row: index / columns, column: index % columns, value: values[index] });
        }
        let n_regions = rows.div_ceil(region[0]) * columns.div_ceil(region[1]);
        let mut quantized = Self { format, rows, columns, codes: Vec::new(), region, scales: vec![0.0; n_regions] };
        let largest = quantized.largest(values);
        quantized.scales = largest.into_iter().map(|largest| scale(largest, format, kind)).collect();
        quantized.codes = (0..values.len())
            .map(|index| {
                let scale = quantized.scale(index / columns, index % columns);
                format.encode(f64::from(values[index]) / f64::from(scale))
            })
            .collect();
        Ok(quantized)
    }

    /// The largest magnitude of each region.
    fn largest(&self, values: &[f32]) -> Vec<f32> {
        let mut largest = vec![0.0_f32; self.scales.len()];
        for (index, value) in values.iter().enumerate() {
            let of = &mut largest[self.region_of(index / self.columns, index % self.columns)];
            *of = of.max(value.abs());
        }
        largest
    }

    fn region_of(&self, row: usize, column: usize) -> usize {
        row / self.region[0] * self.columns.div_ceil(self.region[1]) + column / self.region[1]
    }

    /// The format of the codes.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Codes, row-major.
    #[must_use]
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// Scales, one a region, row-major over regions.
    #[must_use]
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The scale of an element within the matrix.
    fn scale(&self, row: usize, column: usize) -> f32 {
        self.scales[self.region_of(row, column)]
    }

    /// Element = number x scale, row-major, exact in `f64` for formats of up to 29 fraction bits.
    #[must_use]
    pub fn dequantized(&self) -> Vec<f64> {
        let value = |(index, &code): (usize, &u32)| {
            self.format.decode(code) * f64::from(self.scale(index / self.columns, index % self.columns))
        };
        self.codes.iter().enumerate().map(value).collect()
    }

    /// The numbers without their scales.
    fn operands(&self) -> Result<Operands, NumericsError> {
        Operands::from_codes(self.format, self.rows, self.columns, &self.codes)
    }

    /// The numbers with their scales added to the exponents.
    fn operands_scaled(&self) -> Result<Operands, NumericsError> {
        let powers: Vec<i16> = self.scales.iter().map(|&scale| power_of(scale)).collect::<Result<_, _>>()?;
        let mut operands = self.operands()?;
        operands.shift(|row, column| powers[self.region_of(row, column)]);
        Ok(operands)
    }
}

fn scale(largest: f32, format: Format, kind: ScaleKind) -> f32 {
    let exact = f64::from(largest) / format.max();
    if exact == 0.0 {
        return 1.0;
    }
    let exact = exact.max(f64::from(f32::MIN_POSITIVE));
    match kind {
        ScaleKind::Float => exact as f32,
        ScaleKind::PowerOfTwo => {
            let below = exp2(leading_exponent(exact));
            (if below < exact { 2.0 * below } else { below }) as f32
        }
    }
}

fn power_of(scale: f32) -> Result<i16, NumericsError> {
    let power = leading_exponent(f64::from(scale));
    match i16::try_from(power) {
        Ok(short) if exp2(power) == f64::from(scale) => Ok(short),
        _ => Err(NumericsError::ScaleNotPowerOfTwo { scale }),
    }
}

/// Where scales meet the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScaleAt {
    /// Outside of the tensor core: each promotion is `sum = fma(scale of A x scale of B, partial, sum)` in FP32. Scales
    /// that are the same along all of K are multiplied once, at the end.
    Promotion,
    /// In the tensor core, by exponents: powers of two only. Products are aligned with their scales on.
    Product,
}

/// The product of two matrices with scales, as an FP8 GEMM computes it: the accumulator, and where the scales go.
///
/// Source: DeepSeek-V3 technical report (arXiv:2412.19437), section 3.3.2, for [`ScaleAt::Promotion`]; that it is one
/// fused multiply-add is assumed, as compilers contract it. [`ScaleAt::Product`] is what hardware with block scales
/// does, assumed to truncate as [`Accumulator`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScaledDot {
    /// How products are added.
    pub accumulator: Accumulator,
    /// Where scales are applied.
    pub scale_at: ScaleAt,
}

impl ScaledDot {
    /// `A B^T`, `[m, n]` row-major in FP32, of A `[m, k]` and B `[n, k]` with their scales.
    ///
    /// # Errors
    ///
    /// If the inner dimensions differ; under [`ScaleAt::Promotion`] if a scale changes between promotions; under
    /// [`ScaleAt::Product`] if one is no power of two.
    pub fn multiply(&self, a: &Quantized, b: &Quantized) -> Result<Vec<f32>, NumericsError> {
        match self.scale_at {
            ScaleAt::Product => self.accumulator.multiply(&a.operands_scaled()?, &b.operands_scaled()?),
            ScaleAt::Promotion => self.multiply_outside(a, b),
        }
    }

    fn multiply_outside(&self, a: &Quantized, b: &Quantized) -> Result<Vec<f32>, NumericsError> {
        let interval = self.interval(a, b)?;
        let operands = [a.operands()?, b.operands()?];
        check_inner(&operands[0], &operands[1])?;
        let output = |row: usize, column: usize| {
            let products = operands[0].products(row, &operands[1], column);
            let scale = |start| a.scale(row, start) * b.scale(column, start);
            match interval {
                None if a.columns == 0 => 0.0,
                None => self.accumulator.dot(products) * scale(0),
                Some(interval) => products.cut(interval).enumerate().fold(0.0_f32, |sum, (index, part)| {
                    scale(index * interval).mul_add(self.accumulator.partial(part), sum)
                }),
            }
        };
        Ok((0..a.rows)
            .flat_map(|row| (0..b.rows).map(move |column| (row, column)))
            .map(|(m, n)| output(m, n))
            .collect())
    }

    /// Products between two applications of scales; none where one application at the end will do.
    fn interval(&self, a: &Quantized, b: &Quantized) -> Result<Option<usize>, NumericsError> {
        let changing = [a, b].into_iter().filter(|side| side.region[1] < side.columns).map(|side| side.region[1]);
        let changing: Vec<usize> = changing.collect();
        let interval = self.accumulator.promote();
        for &columns in &changing {
            if interval.is_none_or(|interval| !columns.is_multiple_of(interval)) {
                return Err(NumericsError::ScaleInterval { columns, interval });
            }
        }
        Ok(if changing.is_empty() { None } else { interval })
    }
}

#[cfg(test)]
mod tests;
