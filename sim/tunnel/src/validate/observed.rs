//! Figures of what a command came to, by the names that facts use.

use report::{JobResult, OpRow};
use scenario::FactFigure;
use serde_json::Value;

use crate::ask::{PairMeans, Reply, number};
use crate::error::TunnelError;
use crate::summarize::IN_PAIRS;

/// A reply by the names that facts use.
#[derive(Debug)]
pub(super) struct Observed {
    json: Value,
    run: Option<OfRun>,
    /// The ends of its duration over the duration, 5 to 95 %; none of an answer that has no interval.
    ends: Option<[f64; 2]>,
}

/// How a figure moves with the duration that has the interval.
enum Moves {
    /// In proportion.
    With,
    /// Inversely.
    Against,
    /// Otherwise, or nobody knows how.
    Unknown,
}

/// What only a run has.
#[derive(Debug)]
struct OfRun {
    ops: Vec<OpRow>,
    pair: PairMeans,
}

impl Observed {
    pub(super) fn of(reply: &Reply) -> Result<Self, TunnelError> {
        let json = reply.json()?;
        let over = |[low, high]: [f64; 2], seconds: f64| (low > 0.0).then(|| [low / seconds, high / seconds]);
        Ok(match reply {
            Reply::Run(run) => {
                let ends = match &run.summary.result {
                    JobResult::Step(step) => over(step.interval, step.step_seconds),
                    JobResult::Service(service) => Some(service.serving.interval),
                    JobResult::Imported(_) => None,
                };
                Self { json, run: Some(OfRun { ops: run.summary.common.ops.clone(), pair: run.pair }), ends }
            }
            Reply::Iteration(reply) => Self { json, run: None, ends: over(reply.interval, reply.seconds) },
            Reply::Kernel(kernel) => Self { json, run: None, ends: over([kernel.low, kernel.high], kernel.seconds) },
            Reply::Check(_)
            | Reply::Machine(_)
            | Reply::Networks(_)
            | Reply::AllToAll(_)
            | Reply::Links(_)
            | Reply::Model(_)
            | Reply::Schedule(_)
            | Reply::Accumulate(_) => Self { json, run: None, ends: None },
        })
    }

    /// A figure, in base units; or why there is none.
    pub(super) fn figure(&self, figure: &FactFigure) -> Result<f64, String> {
        let run = || self.run.as_ref().ok_or("only of a `run` are ops and pairs known");
        match figure {
            FactFigure::Key(key) => self.key(key),
            FactFigure::Ops(sums) => {
                let run = run()?;
                sums.iter().map(|sum| run.ops(sum)).sum()
            }
            FactFigure::Pair(name) => run()?.pair.named(name),
        }
    }

    /// The interval of a figure, 5 to 95 %, from that of the duration: a time moves in proportion, a phase as the whole step does, a rate
    /// inversely. None of a figure of which nobody knows how it moves, such as the time of one op in a step.
    pub(super) fn interval(&self, figure: &FactFigure) -> Option<[f64; 2]> {
        let [low, high] = self.ends?;
        let value = self.figure(figure).ok()?;
        match Moves::of(figure) {
            Moves::With => Some([value * low, value * high]),
            Moves::Against => Some([value / high, value / low]),
            Moves::Unknown => None,
        }
    }

    fn key(&self, key: &str) -> Result<f64, String> {
        number(&self.json, key).ok_or_else(|| format!("the answer has no number `{key}`"))
    }
}

impl Moves {
    fn of(figure: &FactFigure) -> Self {
        let FactFigure::Key(key) = figure else { return Self::Unknown };
        if let Some(of_service) = key.strip_prefix("serving.") {
            let what = of_service.split('.').next().unwrap_or_default();
            return match what {
                "ttft" | "tpot" | "itl" | "e2e" => Self::With,
                _ if what.contains("_per_second") => Self::Against,
                _ => Self::Unknown,
            };
        }
        match key.split('.').next().unwrap_or_default() {
            "seconds" | "step_seconds" | "phases" | "phases_by_rank" | "gpu_hours_per_trillion_tokens" => Self::With,
            "tokens_per_day" | "tflops_per_gpu" | "mfu" => Self::Against,
            _ => Self::Unknown,
        }
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
