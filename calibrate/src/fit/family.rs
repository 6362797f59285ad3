//! Which samples speak of which estimates, and how a family is fitted.

use std::collections::BTreeSet;

use workloads::op::{Collective, Misaligned, Precision};

use super::errors::{Errors, Miss};
use super::fitted::{Fitted, SPREAD_MIN, implementation};
use super::solve;
use super::{Rig, held_out, predict};
use crate::{
    AttentionTerm, Basis, CacheKind, CachedTerm, CollectiveTerm, Direction, Estimate, EstimateKey, GemmTerm, MovedBy,
    Profile, Question, Sample, StreamKernel, StreamTerm,
};

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
    of: Of,
}

impl Family {
    /// The same with the estimates that these samples can tell. Collectives of one number of ranks do not tell what a rank more costs, and those
    /// of two not whether the port binds a gather or what its kernel copies.
    #[must_use]
    pub fn told_by(mut self, samples: &[&Sample]) -> Self {
        let Of::Collective(what) = self.of else { return self };
        let ranks: BTreeSet<u32> = samples.iter().filter_map(|sample| n_ranks(&sample.question)).collect();
        let key = |term| EstimateKey::Collective(what, term);
        if ranks.len() > 1 {
            self.keys.push((key(CollectiveTerm::RankLatency), None));
        }
        let fraction = key(CollectiveTerm::Fraction);
        if ranks.last().is_some_and(|most| *most > 2) && self.keys.iter().all(|(key, _)| *key != fraction) {
            self.keys.push((fraction, None));
        }
        self
    }

    /// Whether the samples of a question are of this family.
    #[must_use]
    pub fn holds(&self, question: &Question) -> bool {
        Of::question(question) == Some(self.of)
    }
}

/// Fits one family to the samples of one implementation, beginning at `profile`; `None` without samples enough.
#[must_use]
pub fn fit(family: &Family, samples: &[&Sample], rig: Rig<'_>, profile: &Profile) -> Option<Fitted> {
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
            seen.iter().map(|sample| residual(rig, &trial, sample)).collect::<Vec<f64>>()
        };
        let found = solve::minimum(&start, &residuals);
        if best.as_ref().is_none_or(|(least, _)| found.loss < least.loss) {
            let profile = at(&found.parameters);
            best = Some((found, profile));
        }
    }
    let (_, fitted) = best?;
    Some(summary(family, samples, rig, &fitted))
}

