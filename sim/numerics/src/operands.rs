//! Matrices, taken apart into significands and exponents.

use crate::accumulator::Products;
use crate::error::NumericsError;
use crate::format::{Format, exp2};

/// A matrix of finite numbers, ready to be multiplied: row-major, each row contiguous along K.
///
/// In a product `A B^T` both sides are held like this: A as `[m, k]`, B as `[n, k]`, which is how FP8 tensor cores take
/// them from memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Operands {
    format: Format,
    rows: usize,
    columns: usize,
    /// Signed, in units of the last place of the format's fraction.
    significands: Vec<i32>,
    /// Of the place before the point.
    exponents: Vec<i16>,
}

impl Operands {
    /// From codes of a format, `rows` x `columns` of them.
    ///
    /// # Errors
    ///
    /// If the number of codes is another, or a code is an infinity, a NaN or wider than the format.
    pub fn from_codes(format: Format, rows: usize, columns: usize, codes: &[u32]) -> Result<Self, NumericsError> {
        Self::collect(format, rows, columns, codes.len(), codes.iter().copied())
    }

    /// From bytes that are codes of an 8-bit format, `rows` x `columns` of them, as they lie in the memory of a GPU.
    ///
    /// # Errors
    ///
    /// As [`Operands::from_codes`].
    pub fn from_bytes(format: Format, rows: usize, columns: usize, bytes: &[u8]) -> Result<Self, NumericsError> {
        Self::collect(format, rows, columns, bytes.len(), bytes.iter().copied().map(u32::from))
    }

    fn collect(
        format: Format,
        rows: usize,
        columns: usize,
        n_elements: usize,
        codes: impl Iterator<Item = u32>,
    ) -> Result<Self, NumericsError> {
        check_shape(rows, columns, n_elements)?;
        let mut operands = Self {
            format,
            rows,
            columns,
            significands: Vec::with_capacity(n_elements),
            exponents: Vec::with_capacity(n_elements),
        };
        for (index, code) in codes.enumerate() {
            let (significand, exponent) = format.parts(code).ok_or(NumericsError::NotFinite {
                row: index / columns,
                column: index % columns,
                code,
                format: format.name(),
            })?;
            operands.significands.push(significand);
            operands.exponents.push(exponent);
        }
        Ok(operands)
    }

    /// The format of the elements.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows: m or n of the product.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: K of the product.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Adds a power of two to each element's exponent, by row and column.
    pub(crate) fn shift(&mut self, power: impl Fn(usize, usize) -> i16) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                let index = row * self.columns + column;
                if self.significands[index] != 0 {
                    self.exponents[index] += power(row, column);
                }
            }
        }
    }

    /// The products of a row of this and a row of another matrix, of equal columns.
    pub(crate) fn products<'a>(&'a self, row: usize, other: &'a Self, other_row: usize) -> Products<'a> {
        let own = row * self.columns..(row + 1) * self.columns;
        let others = other_row * other.columns..(other_row + 1) * other.columns;
        Products {
            fraction: self.format.mantissa_bits() + other.format.mantissa_bits(),
            significands: [&self.significands[own.clone()], &other.significands[others.clone()]],
            exponents: [&self.exponents[own], &other.exponents[others]],
        }
    }

    fn row_values(&self, row: usize) -> Vec<f64> {
        let of = row * self.columns..(row + 1) * self.columns;
        let place = self.format.mantissa_bits().cast_signed();
        let parts = self.significands[of.clone()].iter().zip(&self.exponents[of]);
        parts
            .map(|(&significand, &exponent)| match significand {
                0 => 0.0,
                _ => f64::from(significand) * exp2(i32::from(exponent) - place),
            })
            .collect()
    }
}

/// `A B^T` in `f64`, `[m, n]` row-major: the value that an accumulator is judged against.
///
/// Products of two 8-bit numbers and their sums are exact in `f64` for E4M3 up to K = 2^17; of wider formats the sum is
/// rounded at every addition, to 53 bits.
///
/// # Errors
///
/// If the inner dimensions differ.
pub fn exact(a: &Operands, b: &Operands) -> Result<Vec<f64>, NumericsError> {
    check_inner(a, b)?;
    let a_rows: Vec<Vec<f64>> = (0..a.rows).map(|row| a.row_values(row)).collect();
    let b_rows: Vec<Vec<f64>> = (0..b.rows).map(|row| b.row_values(row)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    Ok(a_rows.iter().flat_map(|a| b_rows.iter().map(move |b| dot(a, b))).collect())
}

pub(crate) fn check_inner(a: &Operands, b: &Operands) -> Result<(), NumericsError> {
    if a.columns != b.columns {
        return Err(NumericsError::Inner { a: a.columns, b: b.columns });
    }
    Ok(())
}

pub(crate) fn check_shape(rows: usize, columns: usize, n_elements: usize) -> Result<(), NumericsError> {
    if rows.checked_mul(columns) != Some(n_elements) {
        return Err(NumericsError::Shape { rows, columns, n_elements });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_products_are_those_of_the_decoded_numbers() {
        let (a, b) = ([0x38, 0xb8, 0x01, 0x00], [0x7e, 0x40, 0x01, 0x80]);
        let expectation: f64 = a.iter().zip(b).map(|(&a, b)| Format::E4M3.decode(a) * Format::E4M3.decode(b)).sum();
        let a = Operands::from_codes(Format::E4M3, 1, 4, &a).expect("finite");
        let b = Operands::from_codes(Format::E4M3, 1, 4, &b).expect("finite");
        assert_eq!(exact(&a, &b), Ok(vec![expectation]));
    }

    #[test]
    fn what_is_no_matrix_of_numbers_is_refused() {
        let shape = Operands::from_bytes(Format::E4M3, 2, 2, &[0; 3]).expect_err("three elements");
        assert!(shape.to_string().contains("2 x 2 has 4 elements, not 3"), "{shape}");
        let nan = Operands::from_bytes(Format::E4M3, 1, 2, &[0, 0x7f]).expect_err("a NaN");
        assert!(nan.to_string().contains("row 0, column 1: 0x7f"), "{nan}");
        let one = |k| Operands::from_bytes(Format::E4M3, 1, k, &vec![0; k]).expect("zeros");
        assert_eq!(exact(&one(3), &one(4)), Err(NumericsError::Inner { a: 3, b: 4 }));
    }
}
