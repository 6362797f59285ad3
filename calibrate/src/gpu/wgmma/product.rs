//! A product kernel with everything that a launch of it needs.

use std::sync::Arc;

use cudarc::driver::sys::CUfunction_attribute_enum as Attribute;
use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg};

use super::super::device::Gpu;
use super::super::failure::At;
use super::super::operands::{Scales, Shape};
use super::check_hopper;
use super::map::Map;
use super::order::Order;
use super::source::{THREADS, TILE_M, Variant};
use crate::bench::BenchError;

/// What the kernel is told beside its maps: `Problem` of `kernels/wgmma_gemm.cu`, field by field.
#[derive(Clone, Copy)]
#[repr(C)]
struct Problem {
    m: i32,
    n: i32,
    k: i32,
    rows: i32,
    columns: i32,
    scale: f32,
    a_stride: i32,
    b_stride: i32,
    a_scales: u64,
    b_scales: u64,
    group_of: u64,
    out: u64,
}

// SAFETY: plain numbers in the layout of C, as the kernel declares them.
unsafe impl DeviceRepr for Problem {}

/// A compiled product of one shape.
pub(super) struct Product {
    kernel: CudaFunction,
    variant: Variant,
    shape: Shape,
    order: Order,
    problem: Problem,
    /// Kept as long as kernels may read it.
    _group_of: Option<CudaSlice<i32>>,
}

impl Product {
    /// Compiles a variant for a shape on `sms` blocks at most; `groups` names the group of each tile of rows.
    ///
    /// # Errors
    /// `Unsupported` on other chips than Hopper; else what the compiler or the driver says.
    pub(super) fn new(
        gpu: &Gpu,
        variant: Variant,
        shape: Shape,
        sms: usize,
        groups: Option<&[i32]>,
    ) -> Result<Self, BenchError> {
        check_hopper(gpu)?;
        let kernel = gpu.kernel(&variant.source(), "product")?;
        let shared = variant.shared_bytes() as i32;
        kernel.set_attribute(Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared).at("shared memory")?;
        let group_of = groups.map(|groups| gpu.stream.clone_htod(groups).at("copy the groups")).transpose()?;
        let order = Order::new(&variant, shape.m, shape.n, sms);
        let problem = Problem {
            m: shape.m as i32,
            n: shape.n as i32,
            k: shape.k as i32,
            rows: order.rows as i32,
            columns: order.columns as i32,
            scale: 1.0,
            a_stride: 0,
            b_stride: 0,
            a_scales: 0,
            b_scales: 0,
            group_of: group_of.as_ref().map_or(0, |groups| groups.device_ptr(&gpu.stream).0),
            out: 0,
        };
        Ok(Self { kernel, variant, shape, order, problem, _group_of: group_of })
    }

    /// With scales of blocks, which must outlive every launch.
    pub(super) fn with_scales(mut self, gpu: &Gpu, scales: &Scales) -> Self {
        self.problem.a_scales = scales.a.device_ptr(&gpu.stream).0;
        self.problem.b_scales = scales.b.device_ptr(&gpu.stream).0;
        self.problem.a_stride = scales.a_stride as i32;
        self.problem.b_stride = scales.b_stride as i32;
        self
    }

    /// Maps of A and B at these addresses.
    ///
    /// # Errors
    /// What the driver refuses.
    pub(super) fn maps(&self, a: u64, b: u64) -> Result<[Map; 2], BenchError> {
        let Shape { m, n, k, groups, element } = self.shape;
        Ok([
            Map::new(element, a, m, k, TILE_M / self.variant.cluster())?,
            Map::new(element, b, groups * n, k, self.variant.tile_n)?,
        ])
    }

    /// Puts one product on the stream: `out` is `[m, n]` in BF16, or FP32 for a variant that is `full`.
    ///
    /// # Errors
    /// What the launch says.
    pub(super) fn launch(&self, stream: &Arc<CudaStream>, maps: &[Map; 2], out: u64) -> Result<(), BenchError> {
        let problem = Problem { out, ..self.problem };
        let config = LaunchConfig {
            grid_dim: (self.order.blocks as u32, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: self.variant.shared_bytes() as u32,
        };
        let mut launch = stream.launch_builder(&self.kernel);
        launch.arg(&maps[0]).arg(&maps[1]).arg(&problem);
        // SAFETY: maps and problem are what the kernel declares; the matrices they speak of have the shape's sizes.
        unsafe { launch.launch(config) }.at("launch a product")?;
        Ok(())
    }

    /// Which variant it is.
    pub(super) fn name(&self) -> String {
        format!("{:?}", self.variant)
    }

    /// How it is run, for whoever reads a sample.
    pub(super) fn describe(&self) -> [(&'static str, f64); 3] {
        [
            ("tile-columns", self.variant.tile_n as f64),
            ("cluster", self.variant.cluster() as f64),
            ("blocks", self.order.blocks as f64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(size_of::<Problem>(), 64);
        assert_eq!(std::mem::offset_of!(Problem, a_scales), 32);
        assert_eq!(std::mem::offset_of!(Problem, out), 56);
    }
}
