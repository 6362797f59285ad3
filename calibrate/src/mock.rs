//! A bench that measures nothing: a closed form with seeded noise, so that a calibration can run where there is no GPU.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, BenchError};
use workloads::op::Precision;

use crate::question::{Direction, Distribution, Question};
use crate::sample::{Fingerprint, Reading};

/// An invented device. Powers of two, so that nobody takes them for a product's: bytes and operations a second.
const MEMORY_RATE: f64 = (1_u64 << 42) as f64;
const RATE_PER_SM: f64 = (1_u64 << 36) as f64;
/// By bulk copies.
const BULK_RATE_PER_SM: f64 = (5_u64 << 34) as f64;
const LINK_RATE: f64 = (1_u64 << 38) as f64;
const BF16_PEAK: f64 = (1_u64 << 50) as f64;
const SMS: u32 = 128;
/// Seconds before a kernel's first byte, and before a message's.
const KERNEL_LATENCY: f64 = 2e-6;
const LINK_LATENCY: f64 = 8e-6;

/// A machine of two invented devices: `seconds = latency + max(operations / peak, bytes / rate)` of the SMs asked for,
/// times a seeded log-normal factor. It has no tiles, no caches and no clocks.
pub struct Mock {
    machine: Fingerprint,
    seed: u64,
    noise: f64,
    failing: fn(&Question) -> bool,
    unsupported: fn(&Question) -> bool,
    n_left: usize,
}

impl Mock {
    /// Two devices that answer everything, with a spread of a hundredth drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let machine = Fingerprint {
            device: "Mock".to_owned(),
            n_devices: 2,
            sms: SMS,
            clock_max: (1_u64 << 30) as f64,
            l2: 1 << 25,
            memory: 1 << 36,
            memory_peak: MEMORY_RATE,
            power_limit: 512.0,
            versions: [("driver".to_owned(), "1".to_owned())].into(),
            settings: [("mock".to_owned(), format!("seed {seed}"))].into(),
        };
        Self { machine, seed, noise: 0.01, failing: |_| false, unsupported: |_| false, n_left: usize::MAX }
    }

    /// Another relative standard deviation between questions.
    #[must_use]
    pub fn with_noise(mut self, spread: f64) -> Self {
        self.noise = spread;
        self
    }

    /// Another version of some library: another machine.
    #[must_use]
    pub fn with_version(mut self, library: &str, version: &str) -> Self {
        self.machine.versions.insert(library.to_owned(), version.to_owned());
        self
    }

    /// These questions go wrong.
    #[must_use]
    pub fn failing(mut self, which: fn(&Question) -> bool) -> Self {
        self.failing = which;
        self
    }

    /// These questions cannot be asked.
    #[must_use]
    pub fn unsupported(mut self, which: fn(&Question) -> bool) -> Self {
        self.unsupported = which;
        self
    }

    /// After so many questions the device no longer answers.
    #[must_use]
    pub fn lost_after(mut self, n_questions: usize) -> Self {
        self.n_left = n_questions;
        self
    }

    /// A factor that depends on the question alone: asked again, it answers the same.
    fn noise(&self, question: &Question) -> f64 {
        let text = format!("{question:?}");
        let seed = text.bytes().fold(self.seed, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Twelve uniform draws are near enough to a normal one.
        let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        (self.noise * normal).exp()
    }
}

impl Bench for Mock {
    fn fingerprint(&self) -> &Fingerprint {
        &self.machine
    }

    fn measure(&mut self, question: &Question) -> Result<Reading, BenchError> {
        match self.n_left.checked_sub(1) {
            Some(left) => self.n_left = left,
            None => return Err(BenchError::Lost("the mock was told to be".to_owned())),
        }
        if (self.unsupported)(question) {
            return Err(BenchError::Unsupported("the mock was told not to".to_owned()));
        }
        if (self.failing)(question) {
            return Err(BenchError::Failed("the mock was told to fail".to_owned()));
        }
        let seconds = seconds(question) * self.noise(question);
        let mut reading = Reading {
            implementation: "mock".to_owned(),
            seconds,
            low: seconds * (1.0 - self.noise),
            high: seconds * (1.0 + self.noise),
            runs: 16,
            clock: Some(self.machine.clock_max),
            power: None,
            extras: Default::default(),
        };
        match question {
            Question::Accumulate { k, promote, distribution } => {
                let (relative_error, bias) = error(*k, *promote, *distribution);
                reading.extras.insert("relative-error".to_owned(), relative_error);
                reading.extras.insert("bias".to_owned(), bias);
            }
            Question::Launch => {
                reading.extras.insert("round-trip-seconds".to_owned(), 4.0 * KERNEL_LATENCY);
            }
            Question::Together { beside, .. } => {
                reading.extras.insert("beside-seconds".to_owned(), self::seconds(beside));
            }
            _ => {}
        }
        Ok(reading)
    }
}