fn residual(rig: Rig<'_>, profile: &Profile, sample: &Sample) -> f64 {
    match predict(rig, profile, &sample.question) {
        Some((seconds, _)) => (seconds.get() / sample.reading.seconds).ln(),
        // Values under which an op has no time that can be counted are as far off as can be.
        None if sample.question.op(rig.device.sms).is_some() => f64::INFINITY,
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

fn summary(family: &Family, samples: &[&Sample], rig: Rig<'_>, profile: &Profile) -> Fitted {
    let misses: Vec<Miss> = samples
        .iter()
        .filter_map(|sample| {
            let (predicted, _) = predict(rig, profile, &sample.question)?;
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
    let spread = errors.deviation().max(SPREAD_MIN);
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
                stands_for: None,
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
    // First, for the others bend with it.
    let mut all: Vec<Family> = StreamKernel::ALL.iter().copied().map(stream).collect();
    all.extend([Precision::Fp8Block, Precision::Fp8Tensor, Precision::Fp8TensorFast, Precision::Bf16].map(gemm));
    all.push(misaligned());
    all.push(grouped());
    all.extend(Direction::ALL.map(attention));
    all.extend(CacheKind::ALL.map(cached));
    all.extend(Collective::ALL.map(collective));
    all.extend(Collective::ALL.map(on_few_sms));
    // Last, for a collective over nodes is what its node takes and the network.
    all.extend([by_switches(), between_nodes(), messages()]);
    all
}

fn stream(kernel: StreamKernel) -> Family {
    let [fraction, latency] = [StreamTerm::Fraction, StreamTerm::Latency].map(|term| EstimateKey::Stream(kernel, term));
    let mut keys = vec![(fraction, Some(0.85)), (latency, Some(2e-6))];
    if kernel.is_by_rows() {
        let [rate, bytes] = [StreamTerm::RowRate, StreamTerm::RowBytes].map(|term| EstimateKey::Stream(kernel, term));
        keys.extend([(rate, Some(4e9)), (bytes, Some(500.0))]);
    }
    if kernel == StreamKernel::Copy {
        keys.extend([(EstimateKey::MemoryRatePerSm, None), (EstimateKey::MemorySharpness, Some(1.5))]);
    }
    Family { name: table(fraction), keys, choices: Vec::new(), of: Of::Stream(kernel) }
}

fn gemm(precision: Precision) -> Family {
    use GemmTerm as Term;
    let key = |term| EstimateKey::Gemm(precision, term);
    let starts = [
        (Term::Fraction, 0.95),
        (Term::Sustained, 0.66),
        (Term::MemoryPower, 2.5),
        (Term::Exponent, 0.3),
        (Term::Memory, 0.83),
        (Term::Latency, 2.8e-6),
        (Term::SplitLatency, 3e-6),
        (Term::Overhead, 200.0),
        (Term::LoadSide, 150.0),
    ];
    let choices: [(Term, &[f64]); 6] = [
        (Term::Rows, &[128.0]),
        (Term::RowsFewest, &[64.0, 128.0]),
        (Term::Columns, &[128.0, 256.0]),
        (Term::ColumnsStep, &[16.0, 64.0]),
        (Term::SplitMax, &[4.0, 16.0, 64.0]),
        // Not seen from outside; what the kernels' scales and their public documents say.
        (Term::PromoteEvery, &[128.0]),
    ];
    let choices = choices.into_iter().map(|(term, values)| (key(term), values.to_vec()));
    Family {
        name: table(key(Term::Fraction)),
        keys: starts.into_iter().map(|(term, start)| (key(term), Some(start))).collect(),
        choices: choices.filter(|(key, _)| EstimateKey::ALL.contains(key)).collect(),
        of: Of::Gemm(precision),
    }
}

/// Of BF16, after its products of whole vectors.
fn misaligned() -> Family {
    Family {
        name: "gemm.misaligned",
        keys: vec![(EstimateKey::GemmWords, Some(3.0)), (EstimateKey::GemmHalves, Some(6.0))],
        choices: Vec::new(),
        of: Of::Misaligned,
    }
}

/// Products of groups of few rows, which the weights bind.
fn grouped() -> Family {
    let keys = [
        (EstimateKey::GroupedMemory, Some(0.7)),
        (EstimateKey::GroupedLatency, Some(4e-6)),
        (EstimateKey::GroupedBlockRate, Some(60e9)),
    ];
    let choices =
        vec![(EstimateKey::GroupedRows, vec![64.0, 128.0]), (EstimateKey::GroupedColumns, vec![64.0, 128.0, 256.0])];
    Family { name: "gemm.grouped", keys: keys.into(), choices, of: Of::Grouped }
}

fn attention(direction: Direction) -> Family {
    use AttentionTerm as Term;
    let key = |term| EstimateKey::Attention(direction, term);
    let starts = [
        (Term::Fraction, 0.65),
        (Term::Sustained, 0.6),
        (Term::Overhead, 100.0),
        (Term::Scores, 50.0),
        (Term::Wide, 1.2),
        (Term::Memory, 0.9),
        (Term::Latency, 5e-6),
    ];
    Family {
        name: table(key(Term::Fraction)),
        keys: starts.into_iter().map(|(term, start)| (key(term), Some(start))).collect(),
        choices: vec![
            (key(Term::Rows), vec![64.0, 128.0, 256.0]),
            (key(Term::Step), vec![1.0, 16.0, 32.0, 64.0]),
            (key(Term::Narrow), vec![128.0]),
        ],
        of: Of::Attention(direction),
    }
}

fn cached(kind: CacheKind) -> Family {
    use CachedTerm as Term;
    let key = |term| EstimateKey::Cached(kind, term);
    let starts = [
        (Term::Memory, 0.8),
        (Term::Fraction, 0.6),
        (Term::Latency, 5e-6),
        (Term::Tile, 1e-6),
        (Term::Row, 1e-7),
        (Term::Merge, 2e-8),
    ];
    Family {
        name: table(key(Term::Memory)),
        keys: starts.into_iter().map(|(term, start)| (key(term), Some(start))).collect(),
        choices: vec![
            (key(Term::Rows), vec![32.0, 64.0]),
            (key(Term::Keys), vec![32.0, 64.0]),
            (key(Term::Blocks), vec![2.0]),
        ],
        of: Of::Cached(kind),
    }
}

fn collective(what: Collective) -> Family {
    use CollectiveTerm as Term;
    let key = |term| EstimateKey::Collective(what, term);
    let mut keys =
        vec![(key(Term::Latency), Some(6e-6)), (key(Term::SmallFraction), Some(0.2)), (key(Term::Piece), Some(4e-6))];
    // What binds large sizes: the port, or what the library's kernel copies, or either.
    let (port, copies) = match what {
        Collective::AllReduce | Collective::SendRecv => (true, false),
        Collective::AllGather | Collective::ReduceScatter => (false, true),
        Collective::AllToAll => (true, true),
    };
    keys.extend(port.then_some((key(Term::Fraction), Some(0.75))));
    keys.extend(copies.then_some((key(Term::CopyRate), None)));
    Family { name: table(key(Term::Latency)), keys, choices: Vec::new(), of: Of::Collective(what) }
}

/// Of a collective whose SMs are bounded, after those that take what they like.
fn on_few_sms(what: Collective) -> Family {
    let key = EstimateKey::Collective(what, CollectiveTerm::RatePerSm);
    Family { name: key.name(), keys: vec![(key, None)], choices: Vec::new(), of: Of::OnFewSms(what) }
}

/// Of collectives that switches summed or multicast, as their log says.
fn by_switches() -> Family {
    let keys = [(EstimateKey::CollectiveSwitchLatency, Some(2e-5)), (EstimateKey::CollectiveSwitchFraction, Some(0.6))];
    let name = table(EstimateKey::CollectiveSwitchLatency);
    Family { name, keys: keys.into(), choices: Vec::new(), of: Of::BySwitches }
}

/// Of collectives over several nodes: large sizes tell the share of the NIC, small ones what each step takes.
fn between_nodes() -> Family {
    let keys =
        [(EstimateKey::CollectiveScaleOutFraction, Some(0.7)), (EstimateKey::CollectiveScaleOutLatency, Some(5e-6))];
    Family { name: "collective.over-nodes", keys: keys.into(), choices: Vec::new(), of: Of::BetweenNodes }
}

/// Of messages from the last rank of a node to the first of the next.
fn messages() -> Family {
    let key = EstimateKey::PointToPointFraction;
    Family { name: table(key), keys: vec![(key, Some(0.7))], choices: Vec::new(), of: Of::Messages }
}

/// The table of a key in files.
fn table(key: EstimateKey) -> &'static str {
    key.name().rsplit_once('.').map_or("", |(table, _)| table)
}

/// What the samples of a family measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Stream(StreamKernel),
    Gemm(Precision),
    /// Products whose rows begin at no whole vector.
    Misaligned,
    /// Products of groups of few rows.
    Grouped,
    Attention(Direction),
    /// Attention over caches.
    Cached(CacheKind),
    Collective(Collective),
    /// Collectives on a number of SMs that was bounded.
    OnFewSms(Collective),
    /// Collectives of one node that its switches summed or multicast.
    BySwitches,
    /// Collectives over several nodes.
    BetweenNodes,
    /// Messages over several nodes.
    Messages,
}

impl Of {
    /// What a question measures alone; `None` for what no family fits.
    fn question(question: &Question) -> Option<Self> {
        Some(match question {
            Question::Copy { .. } => Self::Stream(StreamKernel::Copy),
            Question::Read { .. } => Self::Stream(StreamKernel::Read),
            Question::Write { .. } => Self::Stream(StreamKernel::Write),
            Question::Rmsnorm { .. } => Self::Stream(StreamKernel::Norm),
            Question::Rope { .. } => Self::Stream(StreamKernel::Rope),
            Question::Swiglu { .. } => Self::Stream(StreamKernel::SwiGlu),
            Question::Cast { .. } => Self::Stream(StreamKernel::Cast),
            Question::CastTransposed { .. } => Self::Stream(StreamKernel::CastTranspose),
            Question::Permute { .. } => Self::Stream(StreamKernel::Permute),
            Question::Unpermute { .. } => Self::Stream(StreamKernel::Unpermute),
            Question::Burst { of } => return Self::question(of),
            Question::IndexAdd { .. } => Self::Stream(StreamKernel::IndexAdd),
            Question::Rows { what, .. } => Self::Stream(*what),
            Question::Gemm { .. } if is_slower(question) => Self::Misaligned,
            Question::Gemm { dtype, .. } => Self::Gemm(*dtype),
            Question::Attention { direction, .. } => Self::Attention(*direction),
            Question::DecodeAttention { kv_heads, qk, value, .. } => {
                Self::Cached(CacheKind::of(*kv_heads == 1 && value < qk))
            }
            Question::Collective { nodes: 2.., sms: Some(_), .. } => return None,
            Question::Collective { what: Collective::SendRecv, nodes: 2.., .. } => Self::Messages,
            Question::Collective { nodes: 2.., .. } => Self::BetweenNodes,
            Question::Collective { by: Some(MovedBy::Switches), .. } => Self::BySwitches,
            Question::Collective { what, sms: None, .. } => Self::Collective(*what),
            Question::Collective { what, sms: Some(_), .. } => Self::OnFewSms(*what),
            Question::GroupedGemm { tokens, dtype: Precision::Bf16, .. } if is_of_few_rows(tokens) => Self::Grouped,
            Question::GroupedGemm { .. }
            | Question::PromotedGemm { .. }
            | Question::TensorLoop { .. }
            | Question::Launch
            | Question::GraphLaunch
            | Question::Together { .. }
            | Question::PeerCopy { .. }
            | Question::PeerBulk { .. }
            | Question::PeerEngine { .. }
            | Question::PeerLatency
            | Question::Dispatch { .. }
            | Question::Combine { .. }
            | Question::Accumulate { .. } => return None,
        })
    }
}

fn n_ranks(question: &Question) -> Option<u32> {
    match question {
        Question::Collective { ranks, .. } => Some(*ranks),
        _ => None,
    }
}

/// Whether libraries take their slower kernels for it.
/// Whether no group fills a tile, so that weights bind.
fn is_of_few_rows(tokens: &[u64]) -> bool {
    tokens.iter().all(|rows| *rows <= 128)
}

fn is_slower(question: &Question) -> bool {
    question.op(1).is_some_and(|(op, _)| op.misaligned() == Some(Misaligned::Slower))
}
