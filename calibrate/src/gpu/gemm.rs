//! Products by cuBLASLt: [`Question::Gemm`].
//!
//! Of the algorithms that the library proposes, each is timed briefly and the fastest kept, as frameworks that tune do. What
//! its first proposal takes, which is what a user gets who does not tune, is `first-algorithm-seconds` among the extras.
//!
//! The library thinks in columns: our `D[m,n] = A[m,k] B[n,k]^T`, row-major, is its `D^T = B A^T` with B transposed, so
//! the weights (our B) are its first operand.

mod library;

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    self, cublasLtMatmulDescAttributes_t as Attribute, cublasLtMatmulMatrixScale_t as ScaleMode, cudaDataType_t as Type,
};
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use self::library::{Handle, Layout, Operation, algorithms};
use super::device::{Fill, Gpu};
use super::element::Element;
use super::failure::At;
use super::operands::{Operands, Scales, Shape};
use super::timing::{Call, Effort, time};
use crate::bench::BenchError;
use workloads::op::Precision;

use crate::question::Question;

/// Algorithms asked for.
const ALGORITHMS: usize = 8;
/// Memory that an algorithm may use beside its operands, in bytes.
const WORKSPACE: usize = 64 << 20;
/// To tell algorithms apart; the fastest is then measured in full.
const BRIEF: Effort = Effort { warm: 0.005, seconds: 0.015 };

/// Prepares a product and picks its algorithm.
///
/// # Errors
/// `Unsupported` for other questions, sizes that the library does not take, or without the library.
pub(crate) fn prepare(gpu: &Gpu, question: &Question) -> Result<Box<dyn Call>, BenchError> {
    let &Question::Gemm { m, n, k, dtype, sms } = question else {
        return Err(BenchError::Unsupported(format!("cuBLASLt does not answer {question:?}")));
    };
    gpu.check_sms(sms)?;
    let element = if dtype == Precision::Bf16 { Element::Bf16 } else { Element::E4m3 };
    let shape = Shape::new(m, n, k, 1, element)?;
    check_multiples(&shape, dtype)?;
    let mut gemm = Gemm::new(gpu, shape, dtype, sms)?;
    gemm.tune(gpu)?;
    Ok(Box::new(gemm))
}

/// What cuBLASLt asks of FP8 matrices beyond what [`Shape::new`] does.
fn check_multiples(shape: &Shape, dtype: Precision) -> Result<(), BenchError> {
    let (n, m) = match dtype {
        Precision::Bf16 => (8, 1),
        Precision::Fp8Tensor | Precision::Fp8TensorFast => (16, 1),
        // Scales of 1x128 lie along m, in units of 16 bytes.
        Precision::Fp8Block => (16, 4),
        Precision::Fp8Tile => return Err(no_tiles()),
    };
    for (name, value, multiple) in [("n", shape.n, n), ("m", shape.m, m)] {
        if value % multiple != 0 {
            let next = value.next_multiple_of(multiple);
            let text = format!("`{name}` of {value} in `{dtype}`: must be a multiple of {multiple}, such as {next}");
            return Err(BenchError::Unsupported(text));
        }
    }
    Ok(())
}

/// A product with its operands and the algorithms for it.
struct Gemm {
    handle: Handle,
    operation: Operation,
    /// Weights, activations, result: in the library's order.
    layouts: [Layout; 3],
    operands: Operands,
    /// The scale of a whole tensor.
    _one: CudaSlice<u8>,
    workspace: CudaSlice<u8>,
    algorithms: Vec<sys::cublasLtMatmulAlgo_t>,
    /// The algorithm that is used.
    chosen: usize,
    /// Seconds of the library's first proposal, once tuned.
    first: f64,
    /// SMs it is given, where not all.
    part: Option<u32>,
}

impl Gemm {
    fn new(gpu: &Gpu, shape: Shape, dtype: Precision, sms: u32) -> Result<Self, BenchError> {
        let handle = Handle::new()?;
        let scales = (dtype == Precision::Fp8Block).then(|| Scales::new(gpu, &shape, shape.m)).transpose()?;
        let one = gpu.random(Fill::F32One, 4, 0)?;
        let operation = describe(gpu, dtype, scales.as_ref(), &one)?;
        if sms < gpu.sms {
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, sms.cast_signed())?;
        }
        let element = if dtype == Precision::Bf16 { Type::CUDA_R_16BF } else { Type::CUDA_R_8F_E4M3 };
        let layouts = [
            Layout::new(element, shape.k, shape.n)?,
            Layout::new(element, shape.k, shape.m)?,
            Layout::new(Type::CUDA_R_16BF, shape.n, shape.m)?,
        ];
        let [weights, activations, out] = &layouts;
        let found = algorithms(&handle, &operation, [weights, activations, out], WORKSPACE, ALGORITHMS)?;
        Ok(Self {
            handle,
            operation,
            layouts,
            operands: Operands::new(gpu, shape, scales)?,
            _one: one,
            workspace: gpu.bytes(WORKSPACE)?,
            algorithms: found,
            chosen: 0,
            first: 0.0,
            part: (sms < gpu.sms).then_some(sms),
        })
    }

    /// Times every algorithm briefly and keeps the fastest.
    fn tune(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        let mut best: Option<(f64, usize)> = None;
        let mut failures = vec![];
        for index in 0..self.algorithms.len() {
            self.chosen = index;
            match time(gpu, &BRIEF, self) {
                Ok(timing) => {
                    if index == 0 {
                        self.first = timing.seconds;
                    }
                    if best.is_none_or(|(seconds, _)| timing.seconds < seconds) {
                        best = Some((timing.seconds, index));
                    }
                }
                Err(lost @ BenchError::Lost(_)) => return Err(lost),
                Err(failed) => failures.push(failed.to_string()),
            }
        }
        let Some((_, index)) = best else {
            let text = format!("none of {} algorithms ran: {}", self.algorithms.len(), failures.join("; "));
            return Err(BenchError::Failed(text));
        };
        self.chosen = index;
        Ok(())
    }
}

