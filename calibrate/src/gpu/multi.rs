//! Several GPUs of one node in one process: who talks to whom, and how a call of all ranks is timed.
//!
//! A [`MultiCall`] is to a node what [`Call`](super::timing::Call) is to a GPU. [`measure`] answers every question that needs more
//! than one GPU: copies and flags between peers, collectives of the library, exchanges of our own, and pairs of one of
//! those with a kernel that runs on each GPU.

mod gate;
mod memory;
mod timing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::{CudaStream, sys};

pub(crate) use gate::Gate;
pub(crate) use memory::{PeerMemory, sets_within};
pub(crate) use timing::{Batch, time};

use super::device::Gpu;
use super::failure::At;
use super::timing::Effort;
use super::{exchange, nccl, peer, together_multi};
use crate::bench::BenchError;
use crate::question::Question;
use crate::sample::Reading;

/// Flags and waits of the kernels, put before each source that uses them.
pub(crate) const FLAGS: &str = include_str!("../../kernels/flags.cuh");

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

/// GPUs that a question needs.
pub(crate) fn n_gpus(question: &Question) -> usize {
    match question {
        Question::PeerCopy { .. } | Question::PeerBulk { .. } | Question::PeerEngine { .. } | Question::PeerLatency => {
            2
        }
        Question::Dispatch { ranks, .. } | Question::Combine { ranks, .. } | Question::Collective { ranks, .. } => {
            (*ranks as usize).max(2)
        }
        Question::Together { of, beside } => n_gpus(of).max(n_gpus(beside)),
        Question::Copy { .. }
        | Question::Read { .. }
        | Question::Write { .. }
        | Question::Gemm { .. }
        | Question::GroupedGemm { .. }
        | Question::PromotedGemm { .. }
        | Question::TensorLoop { .. }
        | Question::Attention { .. }
        | Question::Rmsnorm { .. }
        | Question::Swiglu { .. }
        | Question::Rope { .. }
        | Question::Cast { .. }
        | Question::CastTransposed { .. }
        | Question::Permute { .. }
        | Question::Unpermute { .. }
        | Question::Launch
        | Question::GraphLaunch
        | Question::Accumulate { .. } => 1,
    }
}

/// Answers a question of several GPUs; `gpus` are all there are, in order.
///
/// # Errors
/// `Unsupported` where GPUs, peer access or a library are missing, `Failed` where a result is wrong.
pub(crate) fn measure(gpus: &[Gpu], effort: &Effort, question: &Question) -> Result<Reading, BenchError> {
    let gpus = ranks(gpus, question)?;
    match question {
        Question::PeerLatency => peer::latency(gpus, effort),
        Question::PeerCopy { .. } | Question::PeerBulk { .. } | Question::PeerEngine { .. } => {
            peer::measure(gpus, effort, question)
        }
        Question::Together { of, beside } => together_multi::measure(gpus, effort, of, beside),
        _ => {
            let mut call = prepare_multi(gpus, question)?;
            verify_once(gpus, call.as_mut())?;
            Ok(time(gpus, effort, call.as_mut())?.reading(call.implementation()))
        }
    }
}

/// A question of several GPUs as something that can be enqueued on each of its ranks. Copies between peers go both ways
/// then, so that all ranks do the same.
///
/// # Errors
/// `Unsupported` for questions of one GPU, for `PeerLatency` and for pairs, which are not calls; else as [`measure`].
pub(crate) fn prepare_multi(gpus: &[Gpu], question: &Question) -> Result<Box<dyn MultiCall>, BenchError> {
    let gpus = ranks(gpus, question)?;
    match question {
        Question::PeerCopy { .. } | Question::PeerBulk { .. } | Question::PeerEngine { .. } => {
            peer::prepare(gpus, question, peer::Ways::Both)
        }
        Question::Collective { .. } => nccl::prepare(gpus, question),
        Question::Dispatch { .. } | Question::Combine { .. } => exchange::prepare(gpus, question),
        other => Err(BenchError::Unsupported(format!("{other:?} is no call of several GPUs"))),
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

/// The GPUs that the question's ranks are, with their memories opened to each other.
fn ranks<'a>(gpus: &'a [Gpu], question: &Question) -> Result<&'a [Gpu], BenchError> {
    let n = n_gpus(question);
    let ranks = gpus
        .get(..n)
        .ok_or_else(|| BenchError::Unsupported(format!("needs {n} GPUs of one node, here are {}", gpus.len())))?;
    open_peers(ranks)?;
    Ok(ranks)
}

/// Lets every GPU reach the others' memory, both ways; once is enough, more does no harm.
fn open_peers(gpus: &[Gpu]) -> Result<(), BenchError> {
    for (rank, gpu) in gpus.iter().enumerate() {
        gpu.ctx.bind_to_thread().at("make a device current")?;
        for (peer, other) in gpus.iter().enumerate().filter(|&(peer, _)| peer != rank) {
            let mut can = 0;
            // SAFETY: both devices are open; the result has somewhere to go.
            unsafe { sys::cuDeviceCanAccessPeer(&raw mut can, gpu.ctx.cu_device(), other.ctx.cu_device()) }
                .result()
                .at("ask for peer access")?;
            if can != 1 {
                return Err(BenchError::Unsupported(format!("GPU {rank} cannot reach the memory of GPU {peer}")));
            }
            // SAFETY: both contexts are alive, and this device's is current.
            let code = unsafe { sys::cuCtxEnablePeerAccess(other.ctx.cu_ctx(), 0) };
            if code != sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED {
                code.result().at(&format!("open the memory of GPU {peer} to GPU {rank}"))?;
            }
        }
    }
    Ok(())
}

/// The timed streams of the ranks.
pub(crate) fn streams(gpus: &[Gpu]) -> Vec<Arc<CudaStream>> {
    gpus.iter().map(|gpu| gpu.stream.clone()).collect()
}

/// Waits for everything on every GPU.
pub(crate) fn synchronize(gpus: &[Gpu]) -> Result<(), BenchError> {
    gpus.iter().try_for_each(Gpu::synchronize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::op::Precision;

    #[test]
    fn a_pair_needs_the_gpus_of_its_wider_half() {
        let gemm = Question::Gemm { m: 1, n: 1, k: 1, dtype: Precision::Bf16, sms: 1 };
        let dispatch = Question::Dispatch { ranks: 4, tokens: 1, dim: 512, experts: 4, top_k: 1, sms: 1 };
        assert_eq!(n_gpus(&gemm), 1);
        let pair = |of: &Question, beside: &Question| Question::Together {
            of: Box::new(of.clone()),
            beside: Box::new(beside.clone()),
        };
        assert_eq!(n_gpus(&pair(&gemm, &dispatch)), 4);
        assert_eq!(n_gpus(&pair(&dispatch, &gemm)), 4);
        assert_eq!(n_gpus(&pair(&gemm, &gemm)), 1);
        assert_eq!(n_gpus(&Question::PeerLatency), 2);
    }

    #[test]
    fn no_gpu_is_said_with_numbers() {
        let error = ranks(&[], &Question::PeerLatency).err().expect("none").to_string();
        assert_eq!(error, "cannot be measured here: needs 2 GPUs of one node, here are 0");
    }
}
