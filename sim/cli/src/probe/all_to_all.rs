//! One dispatch and one combine with the machine to themselves.

use plan::{Folding, Layout, Plan, PlanError, Program};
use platform::{Delivery, ExchangeKind, ExchangeTemplate};
use report::format::{bytes, seconds};
use serde_json::json;

use crate::args::AllToAllArgs;
use crate::exit::Failure;
use crate::run::pretty;

/// What one of the two came to, mean over the sampled batches.
#[derive(Clone, Copy, Debug)]
struct Answer {
    seconds: f64,
    transfer_seconds: f64,
    scale_up_bytes: f64,
    scale_out_bytes: f64,
    algorithm_bandwidth: f64,
    transfer_bandwidth: f64,
}

/// One dispatch and one combine of a scenario's expert-parallel group, message by message.
pub(crate) fn all_to_all(args: &AllToAllArgs) -> Result<String, Failure> {
    let prepared = tunnel::Prepared::load(&args.scenario, &args.layers.sets, &args.layers.library()?)?;
    let mut plan = prepared.loaded.plan;
    // Folded messages are means; here each one is asked for.
    plan.simulation.folding = Folding::None;
    let program = plan::lower(&plan)?;
    let [dispatch, combine] = answers(&plan, &program)?;
    if args.json {
        let seconds = dispatch.seconds + combine.seconds;
        let [dispatch, combine] = [dispatch, combine].map(as_json);
        return Ok(pretty(&json!({ "dispatch": dispatch, "combine": combine, "seconds": seconds })));
    }
    let mut text = format!("{}, group of {} ranks\n", plan.name, plan.job.parallel.ep);
    for (name, answer) in [("dispatch", dispatch), ("combine", combine)] {
        text.push_str(&format!(
            "{name:<9} {:>9}   scale-up {:>9}   scale-out {:>9}   {}/s a rank\n",
            seconds(answer.seconds),
            bytes(answer.scale_up_bytes),
            bytes(answer.scale_out_bytes),
            bytes(answer.algorithm_bandwidth)
        ));
    }
    Ok(text)
}

fn answers(plan: &Plan, program: &Program) -> Result<[Answer; 2], Failure> {
    let shape = plan::shape(plan);
    let sizes = workloads::step::exchange(&plan.job.model, &shape);
    let (Some(sizes), Some(pool)) = (sizes, &program.pool) else {
        return Err(Failure::usage(format!(
            "`{}` has no all-to-all: no token leaves its rank\nhint: it takes a model with experts and `parallel.ep` above 1",
            plan.name
        )));
    };
    let layout = Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
    // What bandwidths count of a token, the places it is already in included, as public tests do.
    let counted = match plan.job.policy.exchange {
        Delivery::Forwarded if layout.experts().n_nodes > 1 => pool.nodes_per_token().mean,
        Delivery::Forwarded => pool.ranks_per_token().mean,
        Delivery::Direct => f64::from(pool.layout().top_k),
    };
    let tokens = shape.tokens_sequence_parallel() as f64 * counted;
    let of = |kind: ExchangeKind, token_bytes: f64| {
        let mean = |of: fn(&ExchangeTemplate) -> f64| {
            let all = program.exchanges.iter().map(|batch| of(&batch[kind as usize]));
            all.sum::<f64>() / program.exchanges.len() as f64
        };
        let transfer_seconds = mean(|template| template.alone.get());
        let seconds = mean(|template| template.alone.get() + template.latency.seconds());
        Answer {
            seconds,
            transfer_seconds,
            scale_up_bytes: mean(|template| template.up_bytes),
            scale_out_bytes: mean(|template| template.out_bytes),
            algorithm_bandwidth: tokens * token_bytes / seconds,
            transfer_bandwidth: tokens * token_bytes / transfer_seconds,
        }
    };
    let answers = [
        of(ExchangeKind::Dispatch, sizes.dispatch_bytes_per_token.get()),
        of(ExchangeKind::Combine, sizes.combine_bytes_per_token.get()),
    ];
    if answers.iter().any(|answer| !(answer.seconds > 0.0 && answer.seconds.is_finite())) {
        return Err(PlanError::Fault(format!("an all-to-all of {} s", answers[0].seconds)).into());
    }
    Ok(answers)
}

fn as_json(answer: Answer) -> serde_json::Value {
    json!({
        "seconds": answer.seconds,
        "transfer_seconds": answer.transfer_seconds,
        "scale_up_bytes": answer.scale_up_bytes,
        "scale_out_bytes": answer.scale_out_bytes,
        "algorithm_bandwidth": answer.algorithm_bandwidth,
        "transfer_bandwidth": answer.transfer_bandwidth,
    })
}
