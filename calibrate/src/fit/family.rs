//! Which samples speak of which estimates, and how a family is fitted.

use std::collections::BTreeMap;

use topology::Device;

use super::direct;
use super::errors::{Errors, Miss};
use super::solve;
use super::{held_out, predict};
use crate::{Basis, Collective, Direction, Dtype, Estimate, EstimateKey, Profile, Question, Sample};

/// The spread of a fitted estimate is never below this: two machines of one make differ by as much.
pub(super) const SPREAD_MIN: f64 = 0.02;
/// A deviation of a normal is this many median absolute ones.
const DEVIATION: f64 = 1.4826;

/// Estimates that one kind of sample speaks of.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name, for tables.
    pub name: &'static str,
    /// Estimates moved freely, each with where the search begins; none: at the prior. A beginning is no result: it only has to
    /// be on the right side of the corners, for a limit that does not bind has no slope.
    pub keys: Vec<(EstimateKey, Option<f64>)>,
    /// Estimates that take one of some values, each tried.
    pub choices: Vec<(EstimateKey, Vec<f64>)>,
    /// Whether a sample is of this family.
    pub holds: fn(&Question) -> bool,
}

/// What a fit came to.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Name of the family.
    pub name: &'static str,
    /// Who made the kernels measured.
    pub implementation: String,
    /// Its estimates.
    pub estimates: BTreeMap<EstimateKey, Estimate>,
    /// Every sample beside its answer.
    pub misses: Vec<Miss>,
}

impl Fitted {
    /// Errors of the samples the fit saw, or of those it did not.
    #[must_use]
    pub fn errors(&self, fitted: bool) -> Errors {
        Errors::of(self.misses.iter().filter(|miss| miss.fitted == fitted))
    }
}

/// Fits every family that the samples speak of, one after the other; each sees what those before it found. The second part is
/// the prior with all that was found laid over it.
#[must_use]
pub fn fit_all(samples: &[Sample], device: &Device, prior: &Profile) -> (Vec<Fitted>, Profile) {
    let mut profile = prior.clone();
    let mut all = Vec::new();
    let mut keep = |fitted: Fitted, profile: &mut Profile| {
        *profile = fitted
            .estimates
            .iter()
            .fold(profile.clone(), |profile, (key, estimate)| profile.with(*key, estimate.clone()));
        all.push(fitted);
    };
    let read_off = [
        direct::launch(samples),
        direct::memory_together(samples, device),
        direct::promotion(samples, device),
        direct::copies(samples),
    ];
    for fitted in read_off.into_iter().flatten() {
        keep(fitted, &mut profile);
    }
    for family in families() {
        let of_family: Vec<&Sample> = quickest(samples.iter().filter(|sample| (family.holds)(&sample.question)));
        if let Some(fitted) = fit(&family, &of_family, device, &profile) {
            keep(fitted, &mut profile);
        }
    }
    if let Some(fitted) = direct::contention(samples, device, &profile) {
        keep(fitted, &mut profile);
    }
    (all, profile)
}

/// Of several implementations of one question, the quickest: what a user who looks for it gets.
fn quickest<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<&'a Sample> {
    let mut best: BTreeMap<String, &Sample> = BTreeMap::new();
    for sample in samples {
        let asked = serde_json::to_string(&sample.question).unwrap_or_default();
        let slot = best.entry(asked).or_insert(sample);
        if sample.reading.seconds < slot.reading.seconds {
            *slot = sample;
        }
    }
    best.into_values().collect()
}

/// Whose kernel a sample is of: the library without its version.
pub(super) fn implementation(sample: &Sample) -> String {
    sample.reading.implementation.split_whitespace().next().unwrap_or_default().to_lowercase()
}

