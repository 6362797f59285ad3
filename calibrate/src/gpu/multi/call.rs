//! A call of several GPUs, and what all of them share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::CudaStream;

use crate::bench::BenchError;
use crate::gpu::device::Gpu;

/// Flags and waits of the kernels, put before each source that uses them.
pub(crate) const FLAGS: &str = include_str!("../../../kernels/flags.cuh");

/// Copies between peers, and the gate that a node's kernels start through.
pub(crate) const PEER: &str = include_str!("../../../kernels/peer.cu");

/// How long a kernel waits for a peer before it gives up: nothing hangs, whatever goes wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// [`PATIENCE`] in nanoseconds, as kernels take it.
pub(crate) fn patience() -> u64 {
    u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX)
}

/// One thing that several ranks do together.
pub(crate) trait MultiCall {
    /// Who does it: a library with its version, or `windtunnel`.
    fn implementation(&self) -> String;

    /// What is verified once a process: two calls of one kind differ in sizes only.
    fn kind(&self) -> String;

    /// Calls after which the same operands come again; a round of them does not fit into L2.
    fn n_sets(&self) -> usize;

    /// Runs it on random operands and compares with a reference; what is written is poisoned before.
    ///
    /// # Errors
    /// `Failed` with rank, place, expectation and what was found.
    fn verify(&mut self, gpus: &[Gpu]) -> Result<(), BenchError>;

    /// The `i`-th call, on one stream a rank; returns before it has run.
    ///
    /// # Errors
    /// `Failed` or `Lost` with the call that failed.
    fn enqueue(&mut self, streams: &[Arc<CudaStream>], i: usize) -> Result<(), BenchError>;

    /// Whether every call since the last check went well, where the device alone can tell. The streams are idle.
    ///
    /// # Errors
    /// `Failed` if a rank waited for another in vain.
    fn check(&mut self) -> Result<(), BenchError> {
        Ok(())
    }

    /// What else is known of a call, by name.
    fn extras(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// Verifies a call unless one of its kind was found right before.
///
/// # Errors
/// Those of [`MultiCall::verify`].
pub(crate) fn verify_once(gpus: &[Gpu], call: &mut dyn MultiCall) -> Result<(), BenchError> {
    let [first, ..] = gpus else { return Err(BenchError::Unsupported("no GPU".into())) };
    first.once(&call.kind(), || call.verify(gpus))
}

/// The timed streams of the ranks.
pub(crate) fn streams(gpus: &[Gpu]) -> Vec<Arc<CudaStream>> {
    gpus.iter().map(|gpu| gpu.stream.clone()).collect()
}

/// Waits for everything on every GPU.
pub(crate) fn synchronize(gpus: &[Gpu]) -> Result<(), BenchError> {
    gpus.iter().try_for_each(Gpu::synchronize)
}
