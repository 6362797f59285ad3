//! NVIDIA GPUs as a [`Bench`], through CUDA loaded at run time.
//!
//! [`GpuBench::open`] finds driver and libraries and says what is [`Absent`]; [`Bench::measure`] then answers a question:
//! the kernel is prepared with operand sets that outgrow L2, verified once a kind against a reference, and timed from graphs
//! under a sustained load.
//!
//! | questions | module |
//! |---|---|
//! | copy, read, write | `memory` |
//! | norms, activations, casts, permutations | `stream` |
//! | launches | `launch` |
//! | products of the library | `gemm` |
//! | products and tensor loops of our own | `wgmma` |
//! | sums of the tensor cores | `accumulate` |
//! | two kernels at once | `together` |
//! | several GPUs | `multi` |
//!
//! Without CUDA nothing here panics, and nothing is needed to build it.
#![allow(unsafe_code, reason = "every call into CUDA is unsafe; this folder is the only place that makes them")]
#![allow(clippy::cast_precision_loss, reason = "counts of bytes and calls as real numbers, far below 2^52")]

mod absent;
mod accumulate;
mod compile;
mod device;
mod element;
mod exchange;
mod failure;
mod fingerprint;
mod gemm;
mod launch;
mod library;
mod memory;
mod meter;
mod multi;
mod nccl;
mod operands;
mod part;
mod peer;
mod rotation;
mod stream;
mod timing;
mod together;
mod together_multi;
mod wgmma;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use absent::Absent;
pub use library::{Libraries, Options};

use crate::bench::{Bench, BenchError};
use crate::question::Question;
use crate::sample::{Fingerprint, Reading};
use device::Gpu;
use failure::At;
use timing::{Call, Effort};

/// The GPUs of this machine.
pub struct GpuBench {
    /// The one that is measured, then its peers.
    gpus: Vec<Gpu>,
    effort: Effort,
    fingerprint: Fingerprint,
}

impl GpuBench {
    /// Opens the device of `options`, and its peers for questions of several GPUs.
    ///
    /// Libraries that are installed outside the loader's path are found by starting the program again, with the same
    /// arguments and an environment that names their folders. So call this before anything else has an effect.
    ///
    /// # Errors
    /// What is [`Absent`], and the way out.
    pub fn open(options: &Options) -> Result<Self, Absent> {
        catch_unwind(AssertUnwindSafe(|| Self::find(options)))
            .unwrap_or_else(|panic| Err(Absent::Broken { text: panic_text(panic.as_ref()) }))
    }

    fn find(options: &Options) -> Result<Self, Absent> {
        let libraries = Libraries::load(options)?;
        let n_devices = library::initialize()?;
        if options.device >= n_devices {
            return Err(Absent::Ordinal { asked: options.device, n_devices });
        }
        let peers = (0..n_devices).filter(|&ordinal| ordinal != options.device);
        let gpus = std::iter::once(options.device).chain(peers).map(Gpu::open).collect::<Result<Vec<_>, _>>();
        let gpus = gpus.map_err(|error| Absent::Broken { text: error.to_string() })?;
        let fingerprint =
            fingerprint::take(&gpus, &libraries).map_err(|error| Absent::Broken { text: error.to_string() })?;
        let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
        Ok(Self { gpus, effort, fingerprint })
    }

    fn answer(&self, question: &Question) -> Result<Reading, BenchError> {
        let gpu = &self.gpus[0];
        gpu.ctx.bind_to_thread().at("make the device current")?;
        match question {
            several if multi::n_gpus(several) > 1 => multi::measure(&self.gpus, &self.effort, several),
            Question::Launch => launch::from_host(gpu, &self.effort),
            Question::GraphLaunch => launch::in_graph(gpu, &self.effort),
            Question::Accumulate { .. } => accumulate::measure(gpu, question),
            Question::Together { of, beside } => together::measure(gpu, &self.effort, of, beside),
            other => {
                let mut call = prepare(gpu, other)?;
                Ok(timing::time(gpu, &self.effort, call.as_mut())?.reading(call.implementation()))
            }
        }
    }
}

impl Bench for GpuBench {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn measure(&mut self, question: &Question) -> Result<Reading, BenchError> {
        // cudarc reports a symbol that a library lacks by a panic; that ends one question, not the calibration.
        catch_unwind(AssertUnwindSafe(|| self.answer(question)))
            .unwrap_or_else(|panic| Err(BenchError::Failed(panic_text(panic.as_ref()))))
    }
}

/// A kernel of one GPU as a call that has been verified, once a kind in the life of the device.
///
/// # Errors
/// `Unsupported` for questions that are no such call; `Failed` where the result is wrong.
pub(crate) fn prepare(gpu: &Gpu, question: &Question) -> Result<Box<dyn Call>, BenchError> {
    let mut call = match question {
        Question::Copy { .. } | Question::Read { .. } | Question::Write { .. } => memory::prepare(gpu, question)?,
        Question::Rmsnorm { .. }
        | Question::Swiglu { .. }
        | Question::Rope { .. }
        | Question::Cast { .. }
        | Question::CastTransposed { .. }
        | Question::Permute { .. }
        | Question::Unpermute { .. } => stream::prepare(gpu, question)?,
        Question::Gemm { .. } => gemm::prepare(gpu, question)?,
        Question::GroupedGemm { .. } | Question::PromotedGemm { .. } | Question::TensorLoop { .. } => {
            wgmma::prepare(gpu, question)?
        }
        Question::Attention { .. } => {
            return Err(BenchError::Unsupported(
                "attention is timed by `calibrate/import/sdpa.py` and imported".into(),
            ));
        }
        Question::DecodeAttention { .. } => {
            return Err(BenchError::Unsupported(
                "attention over caches is timed by `calibrate/import/torch_serving.py` and imported".into(),
            ));
        }
        Question::IndexAdd { .. } | Question::Rows { .. } => {
            return Err(BenchError::Unsupported(format!(
                "`{}` is timed by `calibrate/import/torch_kernels.py` and imported",
                kind(question)
            )));
        }
        other => return Err(BenchError::Unsupported(format!("`{}` is no call of one GPU", kind(other)))),
    };
    gpu.once(&kind(question), || call.verify(gpu))?;
    Ok(call)
}

/// What is verified once: kernel and arithmetic, but no sizes.
fn kind(question: &Question) -> String {
    let value = serde_json::to_value(question).unwrap_or_default();
    let parts = ["kernel", "dtype", "promote"].map(|key| value.get(key).map(ToString::to_string).unwrap_or_default());
    parts.join(" ").replace('"', "").trim_end().to_owned()
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let short: String = text.unwrap_or("no reason given").chars().take(300).collect();
    format!("a library of CUDA is not what we expect: {short}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::op::Precision;

    #[test]
    fn a_kind_is_kernel_and_arithmetic_without_sizes() {
        let gemm = |m| Question::Gemm { m, n: 8, k: 8, dtype: Precision::Fp8Block, sms: 4 };
        assert_eq!(kind(&gemm(1)), "gemm fp8-block");
        assert_eq!(kind(&gemm(1)), kind(&gemm(2)));
        assert_eq!(kind(&Question::Launch), "launch");
    }

    #[test]
    fn a_panic_of_a_library_becomes_a_text() {
        let panic = catch_unwind(|| panic!("symbol {} missing", "cuFoo")).expect_err("panics");
        assert!(panic_text(panic.as_ref()).ends_with("symbol cuFoo missing"));
    }
}
