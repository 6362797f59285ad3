//! Means over the overlapped pairs of a run.

use plan::{COMPUTE, ChunkSpan, Ran, StreamSpan};
use units::SimSpan;
use workloads::schedule::Slot;

use crate::summarize::FinishedRun;

/// Means over the overlapped pairs of the middle pipeline rank, seconds; not a number where it ran none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairMeans {
    /// From the begin of a pair to its end.
    pub duration: f64,
    /// Kernels of a pair.
    pub compute: f64,
    /// One dispatch.
    pub dispatch: f64,
    /// One combine.
    pub combine: f64,
}

impl PairMeans {
    /// Of a job without pairs.
    pub(crate) const NONE: Self = Self { duration: f64::NAN, compute: f64::NAN, dispatch: f64::NAN, combine: f64::NAN };

    pub(crate) fn of(run: &FinishedRun<'_>) -> Self {
        let rank = run.program.layout.pp / 2;
        let is_pair = |chunk: &&ChunkSpan| chunk.rank == rank && matches!(chunk.slot, Some(Slot::Overlapped { .. }));
        let pairs: Vec<&ChunkSpan> = run.outcome.chunks.iter().filter(is_pair).collect();
        let in_pair = |span: &&StreamSpan| {
            span.rank == rank
                && pairs
                    .iter()
                    .any(|pair| pair.replica == span.replica && pair.start <= span.start && span.end <= pair.end)
        };
        let spans: Vec<&StreamSpan> = run.outcome.streams.iter().filter(in_pair).collect();
        let duration = |spans: &[&StreamSpan], what: fn(&StreamSpan) -> bool| {
            let all = spans.iter().filter(|span| what(span)).map(|span| span.end.since(span.start));
            let lengths: Vec<SimSpan> = all.collect();
            (lengths.iter().copied().sum::<SimSpan>().seconds(), lengths.len() as f64)
        };
        let mean = |(seconds, count): (f64, f64)| seconds / count;
        let n = pairs.len() as f64;
        Self {
            duration: pairs.iter().map(|pair| pair.end.since(pair.start)).sum::<SimSpan>().seconds() / n,
            compute: duration(&spans, |span| {
                usize::from(span.stream) == COMPUTE && matches!(span.what, Ran::Op { .. })
            })
            .0 / n,
            dispatch: mean(duration(&spans, |span| span.what == Ran::Dispatch)),
            combine: mean(duration(&spans, |span| span.what == Ran::Combine)),
        }
    }

    /// A mean by its name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn named(&self, name: &str) -> Result<f64, String> {
        let value = match name {
            "duration" => self.duration,
            "compute" => self.compute,
            "dispatch" => self.dispatch,
            "combine" => self.combine,
            _ => {
                return Err(format!(
                    "`{name}` is no figure of a pair: there are `duration`, `compute`, `dispatch` and `combine`"
                ));
            }
        };
        if value.is_finite() { Ok(value) } else { Err("the middle pipeline rank ran no such pair".to_owned()) }
    }
}
