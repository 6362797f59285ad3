//! Casts from BF16 to E4M3 with a scale each 128 numbers, along rows or along columns.

use super::pointwise::{THREADS, source};
use super::{Buffer, CHECKED, Rows, Streamed, grid};
use crate::bench::BenchError;
use crate::gpu::device::{Fill, Gpu};
use crate::gpu::element::e4m3;
use crate::gpu::rotation::{Rotation, samples};

/// Numbers of a scale.
pub(super) const BLOCK: usize = 128;
/// Largest number of E4M3, which the largest of a block becomes.
const LARGEST: f64 = 448.0;

/// Rows stay rows; 2 bytes read and 1 + 1/32 written a number.
pub(super) fn straight(gpu: &Gpu, rows: Rows) -> Result<Streamed, BenchError> {
    let kernel = gpu.kernel(&source(), "cast")?;
    let config = grid(gpu, &kernel, THREADS, rows.vectors().div_ceil(4 * THREADS as usize))?;
    let buffers = buffers(gpu, rows, rows.vectors() * 8 / BLOCK)?;
    Ok(Streamed { kernel, config, rows, buffers, counts: vec![rows.vectors()], numbers: vec![], check: check_straight })
}

/// Rows become columns, scales are those of 128 tokens; the same bytes.
pub(super) fn transposed(gpu: &Gpu, rows: Rows) -> Result<Streamed, BenchError> {
    if !rows.tokens.is_multiple_of(16) {
        return Err(BenchError::Failed(format!("{} tokens: their columns are written 16 at a time", rows.tokens)));
    }
    let kernel = gpu.kernel(&source(), "cast_transposed")?;
    let n_tiles = rows.tokens.div_ceil(BLOCK) * (rows.dim / BLOCK);
    let config = grid(gpu, &kernel, THREADS, n_tiles)?;
    let buffers = buffers(gpu, rows, rows.tokens.div_ceil(BLOCK) * rows.dim)?;
    let counts = vec![rows.tokens, rows.dim];
    Ok(Streamed { kernel, config, rows, buffers, counts, numbers: vec![], check: check_transposed })
}

/// Output, scales, input.
fn buffers(gpu: &Gpu, rows: Rows, n_scales: usize) -> Result<Vec<Buffer>, BenchError> {
    let sets = gpu.sets((rows.bytes() + rows.bytes() / 2) as u64);
    Ok(vec![
        Buffer::Rotating(Rotation::empty(gpu, sets, rows.bytes() / 2)?),
        Buffer::Rotating(Rotation::empty(gpu, sets, n_scales * 4)?),
        Buffer::Rotating(Rotation::random(gpu, sets, rows.bytes(), Fill::Bf16Normal, 6)?),
    ])
}

fn check_straight(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0, 1])?;
    let dim = this.rows.dim;
    for row in samples(this.rows.tokens, CHECKED) {
        let x = this.bf16_row(gpu, 2, row, dim)?;
        let codes = this.bytes(gpu, 0, row * dim, dim)?;
        let scales = this.floats(gpu, 1, row * dim / BLOCK, dim / BLOCK)?;
        for (block, scale) in scales.into_iter().enumerate() {
            let range = block * BLOCK..(block + 1) * BLOCK;
            compare(&format!("cast: row {row}, block {block}"), &x[range.clone()], &codes[range], scale)?;
        }
    }
    Ok(())
}

/// Whole tiles: their rows are read as the kernel reads them, their columns as it writes them.
fn check_transposed(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0, 1])?;
    let Rows { tokens, dim } = this.rows;
    let across = dim / BLOCK;
    for tile in samples(tokens.div_ceil(BLOCK) * across, CHECKED / 4) {
        let (token, column) = (tile / across * BLOCK, tile % across * BLOCK);
        let height = BLOCK.min(tokens - token);
        let rows = (token..token + height).map(|row| this.bytes(gpu, 2, (row * dim + column) * 2, BLOCK * 2));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let scales = this.floats(gpu, 1, token / BLOCK * dim + column, BLOCK)?;
        for (c, scale) in scales.into_iter().enumerate() {
            let x: Vec<f64> = rows.iter().map(|row| bf16_at(row, c)).collect();
            let codes = this.bytes(gpu, 0, (column + c) * tokens + token, height)?;
            compare(&format!("cast transposed: column {}, token {token}", column + c), &x, &codes, scale)?;
        }
    }
    Ok(())
}

fn bf16_at(row: &[u8], column: usize) -> f64 {
    crate::gpu::element::bf16(u16::from_le_bytes([row[2 * column], row[2 * column + 1]]))
}

/// The scale is what makes the largest number 448; every number is right to half a step of E4M3.
fn compare(what: &str, x: &[f64], codes: &[u8], scale: f64) -> Result<(), BenchError> {
    let largest = x.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let want = if largest > 0.0 { largest / LARGEST } else { 1.0 };
    // Asked so that a NaN does not pass.
    let right = (scale - want).abs() <= want * 1e-6;
    if !right {
        return Err(BenchError::Failed(format!("{what}: scale {scale}, not {want}")));
    }
    for (i, (x, &code)) in x.iter().zip(codes).enumerate() {
        let (want, got) = (x / want, e4m3(code));
        // Three bits of fraction: a sixteenth of the power of two below, and of 2^-6 where numbers are subnormal.
        let half_step = want.abs().log2().floor().max(-6.0).exp2() / 16.0;
        let right = (got - want).abs() <= half_step * 1.001;
        if !right {
            return Err(BenchError::Failed(format!("{what}: number {i} is {got}, not {want}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::element::to_e4m3;

    #[test]
    fn the_comparison_takes_what_is_rounded_and_nothing_else() {
        let x: Vec<f64> = (0..128).map(|i| (f64::from(i) - 60.0) * 0.37).collect();
        let scale = x.iter().fold(0.0_f64, |largest, x| largest.max(x.abs())) / LARGEST;
        let mut codes: Vec<u8> = x.iter().map(|x| to_e4m3(x / scale)).collect();
        assert_eq!(compare("t", &x, &codes, scale), Ok(()));
        assert!(compare("t", &x, &codes, scale * 1.01).is_err(), "another scale");
        assert!(compare("t", &x, &codes, f64::NAN).is_err(), "a scale not written");
        codes[5] += 1;
        assert!(compare("t", &x, &codes, scale).is_err(), "a neighboring code");
        codes[5] = 0xFF;
        assert!(compare("t", &x, &codes, scale).is_err(), "a code not written");
    }
}
