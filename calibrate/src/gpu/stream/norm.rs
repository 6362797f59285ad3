//! Root-mean-square norm.

use super::{Buffer, CHECKED, NUMBERS, Rows, Streamed, VECTOR, compare, grid};
use crate::bench::BenchError;
use crate::gpu::device::{Fill, Gpu};
use crate::gpu::rotation::{Rotation, samples};

const SOURCE: &str = include_str!("../../../kernels/norm.cu");

/// Added to the mean square.
const EPSILON: f32 = 1e-6;
/// Vectors of a row that a thread keeps in registers, four each.
const VECTORS_MAX: usize = 7;

/// `x / rms(x) * weight` of each row; 2 bytes read and 2 written a number, and the weights, which stay in caches.
pub(super) fn rmsnorm(gpu: &Gpu, rows: Rows) -> Result<Streamed, BenchError> {
    let split = Split::of(rows.width())?;
    let kernel = gpu.kernel(&split.source(), "rmsnorm")?;
    let threads = u32::try_from(split.threads * split.rows).unwrap_or(u32::MAX);
    let config = grid(gpu, &kernel, threads, rows.tokens.div_ceil(split.rows))?;
    let sets = gpu.sets(2 * rows.bytes() as u64);
    let buffers = vec![
        Buffer::Rotating(Rotation::empty(gpu, sets, rows.bytes())?),
        Buffer::Rotating(Rotation::random(gpu, sets, rows.bytes(), Fill::Bf16Normal, 2)?),
        Buffer::Fixed(gpu.random(Fill::Bf16Normal, rows.dim, 3)?),
    ];
    let numbers = vec![1.0 / rows.dim as f32, EPSILON];
    Ok(Streamed { kernel, config, rows, buffers, counts: vec![rows.tokens, rows.width()], numbers, check })
}

fn check(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0])?;
    let dim = this.rows.dim;
    let weight = this.bf16_row(gpu, 2, 0, dim)?;
    for row in samples(this.rows.tokens, CHECKED) {
        let x = this.bf16_row(gpu, 1, row, dim)?;
        let mean = x.iter().map(|x| x * x).sum::<f64>() / dim as f64;
        let scale = (mean + f64::from(EPSILON)).sqrt().recip();
        let want: Vec<f64> = x.iter().zip(&weight).map(|(x, weight)| x * scale * weight).collect();
        compare("rmsnorm", row, &this.bf16_row(gpu, 0, row, dim)?, &want)?;
    }
    Ok(())
}

/// How a row is split among threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split {
    /// Threads of a row.
    threads: usize,
    /// Vectors of a thread.
    vectors: usize,
    /// Rows of a block: several where a warp has one, for then no barrier is needed.
    rows: usize,
}

impl Split {
    /// The fewest threads that keep a row of `width` vectors in their registers.
    fn of(width: usize) -> Result<Self, BenchError> {
        let threads = [32, 64, 128, 256, 512].into_iter().find(|threads| width <= threads * VECTORS_MAX);
        let threads = threads.ok_or_else(|| {
            BenchError::Failed(format!("rows of {}: the widest are {}", width * VECTOR, 512 * VECTORS_MAX * VECTOR))
        })?;
        Ok(Self { threads, vectors: width.div_ceil(threads), rows: if threads == 32 { 8 } else { 1 } })
    }

    fn source(self) -> String {
        let Self { threads, vectors, rows } = self;
        format!("#define THREADS {threads}\n#define VECTORS {vectors}\n#define ROWS {rows}\n{NUMBERS}\n{SOURCE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::compile::compile_in_test;

    #[test]
    fn every_vector_of_a_row_has_a_thread_and_registers() {
        for width in 1..=512 * VECTORS_MAX {
            let split = Split::of(width).expect("not too wide");
            assert!(split.threads * split.vectors >= width && split.vectors <= VECTORS_MAX);
        }
        assert_eq!(Split::of(896), Ok(Split { threads: 128, vectors: 7, rows: 1 }), "no thread is idle at 7168");
        assert!(Split::of(512 * VECTORS_MAX + 1).is_err());
    }

    #[test]
    fn the_kernels_compile() {
        for width in [64, 896, 2048] {
            compile_in_test(&Split::of(width).expect("not too wide").source());
        }
    }
}
