//! How long a call of several ranks takes: the slowest rank counts.

use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream};

use super::{Gate, MultiCall, streams, synchronize};
use crate::bench::BenchError;
use crate::gpu::device::Gpu;
use crate::gpu::failure::At;
use crate::gpu::meter::{Meter, Watch};
use crate::gpu::timing::{Effort, Timing, elapsed, mark};

/// Shortest batch that is timed, in seconds: the ranks start within a microsecond of each other, so that is lost in it.
const BATCH_SECONDS: f64 = 0.004;
/// Most calls of a batch.
const N_CALLS_MAX: usize = 512;
/// Fewest and most batches that a reading rests on.
const N_RUNS: std::ops::RangeInclusive<usize> = 7..=400;

/// Several calls in a row on one stream a rank, replayed as graphs so that no stream runs dry.
pub(crate) struct Batch {
    /// None where the calls could not be captured: they are enqueued one by one.
    graphs: Option<Vec<CudaGraph>>,
    /// Of the ranks.
    streams: Vec<Arc<CudaStream>>,
    /// Calls.
    pub(crate) n_calls: usize,
}

impl Batch {
    /// `n_calls` calls from the first operand set on, captured if that can be done. They have run on these streams before.
    ///
    /// # Errors
    /// `Failed` or `Lost` with the call that failed.
    pub(crate) fn new(
        call: &mut dyn MultiCall,
        streams: Vec<Arc<CudaStream>>,
        n_calls: usize,
    ) -> Result<Self, BenchError> {
        let graphs = match capture(call, &streams, n_calls) {
            Err(BenchError::Lost(why)) => return Err(BenchError::Lost(why)),
            other => other.ok(),
        };
        Ok(Self { graphs, streams, n_calls })
    }

    /// Enqueues all calls.
    ///
    /// # Errors
    /// `Failed` or `Lost` with the call that failed.
    pub(crate) fn launch(&self, call: &mut dyn MultiCall) -> Result<(), BenchError> {
        match &self.graphs {
            Some(graphs) => graphs.iter().try_for_each(|graph| graph.launch().at("launch a graph")),
            None => (0..self.n_calls).try_for_each(|i| call.enqueue(&self.streams, i)),
        }
    }

    /// Says it where calls were enqueued one by one: in short ones the host may show.
    pub(crate) fn note(&self, timing: &mut Timing) {
        if self.graphs.is_none() {
            timing.extras.insert("enqueued-by-host".into(), 1.0);
        }
    }
}

fn capture(
    call: &mut dyn MultiCall,
    streams: &[Arc<CudaStream>],
    n_calls: usize,
) -> Result<Vec<CudaGraph>, BenchError> {
    // Relaxed: the library may allocate while it prepares a call.
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
    let mut begun = Ok(());
    for stream in streams {
        begun = begun.and_then(|()| stream.begin_capture(mode).at("begin a capture"));
    }
    let enqueued = begun.and_then(|()| (0..n_calls).try_for_each(|i| call.enqueue(streams, i)));
    // All captures are ended, whatever happened: a stream left capturing is of no use to anybody.
    let ended: Vec<_> = streams.iter().map(|stream| stream.end_capture(CUgraphInstantiate_flags(0))).collect();
    enqueued?;
    let graphs = ended
        .into_iter()
        // A rank that only receives may have enqueued nothing.
        .filter_map(|graph| graph.at("end a capture").transpose())
        .collect::<Result<Vec<CudaGraph>, _>>()?;
    graphs.iter().try_for_each(|graph| graph.upload().at("upload a graph"))?;
    Ok(graphs)
}

/// Times a call that was verified: batches that start together on all ranks, the slowest rank of each.
///
/// # Errors
/// `Failed` if a rank waited for another in vain, else those of the calls.
pub(crate) fn time(gpus: &[Gpu], effort: &Effort, call: &mut dyn MultiCall) -> Result<Timing, BenchError> {
    let streams = streams(gpus);
    // What is not loaded yet is loaded now.
    (0..2).try_for_each(|i| call.enqueue(&streams, i))?;
    synchronize(gpus)?;
    let mut race = Race { gpus, gate: Gate::new(gpus)?, streams: streams.clone() };
    let alone = race.run(|| (0..3).try_for_each(|i| call.enqueue(&streams, i)))? / 3.0;
    let n_calls = n_calls(alone, call.n_sets());
    let batch = Batch::new(call, streams, n_calls)?;
    let (mut warmed, mut spent, mut seconds) = (0.0, 0.0, Vec::new());
    while warmed < effort.warm {
        warmed += race.run(|| batch.launch(call))?;
    }
    let watch = gpus.first().and_then(|gpu| gpu.meter.as_ref()).map(Meter::watch);
    while (spent < effort.seconds || seconds.len() < *N_RUNS.start()) && seconds.len() < *N_RUNS.end() {
        let took = race.run(|| batch.launch(call))?;
        spent += took;
        seconds.push(took / batch.n_calls as f64);
    }
    call.check()?;
    let mut timing = Timing::new(seconds, watch.map(Watch::finish).unwrap_or_default())?;
    timing.extras.extend(call.extras());
    batch.note(&mut timing);
    Ok(timing)
}

/// Calls of a batch: long enough, and whole rounds through the operand sets where that is not too many.
fn n_calls(seconds: f64, n_sets: usize) -> usize {
    let wanted = (BATCH_SECONDS / seconds.max(1e-9)).ceil().clamp(1.0, N_CALLS_MAX as f64) as usize;
    wanted.div_ceil(n_sets).max(1) * n_sets
}

/// A start for all ranks and a finish for each.
struct Race<'a> {
    gpus: &'a [Gpu],
    gate: Gate,
    streams: Vec<Arc<CudaStream>>,
}

impl Race<'_> {
    /// Seconds that the slowest rank takes for what `enqueue` puts on the streams.
    fn run(&mut self, enqueue: impl FnOnce() -> Result<(), BenchError>) -> Result<f64, BenchError> {
        self.gate.close(&self.streams)?;
        let starts = self.streams.iter().map(|stream| mark(stream)).collect::<Result<Vec<_>, _>>()?;
        enqueue()?;
        let ends = self.streams.iter().map(|stream| mark(stream)).collect::<Result<Vec<_>, _>>()?;
        self.gate.open();
        synchronize(self.gpus)?;
        self.gate.check()?;
        starts.iter().zip(&ends).try_fold(0.0, |slowest: f64, (start, end)| Ok(slowest.max(elapsed(start, end)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_long_enough_and_goes_round_the_sets() {
        assert_eq!(n_calls(BATCH_SECONDS, 5), 5);
        assert_eq!(n_calls(1.0, 3), 3, "a long call: one round");
        assert_eq!(n_calls(1e-9, 4), N_CALLS_MAX);
        for n_sets in [2, 3, 7, 128] {
            let n = n_calls(20e-6, n_sets);
            assert!(n.is_multiple_of(n_sets) && n as f64 * 20e-6 >= BATCH_SECONDS, "{n} calls of {n_sets} sets");
        }
    }
}
