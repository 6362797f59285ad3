//! One row an op.

use report::OpRow;
use workloads::op::Pass;

use super::Finished;
use super::bounds::bounds;

/// What is put behind the name of an op that ran beside communication, on the SMs an overlapped pair leaves it.
pub(crate) const IN_PAIRS: &str = " (pair)";

/// Ops that ran, largest first; counts and seconds are means over the ranks simulated.
pub(super) fn rows(run: &Finished<'_>) -> Vec<OpRow> {
    let n = f64::from(run.n_simulated());
    let bounds = bounds(run.program);
    let ops = run.program.ops.iter().zip(&run.outcome.ops).zip(&bounds).filter(|((_, total), _)| total.count > 0);
    let row = |((name, total), bounds): ((&plan::OpName, &plan::OpTotal), &super::bounds::Bounds)| {
        let (binding, key) = bounds.most(total);
        OpRow {
            op: format!("{}{}", name.name, if name.overlapped { IN_PAIRS } else { "" }),
            pass: pass(name.pass).to_owned(),
            count: total.count as f64 / n,
            seconds_each: total.span.seconds() / total.count as f64,
            seconds: run.mean(total.span),
            binding: binding.to_owned(),
            basis: run.plan.profile.get(key).basis.name().to_owned(),
        }
    };
    let mut rows: Vec<OpRow> = ops.map(row).collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| (&a.op, &a.pass).cmp(&(&b.op, &b.pass))));
    rows
}

fn pass(pass: Pass) -> &'static str {
    match pass {
        Pass::Forward => "forward",
        Pass::Recompute => "recompute",
        Pass::InputGradient => "input-gradient",
        Pass::WeightGradient => "weight-gradient",
        Pass::Update => "update",
    }
}
