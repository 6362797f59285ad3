//! Products of our own on Hopper's tensor cores: wgmma fed by the copy engine.
//!
//! One persistent kernel, `kernels/wgmma_gemm.cu`, in variants: how often partial sums leave the tensor core
//! ([`Question::PromotedGemm`]), with scales and groups ([`Question::GroupedGemm`]), or with FP32 sums that show the tensor
//! core's own arithmetic ([`sums`]). And a loop of nothing but tensor instructions ([`Question::TensorLoop`]).
//!
//! The kernel runs one block an SM and as many as SMs are asked for, so the others idle.
//!
//! What bounds it. A tile of 128 x 128 asks L2 for 32 KiB every 128 products of E4M3, which the tensor core does in some 512
//! cycles: more than L2 gives to all SMs at once. Hence two blocks share the rows of A where they can (24 KiB a block), and
//! tiles are 256 wide where no FP32 sums need the registers. While one warpgroup promotes, the other's products keep the
//! tensor core busy, down to some 64 products a promotion; below, it waits. Tiles are written by the warpgroups that
//! multiply, so short sums (k below a thousand) lose to that, and nothing splits k: few tiles leave SMs idle.

mod map;
mod order;
mod product;
mod source;
mod sums;
mod tensor_loop;
mod timed;

pub(crate) use sums::sums;

use self::tensor_loop::TensorLoop;
use self::timed::Timed;
use super::device::Gpu;
use super::element::Element;
use super::timing::Call;
use crate::bench::BenchError;
use workloads::op::Precision;

use crate::question::Question;

/// Prepares a question that this module answers.
///
/// # Errors
/// `Unsupported` for other questions, sizes or arithmetic than the kernels have.
pub(crate) fn prepare(gpu: &Gpu, question: &Question) -> Result<Box<dyn Call>, BenchError> {
    match question {
        Question::PromotedGemm { m, n, k, promote, sms } => {
            Ok(Box::new(Timed::promoted(gpu, [*m, *n, *k], *promote, *sms)?.checked(gpu)?))
        }
        Question::GroupedGemm { tokens, n, k, dtype, sms } => {
            let element = match dtype {
                Precision::Bf16 => Element::Bf16,
                Precision::Fp8Block => Element::E4m3,
                Precision::Fp8Tile | Precision::Fp8Tensor | Precision::Fp8TensorFast => {
                    return Err(no_such("a grouped product", *dtype, "`fp8-block`"));
                }
            };
            Ok(Box::new(Timed::grouped(gpu, tokens, [*n, *k], element, *sms)?.checked(gpu)?))
        }
        Question::TensorLoop { dtype, sms } => {
            let element = match dtype {
                Precision::Bf16 => Element::Bf16,
                Precision::Fp8TensorFast => Element::E4m3,
                Precision::Fp8Block | Precision::Fp8Tile | Precision::Fp8Tensor => {
                    return Err(no_such("the loop", *dtype, "`fp8-tensor-fast`"));
                }
            };
            Ok(Box::new(TensorLoop::new(gpu, element, *sms)?))
        }
        other => Err(BenchError::Unsupported(format!("no tensor kernel answers {other:?}"))),
    }
}

fn no_such(what: &str, dtype: Precision, instead: &str) -> BenchError {
    BenchError::Unsupported(format!("{what} in `{dtype}`: there are `bf16` and {instead}"))
}

/// Intervals that the kernel has: parts of a stage in whole instructions, or whole stages.
///
/// # Errors
/// `Unsupported` with the intervals there are.
pub(crate) fn check_promotion(promote: Option<u32>) -> Result<(), BenchError> {
    match promote {
        None | Some(32 | 64) => Ok(()),
        Some(n) if n > 0 && n % 128 == 0 => Ok(()),
        Some(n) => Err(BenchError::Unsupported(format!(
            "promotion every {n} products: there are 32, 64, multiples of 128, never"
        ))),
    }
}

/// # Errors
/// `Unsupported` on chips without wgmma.
fn check_hopper(gpu: &Gpu) -> Result<(), BenchError> {
    match gpu.capability {
        (9, 0) => Ok(()),
        (major, minor) => {
            Err(BenchError::Unsupported(format!("wgmma is Hopper's, capability 9.0; this device has {major}.{minor}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_between_instructions() {
        for n in [None, Some(32), Some(64), Some(128), Some(256), Some(384)] {
            assert_eq!(check_promotion(n), Ok(()));
        }
        for n in [0, 16, 96, 100, 192] {
            let text = check_promotion(Some(n)).expect_err("no such kernel").to_string();
            assert!(text.contains(&format!("every {n} products")), "{text}");
        }
    }
}
