//! Several GPUs of one node in one process: who talks to whom, and how a call of all ranks is timed.
//!
//! A [`MultiCall`] is to a node what [`Call`](super::timing::Call) is to a GPU. [`measure`] answers every question that needs more
//! than one GPU: copies and flags between peers, collectives of the library, exchanges of our own, and pairs of one of
//! those with a kernel that runs on each GPU.

mod call;
mod gate;
mod memory;
mod timing;

use cudarc::driver::sys;

pub(crate) use call::{FLAGS, MultiCall, PEER, patience, streams, synchronize, verify_once};
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
        Question::Burst { of } => n_gpus(of),
        Question::Copy { .. }
        | Question::Read { .. }
        | Question::Write { .. }
        | Question::Gemm { .. }
        | Question::GroupedGemm { .. }
        | Question::PromotedGemm { .. }
        | Question::TensorLoop { .. }
        | Question::Attention { .. }
        | Question::DecodeAttention { .. }
        | Question::Rmsnorm { .. }
        | Question::Swiglu { .. }
        | Question::Rope { .. }
        | Question::Cast { .. }
        | Question::CastTransposed { .. }
        | Question::Permute { .. }
        | Question::Unpermute { .. }
        | Question::IndexAdd { .. }
        | Question::Rows { .. }
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
