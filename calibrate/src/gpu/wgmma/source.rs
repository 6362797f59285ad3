//! The source of a tensor kernel: which of its variants, and the instruction itself.

use std::fmt::Write as _;

use super::super::element::Element;

const INSTRUCTIONS: &str = include_str!("../../../kernels/wgmma.cu");
const PRODUCT: &str = include_str!("../../../kernels/wgmma_gemm.cu");
const LOOP: &str = include_str!("../../../kernels/wgmma_loop.cu");

/// Rows of a tile, 64 for each of two warpgroups.
pub(super) const TILE_M: usize = 128;
/// Bytes of a row in a stage.
pub(super) const ROW: usize = 128;
/// Tiles of m that are walked together: their rows of A and the columns of B beside them stay in L2.
pub(super) const BAND: usize = 16;
/// Threads of a block: one warpgroup that copies, two that multiply.
pub(super) const THREADS: u32 = 384;

/// Which product kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Of A and B.
    pub(super) element: Element,
    /// Columns of a tile, 128 or 256. Partial sums beside FP32 sums leave registers for 128 only.
    pub(super) tile_n: usize,
    /// Products between promotions to FP32 registers.
    pub(super) promote: Option<u32>,
    /// Whether blocks of the operands have scales, applied at each promotion.
    pub(super) scales: bool,
    /// Whether each tile of rows meets a B of its own group.
    pub(super) grouped: bool,
    /// Whether two blocks share the rows of A.
    pub(super) paired: bool,
    /// Whether the sums are written as they are, in FP32.
    pub(super) full: bool,
}

impl Variant {
    /// Stages that fit into shared memory.
    fn stages(&self) -> usize {
        if self.tile_n == 256 { 4 } else { 6 }
    }

    /// Dynamic shared memory: stages, scales, two barriers a stage, and room to align.
    pub(super) fn shared_bytes(&self) -> usize {
        let stage = (TILE_M + self.tile_n) * ROW + usize::from(self.scales) * TILE_M * 4;
        1024 + self.stages() * (stage + 16)
    }

    /// Blocks that work on neighboring tiles.
    pub(super) const fn cluster(&self) -> usize {
        if self.paired { 2 } else { 1 }
    }

    /// The kernel `product`, as `kernels/wgmma_gemm.cu` documents it.
    pub(super) fn source(&self) -> String {
        let settings = [
            ("BYTES", self.element.bytes()),
            ("TILE_N", self.tile_n),
            ("STAGES", self.stages()),
            ("PROMOTE", self.promote.map_or(0, |n| n as usize)),
            ("SCALES", self.scales.into()),
            ("GROUPED", self.grouped.into()),
            ("CLUSTER", self.cluster()),
            ("BAND", BAND),
            ("OUT_F32", self.full.into()),
        ];
        assemble(&settings, self.tile_n, self.element, PRODUCT)
    }
}

/// The kernel `tensor_loop`, 64 x 256.
pub(super) fn tensor_loop(element: Element) -> String {
    assemble(&[("BYTES", element.bytes())], 256, element, LOOP)
}

fn assemble(settings: &[(&str, usize)], n: usize, element: Element, kernel: &str) -> String {
    let mut text = String::new();
    for (name, value) in settings {
        let _ = writeln!(text, "#define {name} {value}");
    }
    text + INSTRUCTIONS + &multiply(n, element) + kernel
}

/// `multiply`: one wgmma of 64 x n over 32 bytes of k, both operands in shared memory, `n / 2` sums a thread.
fn multiply(n: usize, element: Element) -> String {
    let sums = n / 2;
    // BF16 operands may lie either way, and say that they do not; E4M3's lie along k always.
    let (k, types, ways) = match element {
        Element::Bf16 => (16, "bf16.bf16", ", 0, 0"),
        Element::E4m3 => (32, "e4m3.e4m3", ""),
    };
    let list = |item: fn(usize) -> String| (0..sums).map(item).collect::<Vec<_>>().join(", ");
    let registers = list(|i| format!("%{i}"));
    let outputs = list(|i| format!("\"+f\"(sums[{i}])"));
    let (a, b, keep) = (sums, sums + 1, sums + 2);
    format!(
        "/// sums = A B^T, added to what they are where `keep`.\n\
         __device__ __forceinline__ void multiply(float (&sums)[{sums}], u64 a, u64 b, bool keep) {{\n\
         asm volatile(\"{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{keep}, 0;\\n\"\n\
         \"wgmma.mma_async.sync.aligned.m64n{n}k{k}.f32.{types} {{{registers}}}, %{a}, %{b}, p, 1, 1{ways};\\n}}\"\n\
         : {outputs} : \"l\"(a), \"l\"(b), \"r\"(static_cast<int>(keep)));\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::compile::compile_in_test;
    use super::*;

    const PLAIN: Variant = Variant {
        element: Element::E4m3,
        tile_n: 128,
        promote: Some(128),
        scales: false,
        grouped: false,
        paired: false,
        full: false,
    };

    fn variants() -> Vec<Variant> {
        let mut all: Vec<Variant> =
            [32, 64, 128, 256, 1024].map(|n| Variant { promote: Some(n), paired: n > 64, ..PLAIN }).into();
        all.push(Variant { promote: None, ..PLAIN });
        for paired in [false, true] {
            all.push(Variant { paired, scales: true, grouped: true, ..PLAIN });
            all.push(Variant { paired, tile_n: 256, promote: None, ..PLAIN });
            all.push(Variant { paired, tile_n: 256, promote: None, element: Element::Bf16, grouped: true, ..PLAIN });
            all.push(Variant { full: true, promote: None, ..PLAIN });
        }
        all
    }

    #[test]
    fn stages_fit_into_the_shared_memory_of_a_block() {
        for variant in variants() {
            // What a Hopper block may ask for: 227 KiB.
            assert!(variant.shared_bytes() <= 227 << 10, "{variant:?}: {}", variant.shared_bytes());
        }
    }

    #[test]
    fn every_variant_compiles() {
        for variant in variants() {
            if compile_in_test(&variant.source()).is_none() {
                return;
            }
        }
        for element in [Element::Bf16, Element::E4m3] {
            compile_in_test(&tensor_loop(element));
        }
    }

    #[test]
    fn the_instruction_names_each_sum_once() {
        let text = multiply(256, Element::E4m3);
        assert!(text.contains("m64n256k32.f32.e4m3.e4m3 {%0, ") && text.contains(", %127}, %128, %129, p, 1, 1;"));
        assert_eq!(text.matches("+f").count(), 128);
        assert!(multiply(128, Element::Bf16).contains("m64n128k16.f32.bf16.bf16"));
    }
}
