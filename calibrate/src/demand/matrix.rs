//! Matrix products: tiles, waves, split sums, and the clock that power leaves.
//!
//! A product of `m x n` over `k` is cut in tiles of `r x c`, one SM a tile, and its inner dimension in `s` parts, in
//! `waves = ceil(ceil(m/r) ceil(n/c) s / SMs)`. With `P` the peak of one SM, a wave takes
//!
//! `(k/s) max(2 r c / (f P), L (r + c) / P) + K0 o 2 r c / (f P)` seconds:
//!
//! a tile computes with its area and loads along its sides, the slower of the two binds; `f` is the main loop's share of the
//! peak (`peak-fraction`), `L` the side of a square tile that loads as long as it computes (`load-side`), `K0` the
//! start and store of a tile in steps of the inner dimension (`k-overhead`, for a BF16 store), `o` the bytes moved an
//! element of output over BF16's two. Rows are the doublings of `tile-rows-fewest` up to `tile-rows`, columns the multiples of
//! `tile-columns-step` up to `tile-columns`, parts the doublings of 1 up to `split-max`; the library is taken to pick the
//! quickest, as its heuristic or its user's search does. Splitting costs `split-latency`; its partial sums stay in L2.
//!
//! So padding, wave quantisation and short inner dimensions cost what they should. Memory alone is held to
//! `memory-fraction` of its peak.
//!
//! Then there is power. On random operands the device lowers its clock until it draws no more than its limit, and both
//! products and bytes draw: alone, products without padding would reach `sustained-fraction` of the tensor peak and bytes
//! `power-memory-rate` times the memory peak; together, the shares add up to one. On `n` of `N` SMs the clock may be higher,
//! which costs more for each product: both fall as `(n/N)^power-exponent`. Kernels side by side share the power, and that is
//! most of what a copy beside a product costs it.
//!
//! **Promotion and scales.** Sums of FP8 products are moved to FP32 registers, and scaled, every so many products: a multiply-add
//! for each sum, on FP32 lanes that do `v` operations a clock where the tensor cores do `t`. The share `u` of that work that is not hidden
//! (`gemm.promotion.exposed`) adds `u t / (v N)` tensor times to the main loop's one, for `N` products between. Measured rates
//! hold it for the `N` of their kernels (`promote-every`) and the `t / v` of their hardware (`tensor-to-vector`); other lanes, another
//! `N`, or none where the tensor core keeps bits enough and applies scales itself, change `1/f` by the difference, down to 1.
//!
//! **Alignment.** Where rows of a BF16 tensor begin at no multiple of 16 bytes, the copy units of an SM cannot load them, and libraries
//! take kernels of which each tile takes `words-slowdown` times as long (multiples of 4 bytes) or `halves-slowdown` times.
//!
//! **Groups.** A kernel of groups reads the weights of those that have rows, at `grouped.memory-fraction` of the memory peak. Its blocks walk over tiles of
//! `grouped.tile-rows` by `grouped.tile-columns`, each at `grouped.block-rate` bytes of weights per second at most: few groups leave most blocks idle. It
//! takes `grouped.latency` beyond a product of its own, for sizes and addresses that the device finds itself.
//!
//! **Grids.** A library that does not know that others hold SMs sizes its grid for all `N`. On `n` of them a product of `w` waves takes its time on the whole
//! device times `N/n + late-waves / sqrt(w)`: `calibrate/import/held.py` on an H200, median error 5 %, of the 90th percentile 16 %, 4 to 66 SMs held, in sample; measured in BF16 and taken for FP8. Why it falls with the root
//! is not known; blocks in pairs that find no two neighbors free are one reason.
//!
//! Memory traffic counts each operand once (tiles that meet in L2 are read once), right while a wave's operands fit there.
//! Source of the form: how tiled kernels run on such devices; all its numbers are fitted to rates, published or
//! measured. It breaks where a library changes its kernel for reasons of its own, and for operands that are not random.

use topology::BlockScaling;
use units::{Bytes, BytesPerSec, FlopsPerSec, Seconds};
use workloads::op::{Alignment, Op, OpKind, Output, Pass, Precision};
use workloads::recipe::Grid;

