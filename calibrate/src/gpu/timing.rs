//! Device time of a call: graphs replayed under a sustained load, events around each replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::sys::{CUevent_flags, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaEvent, CudaGraph, CudaStream};

use super::device::Gpu;
use super::failure::At;
use super::meter::Watched;
use crate::bench::BenchError;
use crate::sample::Reading;

/// Something a GPU does again and again, prepared with all its operands.
pub(crate) trait Call {
    /// Who does it: a library with its version, or `windtunnel`.
    fn implementation(&self) -> String;

    /// Computes on fresh random inputs into poisoned outputs and compares with a reference.
    ///
    /// # Errors
    /// `Failed` with the worst element; then nothing is timed.
    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError>;

    /// Enqueues the `i`-th call. Operand sets rotate with `i`, so that a round of them is more than twice the L2
    /// ([`Gpu::sets`]). It is captured in graphs: it allocates nothing and waits for nothing.
    ///
    /// # Errors
    /// `Failed` or `Lost`.
    fn enqueue(&mut self, stream: &Arc<CudaStream>, i: usize) -> Result<(), BenchError>;

    /// The SMs that [`time`] gives it, where not all. In pairs the other kernel has the rest.
    fn part(&self) -> Option<u32> {
        None
    }

    /// What is known about it besides its time, by name, in base units.
    fn extras(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Effort {
    /// Seconds under load before anything is timed, until clocks have settled.
    pub(crate) warm: f64,
    /// Seconds that are timed.
    pub(crate) seconds: f64,
}

impl Effort {
    /// For a profile.
    pub(crate) const FULL: Self = Self { warm: 0.15, seconds: 0.15 };
    /// For a first look.
    pub(crate) const QUICK: Self = Self { warm: 0.03, seconds: 0.05 };
}

/// What a measurement gave, before it is known who did it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Timing {
    /// Median seconds of a call.
    pub(crate) seconds: f64,
    /// Fifth percentile.
    pub(crate) low: f64,
    /// Ninety-fifth percentile.
    pub(crate) high: f64,
    /// Replays, each of several calls whose mean it is.
    pub(crate) runs: u32,
    /// Mean SM clock in hertz.
    pub(crate) clock: Option<f64>,
    /// Mean power of the board in watts.
    pub(crate) power: Option<f64>,
    /// What else was read.
    pub(crate) extras: BTreeMap<String, f64>,
}

impl Timing {
    /// Of seconds a call, in any order, and what was seen meanwhile.
    ///
    /// # Errors
    /// `Failed` without runs, or where a time is not above zero.
    pub(crate) fn new(seconds: Vec<f64>, seen: Watched) -> Result<Self, BenchError> {
        let least = seconds.iter().copied().min_by(f64::total_cmp);
        let quantiles = units::quantiles(&seconds, Reading::SHARES).filter(|_| least > Some(0.0));
        let Some([low, middle, high]) = quantiles else {
            return Err(BenchError::Failed(format!("timed {} runs, the least {least:?} s", seconds.len())));
        };
        Ok(Self {
            seconds: middle,
            low,
            high,
            runs: u32::try_from(seconds.len()).unwrap_or(u32::MAX),
            clock: seen.clock,
            power: seen.power,
            extras: seen.throttled,
        })
    }

    /// With the name of who did it.
    pub(crate) fn reading(self, implementation: String) -> Reading {
        let Self { seconds, low, high, runs, clock, power, extras } = self;
        Reading { implementation, seconds, low, high, runs, clock, power, extras }
    }
}

/// A captured round of calls.
pub(crate) struct Round {
    graph: CudaGraph,
    /// Calls in it.
    pub(crate) calls: usize,
    /// Seconds of the round, about.
    pub(crate) seconds: f64,
}

/// Seconds a replayed graph should take: far above the microsecond between graphs, far below what is timed.
const ROUND: f64 = 5e-3;

/// Times `call` on `gpu.stream`: enough calls in a graph that the stream never runs dry, replayed for `effort.warm` and
/// then, without a pause, for `effort.seconds`, with events around each replay.
///
/// # Errors
/// Of the call, of the device; `Unsupported` where the device cannot be parted.
pub(crate) fn time(gpu: &Gpu, effort: &Effort, call: &mut dyn Call) -> Result<Timing, BenchError> {
    load(gpu, &gpu.stream, call)?;
    let part = call.part().map(|sms| gpu.part(sms)).transpose()?;
    let stream = part.as_ref().map_or(&gpu.stream, |part| &part.stream);
    let round = Round::capture(stream, call, ROUND)?;
    let (warm, timed) = (repeats(effort.warm, round.seconds, 1), repeats(effort.seconds, round.seconds, 5));
    for _ in 0..warm {
        round.replay()?;
    }
    let mut marks = vec![mark(stream)?];
    for _ in 0..timed {
        round.replay()?;
        marks.push(mark(stream)?);
    }
    marks[0].synchronize().at("warm up")?;
    let watch = gpu.meter.as_ref().map(super::meter::Meter::watch);
    stream.synchronize().at("replay")?;
    let seen = watch.map(super::meter::Watch::finish).unwrap_or_default();
    let mut timing = Timing::new(spans(&marks, round.calls)?, seen)?;
    timing.extras.extend(call.extras());
    if let Some(part) = &part {
        timing.extras.insert("sms-given".to_owned(), f64::from(part.sms));
    }
    Ok(timing)
}

/// Runs it once, so that its kernels are loaded: loading may wait for all that runs, and cannot be captured.
pub(crate) fn load(gpu: &Gpu, stream: &Arc<CudaStream>, call: &mut dyn Call) -> Result<(), BenchError> {
    gpu.stream.synchronize().at("prepare")?;
    call.enqueue(stream, 0)?;
    stream.synchronize().at("first call")
}

impl Round {
    /// As many calls in a graph as take about `target` seconds, but four at least where they are short.
    ///
    /// # Errors
    /// Of the call; `Failed` where it cannot be captured.
    pub(crate) fn capture(stream: &Arc<CudaStream>, call: &mut dyn Call, target: f64) -> Result<Self, BenchError> {
        let one = estimate(stream, call)?;
        let calls = n_calls(one, target);
        let graph = capture(stream, calls, |i| call.enqueue(stream, i))?;
        let mut round = Self { graph, calls, seconds: 0.0 };
        round.replay()?;
        let marks = [mark(stream)?, {
            round.replay()?;
            mark(stream)?
        }];
        round.seconds = elapsed(&marks[0], &marks[1])?;
        Ok(round)
    }

