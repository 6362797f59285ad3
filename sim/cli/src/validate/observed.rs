//! Figures of a run, by the names that predictions use.

use plan::{ChunkSpan, Ran, StreamSpan};
use report::Summary;
use serde_json::Value;
use units::SimSpan;
use workloads::schedule::Slot;

use super::predictions::{Answer, PairFigure, Sum};
use crate::exit::Failure;
use crate::summarize::{Finished, IN_PAIRS};

/// What a run can be asked.
#[derive(Debug)]
pub(super) struct Observed {
    summary: Summary,
    as_json: Value,
    pair: PairMeans,
}

/// Means over the overlapped pairs of the middle pipeline rank, seconds; not a number where it ran none.
#[derive(Clone, Copy, Debug)]
struct PairMeans {
    duration: f64,
    compute: f64,
    dispatch: f64,
    combine: f64,
}

impl Observed {
    pub(super) fn of(run: &Finished<'_>, summary: Summary) -> Result<Self, Failure> {
        let as_json = serde_json::to_value(&summary).map_err(|error| Failure::Fault(error.into()))?;
        Ok(Self { summary, as_json, pair: PairMeans::of(run) })
    }

    /// The figure an answer asks for, in base units; or why there is none.
    pub(super) fn answer(&self, answer: &Answer) -> Result<f64, String> {
        let Answer { summary, op, ops, pair, times } = answer;
        let value = match (summary, op, ops, pair) {
            (Some(key), None, None, None) => self.key(key)?,
            (None, Some(op), None, None) => self.op(op).map(|(seconds, count)| seconds / count)?,
            (None, None, Some(sums), None) => sums.iter().map(|sum| self.sum(sum)).sum::<Result<f64, String>>()?,
            (None, None, None, Some(figure)) => self.pair.of_figure(*figure)?,
            _ => return Err("it takes exactly one of `summary`, `op`, `ops` and `pair`".to_owned()),
        };
        Ok(value * times.unwrap_or(1.0))
    }

    fn key(&self, key: &str) -> Result<f64, String> {
        let value = self.as_json.pointer(&format!("/{}", key.replace('.', "/")));
        value.and_then(Value::as_f64).ok_or_else(|| format!("the summary has no number `{key}`"))
    }

    fn sum(&self, sum: &Sum) -> Result<f64, String> {
        let seconds = sum.sum.iter().map(|op| self.op(op).map(|(seconds, _)| seconds)).sum::<Result<f64, String>>()?;
        Ok(seconds / self.op(&sum.per)?.1)
    }

    /// Seconds and runs of an op in pairs, by name and pass.
    fn op(&self, reference: &str) -> Result<(f64, f64), String> {
        let (name, pass) = reference.split_once(' ').ok_or_else(|| format!("`{reference}` is not `NAME PASS`"))?;
        let is_it = |row: &&report::OpRow| row.op.strip_suffix(IN_PAIRS) == Some(name) && row.pass == pass;
        let row = self.summary.ops.iter().find(is_it);
        row.map(|row| (row.seconds, row.count)).ok_or_else(|| format!("no op `{reference}` ran in a pair"))
    }
}

impl PairMeans {
    fn of(run: &Finished<'_>) -> Self {
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
        let duration = |spans: &[&StreamSpan], what: fn(&Ran) -> bool| {
            let all = spans.iter().filter(|span| what(&span.what)).map(|span| span.end.since(span.start));
            let lengths: Vec<SimSpan> = all.collect();
            (lengths.iter().copied().sum::<SimSpan>().seconds(), lengths.len() as f64)
        };
        let mean = |(seconds, count): (f64, f64)| seconds / count;
        let n = pairs.len() as f64;
        Self {
            duration: pairs.iter().map(|pair| pair.end.since(pair.start)).sum::<SimSpan>().seconds() / n,
            compute: duration(&spans, |what| matches!(what, Ran::Op { .. })).0 / n,
            dispatch: mean(duration(&spans, |what| *what == Ran::Dispatch)),
            combine: mean(duration(&spans, |what| *what == Ran::Combine)),
        }
    }

    fn of_figure(&self, figure: PairFigure) -> Result<f64, String> {
        let value = match figure {
            PairFigure::Duration => self.duration,
            PairFigure::Compute => self.compute,
            PairFigure::Dispatch => self.dispatch,
            PairFigure::Combine => self.combine,
        };
        if value.is_finite() { Ok(value) } else { Err("the middle pipeline rank ran no such pair".to_owned()) }
    }
}
