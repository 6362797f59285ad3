//! Operands of a product on the device, enough sets of them that a call never finds its own in L2.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, result};

use super::device::{Fill, Gpu};
use super::element::{Element, bf16};
use super::failure::At;
use crate::bench::BenchError;

/// More sets are not kept, however small they are: their descriptions are the host's work.
const SETS_MAX: usize = 512;
/// Every matrix starts at a multiple of this.
const ALIGN: usize = 256;
/// Rows and columns of the output that are compared.
const CHECKED: [usize; 2] = [8, 16];

/// `D[m,n] = A[m,k] B[n,k]^T`, all three row-major; with groups, B is one matrix a group, one below the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Rows of A and D.
    pub(crate) m: usize,
    /// Columns of D, rows of one B.
    pub(crate) n: usize,
    /// Inner dimension.
    pub(crate) k: usize,
    /// Matrices of B.
    pub(crate) groups: usize,
    /// Of A and B; D is BF16.
    pub(crate) element: Element,
}

impl Shape {
    /// Takes what a question gives.
    ///
    /// # Errors
    /// `Unsupported`, with the number and a way out, where the sizes are zero, beyond 32 bits, or where rows would not
    /// start at multiples of 16 bytes.
    pub(crate) fn new(m: u64, n: u64, k: u64, groups: usize, element: Element) -> Result<Self, BenchError> {
        let bytes = element.bytes() as u64;
        for (name, value, multiple) in [("m", m, 1), ("n", n, 8), ("k", k, 16 / bytes)] {
            if value == 0 || value > i32::MAX as u64 || value % multiple != 0 {
                let next = value.clamp(1, i32::MAX as u64 / 2).next_multiple_of(multiple);
                let text = format!("`{name}` of {value}: must be a multiple of {multiple} in 32 bits, such as {next}");
                return Err(BenchError::Unsupported(text));
            }
        }
        let size = |value: u64| value as usize;
        Ok(Self { m: size(m), n: size(n), k: size(k), groups, element })
    }

    fn a_bytes(&self) -> usize {
        self.m * self.k * self.element.bytes()
    }

    fn b_bytes(&self) -> usize {
        self.groups * self.n * self.k * self.element.bytes()
    }

    fn d_bytes(&self) -> usize {
        self.m * self.n * 2
    }

    /// Operations of the product, a multiplication and an addition each.
    pub(crate) fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }
}

/// FP32 scales of FP8 blocks: A's per row and 128 products, rows contiguous; B's per 128 rows and 128 products, along k.
pub(crate) struct Scales {
    /// `[k / 128, a_stride]`.
    pub(crate) a: CudaSlice<u8>,
    /// `[groups x n / 128, b_stride]`.
    pub(crate) b: CudaSlice<u8>,
    /// Floats from one 128 products to the next.
    pub(crate) a_stride: usize,
    /// Floats from one 128 rows to the next; a multiple of 4.
    pub(crate) b_stride: usize,
}

impl Scales {
    /// Random ones for a shape; `a_stride` of at least `m`.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub(crate) fn new(gpu: &Gpu, shape: &Shape, a_stride: usize) -> Result<Self, BenchError> {
        let parts = shape.k.div_ceil(128);
        let b_stride = parts.next_multiple_of(4);
        let blocks = shape.groups * shape.n.div_ceil(128);
        Ok(Self {
            a: gpu.random(Fill::F32Scale, parts * a_stride, 5)?,
            b: gpu.random(Fill::F32Scale, blocks * b_stride, 7)?,
            a_stride,
            b_stride,
        })
    }
}

/// Matrices of a product, several sets of each.
pub(crate) struct Operands {
    /// Their sizes.
    pub(crate) shape: Shape,
    /// Where the elements have scales.
    pub(crate) scales: Option<Scales>,
    /// Sets to rotate through.
    pub(crate) sets: usize,
    a: CudaSlice<u8>,
    b: CudaSlice<u8>,
    d: CudaSlice<u8>,
}

