//! Two kernels at once on one GPU: one is timed while the other runs again and again on SMs of its own.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use cudarc::driver::CudaEvent;

use super::device::Gpu;
use super::failure::At;
use super::prepare;
use super::timing::{Call, Effort, Round, Timing, elapsed, load, mark, repeats, spans};
use crate::bench::BenchError;
use crate::question::Question;
use crate::sample::Reading;

/// Seconds of a round beside: short beside what is timed, long beside the host's look at it.
const ROUND: f64 = 1e-3;

/// Rounds beside that wait in the stream: eight milliseconds, in which the host will look again.
const AHEAD: usize = 8;

/// Times `of` on the stream while `beside` never ends on the side stream. Extra `beside-seconds`: mean seconds of a call
/// of `beside` meanwhile.
///
/// No SMs are held: `beside` has persistent blocks that are each alone on an SM and are placed first, and `of` takes the
/// rest. So that each has SMs of its own, the SMs of both add up to those of the device at most.
///
/// # Errors
/// `Unsupported` for questions that are no kernels of one GPU; `Failed` where `beside` ended before `of`.
pub(super) fn measure(gpu: &Gpu, effort: &Effort, of: &Question, beside: &Question) -> Result<Reading, BenchError> {
    let mut timed = prepare(gpu, of)?;
    let mut other = prepare(gpu, beside)?;
    load(gpu, &gpu.stream, timed.as_mut())?;
    load(gpu, &gpu.side, other.as_mut())?;
    let round = Round::capture(&gpu.stream, timed.as_mut(), 5.0 * ROUND)?;
    let mut beside = Beside::start(gpu, other.as_mut())?;
    let marks = replay(gpu, effort, &round)?;
    let watch = gpu.meter.as_ref().map(super::meter::Meter::watch);
    let last = &marks[marks.len() - 1];
    beside.feed_until(gpu, last)?;
    let seen = watch.map(super::meter::Watch::finish).unwrap_or_default();
    gpu.synchronize()?;
    let mut timing = Timing::new(spans(&marks, round.calls)?, seen)?;
    timing.extras.extend(timed.extras());
    timing.extras.insert("beside-seconds".to_owned(), beside.seconds(&marks[0], last)?);
    Ok(timing.reading(format!("{} beside {}", timed.implementation(), other.implementation())))
}

/// Enqueues rounds to warm up and to be timed, with a mark before, between and after the latter.
fn replay(gpu: &Gpu, effort: &Effort, round: &Round) -> Result<Vec<CudaEvent>, BenchError> {
    // Its own seconds are those without company; with it, it takes longer, and so the whole does.
    (0..repeats(effort.warm, round.seconds, 1)).try_for_each(|_| round.replay())?;
    let mut marks = vec![mark(&gpu.stream)?];
    for _ in 0..repeats(effort.seconds, round.seconds, 5) {
        round.replay()?;
        marks.push(mark(&gpu.stream)?);
    }
    Ok(marks)
}

/// What runs beside: rounds in the side stream, with a mark before, between and after them.
struct Beside {
    round: Round,
    /// Every mark, the first before the first round.
    marks: Vec<CudaEvent>,
    /// Indices of the marks that the stream has not reached.
    pending: VecDeque<usize>,
}

impl Beside {
    /// Captures it and enqueues the first rounds, which run when this returns.
    fn start(gpu: &Gpu, call: &mut dyn Call) -> Result<Self, BenchError> {
        let round = Round::capture(&gpu.side, call, ROUND)?;
        let mut this = Self { round, marks: vec![mark(&gpu.side)?], pending: VecDeque::new() };
        (0..AHEAD).try_for_each(|_| this.enqueue(gpu))?;
        this.marks[0].synchronize().at("start beside")?;
        Ok(this)
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        self.round.replay()?;
        self.pending.push_back(self.marks.len());
        self.marks.push(mark(&gpu.side)?);
        Ok(())
    }

    /// Keeps the side stream full until `end` has been reached on the other.
    fn feed_until(&mut self, gpu: &Gpu, end: &CudaEvent) -> Result<(), BenchError> {
        while !end.try_is_complete().at("wait for the timed part")? {
            let mut reached = false;
            while let Some(&next) = self.pending.front() {
                if !self.marks[next].try_is_complete().at("wait beside")? {
                    break;
                }
                self.pending.pop_front();
                self.enqueue(gpu)?;
                reached = true;
            }
            if !reached {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    /// Mean seconds of a call, over the rounds that lie between `start` and `end`.
    fn seconds(&self, start: &CudaEvent, end: &CudaEvent) -> Result<f64, BenchError> {
        // Everything is told from the first mark, which is before all others: time between events has no sign.
        let origin = &self.marks[0];
        let window = elapsed(origin, start)?..elapsed(origin, end)?;
        let places = self.marks.iter().map(|mark| elapsed(origin, mark)).collect::<Result<Vec<f64>, _>>()?;
        mean_within(&places, &window)
            .map(|seconds| seconds / self.round.calls as f64)
            .ok_or_else(|| BenchError::Failed("what ran beside ended too early, or no round of it fits".into()))
    }
}

/// Mean seconds of the rounds whose ends are `places`, of those that lie within `window`; `None` where there is none, or
/// where the rounds do not cover the window.
fn mean_within(places: &[f64], window: &Range<f64>) -> Option<f64> {
    let (first, last) = (*places.first()?, *places.last()?);
    if first > window.start || last < window.end {
        return None;
    }
    let inside: Vec<f64> = places.iter().copied().filter(|place| window.contains(place)).collect();
    let n_rounds = inside.len().checked_sub(1).filter(|&n| n > 0)?;
    Some((inside[n_rounds] - inside[0]) / n_rounds as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounds_within_the_window_count() {
        // Slow before, three of one second within, slow after.
        let places = [0.0, 9.5, 10.5, 11.5, 12.5, 29.0];
        assert_eq!(mean_within(&places, &(9.0..13.0)), Some(1.0));
    }

    #[test]
    fn a_window_that_is_not_covered_has_no_mean() {
        let window = 1.0..3.5;
        assert_eq!(mean_within(&[1.1, 2.0, 3.0, 4.0], &window), None, "began too late");
        assert_eq!(mean_within(&[0.0, 2.0, 3.0], &window), None, "ended too early");
        assert_eq!(mean_within(&[0.0, 4.0], &window), None, "no round within");
        assert_eq!(mean_within(&[], &window), None);
    }
}
