//! One kernel alone on a device.

pub(crate) mod args;
pub(crate) mod device;

use calibrate::{Algorithm, Basis, Departure, EstimateKey, Profile, Question};
use report::format::seconds;
use serde_json::{Value, json};

use self::args::{AttentionArgs, BytesArgs, KernelArgs, KernelKind, ProductArgs, RowsArgs};
use self::device::Known;
use crate::exit::Failure;
use crate::run::pretty;

/// What the model says of one question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// Seconds of one call.
    pub(crate) seconds: f64,
    /// Fifth percentile over the spreads.
    pub(crate) low: f64,
    /// Ninety-fifth.
    pub(crate) high: f64,
    /// The softest of what it rests on.
    pub(crate) basis: Basis,
    /// The estimate that sets it.
    pub(crate) limit: String,
    /// Whose kernel it is, where the profile says.
    pub(crate) implementation: Option<String>,
    /// Of a collective: how it moves its bytes.
    pub(crate) algorithm: Option<Algorithm>,
    /// In what the machine departs from that of the estimates.
    pub(crate) departures: Vec<Departure>,
}

impl Answer {
    /// As JSON or as a line.
    pub(crate) fn show(&self, as_json: bool) -> String {
        if as_json {
            return pretty(&self.json());
        }
        let kernel = self.implementation.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
        let by = self.algorithm.map(|algorithm| format!(", {}", algorithm.name())).unwrap_or_default();
        let [time, low, high] = [self.seconds, self.low, self.high].map(seconds);
        let elsewhere = self.elsewhere().map(|note| note + "\n").unwrap_or_default();
        format!("{time}   {low} to {high}   {}, limited by {}{by}{kernel}\n{elsewhere}", self.basis, self.limit)
    }

    /// Why what was measured is no more than extrapolated.
    fn elsewhere(&self) -> Option<String> {
        let departures: Vec<String> = self.departures.iter().map(ToString::to_string).collect();
        let departures = departures.join(", ");
        (!departures.is_empty())
            .then(|| format!("extrapolated: it rests on estimates measured with other values: {departures}"))
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "seconds": self.seconds, "low": self.low, "high": self.high,
            "basis": self.basis.name(), "limit": self.limit,
        });
        if let Some(name) = &self.implementation {
            value["implementation"] = json!(name);
        }
        if let Some(algorithm) = self.algorithm {
            value["algorithm"] = json!(algorithm.name());
        }
        if let Some(note) = self.elsewhere() {
            value["notes"] = json!([note]);
        }
        value
    }
}

impl From<plan::Answer> for Answer {
    fn from(answer: plan::Answer) -> Self {
        let plan::Answer { time, low, high, basis, limit, implementation, departures } = answer;
        let limit = limit.name().to_owned();
        let [seconds, low, high] = [time, low, high].map(units::Seconds::get);
        Self { seconds, low, high, basis, limit, implementation, algorithm: None, departures }
    }
}

/// How long a kernel takes, how sure that is, and what it rests on.
pub(crate) fn kernel(args: &KernelArgs) -> Result<String, Failure> {
    let of_device = args.kind.device();
    let known = device::load(of_device.names())?;
    let question = question(&args.kind, known.machine.device.sms)?;
    let busy = answer(&known, &question)?;
    let answer = if of_device.launch { launched(busy, &known.profile) } else { busy };
    Ok(answer.show(of_device.json))
}

/// The question as an op of the model, on the device alone, in a stream that never runs dry.
fn answer(known: &Known, question: &Question) -> Result<Answer, Failure> {
    let device = &known.machine.device;
    let (op, sms) = question.op(device.sms).ok_or_else(|| {
        Failure::usage(format!(
            "the model has no answer to {question:?}; it is measured to be looked at, not predicted"
        ))
    })?;
    Ok(plan::kernel(device, &known.profile, &op, sms)?.into())
}

/// The same call with nothing before it in its stream: what the host's launch takes comes on top.
///
/// Launch and kernel are taken to be slow together, so the ends add up: the interval is wide rather than narrow.
fn launched(busy: Answer, profile: &Profile) -> Answer {
    let launch = profile.get(EstimateKey::KernelLaunch);
    let spread = profile.spread(EstimateKey::KernelLaunch);
    let end = |deviations: f64| launch.value * (spread * deviations).exp();
    let limit = if launch.value > busy.seconds { EstimateKey::KernelLaunch.name().to_owned() } else { busy.limit };
    Answer {
        seconds: busy.seconds + launch.value,
        low: busy.low + end(-DEVIATIONS),
        high: busy.high + end(DEVIATIONS),
        basis: busy.basis.max(launch.basis),
        limit,
        ..busy
    }
}

/// Deviations of a normal beyond which a twentieth lies.
const DEVIATIONS: f64 = 1.645;

