//! A common start for the streams of several GPUs.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig, PinnedHostSlice, PushKernelArg};

use super::{FLAGS, PEER, patience};
use crate::bench::BenchError;
use crate::gpu::device::Gpu;
use crate::gpu::failure::At;

/// Holds streams until [`Gate::open`]: everything is enqueued behind it, then all GPUs start within a microsecond.
pub(crate) struct Gate {
    /// Word 0: turns that may go; word 1: whether a stream gave up waiting.
    words: *mut u64,
    /// Owns the words.
    _host: PinnedHostSlice<u64>,
    contexts: Vec<Arc<CudaContext>>,
    /// One a GPU.
    kernels: Vec<CudaFunction>,
    turn: u64,
}

impl Gate {
    /// A gate for streams of these GPUs.
    ///
    /// # Errors
    /// Those of compiling a kernel and of allocating host memory.
    pub(crate) fn new(gpus: &[Gpu]) -> Result<Self, BenchError> {
        let [first, ..] = gpus else { return Err(BenchError::Unsupported("no GPU".into())) };
        let source = format!("{FLAGS}{PEER}");
        let kernels = gpus.iter().map(|gpu| gpu.kernel(&source, "gate")).collect::<Result<_, _>>()?;
        let flags = cudarc::driver::sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: filled right below, before anyone reads it. Portable: every GPU of the process may read it.
        let mut host = unsafe { first.ctx.alloc_pinned_with_flags::<u64>(2, flags) }.at("allocate host memory")?;
        host.as_mut_slice().at("host memory")?.fill(0);
        let words = host.as_mut_ptr().at("host memory")?;
        let contexts = gpus.iter().map(|gpu| gpu.ctx.clone()).collect();
        let mut gate = Self { words, _host: host, contexts, kernels, turn: 0 };
        // Loading a kernel may wait for all that runs: not while another one waits here.
        for gpu in gpus {
            gpu.synchronize()?;
        }
        gate.open();
        gate.close_for(&super::streams(gpus), gate.turn)?;
        for gpu in gpus {
            gpu.synchronize()?;
        }
        Ok(gate)
    }

    /// Holds one stream a rank until the next [`Gate::open`].
    ///
    /// # Errors
    /// `Failed` or `Lost` if a launch fails.
    pub(crate) fn close(&self, streams: &[Arc<CudaStream>]) -> Result<(), BenchError> {
        self.close_for(streams, self.turn + 1)
    }

    fn close_for(&self, streams: &[Arc<CudaStream>], turn: u64) -> Result<(), BenchError> {
        let go = self.words as u64;
        let (late, patience) = (go + 8, patience());
        let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
        for (kernel, stream) in self.kernels.iter().zip(streams) {
            let mut launch = stream.launch_builder(kernel);
            launch.arg(&go).arg(&turn).arg(&patience).arg(&late);
            // SAFETY: pinned memory has one address for host and devices, and outlives the kernels: drop opens the gate
            // and waits for them.
            unsafe { launch.launch(config) }.at("hold a stream")?;
        }
        Ok(())
    }

    /// Lets the streams go.
    pub(crate) fn open(&mut self) {
        self.turn += 1;
        // SAFETY: two words; devices read the first while we write it, hence volatile.
        unsafe { self.words.write_volatile(self.turn) };
    }

    /// Whether every stream waited for [`Gate::open`].
    ///
    /// # Errors
    /// `Failed` where one gave up: the ranks did not start together.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        // SAFETY: two words; devices write the second, hence volatile.
        match unsafe { self.words.add(1).read_volatile() } {
            0 => Ok(()),
            _ => Err(BenchError::Failed("a stream gave up waiting for the common start".into())),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A failure between close and open must not leave streams waiting.
        self.open();
        for ctx in &self.contexts {
            let _ = ctx.synchronize();
        }
    }
}
