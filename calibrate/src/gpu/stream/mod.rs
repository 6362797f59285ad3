//! Kernels bound by memory that a layer runs between its products: norms, activations, casts, permutations.
//!
//! Each reads its operands once and writes its results once, 16 bytes at a time where the format allows it, from a grid
//! that fills the device and gives every block the same number of tiles, to one.

mod cast;
mod norm;
mod permute;
mod pointwise;

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg};

use super::device::Gpu;
use super::element::Element;
use super::failure::At;
use super::rotation::Rotation;
use super::timing::Call;
use crate::bench::BenchError;
use crate::question::Question;

/// Formats of the kernels, put before each of their sources.
pub(super) const NUMBERS: &str = include_str!("../../../kernels/numbers.cuh");

/// Numbers in a vector of 16 bytes of BF16.
const VECTOR: usize = 8;
/// Rows that a verification compares.
const CHECKED: usize = 32;

/// Prepares a kernel of this module.
///
/// # Errors
/// `Failed` for sizes that the kernel cannot have, `Unsupported` for other questions.
pub(super) fn prepare(gpu: &Gpu, question: &Question) -> Result<Box<dyn Call>, BenchError> {
    let streamed = match *question {
        Question::Rmsnorm { tokens, dim } => norm::rmsnorm(gpu, Rows::new(tokens, dim, VECTOR)?),
        Question::Swiglu { tokens, dim } => pointwise::swiglu(gpu, Rows::new(tokens, dim, VECTOR)?),
        Question::Rope { tokens, dim } => pointwise::rope(gpu, Rows::new(tokens, dim, pointwise::HEAD)?),
        Question::Cast { tokens, dim } => cast::straight(gpu, Rows::new(tokens, dim, cast::BLOCK)?),
        Question::CastTransposed { tokens, dim } => cast::transposed(gpu, Rows::new(tokens, dim, cast::BLOCK)?),
        Question::Permute { tokens, dim, top_k } => permute::permute(gpu, Rows::new(tokens, dim, VECTOR)?, top_k),
        Question::Unpermute { tokens, dim, top_k } => permute::unpermute(gpu, Rows::new(tokens, dim, VECTOR)?, top_k),
        ref other => Err(BenchError::Unsupported(format!("{other:?} is no kernel bound by memory alone"))),
    };
    Ok(Box::new(streamed?))
}

/// A matrix of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    tokens: usize,
    dim: usize,
}

impl Rows {
    /// With rows of whole units of `unit` numbers.
    fn new(tokens: u64, dim: u64, unit: usize) -> Result<Self, BenchError> {
        let (tokens, dim) = (tokens as usize, dim as usize);
        if tokens == 0 || dim == 0 || !dim.is_multiple_of(unit) {
            return Err(BenchError::Failed(format!(
                "{tokens} rows of {dim}: this kernel takes one or more rows of a multiple of {unit}"
            )));
        }
        // The kernels count vectors in 32 bits, with room for the last turn of the grid.
        if tokens.saturating_mul(dim / VECTOR) > 1 << 31 {
            return Err(BenchError::Failed(format!("{tokens} rows of {dim} are more than 2^31 vectors of {VECTOR}")));
        }
        Ok(Self { tokens, dim })
    }

    /// Vectors of a row.
    const fn width(self) -> usize {
        self.dim / VECTOR
    }

    /// Vectors of all rows.
    const fn vectors(self) -> usize {
        self.tokens * self.width()
    }

    /// Bytes of all rows in BF16.
    const fn bytes(self) -> usize {
        2 * self.tokens * self.dim
    }
}

/// Something that a kernel takes a pointer to.
enum Buffer {
    /// Another set each call.
    Rotating(Rotation),
    /// The same for all calls: small beside the rest, or kept in caches in real use too.
    Fixed(CudaSlice<u8>),
}

/// A kernel with its arguments: pointers first, then counts, then numbers.
struct Streamed {
    kernel: CudaFunction,
    config: LaunchConfig,
    rows: Rows,
    buffers: Vec<Buffer>,
    counts: Vec<usize>,
    numbers: Vec<f32>,
    check: fn(&mut Streamed, &Gpu) -> Result<(), BenchError>,
}

impl Call for Streamed {
    fn implementation(&self) -> String {
        "windtunnel".to_owned()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        (self.check)(self, gpu)
    }

    fn enqueue(&mut self, stream: &Arc<CudaStream>, i: usize) -> Result<(), BenchError> {
        let addresses: Vec<u64> = self.buffers.iter().map(|buffer| buffer.address(stream, i)).collect();
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31, see `Rows::new`")]
        let counts: Vec<u32> = self.counts.iter().map(|&count| count as u32).collect();
        let mut launch = stream.launch_builder(&self.kernel);
        for address in &addresses {
            launch.arg(address);
        }
        for count in &counts {
            launch.arg(count);
        }
        for number in &self.numbers {
            launch.arg(number);
        }
        // SAFETY: each constructor lists the arguments of its kernel, and buffers of the sizes that its counts promise.
        unsafe { launch.launch(self.config) }.at("launch a kernel bound by memory")?;
        Ok(())
    }
}