/// What the arguments ask; `all` SMs where they do not say.
fn question(kind: &KernelKind, all: u32) -> Result<Question, Failure> {
    let question = match kind {
        KernelKind::Gemm { m, product, .. } => {
            let ProductArgs { n, k, dtype, sms } = *product;
            Question::Gemm { m: *m, n, k, dtype: dtype.into(), sms: sms.unwrap_or(all) }
        }
        KernelKind::GroupedGemm { tokens, groups, product, .. } => {
            let ProductArgs { n, k, dtype, sms } = *product;
            let tokens = groups_of(tokens, *groups)?;
            Question::GroupedGemm { tokens, n, k, dtype: dtype.into(), sms: sms.unwrap_or(all) }
        }
        KernelKind::Attention(attention) => of_attention(attention),
        KernelKind::Copy(BytesArgs { bytes, sms, .. }) => Question::Copy { bytes: *bytes, sms: sms.unwrap_or(all) },
        KernelKind::Read(BytesArgs { bytes, sms, .. }) => Question::Read { bytes: *bytes, sms: sms.unwrap_or(all) },
        KernelKind::Write(BytesArgs { bytes, sms, .. }) => Question::Write { bytes: *bytes, sms: sms.unwrap_or(all) },
        KernelKind::Rmsnorm(RowsArgs { tokens, dim, .. }) => Question::Rmsnorm { tokens: *tokens, dim: *dim },
        KernelKind::Swiglu(RowsArgs { tokens, dim, .. }) => Question::Swiglu { tokens: *tokens, dim: *dim },
        KernelKind::Rope(RowsArgs { tokens, dim, .. }) => Question::Rope { tokens: *tokens, dim: *dim },
        KernelKind::Cast { rows, transposed: false } => Question::Cast { tokens: rows.tokens, dim: rows.dim },
        KernelKind::Cast { rows, transposed: true } => Question::CastTransposed { tokens: rows.tokens, dim: rows.dim },
        KernelKind::Permute { rows, top_k } => Question::Permute { tokens: rows.tokens, dim: rows.dim, top_k: *top_k },
        KernelKind::Unpermute { rows, top_k } => {
            Question::Unpermute { tokens: rows.tokens, dim: rows.dim, top_k: *top_k }
        }
    };
    check(&question, all)?;
    Ok(question)
}

fn groups_of(tokens: &[u64], groups: Option<u32>) -> Result<Vec<u64>, Failure> {
    match (tokens, groups) {
        (_, None) => Ok(tokens.to_vec()),
        ([rows], Some(groups)) => Ok(vec![*rows; groups as usize]),
        (_, Some(groups)) => Err(Failure::usage(format!(
            "`--groups {groups}` repeats one number of rows, and `--tokens` has {}: leave one of them out",
            tokens.len()
        ))),
    }
}

fn of_attention(args: &AttentionArgs) -> Question {
    Question::Attention {
        heads: args.heads,
        kv_heads: args.kv_heads.unwrap_or(args.heads),
        queries: args.seq,
        keys: args.keys.unwrap_or(args.seq),
        qk: args.dim_qk,
        value: args.dim_v.unwrap_or(args.dim_qk),
        causal: args.causal,
        direction: args.direction.into(),
    }
}

/// Sizes of nothing and SMs that are not there are mistakes; a size is a field of the question that is a number.
fn check(question: &Question, all: u32) -> Result<(), Failure> {
    let fields = serde_json::to_value(question).map_err(|error| Failure::Fault(error.into()))?;
    for (name, value) in fields.as_object().into_iter().flatten() {
        let is_zero = |value: &Value| value.as_u64() == Some(0);
        let no_rows = value.as_array().is_some_and(|items| items.iter().all(is_zero));
        if is_zero(value) || no_rows {
            return Err(Failure::usage(format!("`--{name} {value}` asks for nothing: take one or more")));
        }
    }
    match fields["sms"].as_u64() {
        Some(sms) if sms > u64::from(all) => {
            Err(Failure::usage(format!("`--sms {sms}` is more than the device has: {all}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use calibrate::Direction;
    use clap::Parser;
    use workloads::op::Precision;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        kernel: KernelArgs,
    }

    fn ask(line: &str) -> Result<Question, String> {
        let line = line.split(' ').chain(["--hardware", "some"]);
        let line = Line::try_parse_from(std::iter::once("kernel").chain(line)).map_err(|error| error.to_string())?;
        question(&line.kernel.kind, 132).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn arguments_are_the_question_that_is_measured() {
        let dtype = Precision::Fp8Block;
        for (line, expectation) in [
            (
                "gemm --m 4096 --n 7168 --k 2048 --dtype fp8-block --sms 112",
                Question::Gemm { m: 4096, n: 7168, k: 2048, dtype, sms: 112 },
            ),
            (
                "grouped-gemm --tokens 256 --groups 3 --n 4096 --k 7168 --dtype fp8-block",
                Question::GroupedGemm { tokens: vec![256; 3], n: 4096, k: 7168, dtype, sms: 132 },
            ),
            ("copy --bytes 1024", Question::Copy { bytes: 1024, sms: 132 }),
            ("cast --tokens 5 --dim 128 --transposed", Question::CastTransposed { tokens: 5, dim: 128 }),
            ("permute --tokens 5 --dim 128 --top-k 8", Question::Permute { tokens: 5, dim: 128, top_k: 8 }),
            (
                "attention --heads 128 --seq 4096 --dim-qk 192 --dim-v 128 --causal --direction backward",
                Question::Attention {
                    heads: 128,
                    kv_heads: 128,
                    queries: 4096,
                    keys: 4096,
                    qk: 192,
                    value: 128,
                    causal: true,
                    direction: Direction::Backward,
                },
            ),
        ] {
            assert_eq!(ask(line), Ok(expectation), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        for (line, part) in [
            ("copy --bytes 0", "--bytes 0"),
            ("copy --bytes 1024 --sms 133", "132"),
            ("copy --bytes 1024 --sms 0", "--sms 0"),
            ("grouped-gemm --tokens 1,2 --groups 2 --n 1 --k 1 --dtype bf16", "leave one"),
            ("gemm --m 1 --n 1 --k 1 --dtype fp4", "fp8-tensor-fast"),
        ] {
            let text = ask(line).unwrap_err();
            assert!(text.contains(part), "{line}: no `{part}` in {text}");
        }
    }
}
