//! Memory that the other GPUs of the node may use too.

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaContext, DevicePtr, result};

use crate::bench::BenchError;
use crate::gpu::device::{Fill, Gpu};
use crate::gpu::failure::At;

/// Memory of one GPU that its peers may read and write.
///
/// A plain allocation: memory from the stream-ordered pools, which [`Gpu::bytes`] gives, is closed to peers. All methods
/// return when done.
pub(crate) struct PeerMemory {
    address: u64,
    len: usize,
    ctx: Arc<CudaContext>,
}

impl PeerMemory {
    /// `len` bytes of `gpu`, all `fill`.
    ///
    /// # Errors
    /// `Failed` where there is not enough.
    pub(crate) fn new(gpu: &Gpu, len: usize, fill: u8) -> Result<Self, BenchError> {
        gpu.ctx.bind_to_thread().at("make a device current")?;
        // SAFETY: the device is current; the memory is freed in `drop` only.
        let address = unsafe { result::malloc_sync(len.max(16)) }.at(&format!("allocate {len} bytes"))?;
        let mut memory = Self { address, len, ctx: gpu.ctx.clone() };
        memory.fill(fill)?;
        Ok(memory)
    }

    /// `count` random elements.
    ///
    /// # Errors
    /// As [`PeerMemory::new`].
    pub(crate) fn random(gpu: &Gpu, fill: Fill, count: usize, seed: u32) -> Result<Self, BenchError> {
        let memory = Self::new(gpu, count * fill.size(), 0)?;
        let values = gpu.random(fill, count, seed)?;
        gpu.ctx.bind_to_thread().at("make a device current")?;
        {
            let (from, _guard) = values.device_ptr(&gpu.stream);
            // SAFETY: both are `len` bytes of the same device; the copy follows the filling in its stream.
            unsafe { result::memcpy_dtod_async(memory.address, from, memory.len, gpu.stream.cu_stream()) }
                .at("copy operands")?;
        }
        gpu.synchronize()?;
        Ok(memory)
    }

    /// A copy of `bytes` on `gpu`.
    ///
    /// # Errors
    /// As [`PeerMemory::new`].
    pub(crate) fn of(gpu: &Gpu, bytes: &[u8]) -> Result<Self, BenchError> {
        let memory = Self::new(gpu, bytes.len(), 0)?;
        // SAFETY: the destination has the length of the source.
        unsafe { result::memcpy_htod_sync(memory.address, bytes) }.at("copy to the device")?;
        Ok(memory)
    }

    /// A table of addresses on `gpu`.
    ///
    /// # Errors
    /// As [`PeerMemory::new`].
    pub(crate) fn table(gpu: &Gpu, addresses: &[u64]) -> Result<Self, BenchError> {
        let bytes: Vec<u8> = addresses.iter().flat_map(|address| address.to_ne_bytes()).collect();
        Self::of(gpu, &bytes)
    }

    /// Sets every byte.
    ///
    /// # Errors
    /// `Failed` or `Lost` with the call that failed.
    pub(crate) fn fill(&mut self, byte: u8) -> Result<(), BenchError> {
        self.ctx.bind_to_thread().at("make a device current")?;
        // SAFETY: exactly the bytes that were allocated.
        unsafe { result::memset_d8_sync(self.address, byte, self.len) }.at("fill memory")?;
        self.ctx.synchronize().at("synchronize")
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// `Failed` where the range is not inside, or the copy fails.
    pub(crate) fn read(&self, range: Range<usize>) -> Result<Vec<u8>, BenchError> {
        if range.start > range.end || range.end > self.len {
            return Err(BenchError::Failed(format!("bytes {range:?} of {} were asked for", self.len)));
        }
        self.ctx.bind_to_thread().at("make a device current")?;
        let mut bytes = vec![0; range.len()];
        if !bytes.is_empty() {
            // SAFETY: the range is inside the allocation.
            unsafe { result::memcpy_dtoh_sync(&mut bytes, self.address + range.start as u64) }
                .at("copy from the device")?;
        }
        Ok(bytes)
    }

    /// Where it begins, the same on every GPU of the process.
    pub(crate) const fn address(&self) -> u64 {
        self.address
    }

    /// Its bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

impl Drop for PeerMemory {
    fn drop(&mut self) {
        let _ = self.ctx.bind_to_thread();
        // SAFETY: allocated by `new`; freeing waits for the kernels that use it.
        let _ = unsafe { result::free_sync(self.address) };
    }
}

/// Operand sets of a call that reads `bytes` on a GPU: a round of them is more than twice its L2, but there are no more
/// than `most` (small calls are bound by latency, not by where their operands lie) and no fewer than two (a rank may be
/// one call ahead of its peers).
pub(crate) fn sets_within(gpu: &Gpu, bytes: usize, most: usize) -> usize {
    gpu.sets(bytes as u64).clamp(2, most.max(2))
}