impl Buffer {
    fn address(&self, stream: &CudaStream, i: usize) -> u64 {
        match self {
            Self::Rotating(rotation) => rotation.of_call(i),
            Self::Fixed(slice) => slice.device_ptr(stream).0,
        }
    }
}

impl Streamed {
    /// Runs call 0 with the outputs at these places poisoned.
    fn run(&mut self, gpu: &Gpu, outputs: &[usize]) -> Result<(), BenchError> {
        for &output in outputs {
            match &mut self.buffers[output] {
                Buffer::Rotating(rotation) => rotation.poison(gpu)?,
                Buffer::Fixed(_) => return Err(BenchError::Failed("an output does not rotate".into())),
            }
        }
        self.enqueue(&gpu.stream.clone(), 0)
    }

    /// Row `row` of buffer `buffer`, set 0, where rows have `dim` BF16.
    fn bf16_row(&self, gpu: &Gpu, buffer: usize, row: usize, dim: usize) -> Result<Vec<f64>, BenchError> {
        Ok(Element::Bf16.decode(&self.bytes(gpu, buffer, row * dim * 2, dim * 2)?))
    }

    /// `count` FP32 from the `first` on.
    fn floats(&self, gpu: &Gpu, buffer: usize, first: usize, count: usize) -> Result<Vec<f64>, BenchError> {
        let bytes = self.bytes(gpu, buffer, first * 4, count * 4)?;
        Ok(words(&bytes).map(|word| f64::from(f32::from_bits(word))).collect())
    }

    fn bytes(&self, gpu: &Gpu, buffer: usize, first: usize, count: usize) -> Result<Vec<u8>, BenchError> {
        let range = first..first + count;
        match &self.buffers[buffer] {
            Buffer::Rotating(rotation) => rotation.read(gpu, range),
            Buffer::Fixed(slice) => {
                let bytes = gpu.stream.clone_dtoh(&slice.slice(range)).at("read back")?;
                gpu.stream.synchronize().at("read back")?;
                Ok(bytes)
            }
        }
    }
}

/// A grid that fills the device, or has a block a tile; every block gets the same number of tiles, to one.
fn grid(gpu: &Gpu, kernel: &CudaFunction, threads: u32, n_tiles: usize) -> Result<LaunchConfig, BenchError> {
    let a_sm = kernel.occupancy_max_active_blocks_per_multiprocessor(threads, 0, None).at("occupancy")?;
    let blocks = spread(n_tiles, (a_sm * gpu.sms) as usize);
    let blocks = u32::try_from(blocks).map_err(|_| BenchError::Failed(format!("{n_tiles} tiles are too many")))?;
    Ok(LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 })
}

/// Blocks for `n_tiles` where `most` fit: as few as make the same number of turns.
fn spread(n_tiles: usize, most: usize) -> usize {
    let turns = n_tiles.div_ceil(most.max(1)).max(1);
    n_tiles.div_ceil(turns).max(1)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Compares a row of BF16: within one part in 256, which is twice the rounding, and a little beside zero.
fn compare(what: &str, row: usize, got: &[f64], want: &[f64]) -> Result<(), BenchError> {
    for (column, (&got, &want)) in got.iter().zip(want).enumerate() {
        // Asked so that a NaN does not pass.
        let right = (got - want).abs() <= want.abs() / 256.0 + 1e-5;
        if !right {
            return Err(BenchError::Failed(format!("{what}: row {row}, column {column} is {got}, not {want}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_spread_evenly_in_as_few_turns_as_can_be() {
        for (n_tiles, most) in [(1, 100), (100, 100), (101, 100), (1056, 132), (12_345, 660), (5, 0)] {
            let blocks = spread(n_tiles, most);
            let most = most.max(1);
            assert!(blocks <= most && blocks >= 1);
            assert_eq!(n_tiles.div_ceil(blocks), n_tiles.div_ceil(most), "no more turns: {n_tiles} on {most}");
        }
        assert_eq!(spread(101, 100), 51, "two turns for all, not for one");
    }

    #[test]
    fn rows_are_checked() {
        assert_eq!(Rows::new(3, 512, 8).map(Rows::vectors), Ok(192));
        for (tokens, dim) in [(0, 512), (3, 0), (3, 511), (1 << 20, 1 << 15)] {
            assert!(matches!(Rows::new(tokens, dim, 8), Err(BenchError::Failed(_))), "{tokens} x {dim}");
        }
    }

    #[test]
    fn a_nan_and_a_neighbor_do_not_pass() {
        assert!(compare("t", 0, &[1.0, 2.0], &[1.003, 2.0]).is_ok());
        assert!(compare("t", 0, &[1.0], &[1.01]).is_err());
        let error = compare("t", 4, &[0.0, f64::NAN], &[0.0, 1.0]).expect_err("not written").to_string();
        assert!(error.contains("row 4, column 1 is NaN, not 1"), "{error}");
    }
}
