//! Sensitivity: what moves a result, knob by knob.
//!
//! The elasticity of the objective T, such as the duration of a step, to a knob x is `d ln T / d ln x`: -0.5 says that 10 % more of x makes T about 5 % less. It is
//! taken between a tenth less and a tenth more of x, whole numbers at least one apart, with the estimates as they stand. The same
//! toward less and toward more alone are the two ends `low` and `high`: where they lie far apart the knob stands at
//! a knee, and the elasticity holds for small changes only.
//!
//! Every number of the hardware but prices and powers is a knob (what to build next), and so is every estimate (what to measure next): an
//! estimate's elasticity times its spread is how unsure it alone makes the objective. Words, such as abilities, have no elasticity;
//! they are for proposals.

use std::collections::BTreeMap;

use calibrate::{Basis, Estimate, EstimateKey, Profile};
use plan::Plan;
use rayon::prelude::*;
use scenario::{Leaf, Loaded, Mistakes};
use serde::Serialize;

use crate::StudyError;
use crate::criterion::{Criterion, Named};
use crate::json;
use crate::knob::{Amount, Change};
use crate::point::{ANOMALY, is_false};
use crate::refusal::{Refusal, caught};
use crate::run::StudyProgress;
use crate::tunnel::Tunnel;

/// How far a knob is turned, a share of its value.
const TURN: f64 = 0.1;
/// Namespaces of the machine.
const MACHINE: [&str; 4] = ["gpu.", "node.", "fabric.", "cluster."];
/// Ends of keys that say what a part costs or draws: no time depends on them.
const EXPENSES: [&str; 2] = ["price", "power"];

/// What moves the objective of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The scenario's name.
    pub name: String,
    /// Digest of its plan.
    pub digest: String,
    /// Its objective.
    #[serde(flatten)]
    pub objective: Named<f64>,
    /// Knobs, the largest elasticity first; those without one last, by key.
    pub knobs: Vec<Knob>,
}

/// One knob.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Knob {
    /// For example `gpu.memory.stacks` or `profile.memory.peak-fraction`.
    pub key: String,
    /// Its value, as TOML.
    pub value: String,
    /// `d ln objective / d ln knob`; `None` where neither way can be turned.
    pub elasticity: Option<f64>,
    /// The smaller of the elasticities toward less and toward more.
    pub low: Option<f64>,
    /// The larger of them.
    pub high: Option<f64>,
    /// A tenth less.
    pub less: Option<KnobTurn>,
    /// A tenth more.
    pub more: Option<KnobTurn>,
    /// Of an estimate: its spread on this machine, a share of the value.
    pub spread: Option<f64>,
    /// Of an estimate: what it rests on.
    pub basis: Option<String>,
    /// Of an estimate: |elasticity| x spread x objective, how unsure it alone makes the objective.
    #[serde(flatten)]
    pub unsure: Named<Option<f64>>,
    /// Whether turning it moves the objective by more than a scheduling anomaly may ([`crate::ANOMALY`]), or not at all.
    pub decided: bool,
    /// Why a way cannot be turned.
    pub note: Option<String>,
    /// Whether that is a fault of the program.
    #[serde(skip_serializing_if = "is_false")]
    pub fault: bool,
}

/// The knob turned one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnobTurn {
    /// Its value over the one it has.
    pub factor: f64,
    /// The objective.
    #[serde(flatten)]
    pub objective: Named<f64>,
}

/// A knob before it is turned.
enum Handle {
    Leaf {
        key: String,
        written: String,
        amount: Amount,
    },
    /// With its spread here, where the machine may not be that of the estimate.
    Estimate {
        key: EstimateKey,
        estimate: Estimate,
        spread: f64,
    },
}