use super::{Asked, Estimator};
use crate::{EstimateKey, GemmTerm as Term};

impl Estimator<'_> {
    pub(super) fn product(&self, op: &Op, sms: u32) -> Option<Asked> {
        let OpKind::Gemm { m, n, k, precision, output } = op.kind else { return None };
        let family = self.family(precision, op.alignment());
        let quickest = family.quickest(sms, output, k as f64, |rows, columns| tiles(m, n, rows, columns));
        let bytes = gemm_bytes(m, n, k, precision, output);
        Some(family.asked(2.0 * m as f64 * n as f64 * k as f64, bytes, quickest, sms))
    }

    /// All groups share the waves. In the weight gradient groups differ in their inner dimension, so the waves are those of
    /// the mean tile. Groups are never split: their kernels have tiles enough.
    pub(super) fn products(&self, op: &Op, sms: u32) -> Option<Asked> {
        let OpKind::GroupedGemm { ref tokens, n, k, precision, output } = op.kind else { return None };
        let family = Family { split_max: 1.0, ..self.family(precision, op.alignment()) };
        let total = tokens.iter().sum::<u64>() as f64;
        let flops = 2.0 * total * n as f64 * k as f64;
        if op.pass == Pass::WeightGradient {
            let inner = total / tokens.len().max(1) as f64;
            let all = |rows, columns| tiles(n, k, rows, columns) * tokens.len() as f64;
            let bytes = tokens.iter().map(|&rows| gemm_bytes(n, k, rows, precision, output)).sum();
            return Some(family.asked(flops, bytes, family.quickest(sms, output, inner, all), sms));
        }
        let all = |rows, columns| tokens.iter().map(|&group| tiles(group, n, rows, columns)).sum();
        // Weights of a group without rows are not read.
        let hit = || tokens.iter().filter(|rows| **rows > 0);
        let bytes = hit().map(|&rows| gemm_bytes(rows, n, k, precision, output)).sum();
        // Rows that no group has are padding, which nothing loads.
        let most = tokens.iter().copied().max().unwrap_or(0) as f64;
        let family = Family { loaded_rows: most, ..family };
        let quickest = family.quickest(sms, output, k as f64, all);
        let asked = family.asked(flops, bytes, quickest, sms);
        let walk = self.walked(hit(), [n, k], widths(precision).1, sms);
        Some(self.of_few_rows(asked, bytes, walk))
    }

    /// How long the persistent blocks of a grouped product walk over the tiles of groups with rows.
    fn walked<'b>(&self, hit: impl Iterator<Item = &'b u64>, [n, k]: [u64; 2], width: f64, sms: u32) -> Seconds {
        let value = |key| self.profile.value(key);
        let (rows, columns) = (value(EstimateKey::GroupedRows), value(EstimateKey::GroupedColumns));
        let n_tiles: f64 = hit.map(|&group| tiles(group, n, rows, columns)).sum();
        let tile = Bytes::new(k as f64 * columns.min(n as f64) * width);
        tile / BytesPerSec::new(value(EstimateKey::GroupedBlockRate)) * (n_tiles / f64::from(sms)).ceil()
    }

    /// The same where few rows leave a kernel of groups to read weights alone.
    fn of_few_rows(&self, asked: Asked, bytes: Bytes, walk: Seconds) -> Asked {
        let streamed = bytes / (self.device.memory_rate() * self.profile.value(EstimateKey::GroupedMemory));
        let (mut shortest, mut limit) = (asked.shortest, asked.limit);
        for (time, key) in [(streamed, EstimateKey::GroupedMemory), (walk, EstimateKey::GroupedBlockRate)] {
            if time > shortest {
                (shortest, limit) = (time, key);
            }
        }
        let latency = asked.latency + Seconds::new(self.profile.value(EstimateKey::GroupedLatency));
        Asked { shortest, limit, latency, ..asked }
    }

    fn family(&self, precision: Precision, alignment: Alignment) -> Family {
        let peak = match precision {
            Precision::Fp8Block | Precision::Fp8Tile | Precision::Fp8Tensor | Precision::Fp8TensorFast => {
                self.device.peak_fp8()
            }
            Precision::Bf16 => self.device.peak_bf16(),
        };
        let key = |term| EstimateKey::Gemm(precision, term);
        let value = |term| self.profile.value(key(term));
        let per_sm = peak / f64::from(self.device.sms);
        // Without promotion a product may come to its peak, never above: estimates that do not agree promise no more.
        let fraction = 1.0 / (1.0 / value(Term::Fraction) + self.promotion(precision)).max(1.0);
        Family {
            limit: key(Term::Fraction),
            sm_peak: per_sm,
            fraction,
            grid: self.grids.products,
            late: self.profile.value(EstimateKey::GemmLate),
            slowdown: match alignment {
                // No library multiplies FP8 that does not lie in whole vectors.
                _ if precision != Precision::Bf16 => 1.0,
                Alignment::Vectors => 1.0,
                Alignment::Words => self.profile.value(EstimateKey::GemmWords),
                Alignment::Halves => self.profile.value(EstimateKey::GemmHalves),
            },
            sustained: peak * value(Term::Sustained),
            power_memory: self.device.memory_rate() * value(Term::MemoryPower),
            exponent: value(Term::Exponent),
            sms_all: self.device.sms,
            memory: self.device.memory_rate() * value(Term::Memory),
            memory_limit: key(Term::Memory),
            latency: Seconds::new(value(Term::Latency)),
            split_latency: Seconds::new(value(Term::SplitLatency)),
            overhead: value(Term::Overhead),
            load: value(Term::LoadSide),
            loaded_rows: f64::INFINITY,
            rows: (value(Term::RowsFewest), value(Term::Rows)),
            columns: (value(Term::ColumnsStep), value(Term::Columns)),
            split_max: value(Term::SplitMax),
        }
    }

    /// Tensor times that promotion and scaling add to one, less what the measured rate holds of them.
    fn promotion(&self, precision: Precision) -> f64 {
        let scaled = match precision {
            Precision::Fp8Block | Precision::Fp8Tile => true,
            Precision::Fp8Tensor => false,
            Precision::Fp8TensorFast | Precision::Bf16 => return 0.0,
        };
        let Some(promote) = self.promote else { return 0.0 };
        let measured = self.profile.value(EstimateKey::Gemm(precision, Term::PromoteEvery));
        // Scales change with every tile, whoever keeps the sums, unless the tensor core applies them.
        let on_cores = scaled && self.device.tensor.fp8.block_scaling == BlockScaling::None;
        let scales = if on_cores { 1.0 / measured } else { 0.0 };
        let sums = promote.map_or(0.0, |every| 1.0 / f64::from(every));
        let (tensor, vector) = (self.device.tensor.fp8.flops_per_sm_clock, self.device.vector_flops_per_sm_clock);
        let exposed = self.profile.value(EstimateKey::GemmPromotionExposed);
        let held = self.profile.value(EstimateKey::GemmPromotionRatio) / measured;
        exposed * (tensor / vector * sums.max(scales) - held)
    }
}

