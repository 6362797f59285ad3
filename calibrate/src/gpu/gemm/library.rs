//! The few objects of cuBLASLt that a product needs, destroyed when they go.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};

use cudarc::cublaslt::{result, sys};

use super::super::failure::At;
use crate::bench::BenchError;

/// The library, opened.
pub(super) struct Handle(pub(super) sys::cublasLtHandle_t);

impl Handle {
    /// # Errors
    /// `Unsupported` without the library.
    pub(super) fn new() -> Result<Self, BenchError> {
        // SAFETY: loads a library by name; its initializers are NVIDIA's.
        if !unsafe { sys::is_culib_present() } {
            return Err(BenchError::Unsupported("no libcublasLt, which comes with CUDA or a Python package".into()));
        }
        Ok(Self(result::create_handle().at("cublasLtCreate")?))
    }

    /// Such as `cublasLt 13.0.2`.
    pub(super) fn version() -> String {
        // SAFETY: asked only after the library was found; takes nothing.
        let number = unsafe { sys::cublasLtGetVersion() };
        format!("cublasLt {}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it after this.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// What is computed: types, transposition, scales.
pub(super) struct Operation(pub(super) sys::cublasLtMatmulDesc_t);

impl Operation {
    /// FP32 sums and factors.
    pub(super) fn new() -> Result<Self, BenchError> {
        let (compute, scale) = (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType_t::CUDA_R_32F);
        Ok(Self(result::create_matmul_desc(compute, scale).at("cublasLtMatmulDescCreate")?))
    }

    /// Sets an attribute, whose type `T` is the one that the library documents.
    pub(super) fn set<T: Copy>(&self, name: sys::cublasLtMatmulDescAttributes_t, value: T) -> Result<(), BenchError> {
        // SAFETY: the library copies as many bytes as the value has, and refuses another number than it expects.
        unsafe { result::set_matmul_desc_attribute(self.0, name, (&raw const value).cast::<c_void>(), size_of::<T>()) }
            .at(&format!("{name:?}"))
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: as for the handle.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// A matrix, column-major without gaps.
pub(super) struct Layout(pub(super) sys::cublasLtMatrixLayout_t);

impl Layout {
    pub(super) fn new(element: sys::cudaDataType_t, rows: usize, columns: usize) -> Result<Self, BenchError> {
        let layout = result::create_matrix_layout(element, rows as u64, columns as u64, rows as i64);
        Ok(Self(layout.at("cublasLtMatrixLayoutCreate")?))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as for the handle.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What the heuristic may choose from.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as for the handle.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

/// Up to `n` algorithms that the library proposes with so many bytes of workspace, its favorite first.
///
/// # Errors
/// `Unsupported` where it has none.
pub(super) fn algorithms(
    handle: &Handle,
    operation: &Operation,
    [a, b, d]: [&Layout; 3],
    workspace: usize,
    n: usize,
) -> Result<Vec<sys::cublasLtMatmulAlgo_t>, BenchError> {
    let preference = Preference(result::create_matmul_pref().at("cublasLtMatmulPreferenceCreate")?);
    let name = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    let value = (&raw const workspace).cast::<c_void>();
    // SAFETY: the library copies the bytes of a size.
    unsafe { result::set_matmul_pref_attribute(preference.0, name, value, size_of::<usize>()) }.at("workspace")?;
    let mut found = vec![MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed(); n];
    let mut n_found = 0;
    // SAFETY: all objects live; the array has room for as many as are asked for.
    let status = unsafe {
        sys::cublasLtMatmulAlgoGetHeuristic(
            handle.0,
            operation.0,
            a.0,
            b.0,
            d.0,
            d.0,
            preference.0,
            n as i32,
            found.as_mut_ptr().cast(),
            &raw mut n_found,
        )
    };
    if status == sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED || (n_found == 0 && status.result().is_ok()) {
        return Err(BenchError::Unsupported(format!("{} has no algorithm for this product", Handle::version())));
    }
    status.result().at("cublasLtMatmulAlgoGetHeuristic")?;
    // SAFETY: the library has written the first `n_found`.
    let found = found.into_iter().take(n_found.max(0) as usize).map(|entry| unsafe { entry.assume_init() });
    Ok(found
        .filter(|entry| entry.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS)
        .map(|entry| entry.algo)
        .collect())
}
