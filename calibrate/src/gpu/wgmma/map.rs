//! Tensor maps: how the copy engine finds the boxes of a matrix.

use std::mem::MaybeUninit;

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::{
    self, CUtensorMap, CUtensorMapDataType, CUtensorMapFloatOOBfill, CUtensorMapInterleave, CUtensorMapL2promotion,
    CUtensorMapSwizzle,
};

use super::super::element::Element;
use super::super::failure::At;
use super::source::ROW;
use crate::bench::BenchError;

/// A row-major matrix, taken in boxes of some rows and 128 bytes of each, swizzled by 128 bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Map(CUtensorMap);

// SAFETY: the kernel's `TensorMap` has the same 128 bytes, which only the copy engine interprets.
unsafe impl DeviceRepr for Map {}

impl Map {
    /// Of `rows` x `columns` elements at `address` (a multiple of 16), boxes of `box_rows`, at most 256. What lies
    /// beyond the matrix is read as zeros.
    ///
    /// # Errors
    /// `Failed` where the driver refuses: rows that do not start at multiples of 16 bytes.
    pub(super) fn new(
        element: Element,
        address: u64,
        rows: usize,
        columns: usize,
        box_rows: usize,
    ) -> Result<Self, BenchError> {
        let bytes = element.bytes();
        let data_type = match element {
            Element::Bf16 => CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            Element::E4m3 => CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT8,
        };
        let mut map = MaybeUninit::<CUtensorMap>::zeroed();
        // Innermost first. The stride is that of the outer dimension; the inner one has none.
        let (sizes, strides) = ([columns as u64, rows as u64], [(columns * bytes) as u64]);
        let (boxes, steps) = ([(ROW / bytes) as u32, box_rows as u32], [1_u32, 1]);
        // SAFETY: every array has as many entries as a map of rank 2 reads; the driver writes the map and keeps none.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                map.as_mut_ptr(),
                data_type,
                2,
                address as *mut std::ffi::c_void,
                sizes.as_ptr(),
                strides.as_ptr(),
                boxes.as_ptr(),
                steps.as_ptr(),
                CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        }
        .result()
        .at(&format!("map a matrix of {rows} x {columns} {element:?}"))?;
        // SAFETY: the driver has written it; any bytes are a value of the type.
        Ok(Self(unsafe { map.assume_init() }))
    }
}