/// The closed form.
fn seconds(question: &Question) -> f64 {
    let sent = |bytes: f64, rate: f64| LINK_LATENCY + bytes / LINK_RATE.min(rate);
    match question {
        Question::Launch => 2.0 * KERNEL_LATENCY,
        Question::GraphLaunch => KERNEL_LATENCY,
        Question::PeerLatency => LINK_LATENCY,
        Question::Accumulate { .. } => 0.0,
        Question::PeerEngine { bytes } => sent(*bytes as f64, LINK_RATE),
        Question::PeerCopy { bytes, sms } => sent(*bytes as f64, f64::from(*sms) * RATE_PER_SM),
        Question::PeerBulk { bytes, sms } => sent(*bytes as f64, f64::from(*sms) * BULK_RATE_PER_SM),
        Question::Dispatch { ranks, tokens, dim, sms, .. } | Question::Combine { ranks, tokens, dim, sms, .. } => {
            let width = if matches!(question, Question::Dispatch { .. }) { 1 } else { 2 };
            let bytes = (tokens * dim * width * u64::from(ranks - 1)) as f64;
            sent(bytes, f64::from(*sms) * RATE_PER_SM)
        }
        Question::Collective { ranks, bytes, .. } => {
            sent(*bytes as f64 * f64::from(ranks - 1) / f64::from(*ranks), LINK_RATE)
        }
        // Both ask the same memory; what a copy takes is not there for the other.
        Question::Together { of, beside } => seconds(of) * (1.0 + traffic(beside).1 / f64::from(SMS)),
        _ => {
            let (bytes, sms) = traffic(question);
            let streamed = bytes / MEMORY_RATE.min(sms * RATE_PER_SM);
            let computed = operations(question) / (BF16_PEAK * sms / f64::from(SMS));
            KERNEL_LATENCY + streamed.max(computed)
        }
    }
}

/// Bytes at the device memory, and SMs.
fn traffic(question: &Question) -> (f64, f64) {
    let all = f64::from(SMS);
    let product = |rows: u64, n: u64, k: u64, width: u64| (width * (rows * k + n * k) + 2 * rows * n) as f64;
    match question {
        Question::Copy { bytes, sms } => (2.0 * *bytes as f64, f64::from(*sms)),
        Question::Read { bytes, sms } | Question::Write { bytes, sms } => (*bytes as f64, f64::from(*sms)),
        Question::Gemm { m, n, k, dtype, sms } => {
            (product(*m, *n, *k, if *dtype == Precision::Bf16 { 2 } else { 1 }), f64::from(*sms))
        }
        Question::PromotedGemm { m, n, k, sms, .. } => (product(*m, *n, *k, 1), f64::from(*sms)),
        Question::GroupedGemm { tokens, n, k, sms, .. } => {
            (tokens.iter().map(|rows| product(*rows, *n, *k, 1)).sum(), f64::from(*sms))
        }
        Question::TensorLoop { sms, .. } => (0.0, f64::from(*sms)),
        Question::Rmsnorm { tokens, dim } | Question::Rope { tokens, dim } => ((4 * tokens * dim) as f64, all),
        Question::Rows { what, tokens, dim } => {
            let [reads, writes] = what.widths().unwrap_or_default();
            ((reads + writes) * (tokens * dim) as f64, all)
        }
        Question::Swiglu { tokens, dim } => ((6 * tokens * dim) as f64, all),
        Question::Cast { tokens, dim } | Question::CastTransposed { tokens, dim } => ((3 * tokens * dim) as f64, all),
        Question::Permute { tokens, dim, top_k }
        | Question::Unpermute { tokens, dim, top_k }
        | Question::IndexAdd { tokens, dim, top_k } => ((2 * tokens * dim * u64::from(1 + top_k)) as f64, all),
        _ => (0.0, all),
    }
}

/// Operations, those of FP8 counted half: its peak is twice BF16's.
fn operations(question: &Question) -> f64 {
    let product = |rows: u64, n: u64, k: u64| 2.0 * (rows * n) as f64 * k as f64;
    let weight = |dtype: Precision| if dtype == Precision::Bf16 { 1.0 } else { 0.5 };
    match question {
        Question::Gemm { m, n, k, dtype, .. } => weight(*dtype) * product(*m, *n, *k),
        Question::PromotedGemm { m, n, k, promote, .. } => {
            0.5 * product(*m, *n, *k) * (1.0 + promote.map_or(0.0, |promote| 16.0 / f64::from(promote)))
        }
        Question::GroupedGemm { tokens, n, k, dtype, .. } => {
            weight(*dtype) * tokens.iter().map(|rows| product(*rows, *n, *k)).sum::<f64>()
        }
        Question::TensorLoop { dtype, .. } => weight(*dtype) * product(4096, 4096, 4096),
        Question::Attention { heads, queries, keys, qk, value, causal, direction, .. } => {
            let seen = if *causal { 0.5 } else { 1.0 };
            let passes = if *direction == Direction::Backward { 2.5 } else { 1.0 };
            passes * seen * product(heads * queries, *keys, qk + value)
        }
        _ => 0.0,
    }
}

/// An error that grows with the products summed before a promotion, and its bias: none where signs cancel.
fn error(k: u64, promote: Option<u32>, distribution: Distribution) -> (f64, f64) {
    let summed = promote.map_or(k, |promote| k.min(promote.into())) as f64;
    let relative = summed / (1_u64 << 20) as f64;
    match distribution {
        Distribution::Normal => (relative, 0.0),
        Distribution::HalfNormal => (relative, -relative),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_takes_its_operations_over_the_peak() {
        let mut mock = Mock::new(3).with_noise(0.0);
        let (m, n, k) = (8192, 8192, 8192);
        for (dtype, sms, share) in
            [(Precision::Bf16, 128, 1.0), (Precision::Bf16, 64, 0.5), (Precision::Fp8Block, 128, 2.0)]
        {
            let reading = mock.measure(&Question::Gemm { m, n, k, dtype, sms }).unwrap();
            let expectation = KERNEL_LATENCY + 2.0 * (m * n * k) as f64 / (share * BF16_PEAK);
            assert!((reading.seconds / expectation - 1.0).abs() < 1e-12, "{expectation}, actual {}", reading.seconds);
        }
    }

    #[test]
    fn it_answers_the_same_again_and_other_seeds_otherwise() {
        let question = Question::Read { bytes: 1 << 30, sms: 128 };
        let ask = |seed: u64| Mock::new(seed).measure(&question).unwrap().seconds;
        assert_eq!(ask(1), ask(1));
        assert_ne!(ask(1), ask(2));
    }
}
