//! An exchange or collective of several GPUs and a kernel on each of them, at once: how each slows the other.
//!
//! The exchange has its SMs by asking for all of their shared memory, or by the library's cap; the kernel is told how many
//! SMs are left. Which of the two is timed is the question's choice; the other runs from before its start until after its
//! end, or nothing is answered.

use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream};

use super::device::Gpu;
use super::failure::At;
use super::meter::{Meter, Watch};
use super::multi::{Batch, Gate, MultiCall, n_gpus, prepare_multi, streams, synchronize, time, verify_once};
use super::timing::{Call, Effort, Timing, elapsed, mark};
use crate::bench::BenchError;
use crate::question::Question;
use crate::sample::Reading;

/// Shortest window that is timed, in seconds.
const WINDOW_SECONDS: f64 = 0.006;
/// Batches of what runs beside within a window, at its speed alone.
const N_BESIDE: f64 = 6.0;
/// How much longer than alone a window may take before more is enqueued beside it.
const SLOWDOWN: f64 = 3.0;
/// Fewest windows that a reading rests on.
const N_RUNS: usize = 7;
/// Batches that wait beside a window when it starts.
const N_AHEAD: usize = 3;
/// Most batches enqueued beside a window: the streams' queues are finite.
const N_LAUNCHES_MAX: usize = 256;

/// Seconds of a call of `of` while `beside` runs again and again; extras: `alone-seconds`, `beside-seconds` and
/// `beside-alone-seconds`. The slowest GPU counts for each.
///
/// # Errors
/// `Unsupported` unless exactly one of the two is of several GPUs; `Failed` where they could not be kept together.
pub(crate) fn measure(gpus: &[Gpu], effort: &Effort, of: &Question, beside: &Question) -> Result<Reading, BenchError> {
    if n_gpus(of) > 1 && n_gpus(beside) > 1 {
        // Each waits for its peers while it holds SMs that the other may need: nothing says that both ever run.
        return Err(BenchError::Unsupported("two exchanges at once could wait for each other for ever".into()));
    }
    let brief = Effort { warm: effort.warm / 3.0, seconds: effort.seconds / 5.0 };
    let ((mut of, of_alone), (mut beside, beside_alone)) = (party(gpus, &brief, of)?, party(gpus, &brief, beside)?);
    let mut pair = Pair::new(gpus, of.as_mut(), beside.as_mut(), of_alone.seconds, beside_alone.seconds)?;
    let (mut spent, mut windows) = (0.0, Vec::new());
    while spent < effort.warm {
        spent += pair.window()?.of * pair.of_batch.n_calls as f64;
    }
    spent = 0.0;
    let watch = gpus.first().and_then(|gpu| gpu.meter.as_ref()).map(Meter::watch);
    while spent < effort.seconds || windows.len() < N_RUNS {
        windows.push(pair.window()?);
        spent += windows[windows.len() - 1].of * pair.of_batch.n_calls as f64;
    }
    let seen = watch.map(Watch::finish).unwrap_or_default();
    let mut timing = Timing::new(windows.iter().map(|window| window.of).collect(), seen)?;
    pair.of_batch.note(&mut timing);
    of.check()?;
    beside.check()?;
    let beside_seconds = Timing::new(windows.iter().map(|window| window.beside).collect(), Default::default())?.seconds;
    timing.extras.extend(of.extras());
    timing.extras.insert("alone-seconds".into(), of_alone.seconds);
    timing.extras.insert("beside-seconds".into(), beside_seconds);
    timing.extras.insert("beside-alone-seconds".into(), beside_alone.seconds);
    Ok(timing.reading(format!("{} beside {}", of.implementation(), beside.implementation())))
}

/// A half of the pair, verified, and how long it takes alone: an exchange, or a kernel of one GPU on all of them.
fn party(gpus: &[Gpu], effort: &Effort, question: &Question) -> Result<(Box<dyn MultiCall>, Timing), BenchError> {
    if n_gpus(question) == 1 {
        let mut calls = gpus.iter().map(|gpu| super::prepare(gpu, question)).collect::<Result<Vec<_>, _>>()?;
        // Alone it is timed on one GPU, on a part of its SMs.
        let alone = super::timing::time(&gpus[0], effort, calls[0].as_mut())?;
        return Ok((Box::new(Everywhere { calls }), alone));
    }
    let mut call = prepare_multi(gpus, question)?;
    verify_once(gpus, call.as_mut())?;
    let alone = time(gpus, effort, call.as_mut())?;
    Ok((call, alone))
}