/// Turns every knob of the scenario on `tunnel` both ways, on the threads of the current pool.
///
/// # Errors
/// [`StudyError::Base`] where the scenario cannot be loaded, [`StudyError::BaseRun`] where it cannot run. A knob that
/// cannot be turned says why.
pub fn sensitivity(tunnel: &dyn Tunnel, progress: &StudyProgress) -> Result<Sensitivity, StudyError> {
    let base = tunnel.load(&[]).map_err(StudyError::Base)?;
    let handles = handles(&base);
    progress.expect(1 + 2 * handles.len() as u64);
    let unturned = Unturned::run(tunnel, &base.plan).map_err(|Refusal { reason, is_fault }| {
        if is_fault { StudyError::Fault(reason) } else { StudyError::BaseRun(reason) }
    })?;
    progress.step();
    let turned = |handle: &Handle| {
        let (less, more) = rayon::join(
            || handle.turned(1.0 - TURN, &base.plan, tunnel, progress),
            || handle.turned(1.0 + TURN, &base.plan, tunnel, progress),
        );
        knob(handle, less, more, &unturned)
    };
    let mut knobs: Vec<Knob> = handles.par_iter().map(turned).collect();
    let size = |knob: &Knob| knob.elasticity.map_or(-1.0, f64::abs);
    knobs.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.key.cmp(&b.key)));
    Ok(Sensitivity {
        name: base.plan.name.clone(),
        digest: scenario::digest(&base),
        objective: unturned.objective,
        knobs,
    })
}

impl Sensitivity {
    /// Knobs of which a turn is a fault of the program.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.knobs.iter().filter(|knob| knob.fault).count()
    }

    /// Indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: it can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

fn handles(base: &Loaded) -> Vec<Handle> {
    let of_machine = |leaf: &&Leaf| {
        MACHINE.iter().any(|namespace| leaf.key.starts_with(namespace))
            && !EXPENSES.iter().any(|what| leaf.key.ends_with(what))
    };
    let leaf = |leaf: &Leaf| {
        let table: BTreeMap<String, toml::Value> = toml::from_str(&format!("value = {}", leaf.value)).ok()?;
        let amount = Amount::of(table.get("value")?).filter(|amount| amount.number > 0.0)?;
        Some(Handle::Leaf { key: leaf.key.clone(), written: leaf.value.clone(), amount })
    };
    let estimates = base.plan.site.profile.iter().filter(|(_, estimate)| estimate.value > 0.0);
    let spread = |key| base.plan.site.profile.spread(key);
    let estimates =
        estimates.map(|(key, estimate)| Handle::Estimate { key, estimate: estimate.clone(), spread: spread(key) });
    base.leaves.iter().filter(of_machine).filter_map(leaf).chain(estimates).collect()
}

/// A run with every knob as it is.
#[derive(Clone, Debug)]
struct Unturned {
    criterion: Criterion,
    objective: Named<f64>,
    /// Share of it by which a better machine may make it worse.
    anomaly: f64,
}

impl Unturned {
    fn run(tunnel: &dyn Tunnel, plan: &Plan) -> Result<Self, Refusal> {
        let results = caught(|| tunnel.run(plan))?;
        let criterion = &results.criterion;
        let missing = || Refusal::from(format!("a run gave no `{}`", criterion.name));
        let objective = criterion.named(results.objective().ok_or_else(missing)?);
        let anomaly = results.numbers.get(ANOMALY).copied().unwrap_or(0.0);
        Ok(Self { criterion: criterion.clone(), objective, anomaly })
    }

    /// How unsure an estimate of such an elasticity and spread makes the objective.
    fn unsure(&self, of: Option<(f64, f64)>) -> Named<Option<f64>> {
        let amount = of.map(|(elasticity, spread)| elasticity.abs() * spread * self.objective.value);
        self.criterion.amount("unsure", amount)
    }

    /// Whether the farther of two turns is no farther than an anomaly may go.
    fn hides(&self, turns: [&Option<KnobTurn>; 2]) -> bool {
        let changes = turns.into_iter().flatten().map(|turn| (turn.objective.value / self.objective.value - 1.0).abs());
        let most = changes.fold(0.0, f64::max);
        most > 0.0 && most <= self.anomaly
    }
}