/// Estimates of one arithmetic on one device.
#[derive(Clone, Copy, Debug)]
struct Family {
    limit: EstimateKey,
    sm_peak: FlopsPerSec,
    fraction: f64,
    grid: Grid,
    /// Waves by which a grid for the whole device ends later on fewer SMs, over the root of its waves.
    late: f64,
    /// Of kernels that cannot load whole vectors.
    slowdown: f64,
    sustained: FlopsPerSec,
    power_memory: BytesPerSec,
    exponent: f64,
    sms_all: u32,
    memory: BytesPerSec,
    memory_limit: EstimateKey,
    latency: Seconds,
    split_latency: Seconds,
    overhead: f64,
    load: f64,
    /// Rows that a tile loads at most.
    loaded_rows: f64,
    rows: (f64, f64),
    columns: (f64, f64),
    split_max: f64,
}

impl Family {
    /// The shortest time of the kernels a library is taken to choose from.
    fn quickest(&self, sms: u32, output: Output, inner: f64, tiles: impl Fn(f64, f64) -> f64) -> Seconds {
        let on = if self.grid == Grid::Whole { self.sms_all } else { sms };
        let (time, waves) = self.best(on, output, inner, tiles);
        // A kernel for the whole device that finds fewer SMs shares them evenly, and its last blocks come late.
        let late =
            if sms < on { f64::from(on) / f64::from(sms) - 1.0 + self.late / waves.max(1.0).sqrt() } else { 0.0 };
        Seconds::new(time * (1.0 + late))
    }

