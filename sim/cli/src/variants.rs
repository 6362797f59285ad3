//! The same job with its layers on other stages.

use plan::{Folding, Keep, Plan, Progress, Recording};
use report::Variant;
use units::SimSpan;

use crate::exit::Failure;
use crate::summarize::{self, Finished};

/// Up to two other assignments of layers to stages, side by side on threads: layers as even as they go, and one layer
/// moved from a middle stage to the last. None where every rank is simulated: each would take as long as the run itself.
pub(crate) fn stages(plan: &Plan) -> Result<Vec<Variant>, Failure> {
    if plan.policy.folding == Folding::None {
        return Ok(Vec::new());
    }
    let others = others(&plan.parallel.stages);
    std::thread::scope(|scope| {
        let runs: Vec<_> = others.into_iter().map(|stages| scope.spawn(|| variant(plan, stages))).collect();
        // A panic on a thread has ended the program before it is joined.
        runs.into_iter().filter_map(|run| run.join().ok()).collect()
    })
}

/// What folding would make of a step that was simulated with every rank.
pub(crate) fn folded(plan: &Plan, step: SimSpan) -> Result<String, Failure> {
    let mut plan = plan.clone();
    plan.policy.folding = Folding::Auto;
    let program = plan::lower(&plan)?;
    let keep = Keep { ranks: Recording::None, streams: false };
    let folded = plan::run(&program, keep, &Progress::default())?.step;
    Ok(if folded == step {
        "folded to one rank a stage the step is the same, to the picosecond".to_owned()
    } else {
        let change = folded.seconds() / step.seconds() - 1.0;
        format!(
            "folded to one rank a stage the step would be {} ({})",
            report::format::seconds(folded.seconds()),
            report::format::percent_signed(change)
        )
    })
}

fn variant(plan: &Plan, stages: Vec<u32>) -> Result<Variant, Failure> {
    let mut plan = plan.clone();
    let mut name = format!("layers {}", runs(&stages));
    plan.parallel.stages = stages;
    let program = plan::lower(&plan)?;
    let memory = plan::memory(&plan, program.pool.as_ref())?;
    if memory.iter().any(|rank| rank.total > rank.capacity) {
        name.push_str(", does not fit in memory");
    }
    let outcome = plan::run(&program, Keep { ranks: Recording::None, streams: false }, &Progress::default())?;
    let run = Finished { plan: &plan, digest: "", program: &program, memory: &memory, outcome: &outcome };
    let summary = summarize::summary(&run)?;
    Ok(Variant { name, step_seconds: summary.step_seconds, phases: summary.phases })
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
    fn what_cannot_move_stays() {
        assert_eq!(others(&[4]), Vec::<Vec<u32>>::new());
        assert_eq!(others(&[1, 1]), Vec::<Vec<u32>>::new());
        assert_eq!(others(&[2, 2]), Vec::<Vec<u32>>::new());
    }
}
