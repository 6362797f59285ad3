//! Figures of what a command came to, by the names that facts use.

use plan::{ChunkSpan, Ran, StreamSpan};
use report::{OpRow, Summary};
use scenario::Figure;
use serde_json::Value;
use tunnel::Finished;
use tunnel::summarize::IN_PAIRS;
use units::SimSpan;
use workloads::schedule::Slot;

use crate::exit::Failure;

/// What a command can be asked.
#[derive(Debug)]
pub(super) struct Observed {
    json: Value,
    run: Option<OfRun>,
}

/// What only a run can be asked.
#[derive(Debug)]
struct OfRun {
    ops: Vec<OpRow>,
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
    pub(super) fn of_json(json: Value) -> Self {
        Self { json, run: None }
    }

    pub(super) fn of_run(run: &Finished<'_>, summary: &Summary) -> Result<Self, Failure> {
        let json = serde_json::to_value(summary).map_err(|error| Failure::Fault(error.into()))?;
        Ok(Self { json, run: Some(OfRun { ops: summary.common.ops.clone(), pair: PairMeans::of(run) }) })
    }

    /// A figure, in base units; or why there is none.
    pub(super) fn figure(&self, figure: &Figure) -> Result<f64, String> {
        let run = || self.run.as_ref().ok_or("only of a `run` are ops and pairs known");
        match figure {
            Figure::Key(key) => self.key(key),
            Figure::Ops(sums) => {
                let run = run()?;
                sums.iter().map(|sum| run.ops(sum)).sum()
            }
            Figure::Pair(name) => run()?.pair.named(name),
        }
    }

    fn key(&self, key: &str) -> Result<f64, String> {
        let value = self.json.pointer(&format!("/{}", key.replace('.', "/")));
        value.and_then(Value::as_f64).ok_or_else(|| format!("the answer has no number `{key}`"))
    }
}

impl OfRun {
    /// All runs of some ops over the runs of the first, or of the one after a slash.
    fn ops(&self, sum: &str) -> Result<f64, String> {
        let (sum, per) = sum.split_once(" / ").map_or((sum, None), |(sum, per)| (sum, Some(per)));
        let ops: Vec<&OpRow> = sum.split(" + ").map(|op| self.op(op.trim())).collect::<Result<_, _>>()?;
        let per = per.map(|op| self.op(op.trim())).transpose()?.or(ops.first().copied());
        Ok(ops.iter().map(|op| op.seconds).sum::<f64>() / per.map_or(0.0, |op| op.count))
    }

    /// An op in pairs, by name and pass.
    fn op(&self, reference: &str) -> Result<&OpRow, String> {
        let (name, pass) = reference.split_once(' ').ok_or_else(|| format!("`{reference}` is not `NAME PASS`"))?;
        let is_it = |row: &&OpRow| row.op.strip_suffix(IN_PAIRS) == Some(name) && row.pass == pass;
        self.ops.iter().find(is_it).ok_or_else(|| format!("no op `{reference}` ran in a pair"))
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

    fn named(&self, name: &str) -> Result<f64, String> {
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
