//! One kernel alone on a device.

use calibrate::{Algorithm, Basis, Departure, EstimateKey, Profile, Question};
use plan::{KernelCall, When};
use scenario::{Library, LoadedDevice};
use serde_json::{Value, json};
use workloads::op::{Misaligned, Op, OpKind};

use crate::error::TunnelError;
use crate::interval::interval;
use crate::sourced::{Sourced, sources};

/// Which device, and what is known of its kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceQuery {
    /// A hardware preset's name or a file.
    pub hardware: String,
    /// Profiles, an earlier one before a later; none: the one named like the hardware.
    pub profiles: Vec<String>,
    /// Whose kernels; none: those that the profiles measured.
    pub implementation: Option<String>,
    /// The software stack; none: each op as one kernel, as it was measured.
    pub framework: Option<String>,
    /// Patches, `KEY=VALUE`.
    pub sets: Vec<String>,
}

/// One kernel on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelQuery {
    /// Where.
    pub device: DeviceQuery,
    /// Which kernel, on what sizes. Its own count of SMs is not looked at.
    pub question: Question,
    /// SMs left to it; none: all of the device.
    pub sms: Option<u32>,
    /// Before or after the device's mean power reaches its limit, and beside what.
    pub when: When,
    /// One call alone, from the host's launch on, in place of one among many.
    pub launch: bool,
}

/// How long one kernel or collective takes, how sure that is, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelReply {
    /// Seconds of one call.
    pub seconds: f64,
    /// Fifth percentile over the spreads.
    pub low: f64,
    /// Ninety-fifth.
    pub high: f64,
    /// The softest of what it rests on.
    pub basis: Basis,
    /// The estimate that sets it.
    pub limit: String,
    /// Whose kernel it is, where the profile says.
    pub implementation: Option<String>,
    /// Of a collective: how it moves its bytes.
    pub algorithm: Option<Algorithm>,
    /// In what the machine departs from that of the estimates.
    pub departures: Vec<Departure>,
    /// What the time leaves out, and what its interval does.
    pub left_out: Vec<&'static str>,
}

/// What a product costs whose rows begin at no whole vector of 16 bytes.
pub(crate) const fn misaligned(comes: Misaligned) -> &'static str {
    match comes {
        Misaligned::Slower => {
            "misaligned: libraries multiply BF16 rows that begin at no multiple of 16 bytes several times slower, as the time holds; columns and inner sides of multiples of 8 are quick"
        }
        Misaligned::Unsupported => {
            "misaligned: no library multiplies FP8 rows that begin at no multiple of 16 bytes; the time is that of a product as large whose rows do"
        }
    }
}

/// What the interval of a kernel beside another leaves out.
const BESIDE: &str = "beside: what the other traffic costs is known more roughly than the interval shows; book/accuracy.md has its errors";

/// How long a kernel takes.
///
/// # Errors
/// Mistakes in files and patches, sizes of nothing, SMs that the device lacks, a kernel that has no model.
pub fn kernel(query: &KernelQuery, library: &Library) -> Result<Sourced<KernelReply>, TunnelError> {
    let known = query.device.load(library)?;
    let all = known.machine.device.sms;
    let question = on_sms(query.question.clone(), query.sms.unwrap_or(all));
    check(&question, all)?;
    let busy = busy(&known, &question, query.when)?;
    let reply = if query.launch { launched(busy, &known.profile) } else { busy };
    Ok(Sourced { reply, sources: sources(&known.leaves) })
}

impl DeviceQuery {
    /// Loads hardware, profiles and patches.
    ///
    /// # Errors
    /// Every mistake in them, at once.
    pub fn load(&self, library: &Library) -> Result<LoadedDevice, TunnelError> {
        let implementations: Vec<String> = self.implementation.clone().into_iter().collect();
        let software = scenario::Software { implementations: &implementations, framework: self.framework.as_deref() };
        Ok(scenario::load_device(&self.hardware, &self.profiles, software, &self.sets, library)?)
    }
}

/// The question with another count of SMs, where it has one.
fn on_sms(mut question: Question, n: u32) -> Question {
    match &mut question {
        Question::Copy { sms, .. }
        | Question::Read { sms, .. }
        | Question::Write { sms, .. }
        | Question::Gemm { sms, .. }
        | Question::GroupedGemm { sms, .. }
        | Question::PromotedGemm { sms, .. }
        | Question::TensorLoop { sms, .. }
        | Question::PeerCopy { sms, .. }
        | Question::PeerBulk { sms, .. }
        | Question::Dispatch { sms, .. }
        | Question::Combine { sms, .. } => *sms = n,
        Question::Attention { .. }
        | Question::DecodeAttention { .. }
        | Question::Rmsnorm { .. }
        | Question::Swiglu { .. }
        | Question::Rope { .. }
        | Question::Cast { .. }
        | Question::CastTransposed { .. }
        | Question::Permute { .. }
        | Question::Unpermute { .. }
        | Question::IndexAdd { .. }
        | Question::Rows { .. }
        | Question::Launch
        | Question::GraphLaunch
        | Question::Together { .. }
        | Question::Burst { .. }
        | Question::PeerEngine { .. }
        | Question::PeerLatency
        | Question::Collective { .. }
        | Question::Accumulate { .. } => {}
    }
    question
}

