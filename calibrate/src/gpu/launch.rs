//! What it costs to start a kernel: from the host, and inside a graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig};

use super::device::{Gpu, SOURCE};
use super::failure::At;
use super::meter::Watched;
use super::timing::{Effort, Timing, capture, elapsed, mark, repeats, spans};
use crate::bench::BenchError;
use crate::sample::Reading;

/// Empty kernels in a batch.
const BATCH: usize = 1000;

/// Seconds between the starts of empty kernels that the host launches back to back. Extra `round-trip-seconds`: from the
/// launch of one kernel on an idle stream until the host knows that it has ended.
///
/// # Errors
/// Of the device.
pub(super) fn from_host(gpu: &Gpu, effort: &Effort) -> Result<Reading, BenchError> {
    let empty = Empty::new(gpu)?;
    let batch = |_: usize| (0..BATCH).try_for_each(|_| empty.enqueue(&gpu.stream));
    let runs = batches(gpu, effort, batch)?;
    let mut timing = Timing::new(runs, Watched::default())?;
    timing.extras = BTreeMap::from([("round-trip-seconds".to_owned(), round_trip(gpu, &empty)?)]);
    Ok(timing.reading("windtunnel".to_owned()))
}

/// Seconds that one more empty kernel adds to a graph of them: the difference between graphs of `BATCH` and twice as many.
/// Extra `graph-seconds`: what is left of a graph's time when its kernels are taken off.
///
/// # Errors
/// Of the device.
pub(super) fn in_graph(gpu: &Gpu, effort: &Effort) -> Result<Reading, BenchError> {
    let empty = Empty::new(gpu)?;
    let half = Effort { warm: effort.warm / 2.0, seconds: effort.seconds / 2.0 };
    let mut graphs = Vec::new();
    for n in [BATCH, 2 * BATCH] {
        let graph = capture(&gpu.stream, n, |_| empty.enqueue(&gpu.stream))?;
        graphs.push(batches(gpu, &half, |_| graph.launch().at("replay a graph"))?);
    }
    let (short, long) = (&graphs[0], &graphs[1]);
    // Seconds a kernel of `BATCH` were divided by it: multiplied back, the graph's own.
    let differences = short.iter().zip(long).map(|(short, long)| long - short).collect();
    let mut timing = Timing::new(differences, Watched::default())?;
    let whole = units::median(short).unwrap_or(f64::NAN) * BATCH as f64;
    timing.extras = BTreeMap::from([("graph-seconds".to_owned(), whole - timing.seconds * BATCH as f64)]);
    Ok(timing.reading("windtunnel".to_owned()))
}

struct Empty {
    kernel: CudaFunction,
}

impl Empty {
    fn new(gpu: &Gpu) -> Result<Self, BenchError> {
        let this = Self { kernel: gpu.kernel(SOURCE, "empty")? };
        this.enqueue(&gpu.stream)?;
        gpu.synchronize()?;
        Ok(this)
    }

    fn enqueue(&self, stream: &Arc<CudaStream>) -> Result<(), BenchError> {
        let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (32, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the kernel takes nothing and does nothing.
        unsafe { stream.launch_builder(&self.kernel).launch(config) }.at("launch an empty kernel")?;
        Ok(())
    }
}

/// Seconds of each run of `batch`, divided by [`BATCH`].
fn batches(
    gpu: &Gpu,
    effort: &Effort,
    mut batch: impl FnMut(usize) -> Result<(), BenchError>,
) -> Result<Vec<f64>, BenchError> {
    let start = mark(&gpu.stream)?;
    batch(0)?;
    let one = elapsed(&start, &mark(&gpu.stream)?)?;
    (0..repeats(effort.warm, one, 1)).try_for_each(&mut batch)?;
    gpu.synchronize()?;
    let mut marks = vec![mark(&gpu.stream)?];
    for i in 0..repeats(effort.seconds, one, 5) {
        batch(i)?;
        marks.push(mark(&gpu.stream)?);
    }
    spans(&marks, BATCH)
}

/// Median seconds by the host's clock.
fn round_trip(gpu: &Gpu, empty: &Empty) -> Result<f64, BenchError> {
    let mut seconds = Vec::new();
    for _ in 0..BATCH / 10 {
        #[expect(clippy::disallowed_methods, reason = "a measurement of the host, not a result of the model")]
        let start = std::time::Instant::now();
        empty.enqueue(&gpu.stream)?;
        gpu.stream.synchronize().at("wait for an empty kernel")?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(units::median(&seconds).unwrap_or(f64::NAN))
}