/// Fits one family to the samples of one implementation, beginning at `profile`; `None` without samples enough.
#[must_use]
pub fn fit(family: &Family, samples: &[&Sample], device: &Device, profile: &Profile) -> Option<Fitted> {
    let seen: Vec<&Sample> = samples.iter().copied().filter(|sample| !held_out(sample)).collect();
    if seen.len() < 3 * family.keys.len().div_ceil(2).max(1) {
        return None;
    }
    let start: Vec<f64> = family.keys.iter().map(|(key, start)| start.unwrap_or_else(|| profile.value(*key))).collect();
    let mut best: Option<(solve::Minimum, Profile)> = None;
    for chosen in combinations(&family.choices) {
        let base = with(profile, &chosen);
        let at = |parameters: &[f64]| {
            let values: Vec<(EstimateKey, f64)> =
                family.keys.iter().map(|(key, _)| *key).zip(parameters.iter().copied()).collect();
            with(&base, &values)
        };
        let residuals = |parameters: &[f64]| {
            let trial = at(parameters);
            seen.iter().map(|sample| residual(device, &trial, sample)).collect::<Vec<f64>>()
        };
        let found = solve::minimum(&start, &residuals);
        if best.as_ref().is_none_or(|(least, _)| found.loss < least.loss) {
            let profile = at(&found.parameters);
            best = Some((found, profile));
        }
    }
    let (_, fitted) = best?;
    Some(summary(family, samples, device, &fitted))
}

fn residual(device: &Device, profile: &Profile, sample: &Sample) -> f64 {
    match predict(device, profile, &sample.question) {
        Some((seconds, _)) => (seconds.get() / sample.reading.seconds).ln(),
        // Values under which an op has no time that can be counted are as far off as can be.
        None if sample.question.op(device.sms).is_some() => f64::INFINITY,
        None => 0.0,
    }
}

/// A profile with some values changed; shares stay shares.
fn with(profile: &Profile, values: &[(EstimateKey, f64)]) -> Profile {
    let estimates = profile.iter().map(|(key, estimate)| {
        let changed = values.iter().find(|(changed, _)| *changed == key);
        let value = changed.map_or(estimate.value, |(_, value)| value.min(key.dimension().most()));
        (key, Estimate { value, ..estimate.clone() })
    });
    Profile::new(estimates.collect()).unwrap_or_else(|_| profile.clone())
}

fn combinations(choices: &[(EstimateKey, Vec<f64>)]) -> Vec<Vec<(EstimateKey, f64)>> {
    choices.iter().fold(vec![Vec::new()], |all, (key, values)| {
        all.iter()
            .flat_map(|chosen| values.iter().map(|value| [chosen.as_slice(), &[(*key, *value)]].concat()))
            .collect()
    })
}

fn summary(family: &Family, samples: &[&Sample], device: &Device, profile: &Profile) -> Fitted {
    let misses: Vec<Miss> = samples
        .iter()
        .filter_map(|sample| {
            let (predicted, _) = predict(device, profile, &sample.question)?;
            let measured = sample.reading.seconds;
            Some(Miss {
                question: sample.question.clone(),
                measured,
                predicted: predicted.get(),
                fitted: !held_out(sample),
            })
        })
        .collect();
    let errors = Errors::of(&misses);
    let spread = (errors.median * DEVIATION).max(SPREAD_MIN);
    let version = samples.first().map_or("", |sample| sample.reading.implementation.as_str());
    let implementation = samples.first().map(|sample| implementation(sample)).unwrap_or_default();
    let machine = samples.first().map_or("", |sample| sample.machine.as_str());
    let estimate = |key: &EstimateKey, spread: f64| {
        let source = format!("{} samples of {machine}, {version}", misses.len());
        (
            *key,
            Estimate {
                value: profile.value(*key),
                spread,
                basis: Basis::Measured,
                implementation: Some(implementation.clone()),
                source,
                departures: Vec::new(),
            },
        )
    };
    let free = family.keys.iter().map(|(key, _)| estimate(key, spread));
    let chosen = family.choices.iter().map(|(key, _)| estimate(key, 0.0));
    Fitted { name: family.name, estimates: free.chain(chosen).collect(), misses, implementation }
}