/// The same kernel on every GPU; they do not know of each other.
struct Everywhere {
    calls: Vec<Box<dyn Call>>,
}

impl MultiCall for Everywhere {
    fn implementation(&self) -> String {
        self.calls.first().map(|call| call.implementation()).unwrap_or_default()
    }

    fn kind(&self) -> String {
        self.implementation()
    }

    fn n_sets(&self) -> usize {
        // Calls rotate by themselves; as in a round of one GPU, four at least.
        4
    }

    fn verify(&mut self, gpus: &[Gpu]) -> Result<(), BenchError> {
        self.calls.iter_mut().zip(gpus).try_for_each(|(call, gpu)| call.verify(gpu))
    }

    fn enqueue(&mut self, streams: &[Arc<CudaStream>], i: usize) -> Result<(), BenchError> {
        self.calls.iter_mut().zip(streams).try_for_each(|(call, stream)| call.enqueue(stream, i))
    }
}

/// Both halves, captured.
struct Pair<'a> {
    gpus: &'a [Gpu],
    of: &'a mut dyn MultiCall,
    of_batch: Batch,
    beside: &'a mut dyn MultiCall,
    beside_batch: Batch,
    gate: Gate,
    n_launches: usize,
}

/// Mean seconds of a call of each half in a window, on the GPU where it is longest.
struct Window {
    of: f64,
    beside: f64,
}

impl<'a> Pair<'a> {
    fn new(
        gpus: &'a [Gpu],
        of: &'a mut dyn MultiCall,
        beside: &'a mut dyn MultiCall,
        of_alone: f64,
        beside_alone: f64,
    ) -> Result<Self, BenchError> {
        let sides: Vec<_> = gpus.iter().map(|gpu| gpu.side.clone()).collect();
        let (n_of, n_beside) = n_calls(of_alone, beside_alone);
        // Loaded before anything is captured.
        of.enqueue(&streams(gpus), 0)?;
        beside.enqueue(&sides, 0)?;
        synchronize(gpus)?;
        let of_batch = Batch::new(of, streams(gpus), n_of)?;
        let beside_batch = Batch::new(beside, sides, n_beside)?;
        let n_launches = n_launches(of_alone * n_of as f64, beside_alone * n_beside as f64);
        Ok(Self { gpus, of, of_batch, beside, beside_batch, gate: Gate::new(gpus)?, n_launches })
    }

    /// One window, with more enqueued beside it until that outlasts it.
    fn window(&mut self) -> Result<Window, BenchError> {
        loop {
            if let Some(window) = self.attempt()? {
                return Ok(window);
            }
            if self.n_launches >= N_LAUNCHES_MAX {
                return Err(BenchError::Failed(format!(
                    "{} batches of {} calls beside it ended before what was timed did",
                    self.n_launches, self.beside_batch.n_calls
                )));
            }
            self.n_launches = (self.n_launches * 2).min(N_LAUNCHES_MAX);
        }
    }

