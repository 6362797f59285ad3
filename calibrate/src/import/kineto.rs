//! Traces of the PyTorch profiler (Kineto), recorded with `record_shapes=True`.
//!
//! A kernel is known by the operator that launched it: both carry one `External id`, or the call of the runtime between them carries it
//! and the kernel's `correlation`; and the operator carries its inputs' shapes. Kernels of one call of an operator are one time;
//! calls with the same shapes are one sample, the median with percentiles. Mapped are products, attention's own kernels, and kernels
//! that memory bounds whose formats and sides are those that are measured (`operator`).
//!
//! A collective carries its own sizes (`collective`). Its kernel begins when its own rank does and ends when all have, so its time holds
//! the wait for the others; of many calls the shortest waited least, and is the sample.
//!
//! A trace is a job and no benchmark: operands may still be in L2, and clocks are those of the job. Calls that ran while
//! a kernel or copy of another stream did are left out. All that is left out is counted by reason.
//!
//! A trace is read as it comes. What is kept of an event is a few numbers ([`events`]), and of equal shapes one.

mod collective;
mod events;
mod operator;

use std::collections::BTreeMap;

use serde_json::Value;

use self::events::{Answer, Kernel, KernelKind, Launched};
use super::document::{Document, Listed};
use super::{Hints, ImportMistake, ImportMistakes, ImportedSamples, finish};
use crate::question::Question;
use crate::sample::{Reading, Sample};

pub(super) use self::events::Recorded;

const MICRO: f64 = 1e-6;
/// Calls of a collective of which the shortest can be taken for one that waited for nobody.
const N_CALLS_MIN: usize = 8;

/// Every call that can be mapped, merged by question.
pub(super) fn samples(file: &Document, recorded: Recorded, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    if file.events != Listed::List {
        return Err(ImportMistakes(vec![ImportMistake::whole("`traceEvents` is no list")]));
    }
    let mut trace = Trace { recorded, file, merged: BTreeMap::new(), imported: ImportedSamples::default() };
    let mut mistakes = std::mem::take(&mut trace.recorded.mistakes);
    if trace.recorded.kernels.iter().all(|kernel| kernel.kind == KernelKind::Copy) && mistakes.is_empty() {
        let message = "the trace holds no kernel: record it with `ProfilerActivity.CUDA`";
        mistakes.push(ImportMistake::whole(message));
    }
    trace.recorded.link();
    trace.gather();
    finish(trace.samples(hints), mistakes)
}

/// A trace on its way to samples.
struct Trace<'a> {
    recorded: Recorded,
    file: &'a Document,
    /// Times of calls that ask the same, by the question as text and who answered.
    merged: BTreeMap<(String, String), Merged>,
    imported: ImportedSamples,
}

struct Merged {
    question: Question,
    seconds: Vec<f64>,
}

/// The kernels that one call of an operator launched.
#[derive(Default)]
struct Call {
    /// Name and device of the longest of them.
    name: u32,
    device: u32,
    longest: f64,
    micros: f64,
    crowded: bool,
}

impl Call {
    fn add(&mut self, kernel: &Kernel) {
        self.micros += kernel.micros;
        self.crowded |= kernel.is_crowded;
        if kernel.micros >= self.longest {
            (self.longest, self.name, self.device) = (kernel.micros, kernel.name, kernel.device);
        }
    }
}

