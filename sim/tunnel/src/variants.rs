//! The same job with its layers on other stages.

use std::sync::Arc;

use plan::{Folding, Keep, PlanError, Program, Progress, Recording, Shared, Simulation, TrainPlan};
use report::{Variant, VariantResult};
use units::SimSpan;

use crate::panics::caught;
use crate::summarize::{self, FinishedRun};

/// Up to two other assignments of layers to stages, side by side on threads: layers as even as they go, and one layer
/// moved from a middle stage to the last, on the network of the plan's own program. None where every rank is simulated: each would take as long as the run itself.
#[must_use]
pub fn stages(plan: TrainPlan<'_>, program: &Program) -> Vec<Variant> {
    if plan.simulation.folding == Folding::None {
        return Vec::new();
    }
    each(others(&plan.job.parallel.stages), |stages| ran(plan, program, stages))
}

/// Every assignment as a row. One that cannot run, or whose run is a fault of the program, has its reason there.
fn each(all: Vec<Vec<u32>>, ran: impl Fn(&[u32]) -> Result<Ran, PlanError> + Sync) -> Vec<Variant> {
    let row = |stages: &Vec<u32>| {
        let run = caught(|| ran(stages)).unwrap_or_else(|panic| Err(PlanError::Fault(panic)));
        let name = format!("layers {}", runs(stages));
        match run {
            Ok(Ran { remark, result }) => Variant { name: name + remark, result },
            Err(error) => Variant { name, result: VariantResult::Failed(error.to_string()) },
        }
    };
    std::thread::scope(|scope| {
        let rows: Vec<_> = all.iter().map(|stages| scope.spawn(|| row(stages))).collect();
        rows.into_iter().filter_map(|row| row.join().ok()).collect()
    })
}

/// A variant that ran, and what is to be said of it beside its name.
struct Ran {
    remark: &'static str,
    result: VariantResult,
}

/// What folding would make of a step that was simulated with every rank, or why that cannot be said.
#[must_use]
pub fn folded(plan: TrainPlan<'_>, program: &Program, step: SimSpan) -> String {
    let simulation = Simulation { folding: Folding::Auto, ..plan.simulation.clone() };
    let plan = TrainPlan { simulation: &simulation, ..plan };
    let folded = || {
        let keep = Keep { ranks: Recording::None, streams: false };
        plan::run(&again(plan, program)?, keep, &Progress::default()).map(|outcome| outcome.step)
    };
    let folded = match caught(folded) {
        Ok(Ok(folded)) => folded,
        Ok(Err(error)) => return format!("folded to one rank per stage the job does not run: {error}"),
        Err(panic) => return format!("folded to one rank per stage the job does not run: {panic}"),
    };
    if folded == step {
        "folded to one rank per stage the step is the same, to the picosecond".to_owned()
    } else {
        let change = folded.seconds() / step.seconds() - 1.0;
        format!(
            "folded to one rank per stage the step would be {} ({})",
            report::format::seconds(folded.seconds()),
            report::format::percent_signed(change)
        )
    }
}

/// Lowers another plan of the machine of a program.
fn again(plan: TrainPlan<'_>, program: &Program) -> Result<Program, PlanError> {
    plan::lower_with(plan, &Shared { network: Some(Arc::clone(&program.network)), ..Shared::default() })
}

fn ran(plan: TrainPlan<'_>, program: &Program, stages: &[u32]) -> Result<Ran, PlanError> {
    let mut job = plan.job.clone();
    job.parallel.stages = stages.to_vec();
    let plan = TrainPlan { job: &job, ..plan };
    let program = again(plan, program)?;
    let memory = plan::memory(plan, program.pool.as_ref())?;
    let fits = memory.iter().all(|rank| rank.total <= rank.capacity);
    let outcome = plan::run(&program, Keep { ranks: Recording::None, streams: false }, &Progress::default())?;
    let run = FinishedRun { plan, digest: "", program: &program, memory: &memory, outcome: &outcome };
    let summary = summarize::summary(&run)?;
    Ok(Ran {
        remark: if fits { "" } else { ", does not fit in memory" },
        result: VariantResult::Ran { step_seconds: summary.seconds(), phases: summary.common.phases },
    })
}

/// Other assignments by rule, without the one that is there.
fn others(stages: &[u32]) -> Vec<Vec<u32>> {
    let mut others: Vec<Vec<u32>> = vec![even(stages)];
    others.extend(moved(stages).filter(|moved| *moved != others[0]));
    others.retain(|other| other != stages);
    others
}

/// Stages that differ by at most one layer, the fuller ones first.
fn even(stages: &[u32]) -> Vec<u32> {
    let n = stages.len() as u32;
    let layers: u32 = stages.iter().sum();
    (0..n).map(|stage| layers / n + u32::from(stage < layers % n)).collect()
}

/// One layer from the middle stage to the last; none where the middle stage would be left empty.
fn moved(stages: &[u32]) -> Option<Vec<u32>> {
    let (middle, last) = (stages.len() / 2, stages.len().checked_sub(1)?);
    let mut moved = stages.to_vec();
    if middle == last || moved[middle] < 2 {
        return None;
    }
    moved[middle] -= 1;
    moved[last] += 1;
    Some(moved)
}

/// A list with runs of equal numbers in short: `15 x 4, 1`.
fn runs(stages: &[u32]) -> String {
    let words = stages.chunk_by(|a, b| a == b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{} x {}", run.len(), run[0]),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use report::Phases;

    use super::*;

    #[test]
    fn other_stages_hold_the_same_layers_and_differ() {
        let mut stages = vec![4; 15];
        stages.push(1);
        let others = others(&stages);
        assert_eq!(others.len(), 2);
        assert!(others.iter().all(|other| other.iter().sum::<u32>() == 61 && *other != stages));
        assert_eq!(runs(&others[0]), "13 x 4, 3 x 3");
        assert_eq!(runs(&others[1]), "8 x 4, 3, 6 x 4, 2");
    }

    #[test]
    fn one_that_cannot_run_is_a_row_and_the_others_go_on() {
        let ran = |stages: &[u32]| match stages {
            [1] => panic!("no {}", "way"),
            [2] => Err(PlanError::TooManyRanks { n_ranks: 16, n_devices: 8 }),
            _ => Ok(Ran { remark: "", result: VariantResult::Ran { step_seconds: 3.0, phases: Phases::default() } }),
        };
        let rows = each(vec![vec![1], vec![2], vec![3, 3]], ran);
        let reasons: Vec<Option<&str>> = rows
            .iter()
            .map(|row| match &row.result {
                VariantResult::Failed(reason) => Some(reason.as_str()),
                VariantResult::Ran { .. } => None,
            })
            .collect();
        assert_eq!(reasons[0], Some("fault in the simulator: no way"));
        assert!(reasons[1].is_some_and(|reason| reason.contains("16 ranks")) && reasons[2].is_none(), "{reasons:?}");
        assert_eq!(rows[2].name, "layers 2 x 3");
    }

    #[test]
    fn what_cannot_move_stays() {
        assert_eq!(others(&[4]), Vec::<Vec<u32>>::new());
        assert_eq!(others(&[1, 1]), Vec::<Vec<u32>>::new());
        assert_eq!(others(&[2, 2]), Vec::<Vec<u32>>::new());
    }
}
