//! One row an op.

use platform::ExchangeKind;
use report::OpRow;

use super::FinishedRun;
use super::bounds::bounds;
use super::shares::slowest;

/// What is put behind the name of an op that ran beside communication, on the SMs an overlapped pair leaves it.
pub const IN_PAIRS: &str = " (pair)";

/// Ops that ran, largest first; counts and seconds are means over the ranks simulated.
pub(super) fn rows(run: &FinishedRun<'_>) -> Vec<OpRow> {
    let n = f64::from(run.n_simulated());
    let bounds = bounds(run.program);
    let ops = run.program.ops.iter().zip(&run.outcome.ops).zip(&bounds).filter(|((_, total), _)| total.count > 0);
    let row = |((name, total), bounds): ((&plan::OpName, &plan::OpTotal), &super::bounds::Bounds)| {
        let (binding, key) = bounds.most(total);
        OpRow {
            op: format!("{}{}", name.name, if name.overlapped { IN_PAIRS } else { "" }),
            pass: name.pass.name().to_owned(),
            count: total.count as f64 / n,
            seconds_each: total.span.seconds() / total.count as f64,
            seconds: run.mean(total.span),
            binding: binding.to_owned(),
            basis: run.plan.site.profile.get(key).basis.name().to_owned(),
        }
    };
    let exchanges = [("dispatch", ExchangeKind::Dispatch), ("combine", ExchangeKind::Combine)];
    let exchanges = exchanges.into_iter().filter_map(|(name, kind)| exchange(run, name, kind));
    let mut rows: Vec<OpRow> = ops.map(row).chain(exchanges).collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| (&a.op, &a.pass).cmp(&(&b.op, &b.pass))));
    rows
}

/// Transfers of one kind, lone and in pairs, forward and backward; none of a model without experts.
fn exchange(run: &FinishedRun<'_>, name: &str, kind: ExchangeKind) -> Option<OpRow> {
    let total = run.outcome.exchanges[kind as usize];
    let template = &run.program.exchanges.first()?[kind as usize];
    let delivery = run.plan.job.policy.exchange;
    let key = slowest(run.program, &run.plan.job.policy, template, kind as usize);
    let [up, out] = delivery.fractions().map(|keys| keys.contains(&key));
    let binding = if out {
        "scale_out"
    } else if up {
        "scale_up"
    } else {
        "copy_sms"
    };
    (total.count > 0).then(|| OpRow {
        op: name.to_owned(),
        pass: "both".to_owned(),
        count: total.count as f64 / f64::from(run.n_simulated()),
        seconds_each: total.transferred.seconds() / total.count as f64,
        seconds: run.mean(total.transferred),
        binding: binding.to_owned(),
        basis: run.plan.site.profile.get(key).basis.name().to_owned(),
    })
}
