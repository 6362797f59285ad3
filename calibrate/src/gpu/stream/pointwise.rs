//! SwiGLU and the rotary embedding.

use std::f64::consts::TAU;

use super::{Buffer, CHECKED, NUMBERS, Rows, Streamed, compare, grid};
use crate::bench::BenchError;
use crate::gpu::device::{Fill, Gpu};
use crate::gpu::failure::At;
use crate::gpu::rotation::{Rotation, samples};

/// SwiGLU, rotary embedding and casts.
pub(super) const SOURCE: &str = include_str!("../../../kernels/stream.cu");

/// Threads of a block of these kernels.
pub(super) const THREADS: u32 = 256;
/// Width of a head that the rotary embedding turns.
pub(super) const HEAD: usize = 64;

/// The source with the formats it uses.
pub(super) fn source() -> String {
    format!("{NUMBERS}\n{SOURCE}")
}

/// `silu(gate) * up`; 4 bytes read and 2 written a number of the output.
pub(super) fn swiglu(gpu: &Gpu, rows: Rows) -> Result<Streamed, BenchError> {
    let kernel = gpu.kernel(&source(), "swiglu")?;
    let config = grid(gpu, &kernel, THREADS, rows.vectors().div_ceil(2 * THREADS as usize))?;
    let sets = gpu.sets(3 * rows.bytes() as u64);
    let buffers = vec![
        Buffer::Rotating(Rotation::empty(gpu, sets, rows.bytes())?),
        Buffer::Rotating(Rotation::random(gpu, sets, 2 * rows.bytes(), Fill::Bf16Normal, 4)?),
    ];
    let counts = vec![rows.vectors(), rows.width()];
    Ok(Streamed { kernel, config, rows, buffers, counts, numbers: vec![], check: check_swiglu })
}

fn check_swiglu(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0])?;
    let dim = this.rows.dim;
    for row in samples(this.rows.tokens, CHECKED) {
        let both = this.bf16_row(gpu, 1, row, 2 * dim)?;
        let (gates, ups) = both.split_at(dim);
        let want: Vec<f64> = gates.iter().zip(ups).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
        compare("swiglu", row, &this.bf16_row(gpu, 0, row, dim)?, &want)?;
    }
    Ok(())
}

/// Turns pairs of neighbors by angles of the token's position, in place; 2 bytes read and 2 written a number, and 256 a
/// token of cosines and sines.
pub(super) fn rope(gpu: &Gpu, rows: Rows) -> Result<Streamed, BenchError> {
    let kernel = gpu.kernel(&source(), "rope")?;
    let config = grid(gpu, &kernel, THREADS, rows.vectors().div_ceil(4 * THREADS as usize))?;
    let sets = gpu.sets(rows.bytes() as u64);
    let table = gpu.stream.clone_htod(&table(rows.tokens)).at("copy a table to the device")?;
    let buffers =
        vec![Buffer::Rotating(Rotation::random(gpu, sets, rows.bytes(), Fill::Bf16Normal, 5)?), Buffer::Fixed(table)];
    let counts = vec![rows.vectors(), rows.width()];
    Ok(Streamed { kernel, config, rows, buffers, counts, numbers: vec![], check: check_rope })
}

/// It turns what it finds, so what it found is read before.
fn check_rope(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    let dim = this.rows.dim;
    let rows = samples(this.rows.tokens, CHECKED);
    let before = rows.iter().map(|&row| this.bf16_row(gpu, 0, row, dim)).collect::<Result<Vec<_>, _>>()?;
    this.run(gpu, &[])?;
    for (&row, before) in rows.iter().zip(&before) {
        let turns = this.floats(gpu, 1, row * HEAD, HEAD)?;
        let mut want = Vec::with_capacity(dim);
        for (pair, x) in before.chunks_exact(2).enumerate() {
            let at = pair % (HEAD / 2) * 2;
            let (cosine, sine) = (turns[at], turns[at + 1]);
            want.extend([x[0] * cosine - x[1] * sine, x[0] * sine + x[1] * cosine]);
        }
        compare("rope", row, &this.bf16_row(gpu, 0, row, dim)?, &want)?;
    }
    Ok(())
}

/// Cosine and sine of each pair of a head at each position, FP32: pair `i` turns once in 10000 to the power `2 i / HEAD`
/// radians' worth of positions, as in Su et al., `RoFormer`.
fn table(tokens: usize) -> Vec<u8> {
    let frequencies: Vec<f64> = (0..HEAD / 2).map(|i| 10_000_f64.powf(-2.0 * i as f64 / HEAD as f64)).collect();
    let angles = (0..tokens).flat_map(|position| frequencies.iter().map(move |f| (position as f64 * f) % TAU));
    angles.flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).flat_map(f32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;
    use crate::gpu::compile::compile_in_test;

    #[test]
    fn the_kernels_compile() {
        compile_in_test(&source());
    }

    #[test]
    fn a_turn_keeps_lengths_and_the_first_position_does_not_turn() {
        let table: Vec<f32> = words(&table(100)).map(f32::from_bits).collect();
        assert_eq!(table.len(), 100 * HEAD);
        for (i, pair) in table.chunks_exact(2).enumerate() {
            assert!((pair[0].hypot(pair[1]) - 1.0).abs() < 1e-6);
            assert!(i >= HEAD / 2 || pair == [1.0, 0.0]);
        }
    }
}
