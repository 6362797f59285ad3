//! Traces of the PyTorch profiler (Kineto), recorded with `record_shapes=True`.
//!
//! A kernel is known by the operator that launched it: both carry one `External id`, and the operator carries its
//! inputs' shapes. Kernels of one call of an operator are one time; calls with the same shapes are one sample, the median
//! with percentiles. Mapped are products (`aten::mm`, `aten::addmm`, `aten::_scaled_mm` with one scale a tensor) and
//! attention's own kernels, forward and backward, in BF16 (the products: BF16 and E4M3).
//!
//! A trace is a job and no benchmark: operands may still be in L2, and clocks are those of the job. Calls that ran while
//! a kernel of another stream did are left out, as are collectives, whose time holds the wait for the other ranks. All that is
//! left out is counted by reason.

mod operator;

use std::collections::BTreeMap;

use serde_json::Value;

use self::operator::question;
use super::document::{Document, Events};
use super::{Hints, ImportMistake, ImportMistakes, ImportedSamples, finish};
use crate::sample::{Reading, Sample};

const MICRO: f64 = 1e-6;

/// Every call that can be mapped, merged by question.
pub(super) fn samples(file: &Document, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut imported = ImportedSamples::default();
    let mut mistakes = Vec::new();
    let Some(Events::List(events)) = &file.events else {
        return Err(ImportMistakes(vec![ImportMistake::whole("`traceEvents` is no list")]));
    };
    let kernels = kernels(events, &mut mistakes);
    let operators = operators(events);
    if kernels.is_empty() && mistakes.is_empty() {
        let message = "the trace holds no kernel: record it with `ProfilerActivity.CUDA`";
        mistakes.push(ImportMistake::whole(message));
    }
    let crowded = crowded(&kernels);
    let mut calls: BTreeMap<u64, Call<'_>> = BTreeMap::new();
    for (kernel, crowded) in kernels.iter().zip(crowded) {
        let Some(id) = kernel.id else {
            imported.leave_out("kernels of no recorded operator");
            continue;
        };
        let call = calls.entry(id).or_insert_with(|| Call { kernel, micros: 0.0, longest: 0.0, crowded: false });
        call.micros += kernel.micros;
        call.crowded |= crowded;
        if kernel.micros > call.longest {
            (call.longest, call.kernel) = (kernel.micros, kernel);
        }
    }
    merge(&calls, &operators, file, hints, &mut imported);
    finish(imported, mistakes)
}

/// One kernel as it ran.
struct Kernel<'a> {
    id: Option<u64>,
    name: &'a str,
    device: u64,
    stream: u64,
    start: f64,
    micros: f64,
}

/// The kernels that one call of an operator launched.
struct Call<'a> {
    /// The longest of them.
    kernel: &'a Kernel<'a>,
    micros: f64,
    longest: f64,
    crowded: bool,
}

fn kernels<'a>(events: &'a [(usize, Value)], mistakes: &mut Vec<ImportMistake>) -> Vec<Kernel<'a>> {
    let mut kernels = Vec::new();
    for (index, event) in events.iter().filter(|(_, event)| event["cat"] == "kernel") {
        let arguments = &event["args"];
        let (Some(start), Some(micros)) = (event["ts"].as_f64(), event["dur"].as_f64()) else {
            mistakes.push(ImportMistake::whole(format!(
                "`traceEvents[{index}]`: a kernel without `ts` and `dur` in numbers"
            )));
            continue;
        };
        kernels.push(Kernel {
            id: arguments["External id"].as_u64(),
            name: event["name"].as_str().unwrap_or_default(),
            device: arguments["device"].as_u64().unwrap_or(0),
            stream: arguments["stream"].as_u64().or(event["tid"].as_u64()).unwrap_or(0),
            start,
            micros,
        });
    }
    kernels
}

fn operators(events: &[(usize, Value)]) -> BTreeMap<u64, &Value> {
    let of_host = events.iter().map(|(_, event)| event).filter(|event| event["cat"] == "cpu_op");
    of_host.filter_map(|event| Some((event["args"]["External id"].as_u64()?, event))).collect()
}