fn no_tiles() -> BenchError {
    let fp8 = Precision::Fp8Tile;
    BenchError::Unsupported(format!("cuBLASLt has no product in `{fp8}`: `fp8-block` has the scales closest to it"))
}

/// Types, transposition and scales of a product.
fn describe(
    gpu: &Gpu,
    dtype: Precision,
    scales: Option<&Scales>,
    one: &CudaSlice<u8>,
) -> Result<Operation, BenchError> {
    let address = |slice: &CudaSlice<u8>| slice.device_ptr(&gpu.stream).0;
    let operation = Operation::new()?;
    // `cublasOperation_t`, which these bindings lack: 1 transposes.
    operation.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, 1_i32)?;
    operation.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, 0_i32)?;
    if dtype == Precision::Bf16 {
        return Ok(operation);
    }
    let (weights, activations) = scales.map_or((one, one), |scales| (&scales.b, &scales.a));
    operation.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, address(weights))?;
    operation.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, address(activations))?;
    match dtype {
        Precision::Bf16 => {}
        Precision::Fp8Tile => return Err(no_tiles()),
        Precision::Fp8TensorFast => operation.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, 1_i8)?,
        Precision::Fp8Tensor => operation.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, 0_i8)?,
        Precision::Fp8Block => {
            let (of_weights, of_activations) = (
                ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F,
                ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F,
            );
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, of_weights)?;
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, of_activations)?;
        }
    }
    Ok(operation)
}

impl Call for Gemm {
    fn implementation(&self) -> String {
        Handle::version()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        self.operands.poison(&gpu.stream)?;
        self.enqueue(&gpu.stream, 0)?;
        gpu.stream.synchronize().at("cublasLtMatmul")?;
        self.operands.check(&gpu.stream, |_| 0)
    }

    fn enqueue(&mut self, stream: &Arc<CudaStream>, i: usize) -> Result<(), BenchError> {
        let [activations, weights, out] = self.operands.addresses(i);
        let [weights_layout, activations_layout, out_layout] = &self.layouts;
        let (alpha, beta) = (1.0_f32, 0.0_f32);
        // SAFETY: every address is of a matrix as large as its layout says; the factors are on the host and read at once.
        unsafe {
            sys::cublasLtMatmul(
                self.handle.0,
                self.operation.0,
                (&raw const alpha).cast(),
                weights as *const _,
                weights_layout.0,
                activations as *const _,
                activations_layout.0,
                (&raw const beta).cast(),
                out as *const _,
                out_layout.0,
                out as *mut _,
                out_layout.0,
                &raw const self.algorithms[self.chosen],
                self.workspace.device_ptr(stream).0 as *mut _,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        }
        .result()
        .at("cublasLtMatmul")
    }

    fn part(&self) -> Option<u32> {
        self.part
    }

    fn extras(&self) -> BTreeMap<String, f64> {
        let extras = [
            ("flops", self.operands.shape.flops()),
            ("first-algorithm-seconds", self.first),
            ("algorithm", self.chosen as f64),
            ("n-algorithms", self.algorithms.len() as f64),
        ];
        extras.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arithmetic_asks_for_its_own_multiples() {
        let check = |m, n, dtype| {
            let element = if dtype == Precision::Bf16 { Element::Bf16 } else { Element::E4m3 };
            let shape = Shape::new(m, n, 128, 1, element).expect("a shape");
            check_multiples(&shape, dtype).map_err(|error| error.to_string())
        };
        assert_eq!(check(3, 24, Precision::Bf16), Ok(()));
        assert_eq!(check(3, 32, Precision::Fp8Tensor), Ok(()));
        assert!(
            check(3, 24, Precision::Fp8TensorFast).is_err_and(|text| text.contains("`n` of 24") && text.contains("32"))
        );
        assert!(
            check(6, 32, Precision::Fp8Block)
                .is_err_and(|text| text.contains("`m` of 6") && text.contains("such as 8"))
        );
    }
}