impl Handle {
    fn key(&self) -> String {
        match self {
            Self::Leaf { key, .. } => key.clone(),
            Self::Estimate { key, .. } => format!("profile.{}", key.name()),
        }
    }

    /// The objective with this knob at `factor` of its value; the factor it really got.
    fn turned(
        &self,
        factor: f64,
        base: &Plan,
        tunnel: &dyn Tunnel,
        progress: &StudyProgress,
    ) -> Result<KnobTurn, Refusal> {
        let (plan, factor) = match self {
            Self::Leaf { key, amount, .. } => {
                let (value, factor) = moved(amount, factor);
                let set = Change { key: key.clone(), value }.set();
                let load = || Ok(tunnel.load(&[set]).map_err(|mistakes| first(&mistakes))?.plan);
                (caught(load), factor)
            }
            Self::Estimate { key, estimate, .. } => {
                let value = limited(*key, estimate, factor);
                (Ok(with(base, *key, value)), value / estimate.value)
            }
        };
        // A share at its limit is not turned; another objective would be divided by nothing.
        let turned = if factor == 1.0 {
            Err("it stands at its limit".to_owned().into())
        } else {
            plan.and_then(|plan| Unturned::run(tunnel, &plan)).map(|run| KnobTurn { factor, objective: run.objective })
        };
        progress.step();
        turned
    }
}

/// A leaf's value times a factor; whole numbers move by at least one, and never to zero.
fn moved(amount: &Amount, factor: f64) -> (toml::Value, f64) {
    let mut number = amount.number * factor;
    if amount.is_whole() {
        let away = if factor > 1.0 {
            number.round().max(amount.number + 1.0)
        } else {
            number.round().min(amount.number - 1.0)
        };
        number = if away < 1.0 { amount.number } else { away };
    }
    (amount.with(number), number / amount.number)
}

fn limited(key: EstimateKey, estimate: &Estimate, factor: f64) -> f64 {
    (estimate.value * factor).clamp(key.dimension().least(), key.dimension().most())
}

fn with(base: &Plan, key: EstimateKey, value: f64) -> Plan {
    let changed = |(other, estimate): (EstimateKey, &Estimate)| {
        let value = if other == key { value } else { estimate.value };
        (other, Estimate { value, ..estimate.clone() })
    };
    // Every key of a profile is in it, so there is nothing to miss.
    let profile = &base.site.profile;
    base.with_profile(Profile::new(profile.iter().map(changed).collect()).unwrap_or_else(|_| profile.clone()))
}

fn first(mistakes: &Mistakes) -> String {
    mistakes.diagnostics().first().map_or_else(String::new, |mistake| mistake.message.clone())
}