/// Sizes of nothing and SMs that are not there are mistakes; a size is a field of the question that is a number.
fn check(question: &Question, all: u32) -> Result<(), TunnelError> {
    let fields = serde_json::to_value(question).map_err(|error| TunnelError::Fault(error.to_string()))?;
    for (name, value) in fields.as_object().into_iter().flatten() {
        let is_zero = |value: &Value| value.as_u64() == Some(0);
        let no_rows = value.as_array().is_some_and(|items| items.iter().all(is_zero));
        if is_zero(value) || no_rows {
            return Err(TunnelError::value(name, value, "asks for nothing: take one or more"));
        }
    }
    match fields["sms"].as_u64() {
        Some(sms) if sms > u64::from(all) => {
            Err(TunnelError::value("sms", sms, format!("is more than the device has: {all}")))
        }
        _ => Ok(()),
    }
}

/// The question as an op of the model, on the device alone, in a stream that never runs dry.
fn busy(known: &LoadedDevice, question: &Question, when: When) -> Result<KernelReply, TunnelError> {
    let device = &known.machine.device;
    let (op, sms) = question.op(device.sms).ok_or_else(|| TunnelError::NotModeled(question.clone()))?;
    let mut replies = Vec::new();
    for op in as_run(known, question, op) {
        let misaligned = op.misaligned().map(misaligned);
        let left_out = misaligned.into_iter().chain(when.beside.map(|_| BESIDE)).collect();
        let answer =
            plan::kernel(device, &known.profile, KernelCall { op: &op, sms, grids: known.recipe.grids, when })?;
        replies.push(KernelReply { left_out, ..KernelReply::from(answer) });
    }
    in_turn(replies).ok_or_else(|| TunnelError::NotModeled(question.clone()))
}

/// The kernels that the software stack runs for an op.
fn as_run(known: &LoadedDevice, question: &Question, op: Op) -> Vec<Op> {
    match (question.memory_op(), &op.kind) {
        (Some((what, elements)), OpKind::Stream { rows, reads, writes, .. })
            if known.recipe.kernels.contains_key(&what) =>
        {
            let whole = [reads.get(), writes.get()];
            known.recipe.kernels_of(what, [*rows, elements], whole).map(|kind| Op { kind, ..op.clone() }).collect()
        }
        _ => vec![op],
    }
}

/// One kernel after another; the longest names what sets it. None of none.
fn in_turn(replies: Vec<KernelReply>) -> Option<KernelReply> {
    let sum = |of: fn(&KernelReply) -> f64| replies.iter().map(of).sum::<f64>();
    let [seconds, low, high] = [sum(|reply| reply.seconds), sum(|reply| reply.low), sum(|reply| reply.high)];
    let basis = replies.iter().map(|reply| reply.basis).max()?;
    let longest = replies.into_iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    Some(KernelReply { seconds, low, high, basis, ..longest })
}

/// The same call with nothing before it in its stream: what the host's launch takes comes on top.
///
/// Launch and kernel are taken to be slow together, so the ends add up: the interval is wide rather than narrow.
fn launched(busy: KernelReply, profile: &Profile) -> KernelReply {
    let launch = profile.get(EstimateKey::KernelLaunch);
    let spread = profile.spread(EstimateKey::KernelLaunch);
    let [low, high] = interval(launch.value, spread);
    let limit = if launch.value > busy.seconds { EstimateKey::KernelLaunch.name().to_owned() } else { busy.limit };
    KernelReply {
        seconds: busy.seconds + launch.value,
        low: busy.low + low,
        high: busy.high + high,
        basis: busy.basis.max(launch.basis),
        limit,
        ..busy
    }
}

impl KernelReply {
    /// Why what was measured is no more than extrapolated, and what the time leaves out.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let departures: Vec<String> = self.departures.iter().map(ToString::to_string).collect();
        let departures = departures.join(", ");
        let extrapolated = (!departures.is_empty())
            .then(|| format!("extrapolated: it rests on estimates that were measured at other values: {departures}"));
        extrapolated.into_iter().chain(self.left_out.iter().map(|&note| note.to_owned())).collect()
    }

    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
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
        let notes = self.notes();
        if !notes.is_empty() {
            value["notes"] = json!(notes);
        }
        value
    }
}

impl From<plan::TimeAlone> for KernelReply {
    fn from(answer: plan::TimeAlone) -> Self {
        let plan::TimeAlone { time, low, high, basis, limit, implementation, departures } = answer;
        let limit = limit.name().to_owned();
        let [seconds, low, high] = [time, low, high].map(units::Seconds::get);
        Self { seconds, low, high, basis, limit, implementation, algorithm: None, departures, left_out: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use workloads::op::Precision;

    use super::*;

    fn refused(question: Question) -> String {
        check(&question, 132).unwrap_err().to_string()
    }

    #[test]
    fn sizes_of_nothing_and_sms_that_are_not_there_are_refused_by_their_name() {
        assert!(refused(Question::Copy { bytes: 0, sms: 1 }).starts_with("`bytes = 0` asks for nothing"));
        assert!(refused(Question::Copy { bytes: 1, sms: 0 }).starts_with("`sms = 0` asks for nothing"));
        assert!(refused(Question::Copy { bytes: 1, sms: 133 }).contains("132"));
        let dtype = Precision::Bf16;
        let none = Question::GroupedGemm { tokens: vec![0, 0], n: 1, k: 1, dtype, sms: 1 };
        assert!(refused(none).contains("tokens"));
    }

    #[test]
    fn the_count_of_the_query_replaces_that_of_the_question() {
        assert_eq!(on_sms(Question::Copy { bytes: 1, sms: 7 }, 132), Question::Copy { bytes: 1, sms: 132 });
        assert_eq!(on_sms(Question::Rope { tokens: 1, dim: 1 }, 132), Question::Rope { tokens: 1, dim: 1 });
    }
}