    /// The shortest time of the kernels for so many SMs, seconds, and its waves.
    fn best(&self, sms: u32, output: Output, inner: f64, tiles: impl Fn(f64, f64) -> f64) -> (f64, f64) {
        let peak = self.sm_peak.get();
        let overhead = self.overhead * (output_bytes(output) / 2.0);
        let mut best = (f64::INFINITY, 1.0);
        for rows in doublings(self.rows.0, self.rows.1) {
            for columns in multiples(self.columns.0, self.columns.1) {
                let products = self.slowdown * 2.0 * rows * columns / (self.fraction * peak);
                let loads = self.slowdown * self.load * (rows.min(self.loaded_rows) + columns) / peak;
                let n_tiles = tiles(rows, columns);
                for split in doublings(1.0, self.split_max) {
                    let waves = (n_tiles * split / f64::from(sms)).ceil();
                    let wave = inner / split * products.max(loads) + overhead * products;
                    let split_latency = if split > 1.0 { self.split_latency.get() } else { 0.0 };
                    let time = waves * wave + split_latency;
                    best = if time < best.0 { (time, waves) } else { best };
                }
            }
        }
        best
    }

    fn asked(&self, flops: f64, memory: Bytes, tiles: Seconds, sms: u32) -> Asked {
        let alone = memory / self.memory;
        let (shortest, limit) = if alone > tiles { (alone, self.memory_limit) } else { (tiles, self.limit) };
        let share = (f64::from(sms) / f64::from(self.sms_all)).powf(self.exponent);
        let power = (Seconds::new(flops / self.sustained.get()) + memory / self.power_memory) / share;
        Asked { power, memory, shortest, limit, latency: self.latency }
    }
}

/// `first`, its double, and so on up to `last`; at least `first`.
fn doublings(first: f64, last: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |side| Some(side * 2.0)).take_while(move |side| *side <= last || *side == first)
}

/// `step`, twice it, and so on up to `last`; at least `step`.
fn multiples(step: f64, last: f64) -> impl Iterator<Item = f64> {
    (1..=(last / step).max(1.0) as u32).map(move |count| step * f64::from(count))
}

fn tiles(m: u64, n: u64, rows: f64, columns: f64) -> f64 {
    (m as f64 / rows).ceil() * (n as f64 / columns).ceil()
}

/// Each operand read once, the output written once (read too where it accumulates).
fn gemm_bytes(m: u64, n: u64, k: u64, precision: Precision, output: Output) -> Bytes {
    let (a, b) = widths(precision);
    let (m, n, k) = (m as f64, n as f64, k as f64);
    Bytes::new(m * k * a + n * k * b + m * n * output_bytes(output))
}

/// Bytes an element of the two operands, scales included.
fn widths(precision: Precision) -> (f64, f64) {
    let tile = 1.0 + 4.0 / 128.0;
    match precision {
        Precision::Fp8Block => (tile, 1.0 + 4.0 / (128.0 * 128.0)),
        Precision::Fp8Tile => (tile, tile),
        Precision::Fp8Tensor | Precision::Fp8TensorFast => (1.0, 1.0),
        Precision::Bf16 => (2.0, 2.0),
    }
}

/// Bytes moved an element of output.
fn output_bytes(output: Output) -> f64 {
    match output {
        Output::Bf16 => 2.0,
        Output::Fp32 => 4.0,
        Output::AccumulateFp32 => 8.0,
    }
}
