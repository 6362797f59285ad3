//! Backwards: at which value of a key does a job take so long, and from which value on does the key no longer bind it?
//!
//! The objective is taken along the key from a small part of its value to a multiple of it, as far as jobs run. Where it crosses the target is found by halving the
//! range of the key's logarithm: right while the objective goes one way along the key; of several crossings it finds one.

use serde::Serialize;

use crate::StudyError;
use crate::criterion::Named;
use crate::json;
use crate::knob::{Amount, Change};
use crate::refusal::{Refusal, caught};
use crate::run::StudyProgress;
use crate::tunnel::Tunnel;

/// How far a key is turned from its value, a factor.
const FAR: f64 = 64.0;
/// An end at which no job runs is drawn this often toward the value, to the root of its factor each time.
const N_DRAWN: u32 = 6;
/// Halvings of a range.
const N_HALVINGS: u32 = 40;
/// Values no farther apart are one.
const NEAR: f64 = 1e-4;
/// Share of the least that is possible by which the objective may be above it where a key has stopped to bind.
const KNEE: f64 = 0.01;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The objective is this.
    At(f64),
    /// More of the key, or less of it, would bring no more than a hundredth.
    StopsBinding,
}

/// What was found. Field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Solved {
    /// The scenario's name.
    pub name: String,
    /// The key.
    pub key: String,
    /// Its value as it is.
    pub base_value: toml::Value,
    /// The objective as it is.
    pub base: Named<f64>,
    /// The value that was found; where none reaches the goal, the one that comes nearest.
    pub value: toml::Value,
    /// The objective there.
    pub objective: f64,
    /// Whether the goal is reached.
    pub reached: bool,
    /// The objective that was looked for.
    pub target: f64,
    /// Values between which the key was turned.
    pub range: [toml::Value; 2],
}

impl Solved {
    /// Indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: it can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

/// A key at some value, and what the job then comes to.
#[derive(Clone, Debug, PartialEq)]
struct Tried {
    factor: f64,
    value: toml::Value,
    objective: f64,
}

struct Line<'a> {
    tunnel: &'a dyn Tunnel,
    key: &'a str,
    amount: Amount,
    progress: &'a StudyProgress,
}

impl Line<'_> {
    fn at(&self, factor: f64) -> Result<Tried, Refusal> {
        let mut number = self.amount.number * factor;
        if self.amount.is_whole() {
            number = number.round().max(1.0);
        }
        let value = self.amount.with(number);
        let set = Change { key: self.key.to_owned(), value: value.clone() }.set();
        let run = || {
            let plan = self.tunnel.load(&[set]).map_err(|mistakes| crate::manifest::short(&mistakes))?.plan;
            self.tunnel.run(&plan)
        };
        let results = caught(run)?;
        self.progress.step();
        let objective =
            results.objective().ok_or_else(|| format!("its results have no `{}`", results.criterion.name))?;
        Ok(Tried { factor: number / self.amount.number, value, objective })
    }

    /// The farthest value toward `factor` at which a job runs.
    fn end(&self, mut factor: f64, start: &Tried) -> Tried {
        for _ in 0..N_DRAWN {
            match self.at(factor) {
                Ok(tried) => return tried,
                Err(_) => factor = factor.sqrt(),
            }
        }
        start.clone()
    }

    /// The value nearest to `out`'s side at which the objective is no more than the target, which it is at `within` and is not at `out`.
    fn crossing(&self, mut out: Tried, mut within: Tried, target: f64) -> Tried {
        for _ in 0..N_HALVINGS {
            let ratio = within.factor / out.factor;
            let step = (within.factor - out.factor).abs() * self.amount.number;
            if (ratio - 1.0).abs() < NEAR || self.amount.is_whole() && step <= 1.0 {
                break;
            }
            let Ok(middle) = self.at((out.factor * within.factor).sqrt()) else { break };
            if middle.factor == out.factor || middle.factor == within.factor {
                break;
            }
            if middle.objective <= target { within = middle } else { out = middle }
        }
        within
    }
}

/// Looks along a key of a scenario on `tunnel`.
///
/// # Errors
/// [`StudyError::Base`] where the scenario cannot be loaded, [`StudyError::BaseRun`] where it cannot run, [`StudyError::Store`] for a key that is no number above zero.
pub fn solve(tunnel: &dyn Tunnel, key: &str, goal: Goal, progress: &StudyProgress) -> Result<Solved, StudyError> {
    let base = tunnel.load(&[]).map_err(StudyError::Base)?;
    let leaf = base.leaves.iter().find(|leaf| leaf.key == key).ok_or_else(|| {
        StudyError::Store(format!("`{}` has no key `{key}`\nhint: `windtunnel plan` prints every key", base.plan.name))
    })?;
    let value = toml::from_str::<toml::Table>(&format!("value = {}", leaf.value)).ok();
    let value = value.and_then(|mut table| table.remove("value"));
    let amount = value.as_ref().and_then(Amount::of).filter(|amount| amount.number > 0.0).ok_or_else(|| {
        StudyError::Store(format!(
            "`{key}` is {}, no number above zero\nhint: solve for a rate, a count or a size",
            leaf.value
        ))
    })?;
    let line = Line { tunnel, key, amount, progress };
    let fault =
        |why: Refusal| if why.is_fault { StudyError::Fault(why.reason) } else { StudyError::BaseRun(why.reason) };
    let start = line.at(1.0).map_err(fault)?;
    let criterion = caught(|| tunnel.run(&base.plan)).map_err(fault)?.criterion;
    let ends = [line.end(1.0 / FAR, &start), line.end(FAR, &start)];
    let (target, found) = match goal {
        Goal::At(target) => (target, at(&line, [&ends[0], &start, &ends[1]], target)),
        Goal::StopsBinding => knee(&line, &ends),
    };
    Ok(Solved {
        name: base.plan.name.clone(),
        key: key.to_owned(),
        base_value: start.value.clone(),
        base: criterion.named(start.objective),
        reached: found.objective <= target,
        value: found.value,
        objective: found.objective,
        target,
        range: ends.map(|end| end.value),
    })
}

/// The value nearest to the start at which the objective is the target; where there is none, the one that comes nearest.
fn at(line: &Line<'_>, [low, start, high]: [&Tried; 3], target: f64) -> Tried {
    let meets = |tried: &Tried| tried.objective <= target;
    for end in [high, low] {
        if meets(start) != meets(end) {
            let (out, within) = if meets(start) { (end, start) } else { (start, end) };
            return line.crossing(out.clone(), within.clone(), target);
        }
    }
    let off = |tried: &&Tried| (tried.objective - target).abs();
    [start, low, high].into_iter().min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(start).clone()
}

/// The objective that is all but the least along the key, and where it is reached.
fn knee(line: &Line<'_>, ends: &[Tried; 2]) -> (f64, Tried) {
    let [low, high] = ends;
    let (worse, better) = if low.objective <= high.objective { (high, low) } else { (low, high) };
    let target = better.objective * (1.0 + KNEE);
    if worse.objective <= target {
        return (target, worse.clone());
    }
    (target, line.crossing(worse.clone(), better.clone(), target))
}