/// Which kernels ran while one of another stream of their device did.
fn crowded(kernels: &[Kernel<'_>]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by(|a, b| kernels[*a].start.total_cmp(&kernels[*b].start).then(a.cmp(b)));
    let mut crowded = vec![false; kernels.len()];
    // The kernels that have begun and may not have ended, a handful: one a stream.
    let mut running: Vec<usize> = Vec::new();
    for index in order {
        let kernel = &kernels[index];
        running.retain(|other| kernels[*other].start + kernels[*other].micros > kernel.start);
        for other in running.iter().copied() {
            if kernels[other].device == kernel.device && kernels[other].stream != kernel.stream {
                crowded[index] = true;
                crowded[other] = true;
            }
        }
        running.push(index);
    }
    crowded
}

/// Times of calls that ask the same, by the question as text.
fn merge(
    calls: &BTreeMap<u64, Call<'_>>,
    operators: &BTreeMap<u64, &Value>,
    file: &Document,
    hints: &Hints,
    imported: &mut ImportedSamples,
) {
    let mut merged = BTreeMap::new();
    for (id, call) in calls {
        let Some(operator) = operators.get(id) else {
            imported.leave_out("kernels of no recorded operator");
            continue;
        };
        if call.kernel.name.contains("nccl") {
            imported.leave_out("collectives: the wait for other ranks is in their time");
            continue;
        }
        match question(operator, sms(file, call.kernel.device)) {
            Err(reason) => imported.leave_out(reason),
            Ok(_) if call.crowded => imported.leave_out("calls beside a kernel of another stream"),
            Ok(question) => {
                let name = operator["name"].as_str().unwrap_or_default();
                let implementation = format!("{name}: {}", call.kernel.name);
                let key = (format!("{question:?}"), implementation);
                merged.entry(key).or_insert_with(|| (question, Vec::new())).1.push(call.micros * MICRO);
            }
        }
    }
    for ((_, implementation), (question, times)) in merged {
        let runs = u32::try_from(times.len()).unwrap_or(u32::MAX);
        let Some([low, seconds, high]) = units::quantiles(&times, Reading::SHARES) else { continue };
        let extras = BTreeMap::new();
        let reading = Reading { implementation, seconds, low, high, runs, clock: None, power: None, extras };
        match reading.fault(&question) {
            Some(fault) => imported.leave_out(format!("calls with an impossible time: {fault}")),
            None => imported.samples.push(Sample { question, reading, machine: hints.source.clone() }),
        }
    }
}

/// SMs of a device, as the trace lists it.
fn sms(file: &Document, device: u64) -> Option<u32> {
    let devices = file.rest.get("deviceProperties")?.as_array()?;
    let device = devices.iter().find(|properties| properties["id"] == device)?;
    u32::try_from(device["numSms"].as_u64()?).ok().filter(|sms| *sms > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use workloads::op::Precision;

    use crate::question::Question;

    fn operator(id: u64, name: &str, dims: &Value) -> Value {
        let types = vec!["c10::BFloat16"; dims.as_array().map_or(0, Vec::len)];
        let args = json!({"External id": id, "Input Dims": dims, "Input type": types});
        json!({"ph": "X", "cat": "cpu_op", "name": name, "ts": 0, "dur": 5, "args": args})
    }

    fn kernel(id: u64, stream: u64, start: f64, micros: f64, name: &str) -> Value {
        let args = json!({"External id": id, "device": 0, "stream": stream});
        json!({"ph": "X", "cat": "kernel", "name": name, "ts": start, "dur": micros, "args": args})
    }

    fn document(file: Value) -> Document {
        serde_json::from_value(file).expect("a document")
    }

    fn trace(events: &[Value]) -> Document {
        document(json!({"schemaVersion": 1, "deviceProperties": [{"id": 0, "numSms": 132}], "traceEvents": events}))
    }

    #[test]
    fn calls_of_one_shape_are_one_sample_and_the_rest_is_counted() {
        let dims = json!([[4096, 7168], [7168, 2048]]);
        let imported = samples(
            &trace(&[
                operator(1, "aten::mm", &dims),
                operator(2, "aten::mm", &dims),
                operator(3, "aten::mm", &dims),
                operator(4, "aten::add", &json!([[4096], [4096]])),
                operator(5, "c10d::allreduce_", &json!([[4096]])),
                kernel(1, 7, 0.0, 100.0, "gemm"),
                kernel(1, 7, 100.0, 20.0, "splitk_reduce"),
                kernel(2, 7, 200.0, 140.0, "gemm"),
                kernel(3, 7, 400.0, 500.0, "gemm"),
                kernel(5, 9, 500.0, 300.0, "ncclDevKernel_AllReduce"),
                kernel(4, 7, 1000.0, 3.0, "add"),
                kernel(77, 7, 1100.0, 3.0, "stray"),
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
        let left_out: Vec<(&str, u64)> = imported.left_out.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        assert_eq!(
            left_out,
            [
                ("calls beside a kernel of another stream", 1),
                ("calls of `aten::add`", 1),
                ("collectives: the wait for other ranks is in their time", 1),
                ("kernels of no recorded operator", 1),
            ]
        );
    }

    #[test]
    fn a_trace_that_cannot_be_read_says_why() {
        let refuse = |file: &Document| samples(file, &Hints::default()).unwrap_err().to_string();
        assert!(refuse(&trace(&[])).contains("ProfilerActivity.CUDA"));
        let mut odd = kernel(1, 7, 0.0, 1.0, "gemm");
        odd["dur"] = json!("long");
        assert!(refuse(&trace(&[odd])).contains("`traceEvents[0]`"));
        for other in [json!(3), json!("x"), json!({"a": [1]}), json!(null), json!(-1), json!(true)] {
            assert!(refuse(&document(json!({ "traceEvents": other }))).contains("no list"));
        }
    }
}