    /// Enqueues it.
    pub(crate) fn replay(&self) -> Result<(), BenchError> {
        self.graph.launch().at("replay a graph")
    }
}

/// Captures `n` calls of `enqueue` on `stream` in a graph.
///
/// # Errors
/// Of `enqueue`; `Failed` where something cannot be captured.
pub(crate) fn capture(
    stream: &Arc<CudaStream>,
    n: usize,
    mut enqueue: impl FnMut(usize) -> Result<(), BenchError>,
) -> Result<CudaGraph, BenchError> {
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED).at("begin a capture")?;
    let enqueued = (0..n).try_for_each(&mut enqueue);
    // Ended whether that went well or not, or the stream could not be used again.
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).at("capture a graph");
    enqueued?;
    let graph = graph?.ok_or_else(|| BenchError::Failed("captured nothing".into()))?;
    graph.upload().at("upload a graph")?;
    Ok(graph)
}

/// An event at this point of the stream.
///
/// # Errors
/// Of the device.
pub(crate) fn mark(stream: &CudaStream) -> Result<CudaEvent, BenchError> {
    // No flags would mean an event without a time.
    stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).at("record an event")
}

/// Seconds between two events; waits for both.
///
/// # Errors
/// Of the device.
pub(crate) fn elapsed(from: &CudaEvent, to: &CudaEvent) -> Result<f64, BenchError> {
    Ok(f64::from(from.elapsed_ms(to).at("time between events")?) / 1e3)
}

/// Seconds a call between each two neighbors of `marks`.
pub(crate) fn spans(marks: &[CudaEvent], calls: usize) -> Result<Vec<f64>, BenchError> {
    marks.windows(2).map(|pair| Ok(elapsed(&pair[0], &pair[1])? / calls as f64)).collect()
}

/// Replays that fill `seconds`.
pub(crate) fn repeats(seconds: f64, of_one: f64, least: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped below")]
    let n = (seconds / of_one.max(1e-6)).ceil() as usize;
    n.clamp(least, 4000)
}

/// Seconds of one call, roughly: launched from the host, so short kernels look longer than they are.
fn estimate(stream: &Arc<CudaStream>, call: &mut dyn Call) -> Result<f64, BenchError> {
    let start = mark(stream)?;
    for i in 0..3 {
        call.enqueue(stream, i)?;
    }
    Ok(elapsed(&start, &mark(stream)?)? / 3.0)
}

fn n_calls(one: f64, target: f64) -> usize {
    // Calls that are long need no company to hide their launch, but their operands should rotate.
    let least = if one > 4.0 * target { 1 } else { 4 };
    repeats(target, one, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timing_is_ordered_and_refuses_nothing_and_zero() {
        let timing = Timing::new(vec![3.0, 1.0, 2.0], Watched::default()).expect("three runs");
        assert!(timing.low <= timing.seconds && timing.seconds <= timing.high);
        assert_eq!((timing.seconds.to_bits(), timing.runs), (2.0_f64.to_bits(), 3));
        assert!(Timing::new(vec![], Watched::default()).is_err());
        assert!(Timing::new(vec![0.0, 1.0], Watched::default()).is_err());
    }

    #[test]
    fn rounds_fill_their_time() {
        assert_eq!(n_calls(5e-6, ROUND), 1000);
        assert_eq!(n_calls(4e-3, ROUND), 4, "operands rotate");
        assert_eq!(n_calls(0.1, ROUND), 1);
        assert_eq!(n_calls(0.0, ROUND), 4000, "a clock that gives zero ends nowhere");
    }
}
