//! The incremental solve against a slow one over everything, on random graphs.

use engine::{Capacity, CapacityId, Resources, Task, TaskGraph, run};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Job {
    demands: Vec<(usize, f64)>,
    weight: f64,
    shortest: f64,
    after: Option<usize>,
}

fn jobs(n_capacities: usize) -> impl Strategy<Value = Vec<Job>> {
    let demand = (0..n_capacities, 1..40u32).prop_map(|(capacity, amount)| (capacity, f64::from(amount)));
    let job = (
        prop::collection::vec(demand, 1..4),
        1..5u32,
        prop_oneof![Just(0.0), (1..30u32).prop_map(f64::from)],
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    prop::collection::vec(job, 1..40).prop_map(|jobs| {
        jobs.into_iter()
            .enumerate()
            .map(|(i, (demands, weight, shortest, index, chained))| {
                let after = (chained && i > 0).then(|| index.index(i));
                Job { demands, weight: f64::from(weight), shortest, after }
            })
            .collect()
    })
}

/// Fluid simulation in floating time that solves everything at every event.
fn slow(rates: &[f64], jobs: &[Job]) -> Vec<f64> {
    let mut left: Vec<f64> = vec![1.0; jobs.len()];
    let mut end: Vec<Option<f64>> = vec![None; jobs.len()];
    let mut now = 0.0;
    loop {
        let active: Vec<usize> = (0..jobs.len())
            .filter(|&i| end[i].is_none() && jobs[i].after.is_none_or(|before| end[before].is_some()))
            .collect();
        if active.is_empty() {
            return end.into_iter().map(|end| end.expect("all ended")).collect();
        }
        let progress = solve(rates, jobs, &active);
        let step = active.iter().map(|&i| left[i] / progress[i]).fold(f64::INFINITY, f64::min);
        now += step;
        for &i in &active {
            left[i] -= progress[i] * step;
            if left[i] <= 1e-10 {
                end[i] = Some(now);
            }
        }
    }
}

fn solve(rates: &[f64], jobs: &[Job], active: &[usize]) -> Vec<f64> {
    let mut progress = vec![0.0; jobs.len()];
    let mut open: Vec<usize> = active.to_vec();
    while !open.is_empty() {
        let per_level = |i: usize| jobs[i].weight / jobs[i].demands[0].1;
        let level_of = |c: usize, open: &[usize]| {
            let given: f64 = active
                .iter()
                .filter(|i| !open.contains(i))
                .flat_map(|&i| jobs[i].demands.iter().filter(|d| d.0 == c).map(move |d| (i, d.1)))
                .map(|(i, amount)| amount * progress[i])
                .sum();
            let load: f64 = open
                .iter()
                .flat_map(|&i| jobs[i].demands.iter().filter(|d| d.0 == c).map(move |d| (i, d.1)))
                .map(|(i, amount)| amount * per_level(i))
                .sum();
            if load > 0.0 { ((rates[c] - given) / load).max(0.0) } else { f64::INFINITY }
        };
        let (c, level) =
            (0..rates.len()).map(|c| (c, level_of(c, &open))).min_by(|a, b| a.1.total_cmp(&b.1)).expect("capacities");
        let limit = |i: usize| {
            if jobs[i].shortest > 0.0 { 1.0 / jobs[i].shortest / per_level(i) } else { f64::INFINITY }
        };
        let first = open.iter().copied().min_by(|a, b| limit(*a).total_cmp(&limit(*b))).expect("open");
        if limit(first) <= level {
            progress[first] = 1.0 / jobs[first].shortest;
            open.retain(|&i| i != first);
        } else {
            for &i in open.iter().filter(|&&i| jobs[i].demands.iter().any(|d| d.0 == c)) {
                progress[i] = level * per_level(i);
            }
            open.retain(|&i| !jobs[i].demands.iter().any(|d| d.0 == c));
        }
    }
    progress
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_everything(rates in prop::collection::vec(1..50u32, 2..7), seed in jobs(2)) {
        check(&rates, &seed)?;
    }

    #[test]
    fn incremental_equals_everything_on_many_capacities(rates in prop::collection::vec(1..50u32, 8..9), seed in jobs(8)) {
        check(&rates, &seed)?;
    }
}

fn check(rates: &[u32], jobs: &[Job]) -> Result<(), TestCaseError> {
    let rates: Vec<f64> = rates.iter().copied().map(f64::from).collect();
    let mut resources = Resources::default();
    let ids: Vec<CapacityId> = rates.iter().map(|&rate| resources.add_capacity(Capacity { rate })).collect();
    let mut graph = TaskGraph::default();
    let mut tasks = Vec::new();
    for job in jobs {
        let mut task = Task::new(()).weight(job.weight).no_faster_than(job.shortest);
        for &(capacity, amount) in &job.demands {
            task = task.demand(ids[capacity], amount);
        }
        let after: Vec<_> = job.after.map(|before| tasks[before]).into_iter().collect();
        tasks.push(graph.add(task, &after));
    }
    let record = run(&resources, &mut graph).expect("runs");
    for (expected, task) in slow(&rates, jobs).into_iter().zip(tasks) {
        let actual = graph.end(task).seconds();
        prop_assert!((expected - actual).abs() <= 1e-6 * expected.max(1.0), "expectation {expected}, actual {actual}");
    }
    let asked: f64 = jobs.iter().flat_map(|job| &job.demands).map(|demand| demand.1).sum();
    let served: f64 = record.served.iter().sum();
    prop_assert!((asked - served).abs() <= 1e-9 * asked);
    Ok(())
}
