//! What an op asks of a device: the one place that knows tiles.
//!
//! A demand is relative, never a finished time: tensor work, memory traffic, the shortest time the SMs held allow and a
//! fixed latency. The engine finds the time where demands meet.
//!
//! A product of `m x n` over `k` is cut in tiles of `tile-rows x tile-columns`, one SM a tile, in
//! `waves = ceil(tiles / SMs)`. A wave takes `2 x tile-rows x tile-columns x (k + K0 x o) / (f x P)` seconds, with `P` the
//! peak of one SM, `f` the main loop's share of it (`peak-fraction`), `K0` the start and store of a tile in steps of the
//! inner dimension (`k-overhead`, for a BF16 store) and `o` the bytes moved an element of output over BF16's two.
//! So padding, wave quantisation and short inner dimensions cost what they should; `f` and `K0` are fitted to published or
//! measured rates. Memory traffic counts each operand once (tiles that meet in L2 are read once), which is
//! right while a wave's operands fit there. It breaks for tile shapes chosen to fill the last wave, and where the
//! clock depends on the work.

use topology::Device;
use units::{Bytes, FlopsPerSec, Seconds};
use workloads::op::{Op, OpKind, Output, Pass, Precision};

use crate::{EstimateKey, Profile};

/// What an op asks of a device on some SMs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Time of the whole tensor array at its peak: operations over peak, padding left out.
    pub tensor: Seconds,
    /// Bytes between device memory and SMs.
    pub memory: Bytes,
    /// The shortest time on the SMs held, were nothing shared.
    pub shortest: Seconds,
    /// Before the first byte moves.
    pub latency: Seconds,
    /// What sets `shortest`, by name of the estimate.
    pub limit: EstimateKey,
}

/// Turns ops into demands on one device.
#[derive(Clone, Copy, Debug)]
pub struct Estimator<'a> {
    device: &'a Device,
    profile: &'a Profile,
}

impl<'a> Estimator<'a> {
    /// For a device and what was measured of it.
    #[must_use]
    pub fn new(device: &'a Device, profile: &'a Profile) -> Self {
        Self { device, profile }
    }

    /// The demand of an op on `sms` SMs; `None` for a collective, which no device does alone.
    #[must_use]
    pub fn demand(&self, op: &Op, sms: u32) -> Option<Demand> {
        let (tensor, memory, compute, key) = match &op.kind {
            OpKind::Gemm { m, n, k, precision, output } => {
                let work = tile_work(self.tiles(*m, *n), *k as f64, sms);
                let bytes = gemm_bytes(*m, *n, *k, *precision, *output);
                self.matrix(op, work, bytes, *precision, *output)
            }
            OpKind::GroupedGemm { tokens, n, k, precision, output } => {
                let (work, bytes) = self.grouped(op.pass, tokens, *n, *k, *precision, *output, sms);
                self.matrix(op, work, bytes, *precision, *output)
            }
            OpKind::Attention { heads, kv_heads, queries, keys, qk, value, .. } => {
                let backward = op.pass == Pass::InputGradient;
                let key = if backward {
                    EstimateKey::AttentionBackwardFraction
                } else {
                    EstimateKey::AttentionForwardFraction
                };
                // Queries, output and their gradients once a query head, keys and values once a key-value head.
                let tensors = if backward { 2.0 } else { 1.0 };
                let elements = ((qk + value) * (heads * queries + kv_heads * keys)) as f64;
                let peak = self.device.peak_bf16();
                let held = peak * (f64::from(sms) / f64::from(self.device.sms)) * self.profile.value(key);
                (op.flops() / peak, Bytes::new(tensors * elements * 2.0), op.flops() / held, key)
            }
            OpKind::Stream { reads, writes, .. } => {
                (Seconds::ZERO, *reads + *writes, Seconds::ZERO, EstimateKey::MemoryFraction)
            }
            OpKind::Collective { .. } => return None,
        };
        let in_flight =
            memory / (f64::from(sms) * units::BytesPerSec::new(self.profile.value(EstimateKey::MemoryRatePerSm)));
        let (shortest, limit) =
            if in_flight > compute { (in_flight, EstimateKey::MemoryRatePerSm) } else { (compute, key) };
        let latency = Seconds::new(self.profile.value(EstimateKey::KernelLatency));
        Some(Demand { tensor, memory, shortest, latency, limit })
    }

