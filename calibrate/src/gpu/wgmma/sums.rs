//! Sums as the tensor core leaves them, for given operands.

use cudarc::driver::{DevicePtr, result};

use super::super::device::Gpu;
use super::super::element::Element;
use super::super::failure::At;
use super::super::operands::Shape;
use super::check_promotion;
use super::product::Product;
use super::source::Variant;
use crate::bench::BenchError;

/// `A B^T` of E4M3 bytes `a[m,k]` and `b[n,k]`, both contiguous along k: FP32 sums `[m,n]`, not rounded further.
///
/// Each sum adds 32 products an instruction to what the tensor core holds; every `promote` products it is added to an
/// FP32 register and starts from zero. `k` is filled up with zeros to a multiple of 128, which adds nothing.
///
/// # Errors
/// `Unsupported` where sizes and lengths do not fit, where an operand is NaN, or for an interval that the kernel does not
/// have (see [`check_promotion`]).
pub(crate) fn sums(
    gpu: &Gpu,
    [a, b]: [&[u8]; 2],
    [m, n, k]: [usize; 3],
    promote: Option<u32>,
) -> Result<Vec<f32>, BenchError> {
    check_promotion(promote)?;
    let shape = Shape::new(m as u64, n as u64, k as u64, 1, Element::E4m3)?;
    for (name, bytes, rows) in [("A", a, m), ("B", b, n)] {
        check_codes(name, bytes, rows, k)?;
    }
    let variant = Variant {
        element: Element::E4m3,
        tile_n: 128,
        promote,
        scales: false,
        grouped: false,
        paired: false,
        full: true,
    };
    let product = Product::new(gpu, variant, shape, gpu.sms as usize, None)?;
    let stream = &gpu.stream;
    let (a, b) = (stream.clone_htod(a).at("copy A")?, stream.clone_htod(b).at("copy B")?);
    // SAFETY: made NaN below, then written by the kernel.
    let out = unsafe { stream.alloc::<f32>(m * n) }.at("allocate sums")?;
    let address = out.device_ptr(stream).0;
    // SAFETY: as many bytes as were allocated.
    unsafe { result::memset_d8_async(address, 0xFF, m * n * 4, stream.cu_stream()) }.at("poison the sums")?;
    let maps = product.maps(a.device_ptr(stream).0, b.device_ptr(stream).0)?;
    product.launch(stream, &maps, address)?;
    let sums = stream.clone_dtoh(&out).at("read the sums")?;
    stream.synchronize().at("sums of the tensor core")?;
    match sums.iter().position(|sum| sum.is_nan()) {
        Some(at) => Err(BenchError::Failed(format!("the sum of row {}, column {} is NaN", at / n, at % n))),
        None => Ok(sums),
    }
}

fn check_codes(name: &str, bytes: &[u8], rows: usize, k: usize) -> Result<(), BenchError> {
    let wrong = |text: String| Err(BenchError::Unsupported(text));
    if bytes.len() != rows * k {
        return wrong(format!("{name} has {} bytes; {rows} rows of {k} are {}", bytes.len(), rows * k));
    }
    match bytes.iter().position(|code| code & 0x7F == 0x7F) {
        Some(at) => wrong(format!("{name} is NaN at row {}, {}: give finite codes of E4M3", at / k, at % k)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_of_the_wrong_length_and_nans_are_refused() {
        let text = |bytes: &[u8]| check_codes("A", bytes, 2, 3).map_err(|error| error.to_string());
        assert_eq!(text(&[0; 6]), Ok(()));
        assert!(text(&[0; 5]).is_err_and(|text| text.contains("A has 5 bytes; 2 rows of 3 are 6")));
        assert!(text(&[0, 0, 0, 0, 0xFF, 0]).is_err_and(|text| text.contains("row 1, 1")));
    }
}