impl Operands {
    /// Random matrices.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub(crate) fn new(gpu: &Gpu, shape: Shape, scales: Option<Scales>) -> Result<Self, BenchError> {
        let (a, b, d) = (shape.a_bytes(), shape.b_bytes(), shape.d_bytes());
        let sets = gpu.sets((a + b + d) as u64).min(SETS_MAX);
        let size = shape.element.bytes();
        let all = |bytes: usize| sets * bytes.next_multiple_of(ALIGN);
        Ok(Self {
            a: gpu.random(shape.element.fill(), all(a) / size, 17)?,
            b: gpu.random(shape.element.fill(), all(b) / size, 99)?,
            d: gpu.bytes(all(d))?,
            shape,
            scales,
            sets,
        })
    }

    /// Addresses of A, B and D of set `i`, counted round and round.
    pub(crate) fn addresses(&self, i: usize) -> [u64; 3] {
        let stream = self.a.stream();
        let set = i % self.sets;
        let sizes = [(&self.a, self.shape.a_bytes()), (&self.b, self.shape.b_bytes()), (&self.d, self.shape.d_bytes())];
        sizes.map(|(slab, bytes)| slab.device_ptr(stream).0 + (set * bytes.next_multiple_of(ALIGN)) as u64)
    }

    /// Makes every output of set 0 NaN.
    pub(crate) fn poison(&self, stream: &Arc<CudaStream>) -> Result<(), BenchError> {
        let [_, _, d] = self.addresses(0);
        // SAFETY: the slab holds at least the bytes of one D, and nothing else is under way on the stream's data.
        unsafe { result::memset_d8_async(d, 0xFF, self.shape.d_bytes(), stream.cu_stream()) }.at("poison the output")
    }

    /// Compares D of set 0 with exact products: every element written, and those of some rows and columns right.
    ///
    /// Right is within a twentieth of the root of the sum of squared products, which is the size that random products
    /// sum up to, and 1 % for the rounding to BF16. `group` says which B a row meets.
    ///
    /// # Errors
    /// `Failed` with the place, the value and what it should be.
    pub(crate) fn check(&self, stream: &Arc<CudaStream>, group: impl Fn(usize) -> usize) -> Result<(), BenchError> {
        let Shape { m, n, .. } = self.shape;
        let out = stream.clone_dtoh(&self.d.slice(..self.shape.d_bytes())).at("read the output")?;
        let at = |row: usize, column: usize| {
            let place = 2 * (row * n + column);
            u16::from_le_bytes([out[place], out[place + 1]])
        };
        if let Some(place) = out.chunks_exact(2).position(|pair| pair == [0xFF, 0xFF]) {
            return Err(BenchError::Failed(format!("row {}, column {} was not written", place / n, place % n)));
        }
        let host = Host::read(self, stream)?;
        for row in spread(m, CHECKED[0]) {
            let a = self.row(stream, &self.a, row)?;
            for column in spread(n, CHECKED[1]) {
                let b_row = group(row) * n + column;
                let b = self.row(stream, &self.b, b_row)?;
                let (want, size) = host.product(&a, &b, row, b_row);
                let got = bf16(at(row, column));
                if (got - want).abs() <= 0.05 * size + 0.01 * want.abs() {
                    continue;
                }
                return Err(BenchError::Failed(format!(
                    "{:?}: row {row}, column {column} is {got}, not {want}; products are of size {size}",
                    self.shape
                )));
            }
        }
        Ok(())
    }

    /// A row of k elements of set 0.
    fn row(&self, stream: &Arc<CudaStream>, slab: &CudaSlice<u8>, row: usize) -> Result<Vec<f64>, BenchError> {
        let bytes = self.shape.k * self.shape.element.bytes();
        let view = slab.slice(row * bytes..(row + 1) * bytes);
        Ok(self.shape.element.decode(&stream.clone_dtoh(&view).at("read an operand")?))
    }
}

/// Scales as the host reads them.
struct Host {
    groups_of: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    strides: [usize; 2],
}

impl Host {
    fn read(operands: &Operands, stream: &Arc<CudaStream>) -> Result<Self, BenchError> {
        let floats =
            |bytes: Vec<u8>| bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let Some(scales) = &operands.scales else {
            return Ok(Self { groups_of: operands.shape.n, a: vec![], b: vec![], strides: [0, 0] });
        };
        Ok(Self {
            groups_of: operands.shape.n,
            a: floats(stream.clone_dtoh(&scales.a).at("read scales")?),
            b: floats(stream.clone_dtoh(&scales.b).at("read scales")?),
            strides: [scales.a_stride, scales.b_stride],
        })
    }

    /// The exact product of a row of A and one of B, and the root of the sum of its squared terms.
    fn product(&self, a: &[f64], b: &[f64], row: usize, b_row: usize) -> (f64, f64) {
        let n = self.groups_of;
        let block = b_row / n * n.div_ceil(128) + b_row % n / 128;
        let scale = |i: usize| {
            if self.a.is_empty() {
                return 1.0;
            }
            let part = i / 128;
            f64::from(self.a[part * self.strides[0] + row]) * f64::from(self.b[block * self.strides[1] + part])
        };
        let terms = || a.iter().zip(b).enumerate().map(|(i, (a, b))| a * b * scale(i));
        (terms().sum(), terms().map(|term| term * term).sum::<f64>().sqrt())
    }
}

/// `count` places among `n`, the first and the last among them, no two tiles alike.
fn spread(n: usize, count: usize) -> Vec<usize> {
    if n <= count {
        return (0..n).collect();
    }
    (0..count).map(|i| if i + 1 == count { n - 1 } else { i * (n - 1) / (count - 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_cannot_be_copied_in_boxes_are_refused_with_a_way_out() {
        let new = |m, n, k| Shape::new(m, n, k, 1, Element::E4m3).map_err(|error| error.to_string());
        assert!(new(1, 8, 16).is_ok());
        assert!(new(0, 8, 16).is_err_and(|text| text.contains("`m` of 0")));
        assert!(new(4, 12, 16).is_err_and(|text| text.contains("`n` of 12") && text.contains("such as 16")));
        assert!(new(4, 8, 100).is_err_and(|text| text.contains("`k` of 100") && text.contains("such as 112")));
        assert!(new(4, 8, 1 << 40).is_err());
        assert!(Shape::new(4, 8, 8, 1, Element::Bf16).is_ok(), "sixteen bytes");
    }

    #[test]
    fn checked_places_reach_both_ends() {
        assert_eq!(spread(3, 8), [0, 1, 2]);
        for n in [9, 128, 7168, 100_001] {
            let places = spread(n, 8);
            assert_eq!((places.len(), places[0], places[7]), (8, 0, n - 1));
            assert!(places.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn scales_are_found_by_row_block_and_part() {
        let host = Host {
            groups_of: 192,
            a: (0..8).map(|i| i as f32).collect(),
            b: (0..16).map(|i| i as f32).collect(),
            strides: [4, 4],
        };
        // Two parts of 128 products; row 1; row 130 of the second group's B, so block 3.
        let (sum, _) = host.product(&[1.0; 256], &[1.0; 256], 1, 192 + 130);
        assert_eq!(sum, 128.0 * (1.0 * 12.0 + 5.0 * 13.0));
    }
}