impl Trace<'_> {
    fn gather(&mut self) {
        let mut kernels = std::mem::take(&mut self.recorded.kernels);
        crowd(&mut kernels);
        // Those of one call side by side.
        kernels.sort_unstable_by(|a, b| a.launched.cmp(&b.launched).then(a.start.total_cmp(&b.start)));
        for of_call in kernels.chunk_by(|a, b| a.launched == b.launched) {
            let mut call: Option<Call> = None;
            for kernel in of_call {
                match kernel.kind {
                    KernelKind::Copy => self.imported.leave_out("copies and fills of memory, which are no kernels"),
                    KernelKind::Collective => self.collective(kernel),
                    KernelKind::Kernel if matches!(kernel.launched, Launched::By(_)) => {
                        call.get_or_insert(Call::default()).add(kernel);
                    }
                    KernelKind::Kernel => self.imported.leave_out("kernels of no recorded operator"),
                }
            }
            if let (Some(call), Some(Kernel { launched: Launched::By(id), .. })) = (call, of_call.first()) {
                self.call(*id, &call);
            }
        }
    }

    fn collective(&mut self, kernel: &Kernel) {
        let Some(Answer { asked, .. }) = kernel.answer.and_then(|answer| self.recorded.answer(answer)) else {
            return self.imported.leave_out("collectives without their sizes: a newer PyTorch records them");
        };
        match asked.clone() {
            Err(reason) => self.imported.leave_out(reason),
            Ok(_) if kernel.is_crowded => self.imported.leave_out("collectives beside a kernel of another stream"),
            Ok(question) => self.merge(question, "nccl-in-a-job, the shortest of its calls".to_owned(), kernel.micros),
        }
    }

    fn call(&mut self, id: u64, call: &Call) {
        let Some(Answer { name, asked }) = self.recorded.operator(id) else {
            return self.imported.leave_out("kernels of no recorded operator");
        };
        let implementation = format!("{name}: {}", self.recorded.text(call.name));
        match asked.clone() {
            Err(reason) => self.imported.leave_out(reason),
            Ok(_) if call.crowded => self.imported.leave_out("calls beside a kernel of another stream"),
            Ok(question) => match on_all_sms(question, self.sms(call.device)) {
                Some(question) => self.merge(question, implementation, call.micros),
                None => {
                    let reason = format!("calls of `{name}` on a device whose `numSms` the trace does not have");
                    self.imported.leave_out(reason);
                }
            },
        }
    }

    fn merge(&mut self, question: Question, implementation: String, micros: f64) {
        let key = (format!("{question:?}"), implementation);
        let merged = self.merged.entry(key).or_insert_with(|| Merged { question, seconds: Vec::new() });
        merged.seconds.push(micros * MICRO);
    }

    fn samples(mut self, hints: &Hints) -> ImportedSamples {
        for ((_, implementation), Merged { question, seconds: times }) in std::mem::take(&mut self.merged) {
            let runs = u32::try_from(times.len()).unwrap_or(u32::MAX);
            let shares = units::quantiles(&times, Reading::SHARES).zip(units::quantiles(&times, [0.0]));
            let Some(([mut low, mut seconds, high], [least])) = shares else { continue };
            let mut extras = BTreeMap::new();
            if matches!(question, Question::Collective { .. }) {
                if times.len() < N_CALLS_MIN {
                    let reason =
                        format!("collectives of fewer than {N_CALLS_MIN} calls: each may have waited for other ranks");
                    *self.imported.left_out.entry(reason).or_default() += times.len() as u64;
                    continue;
                }
                extras.insert("median-seconds".to_owned(), seconds);
                (low, seconds) = (least, least);
            }
            let reading = Reading { implementation, seconds, low, high, runs, clock: None, power: None, extras };
            match reading.fault(&question) {
                Some(fault) => self.imported.leave_out(format!("calls with an impossible time: {fault}")),
                None => self.imported.samples.push(Sample { question, reading, machine: hints.source.clone() }),
            }
        }
        self.imported
    }

    /// SMs of a device, as the trace lists it.
    fn sms(&self, device: u32) -> Option<u32> {
        let devices = self.file.rest.get("deviceProperties").and_then(Value::as_array)?;
        let device = devices.iter().find(|properties| properties["id"] == device)?;
        u32::try_from(device["numSms"].as_u64()?).ok().filter(|sms| *sms > 0)
    }
}

/// A question whose SMs were left open, on those of a device.
fn on_all_sms(mut question: Question, all: Option<u32>) -> Option<Question> {
    if let Question::Gemm { sms, .. } | Question::GroupedGemm { sms, .. } = &mut question {
        *sms = all?;
    }
    Some(question)
}