fn knob(handle: &Handle, less: Result<KnobTurn, Refusal>, more: Result<KnobTurn, Refusal>, base: &Unturned) -> Knob {
    let note = [("less", &less), ("more", &more)]
        .into_iter()
        .filter_map(|(way, turn)| turn.as_ref().err().map(|why| format!("no {way}: {}", why.reason)));
    let mut notes: Vec<String> = note.collect();
    let fault = [&less, &more].iter().any(|turn| turn.as_ref().is_err_and(|why| why.is_fault));
    let (less, more) = (less.ok(), more.ok());
    let decided = !base.hides([&less, &more]);
    if !decided {
        notes.push("undecided: no more than a scheduling anomaly".to_owned());
    }
    let note = notes.join("; ");
    let unturned = KnobTurn { factor: 1.0, objective: base.objective.clone() };
    let slope = |a: &KnobTurn, b: &KnobTurn| (b.objective.value / a.objective.value).ln() / (b.factor / a.factor).ln();
    let ways: Vec<f64> = [&less, &more].into_iter().flatten().map(|turn| slope(&unturned, turn)).collect();
    let elasticity = match (&less, &more) {
        (None, None) => None,
        (less, more) => Some(slope(less.as_ref().unwrap_or(&unturned), more.as_ref().unwrap_or(&unturned))),
    };
    let (estimate, spread) = match handle {
        Handle::Leaf { .. } => (None, None),
        Handle::Estimate { estimate, spread, .. } => (Some(estimate), Some(*spread)),
    };
    let end = |end: fn(f64, f64) -> f64| ways.iter().copied().reduce(end);
    Knob {
        key: handle.key(),
        value: match handle {
            Handle::Leaf { written, .. } => written.clone(),
            Handle::Estimate { estimate, .. } => estimate.value.to_string(),
        },
        elasticity,
        low: end(f64::min),
        high: end(f64::max),
        less,
        more,
        spread,
        basis: estimate.map(|estimate| Basis::name(estimate.basis).to_owned()),
        unsure: base.unsure(elasticity.zip(spread)),
        decided,
        note: Some(note).filter(|note| !note.is_empty()),
        fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seconds: f64) -> Named<f64> {
        Named { name: "step_seconds".to_owned(), value: seconds }
    }

    fn turn(factor: f64, seconds: f64) -> Result<KnobTurn, Refusal> {
        Ok(KnobTurn { factor, objective: step(seconds) })
    }

    fn handle() -> Handle {
        let amount = Amount::of(&toml::Value::Integer(8)).expect("a number");
        Handle::Leaf { key: "gpu.scale-up.links".into(), written: "8".into(), amount }
    }

    fn unturned(seconds: f64) -> Unturned {
        Unturned { criterion: Criterion::less("step_seconds"), objective: step(seconds), anomaly: 0.0 }
    }

    #[test]
    fn what_an_anomaly_may_do_decides_nothing() {
        let base = Unturned { criterion: Criterion::less("step_seconds"), objective: step(1.0), anomaly: 0.002 };
        for (less, more, decided) in
            [(1.0, 1.0, true), (1.001, 0.9995, false), (0.9981, 1.0019, false), (1.0, 0.99, true)]
        {
            let knob = knob(&handle(), turn(0.9, less), turn(1.1, more), &base);
            assert_eq!(knob.decided, decided, "{less} and {more}");
            assert_eq!(knob.note.is_some(), !decided);
        }
    }

    #[test]
    fn a_power_law_has_its_exponent_both_ways() {
        let law = |x: f64| 18.0 * x.powf(-0.5);
        let knob = knob(&handle(), turn(0.875, law(0.875)), turn(1.125, law(1.125)), &unturned(law(1.0)));
        for (what, actual) in [("elasticity", knob.elasticity), ("low", knob.low), ("high", knob.high)] {
            let actual = actual.expect("both ways");
            assert!((actual + 0.5).abs() < 1e-12, "{what}: expectation -0.5, actual {actual}");
        }
    }

    #[test]
    fn a_knee_lies_between_its_two_sides() {
        let knob = knob(&handle(), turn(0.9, 1.1), turn(1.1, 1.0), &unturned(1.0));
        let (elasticity, low, high) = (knob.elasticity.expect("one"), knob.low.expect("one"), knob.high.expect("one"));
        assert_eq!(high, 0.0);
        assert!(low < elasticity && elasticity < high, "{low} {elasticity} {high}");
    }

    #[test]
    fn one_way_is_enough_and_none_is_none() {
        let one = knob(&handle(), Err("no memory".into()), turn(1.1, 0.9), &unturned(1.0));
        assert!(one.elasticity.is_some_and(|elasticity| elasticity < 0.0));
        assert_eq!(one.note.as_deref(), Some("no less: no memory"));
        assert_eq!(knob(&handle(), Err("a".into()), Err("b".into()), &unturned(1.0)).elasticity, None);
    }

    #[test]
    fn whole_numbers_move_by_one_and_never_to_zero() {
        let whole = |number| Amount::of(&toml::Value::Integer(number)).expect("a number");
        assert_eq!(moved(&whole(2), 0.9), (toml::Value::Integer(1), 0.5));
        assert_eq!(moved(&whole(1), 0.9), (toml::Value::Integer(1), 1.0));
        assert_eq!(moved(&whole(132), 1.1).0, toml::Value::Integer(145));
    }
}
