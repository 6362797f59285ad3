//! A buffer of equal operand sets that calls take by turns, so that none finds its operands in L2.

use std::ops::Range;

use cudarc::driver::{CudaSlice, DevicePtr};

use super::device::{Fill, Gpu};
use super::failure::At;
use crate::bench::BenchError;

/// Sets start at multiples of this, the widest access there is.
const ALIGN: usize = 256;

/// `n` sets in one piece of memory.
pub(crate) struct Rotation {
    memory: CudaSlice<u8>,
    /// Device address of set 0.
    base: u64,
    stride: usize,
    n: usize,
}

impl Rotation {
    /// `n` sets of `bytes` each, of unspecified content.
    ///
    /// # Errors
    /// `Failed` where there is not enough memory.
    pub(crate) fn empty(gpu: &Gpu, n: usize, bytes: usize) -> Result<Self, BenchError> {
        let stride = bytes.next_multiple_of(ALIGN);
        let memory = gpu.bytes(n.saturating_mul(stride))?;
        Ok(Self::of(gpu, memory, stride, n))
    }

    /// `n` sets of `bytes` of random numbers each.
    ///
    /// # Errors
    /// As [`Rotation::empty`].
    pub(crate) fn random(gpu: &Gpu, n: usize, bytes: usize, fill: Fill, seed: u32) -> Result<Self, BenchError> {
        let stride = bytes.next_multiple_of(ALIGN);
        let memory = gpu.random(fill, n.saturating_mul(stride) / fill.size(), seed)?;
        Ok(Self::of(gpu, memory, stride, n))
    }

    fn of(gpu: &Gpu, memory: CudaSlice<u8>, stride: usize, n: usize) -> Self {
        let base = memory.device_ptr(&gpu.stream).0;
        Self { memory, base, stride, n }
    }

    /// Device address of the set of call `i`.
    pub(crate) fn of_call(&self, i: usize) -> u64 {
        self.base + (i % self.n * self.stride) as u64
    }

    /// Fills set 0 with ones in every bit, which is a NaN in every format.
    ///
    /// # Errors
    /// Of the device.
    pub(crate) fn poison(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        gpu.ctx.bind_to_thread().at("make a device current")?;
        // SAFETY: set 0 is that long, and the stream is the one that everything of this GPU runs on.
        unsafe {
            cudarc::driver::result::memset_d8_async(self.base, 0xFF, self.stride, gpu.stream.cu_stream())
                .at("poison outputs")
        }
    }

    /// Bytes of set 0, after all that was enqueued.
    ///
    /// # Errors
    /// Of the device; `Failed` for a range beyond the set.
    pub(crate) fn read(&self, gpu: &Gpu, range: Range<usize>) -> Result<Vec<u8>, BenchError> {
        if range.end > self.stride || range.is_empty() {
            return Err(BenchError::Failed(format!("bytes {range:?} of a set of {}", self.stride)));
        }
        let bytes = gpu.stream.clone_dtoh(&self.memory.slice(range)).at("read back")?;
        gpu.stream.synchronize().at("read back")?;
        Ok(bytes)
    }
}

/// Some indices below `n`: the first, the last, and others that a fixed rule scatters between them.
pub(crate) fn samples(n: usize, count: usize) -> Vec<usize> {
    // Steps of the golden section fall everywhere and nowhere twice.
    let scattered = (1..count.saturating_sub(1)).map(|i| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below `n`")]
        let index = ((i as f64 * 0.618_033_988_749_895).fract() * n as f64) as usize;
        index
    });
    let mut indices: Vec<usize> = [0, n.saturating_sub(1)].into_iter().chain(scattered).filter(|&i| i < n).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_both_ends_and_stay_inside() {
        for n in [1, 2, 7, 1000] {
            let indices = samples(n, 16);
            assert_eq!((indices.first(), indices.last()), (Some(&0), Some(&(n - 1))));
            assert!(indices.len() <= 16 && indices.is_sorted());
        }
        assert!(samples(0, 16).is_empty());
        assert_eq!(samples(1000, 16).len(), 16);
    }
}