    fn matrix(
        &self,
        op: &Op,
        work: TileWork,
        bytes: Bytes,
        precision: Precision,
        output: Output,
    ) -> (Seconds, Bytes, Seconds, EstimateKey) {
        let (fraction, overhead) = keys(precision);
        let peak = self.peak(precision);
        let rate = peak / f64::from(self.device.sms) * self.profile.value(fraction);
        let rows = self.profile.value(EstimateKey::GemmTileRows);
        let columns = self.profile.value(EstimateKey::GemmTileColumns);
        let inner = work.inner + work.waves * self.profile.value(overhead) * (output_bytes(output) / 2.0);
        let compute = Seconds::new(2.0 * rows * columns * inner / rate.get());
        (op.flops() / peak, bytes, compute, fraction)
    }

    fn tiles(&self, m: u64, n: u64) -> f64 {
        let rows = (m as f64 / self.profile.value(EstimateKey::GemmTileRows)).ceil();
        let columns = (n as f64 / self.profile.value(EstimateKey::GemmTileColumns)).ceil();
        rows * columns
    }

    /// All groups share the waves. In the weight gradient groups differ in their inner dimension, so the waves are those of
    /// the mean tile.
    #[expect(clippy::too_many_arguments, reason = "the sizes of a grouped product")]
    fn grouped(
        &self,
        pass: Pass,
        tokens: &[u64],
        n: u64,
        k: u64,
        precision: Precision,
        output: Output,
        sms: u32,
    ) -> (TileWork, Bytes) {
        let total: u64 = tokens.iter().sum();
        if pass == Pass::WeightGradient {
            let tiles = self.tiles(n, k) * tokens.len() as f64;
            let inner = total as f64 / (tokens.len().max(1)) as f64;
            let bytes = tokens.iter().map(|&rows| gemm_bytes(n, k, rows, precision, output)).sum();
            return (tile_work(tiles, inner, sms), bytes);
        }
        let tiles = tokens.iter().map(|&rows| self.tiles(rows, n)).sum();
        let bytes = tokens.iter().map(|&rows| gemm_bytes(rows, n, k, precision, output)).sum();
        (tile_work(tiles, k as f64, sms), bytes)
    }

    fn peak(&self, precision: Precision) -> FlopsPerSec {
        match precision {
            Precision::Fp8Block | Precision::Fp8Tile | Precision::Fp8Tensor => self.device.peak_fp8(),
            Precision::Bf16 => self.device.peak_bf16(),
        }
    }
}

/// Waves of a product, and inner-dimension steps over all waves.
#[derive(Clone, Copy, Debug)]
struct TileWork {
    waves: f64,
    inner: f64,
}

fn tile_work(tiles: f64, inner: f64, sms: u32) -> TileWork {
    let waves = (tiles / f64::from(sms)).ceil();
    TileWork { waves, inner: waves * inner }
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
        Precision::Fp8Tensor => (1.0, 1.0),
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

fn keys(precision: Precision) -> (EstimateKey, EstimateKey) {
    match precision {
        Precision::Fp8Block => (EstimateKey::GemmFp8BlockFraction, EstimateKey::GemmFp8BlockOverhead),
        Precision::Fp8Tile => (EstimateKey::GemmFp8TileFraction, EstimateKey::GemmFp8TileOverhead),
        Precision::Fp8Tensor => (EstimateKey::GemmFp8TensorFraction, EstimateKey::GemmFp8TensorOverhead),
        Precision::Bf16 => (EstimateKey::GemmBf16Fraction, EstimateKey::GemmBf16Overhead),
    }
}