    /// None where what runs beside ended too early.
    fn attempt(&mut self) -> Result<Option<Window>, BenchError> {
        let (timed, sides) = (streams(self.gpus), &self.gpus.iter().map(|gpu| gpu.side.clone()).collect::<Vec<_>>());
        self.gate.close(sides)?;
        self.beside_batch.launch(self.beside)?;
        let mut laps: Vec<Vec<CudaEvent>> = Vec::new();
        for (stream, side) in timed.iter().zip(sides) {
            let running = mark(side)?;
            // What is timed starts when the first batch beside it is through.
            stream.wait(&running).at("wait for an event")?;
            laps.push(vec![running]);
        }
        let starts = timed.iter().map(|stream| mark(stream)).collect::<Result<Vec<_>, _>>()?;
        self.of_batch.launch(self.of)?;
        let ends = timed.iter().map(|stream| mark(stream)).collect::<Result<Vec<_>, _>>()?;
        for launch in 0..self.n_launches {
            // A few wait in the streams, which hold only so many; the others keep ahead of the devices.
            if launch == N_AHEAD {
                self.gate.open();
            }
            self.beside_batch.launch(self.beside)?;
            for (laps, side) in laps.iter_mut().zip(sides) {
                laps.push(mark(side)?);
            }
        }
        synchronize(self.gpus)?;
        self.gate.check()?;
        let mut window = Window { of: 0.0, beside: 0.0 };
        for ((start, end), laps) in starts.iter().zip(&ends).zip(&laps) {
            let (of, laps) =
                (elapsed(start, end)?, laps.iter().map(|lap| elapsed(start, lap)).collect::<Result<Vec<_>, _>>()?);
            let Some(lap) = lap_seconds(&laps, of) else { return Ok(None) };
            window.of = window.of.max(of / self.of_batch.n_calls as f64);
            window.beside = window.beside.max(lap / self.beside_batch.n_calls as f64);
        }
        Ok(Some(window))
    }
}

/// Calls of a batch of each half: a window holds several batches of what runs beside, and is long enough.
fn n_calls(of: f64, beside: f64) -> (usize, usize) {
    let rounded = |n: f64| n.ceil().clamp(1.0, 512.0) as usize;
    let n_beside = rounded(WINDOW_SECONDS / N_BESIDE / beside.max(1e-9));
    let window = WINDOW_SECONDS.max(N_BESIDE * beside * n_beside as f64);
    (rounded(window / of.max(1e-9)), n_beside)
}

/// Batches beside a window of that length, both as they are alone.
fn n_launches(window: f64, batch: f64) -> usize {
    ((SLOWDOWN * window / batch.max(1e-9)).ceil() as usize + 2).clamp(N_AHEAD + 2, N_LAUNCHES_MAX)
}

/// Mean seconds of a lap within a window from 0 to `end`; `laps` are the ends of laps, ascending. None if they stop before
/// the window does.
fn lap_seconds(laps: &[f64], end: f64) -> Option<f64> {
    let after = laps.iter().position(|&lap| lap > end)?;
    let first = laps.iter().position(|&lap| lap >= 0.0)?;
    if after > first + 1 {
        // Whole laps within the window.
        return Some((laps[after - 1] - laps[first]) / (after - 1 - first) as f64);
    }
    // A lap longer than the window: the one that covers it.
    let before = after.checked_sub(1)?;
    Some(laps[after] - laps[before])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_are_averaged_within_the_window() {
        let laps: Vec<f64> = (0..20).map(|i| f64::from(i) - 0.5).collect();
        assert_eq!(lap_seconds(&laps, 10.0), Some(1.0));
        assert_eq!(lap_seconds(&laps, 18.4), Some(1.0));
        assert_eq!(lap_seconds(&laps, 19.0), None, "nothing ran beside its end");
        // Slow at first, fast after the window: only what was inside counts.
        assert_eq!(lap_seconds(&[-0.1, 2.0, 4.0, 6.0, 6.5, 7.0], 6.2), Some(2.0));
    }

    #[test]
    fn a_lap_longer_than_the_window_is_taken_whole() {
        assert_eq!(lap_seconds(&[-1.0, 4.0, 9.0], 1.0), Some(5.0));
        assert_eq!(lap_seconds(&[-1.0], 1.0), None);
    }

    #[test]
    fn a_window_holds_several_batches_and_is_outlasted() {
        for (of, beside) in [(1e-3, 50e-6), (20e-6, 2e-3), (5e-3, 5e-3), (1e-6, 1e-6), (1e-4, 0.1)] {
            let (n_of, n_beside) = n_calls(of, beside);
            let (window, batch) = (of * n_of as f64, beside * n_beside as f64);
            if n_of < 512 {
                assert!(window >= WINDOW_SECONDS && window >= 0.99 * N_BESIDE * batch, "{of} beside {beside}");
            }
            assert!(n_launches(window, batch) as f64 * batch > 2.0 * window, "{of} beside {beside}");
        }
    }
}
