//! Layouts of a training step on the devices that it has.

use plan::Train;
use study::{Change, SearchAxis};
use toml::Value;

use super::{Open, count, of_key, powers};

/// Stages of a pipeline, at most.
const PP_MAX: u64 = 64;
/// Sequences from here on are split over context-parallel ranks.
const LONG: u64 = 32_768;
/// Experts that a rank holds, at most, where there are more than this.
const EXPERTS_MAX: u64 = 64;

pub(super) fn dimensions(open: &mut Open<'_>, job: &Train) -> Vec<SearchAxis> {
    let mut dimensions = vec![layouts(open, job)];
    if let Some(experts) = &job.model.experts {
        let (routed, ep) = (u64::from(experts.routed), u64::from(job.parallel.ep));
        let least = (routed / EXPERTS_MAX).max(1);
        let degrees = open.counts("parallel.ep", powers(routed).filter(|n| *n >= least).chain([ep]));
        dimensions.push(of_key("parallel.ep", degrees.into_iter().map(count).collect()));
    }
    let micro_batches = open.counts("job.micro-batch", [1, 2, 4, job.micro_batch]);
    dimensions.push(of_key("job.micro-batch", micro_batches.into_iter().map(count).collect()));
    let again = open.values("policy.recompute.full", vec![Value::Boolean(false), Value::Boolean(true)]);
    dimensions.push(of_key("policy.recompute.full", again));
    dimensions
}

/// Tensor, pipeline and context parallelism with what is left to replicas, and the schedule where there is a pipeline.
fn layouts(open: &mut Open<'_>, job: &Train) -> SearchAxis {
    let parallel = &job.parallel;
    let [tp, pp, cp] = [parallel.tp, parallel.pp, parallel.cp].map(u64::from);
    let n_ranks = tp * pp * cp * u64::from(parallel.dp);
    let machine = &open.base.plan.site.machine;
    let is_given = ["parallel.tp", "parallel.pp", "parallel.cp"].iter().any(|key| open.given.contains_key(*key));
    let in_node = u64::from(machine.node.devices).min(n_ranks);
    let tensor = open.counts("parallel.tp", powers(in_node).chain([tp]));
    let pipeline = open.counts("parallel.pp", powers(PP_MAX.min(u64::from(job.model.layers))).chain([pp]));
    let context = if job.sequence >= LONG { powers(in_node).collect() } else { Vec::new() };
    let context = open.counts("parallel.cp", context.into_iter().chain([cp]));
    let own = job.policy.schedule.name();
    let mut schedules = vec!["1f1b", "zb1p"];
    schedules.extend(job.model.experts.is_some().then_some("dual-pipe"));
    schedules.extend((!schedules.contains(&own)).then_some(own));
    let schedules = open.values("policy.schedule", schedules.into_iter().map(Value::from).collect());
    let mut options = Vec::new();
    for (tp, pp, cp) in combinations(&tensor, &pipeline, &context) {
        let of_replica = tp.checked_mul(pp).and_then(|ranks| ranks.checked_mul(cp));
        let replicas =
            of_replica.filter(|ranks| *ranks > 0 && n_ranks.is_multiple_of(*ranks)).map(|ranks| n_ranks / ranks);
        // What was asked for and does not divide the ranks is a candidate that the loader refuses.
        if replicas.is_none() && !is_given {
            continue;
        }
        let layout = layout(open, [tp, pp, cp], replicas);
        // One stage has no order of chunks.
        let orders = if pp == 1 { &schedules[..1] } else { &schedules[..] };
        for schedule in orders {
            let schedule = open.change("policy.schedule", schedule.clone());
            options.push(layout.iter().cloned().chain(schedule).collect());
        }
    }
    SearchAxis { name: "layout".to_owned(), options }
}

fn combinations<'a>(a: &'a [u64], b: &'a [u64], c: &'a [u64]) -> impl Iterator<Item = (u64, u64, u64)> + 'a {
    a.iter().flat_map(move |a| b.iter().flat_map(move |b| c.iter().map(move |c| (*a, *b, *c))))
}

fn layout(open: &Open<'_>, [tp, pp, cp]: [u64; 3], replicas: Option<u64>) -> Vec<Change> {
    let degrees = [("parallel.tp", tp), ("parallel.pp", pp), ("parallel.cp", cp)];
    let mut changes: Vec<Change> = degrees.iter().filter_map(|(key, n)| open.change(key, count(*n))).collect();
    if !open.is_auto("parallel.dp") {
        changes.extend(open.change("parallel.dp", replicas.map_or_else(|| Value::from("auto"), count)));
    }
    let pipeline_is_new = changes.iter().any(|change| change.key == "parallel.pp");
    if pipeline_is_new && !open.is_auto("parallel.stages") {
        changes.extend(open.change("parallel.stages", Value::from("auto")));
    }
    if tp > 1 {
        changes.extend(open.change("policy.sequence-parallel", Value::Boolean(true)));
    }
    changes
}