/// Marks the kernels that ran while one of another stream of their device did.
fn crowd(kernels: &mut [Kernel]) {
    kernels.sort_by(|a, b| a.start.total_cmp(&b.start));
    // The last to end of each stream that has begun: those of one stream follow each other.
    let mut running: BTreeMap<(u32, u64), usize> = BTreeMap::new();
    let end = |kernel: &Kernel| kernel.start + kernel.micros;
    for index in 0..kernels.len() {
        let Kernel { start, device, stream, .. } = kernels[index];
        running.retain(|_, other| end(&kernels[*other]) > start);
        for (_, &other) in running.iter().filter(|((of, on), _)| *of == device && *on != stream) {
            kernels[index].is_crowded = true;
            kernels[other].is_crowded = true;
        }
        let last = running.entry((device, stream)).or_insert(index);
        if end(&kernels[*last]) <= end(&kernels[index]) {
            *last = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use workloads::op::{Collective, Precision};

    use crate::import::import;
    use crate::question::MovedBy;

    fn operator(id: u64, name: &str, dims: &Value) -> Value {
        let types = vec!["c10::BFloat16"; dims.as_array().map_or(0, Vec::len)];
        let args = json!({"External id": id, "Input Dims": dims, "Input type": types});
        json!({"ph": "X", "cat": "cpu_op", "name": name, "ts": 0, "dur": 5, "args": args})
    }

    fn kernel(id: u64, stream: u64, start: f64, micros: f64, name: &str) -> Value {
        let args = json!({"External id": id, "device": 0, "stream": stream});
        json!({"ph": "X", "cat": "kernel", "name": name, "ts": start, "dur": micros, "args": args})
    }

    fn read(file: &Value, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
        import(file.to_string().as_bytes(), hints)
    }

    fn trace(events: &[Value]) -> Value {
        json!({"schemaVersion": 1, "deviceProperties": [{"id": 0, "numSms": 132}], "traceEvents": events})
    }

    fn left_out(imported: &ImportedSamples) -> Vec<(&str, u64)> {
        imported.left_out.iter().map(|(reason, n)| (reason.as_str(), *n)).collect()
    }

    #[test]
    fn calls_of_one_shape_are_one_sample_and_the_rest_is_counted() {
        let dims = json!([[4096, 7168], [7168, 2048]]);
        let imported = read(
            &trace(&[
                operator(1, "aten::mm", &dims),
                operator(2, "aten::mm", &dims),
                operator(3, "aten::mm", &dims),
                operator(4, "aten::cos", &json!([[4096], [4096]])),
                operator(5, "c10d::allreduce_", &json!([[4096]])),
                kernel(1, 7, 0.0, 100.0, "gemm"),
                kernel(1, 7, 100.0, 20.0, "splitk_reduce"),
                kernel(2, 7, 200.0, 140.0, "gemm"),
                kernel(3, 7, 400.0, 500.0, "gemm"),
                kernel(5, 9, 500.0, 300.0, "ncclDevKernel_AllReduce"),
                kernel(4, 7, 1000.0, 3.0, "add"),
                kernel(77, 7, 1100.0, 3.0, "stray"),
                json!({"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy DtoD", "ts": 1200, "dur": 1, "args": {"device": 0, "stream": 7}}),
                json!({"ph": "X", "cat": "python_function", "name": "forward", "ts": 0, "dur": 5000}),
            ]),
            &Hints { source: "job".to_owned(), ..Hints::default() },
        )
        .unwrap();
        let [sample] = &imported.samples[..] else { panic!("{:?}", imported.samples) };
        let (m, n, k) = (4096, 2048, 7168);
        assert_eq!(sample.question, Question::Gemm { m, n, k, dtype: Precision::Bf16, sms: 132 });
        assert_eq!((sample.reading.runs, sample.reading.implementation.as_str()), (2, "aten::mm: gemm"));
        assert!((sample.reading.low - 121e-6).abs() < 1e-12 && (sample.reading.high - 139e-6).abs() < 1e-12);
        let expectation = [
            ("calls beside a kernel of another stream", 1),
            ("calls of `aten::cos`", 1),
            ("collectives without their sizes: a newer PyTorch records them", 1),
            ("copies and fills of memory, which are no kernels", 1),
            ("kernels of no recorded operator", 1),
        ];
        assert_eq!(left_out(&imported), expectation);
    }

    #[test]
    fn a_kernel_is_found_by_the_call_that_launched_it() {
        let mut direct = kernel(0, 7, 0.0, 100.0, "gemm");
        direct["args"] = json!({"correlation": 31, "device": 0, "stream": 7});
        let launch = json!({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 0, "dur": 1, "args": {"External id": 1, "correlation": 31}});
        let product = operator(1, "aten::mm", &json!([[64, 64], [64, 64]]));
        // In whatever order the file has them.
        for events in [[direct.clone(), launch.clone(), product.clone()], [product, launch, direct]] {
            assert_eq!(read(&trace(&events), &Hints::default()).unwrap().samples.len(), 1);
        }
    }

    fn all_reduce(start: f64, micros: f64, name: &str, ranks: &str) -> Value {
        let args = json!({
            "device": 0, "stream": 9, "External id": 5, "Collective name": "allreduce", "In msg nelems": 1 << 20, "Out msg nelems": 1 << 20,
            "Group size": 16, "dtype": "BFloat16", "In split size": "[]", "Out split size": "[]", "Process Group Ranks": ranks,
        });
        json!({"ph": "X", "cat": "kernel", "name": name, "ts": start, "dur": micros, "args": args})
    }

    #[test]
    fn of_a_collective_the_shortest_call_is_the_sample() {
        let all: Vec<u32> = (0..16).collect();
        let call = |index: u32, ranks: &str| {
            all_reduce(
                f64::from(index) * 1e4,
                f64::from(100 + 37 * index % 90),
                "ncclDevKernel_AllReduce_Sum_bf16_RING_LL",
                ranks,
            )
        };
        let events = |n: u32, ranks: &str| (0..n).map(|index| call(index, ranks)).collect::<Vec<_>>();
        let listed = format!("{all:?}");
        let hints = Hints { ranks_per_node: Some(8), ..Hints::default() };
        let imported = read(&trace(&events(9, &listed)), &hints).unwrap();
        let [sample] = &imported.samples[..] else { panic!("{imported:?}") };
        let (what, ranks, bytes, sms, nodes, by) = (Collective::AllReduce, 16, 2 << 20, None, 2, None);
        assert_eq!(
            sample.question,
            Question::Collective { what, ranks, bytes, sms, nodes, by },
            "a name of a ring says nothing"
        );
        assert!((sample.reading.seconds - 100e-6).abs() < 1e-12, "{:?}", sample.reading);
        let few = read(&trace(&events(7, &listed)), &hints).unwrap();
        assert_eq!((few.samples.len(), left_out(&few)[0].1), (0, 7));
        let unsaid = read(&trace(&events(9, &listed)), &Hints::default()).unwrap();
        assert!(unsaid.samples.is_empty() && left_out(&unsaid)[0].0.contains("--ranks-per-node"), "{unsaid:?}");
        let cut = read(&trace(&events(9, "[0, 1, 2, ...]")), &hints).unwrap();
        assert!(cut.samples.is_empty() && left_out(&cut)[0].1 == 9, "{cut:?}");
        let mut trees: Vec<Value> = events(9, &listed);
        trees.iter_mut().for_each(|event| event["name"] = json!("ncclDevKernel_AllReduce_Sum_bf16_TREE_LL"));
        let imported = read(&trace(&trees), &hints).unwrap();
        assert!(matches!(imported.samples[0].question, Question::Collective { by: Some(MovedBy::Tree), .. }));
    }

    #[test]
    fn a_trace_that_cannot_be_read_says_why() {
        let refuse = |file: &Value| read(file, &Hints::default()).unwrap_err().to_string();
        assert!(refuse(&trace(&[])).contains("ProfilerActivity.CUDA"));
        let mut odd = kernel(1, 7, 0.0, 1.0, "gemm");
        odd["dur"] = json!("long");
        assert!(refuse(&trace(&[odd])).contains("`traceEvents[0]`"));
        for other in [json!(3), json!("x"), json!({"a": [1]}), json!(null), json!(-1), json!(true), json!(0.5)] {
            assert!(refuse(&json!({ "traceEvents": other })).contains("no list"));
        }
        let odd = trace(&[json!(3), json!([1]), json!({"cat": 3}), json!({"cat": "kernel", "args": []})]);
        assert!(refuse(&odd).contains("`traceEvents[3]`"));
    }
}