/// The families of one node.
#[must_use]
pub fn families() -> Vec<Family> {
    use EstimateKey as Key;
    macro_rules! gemm {
        ($name:literal, $dtype:pat, $fraction:ident $sustained:ident $power:ident $exponent:ident $memory:ident $latency:ident
            $split_latency:ident $overhead:ident $load:ident, $rows:ident $fewest:ident $columns:ident $step:ident $split:ident $(, $promote:ident)?) => {
            Family {
                name: $name,
                keys: vec![
                    (Key::$fraction, Some(0.95)),
                    (Key::$sustained, Some(0.66)),
                    (Key::$power, Some(2.5)),
                    (Key::$exponent, Some(0.3)),
                    (Key::$memory, Some(0.83)),
                    (Key::$latency, Some(2.8e-6)),
                    (Key::$split_latency, Some(3e-6)),
                    (Key::$overhead, Some(200.0)),
                    (Key::$load, Some(150.0)),
                ],
                choices: vec![
                    (Key::$rows, vec![128.0]),
                    (Key::$fewest, vec![64.0, 128.0]),
                    (Key::$columns, vec![128.0, 256.0]),
                    (Key::$step, vec![16.0, 64.0]),
                    (Key::$split, vec![4.0, 16.0, 64.0]),
                    // Not seen from outside; what the kernels' scales and their public documents say.
                    $((Key::$promote, vec![128.0]),)?
                ],
                holds: |question| matches!(question, Question::Gemm { dtype: $dtype, .. }),
            }
        };
    }
    macro_rules! stream {
        ($name:literal, $question:pat, $fraction:ident $latency:ident $(, $more:ident = $start:expr)*) => {
            Family {
                name: $name,
                keys: vec![(Key::$fraction, Some(0.85)), (Key::$latency, Some(2e-6)) $(, (Key::$more, $start))*],
                choices: Vec::new(),
                holds: |question| matches!(question, $question),
            }
        };
    }
    macro_rules! collective {
        ($name:literal, $what:ident, $latency:ident $small:ident $piece:ident $($rate:ident = $start:expr),+) => {
            Family {
                name: $name,
                keys: vec![
                    (Key::$latency, Some(6e-6)),
                    (Key::$small, Some(0.2)),
                    (Key::$piece, Some(4e-6)),
                    $((Key::$rate, $start)),+
                ],
                choices: Vec::new(),
                holds: |question| {
                    matches!(question, Question::Collective { what: Collective::$what, sms: None, ranks: 2, .. })
                },
            }
        };
    }
    vec![
        // First, for the others bend with it.
        stream!("stream.copy", Question::Copy { .. }, StreamCopyFraction StreamCopyLatency,
            MemoryRatePerSm = None, MemorySharpness = Some(1.5)),
        stream!("stream.read", Question::Read { .. }, StreamReadFraction StreamReadLatency),
        stream!("stream.write", Question::Write { .. }, StreamWriteFraction StreamWriteLatency),
        stream!("stream.norm", Question::Rmsnorm { .. }, StreamNormFraction StreamNormLatency),
        stream!("stream.rope", Question::Rope { .. }, StreamRopeFraction StreamRopeLatency),
        stream!("stream.swiglu", Question::Swiglu { .. }, StreamSwiGluFraction StreamSwiGluLatency),
        stream!("stream.cast", Question::Cast { .. }, StreamCastFraction StreamCastLatency),
        stream!("stream.cast-transpose", Question::CastTransposed { .. }, StreamCastTransposeFraction StreamCastTransposeLatency),
        stream!("stream.permute", Question::Permute { .. }, StreamPermuteFraction StreamPermuteLatency),
        stream!("stream.unpermute", Question::Unpermute { .. }, StreamUnpermuteFraction StreamUnpermuteLatency),
        gemm!(
            "gemm.fp8-block",
            Dtype::Fp8Block,
            GemmFp8BlockFraction GemmFp8BlockSustained GemmFp8BlockMemoryPower GemmFp8BlockExponent GemmFp8BlockMemory GemmFp8BlockLatency
                GemmFp8BlockSplitLatency GemmFp8BlockOverhead GemmFp8BlockLoad,
            GemmFp8BlockRows GemmFp8BlockRowsFewest GemmFp8BlockColumns GemmFp8BlockStep GemmFp8BlockSplit, GemmFp8BlockPromote
        ),
        gemm!(
            "gemm.fp8-tensor",
            Dtype::Fp8Tensor,
            GemmFp8TensorFraction GemmFp8TensorSustained GemmFp8TensorMemoryPower GemmFp8TensorExponent GemmFp8TensorMemory GemmFp8TensorLatency
                GemmFp8TensorSplitLatency GemmFp8TensorOverhead GemmFp8TensorLoad,
            GemmFp8TensorRows GemmFp8TensorRowsFewest GemmFp8TensorColumns GemmFp8TensorStep GemmFp8TensorSplit, GemmFp8TensorPromote
        ),
        gemm!(
            "gemm.fp8-tensor-fast",
            Dtype::Fp8TensorFast,
            GemmFp8TensorFastFraction GemmFp8TensorFastSustained GemmFp8TensorFastMemoryPower GemmFp8TensorFastExponent GemmFp8TensorFastMemory GemmFp8TensorFastLatency
                GemmFp8TensorFastSplitLatency GemmFp8TensorFastOverhead GemmFp8TensorFastLoad,
            GemmFp8TensorFastRows GemmFp8TensorFastRowsFewest GemmFp8TensorFastColumns GemmFp8TensorFastStep GemmFp8TensorFastSplit
        ),
        gemm!(
            "gemm.bf16",
            Dtype::Bf16,
            GemmBf16Fraction GemmBf16Sustained GemmBf16MemoryPower GemmBf16Exponent GemmBf16Memory GemmBf16Latency
                GemmBf16SplitLatency GemmBf16Overhead GemmBf16Load,
            GemmBf16Rows GemmBf16RowsFewest GemmBf16Columns GemmBf16Step GemmBf16Split
        ),
        Family {
            name: "attention.forward",
            keys: vec![
                (Key::AttentionForwardFraction, Some(0.65)),
                (Key::AttentionForwardOverhead, Some(100.0)),
                (Key::AttentionForwardMemory, Some(0.9)),
                (Key::AttentionForwardLatency, Some(5e-6)),
            ],
            choices: vec![(Key::AttentionForwardRows, vec![64.0, 128.0, 256.0])],
            holds: |question| matches!(question, Question::Attention { direction: Direction::Forward, .. }),
        },
        Family {
            name: "attention.backward",
            keys: vec![
                (Key::AttentionBackwardFraction, Some(0.65)),
                (Key::AttentionBackwardOverhead, Some(100.0)),
                (Key::AttentionBackwardMemory, Some(0.9)),
                (Key::AttentionBackwardLatency, Some(5e-6)),
            ],
            choices: vec![(Key::AttentionBackwardRows, vec![64.0, 128.0, 256.0])],
            holds: |question| matches!(question, Question::Attention { direction: Direction::Backward, .. }),
        },
        collective!("collective.all-reduce", AllReduce, AllReduceLatency AllReduceSmallFraction AllReducePiece AllReduceFraction = Some(0.75)),
        collective!("collective.all-gather", AllGather, AllGatherLatency AllGatherSmallFraction AllGatherPiece AllGatherCopyRate = None),
        collective!("collective.reduce-scatter", ReduceScatter, ReduceScatterLatency ReduceScatterSmallFraction ReduceScatterPiece ReduceScatterCopyRate = None),
        collective!("collective.all-to-all", AllToAll, AllToAllLatency AllToAllSmallFraction AllToAllPiece AllToAllFraction = Some(0.75), AllToAllCopyRate = None),
        collective!("collective.send-recv", SendRecv, SendRecvLatency SendRecvSmallFraction SendRecvPiece SendRecvFraction = Some(0.75)),
    ]
}
