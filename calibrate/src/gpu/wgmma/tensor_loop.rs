//! [`Question::TensorLoop`](crate::Question::TensorLoop): the tensor cores alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::sys::CUfunction_attribute_enum as Attribute;
use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, LaunchConfig, PushKernelArg};

use super::super::device::Gpu;
use super::super::element::Element;
use super::super::failure::At;
use super::super::timing::Call;
use super::check_hopper;
use super::source::{ROW, tensor_loop};
use crate::bench::BenchError;

/// Rows of 128 bytes of one part: 64 of A for each of two warpgroups, 256 of B.
const PART_ROWS: usize = 2 * 64 + 256;
/// Parts of a round, all in shared memory.
const PARTS: usize = 4;
/// Bytes of all operands of a block.
const BYTES: usize = PARTS * PART_ROWS * ROW;
/// Rounds of a call: milliseconds, beside which a launch and the filling of shared memory are nothing.
const ROUNDS: i32 = 2048;
/// Sums of one warpgroup.
const SUMS: usize = 64 * 256;

/// The loop on some SMs, a block each.
pub(super) struct TensorLoop {
    kernel: CudaFunction,
    element: Element,
    operands: CudaSlice<u8>,
    out: CudaSlice<f32>,
    sms: u32,
}

impl TensorLoop {
    /// Compiles it and draws operands.
    ///
    /// # Errors
    /// `Unsupported` where there are not so many SMs, or no wgmma.
    pub(super) fn new(gpu: &Gpu, element: Element, sms: u32) -> Result<Self, BenchError> {
        gpu.check_sms(sms)?;
        check_hopper(gpu)?;
        let kernel = gpu.kernel(&tensor_loop(element), "tensor_loop")?;
        let shared = (BYTES + 1024) as i32;
        kernel.set_attribute(Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared).at("shared memory")?;
        // SAFETY: the kernel writes all of it before it is read.
        let out = unsafe { gpu.stream.alloc::<f32>(sms as usize * 2 * SUMS) }.at("allocate sums")?;
        Ok(Self { kernel, element, operands: gpu.random(element.fill(), BYTES / element.bytes(), 3)?, out, sms })
    }

    fn launch(&mut self, stream: &Arc<CudaStream>, rounds: i32) -> Result<(), BenchError> {
        let config =
            LaunchConfig { grid_dim: (self.sms, 1, 1), block_dim: (256, 1, 1), shared_mem_bytes: BYTES as u32 + 1024 };
        let mut launch = stream.launch_builder(&self.kernel);
        launch.arg(&self.operands).arg(&mut self.out).arg(&rounds);
        // SAFETY: the operands are all parts of a round, the output two warpgroups' sums a block.
        unsafe { launch.launch(config) }.at("launch the tensor loop")?;
        Ok(())
    }

    /// Operations of a call.
    fn flops(&self) -> f64 {
        let k = ROW / self.element.bytes() * PARTS;
        2.0 * SUMS as f64 * k as f64 * 2.0 * f64::from(ROUNDS) * f64::from(self.sms)
    }

    /// The exact sum at `row`, `column` of a warpgroup, and the size of its products.
    fn expected(&self, operands: &[u8], group: usize, row: usize, column: usize) -> (f64, f64) {
        let line = |part: usize, row: usize| {
            let at = (part * PART_ROWS + row) * ROW;
            self.element.decode(&operands[at..at + ROW])
        };
        let terms: Vec<f64> = (0..PARTS)
            .flat_map(|part| {
                let (a, b) = (line(part, group * 64 + row), line(part, 128 + column));
                a.into_iter().zip(b).map(|(a, b)| a * b)
            })
            .collect();
        (terms.iter().sum(), terms.iter().map(|term| term * term).sum::<f64>().sqrt())
    }
}

impl Call for TensorLoop {
    fn implementation(&self) -> String {
        "windtunnel".to_owned()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        gpu.stream.memset_zeros(&mut self.out).at("clear the sums")?;
        self.launch(&gpu.stream, 1)?;
        let operands = gpu.stream.clone_dtoh(&self.operands).at("read the operands")?;
        let out = gpu.stream.clone_dtoh(&self.out).at("read the sums")?;
        gpu.stream.synchronize().at("tensor loop")?;
        for block in [0, self.sms as usize - 1] {
            for (group, row, column) in [(0, 0, 0), (0, 63, 255), (1, 0, 1), (1, 17, 130), (0, 38, 77), (1, 63, 248)] {
                let (want, size) = self.expected(&operands, group, row, column);
                let got = f64::from(out[(block * 2 + group) * SUMS + row * 256 + column]);
                // A NaN is wrong too, so the comparison is for what is right.
                if (got - want).abs() <= 0.05 * size {
                    continue;
                }
                return Err(BenchError::Failed(format!(
                    "tensor loop of {:?}: block {block}, warpgroup {group}, row {row}, column {column} is {got}, not \
                     {want}; products are of size {size}",
                    self.element
                )));
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, stream: &Arc<CudaStream>, _: usize) -> Result<(), BenchError> {
        self.launch(stream, ROUNDS)
    }

    fn extras(&self) -> BTreeMap<String, f64> {
        [("flops".to_owned(), self.flops())].into()
    }
}
