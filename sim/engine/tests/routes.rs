//! Routes: capacities that a task draws from alike, listed once.

use engine::{Capacity, CapacityId, Fault, Resources, Task, TaskGraph, run};
use proptest::prelude::*;
use units::SimTime;

fn resources(rates: &[f64]) -> (Resources, Vec<CapacityId>) {
    let mut resources = Resources::default();
    let ids = rates.iter().map(|&rate| resources.add_capacity(Capacity { rate })).collect();
    (resources, ids)
}

fn close(expected: f64, actual: SimTime) -> bool {
    (expected - actual.seconds()).abs() <= 1e-9 * expected.max(1.0)
}

#[test]
fn a_trunk_on_their_routes_slows_messages_whose_ports_are_free() {
    // Eight ports of 10 units per second each way, over a trunk of 20: four messages get 5 each.
    let (mut resources, ports) = resources(&[10.0; 8]);
    let trunk = resources.add_capacity(Capacity { rate: 20.0 });
    let mut graph = TaskGraph::default();
    let messages: Vec<_> = (0..4)
        .map(|i| {
            let route = resources.add_route(&[ports[i], trunk, ports[4 + i]]);
            graph.add(Task::new(()).along(route, 10.0), &[])
        })
        .collect();
    run(&resources, &mut graph).expect("runs");
    for message in messages {
        assert!(close(2.0, graph.end(message)), "{}", graph.end(message));
    }
}

#[test]
fn the_narrowest_of_a_long_route_binds() {
    let rates: Vec<f64> = (0..12).map(|i| 100.0 - f64::from(i)).collect();
    let (mut resources, ids) = resources(&rates);
    let route = resources.add_route(&ids);
    let mut graph = TaskGraph::default();
    graph.add(Task::new(()).along(route, 89.0 * 3.0), &[]);
    let record = run(&resources, &mut graph).expect("runs");
    assert!(close(3.0, record.end), "{}", record.end);
    assert!(record.served.iter().all(|&served| served == 89.0 * 3.0), "each serves all of it: {:?}", record.served);
}

#[test]
fn an_empty_route_slows_nothing() {
    let (mut resources, _) = resources(&[1.0]);
    let route = resources.add_route(&[]);
    let mut graph = TaskGraph::default();
    graph.add(Task::new(()).along(route, 1e9).no_faster_than(0.25), &[]);
    graph.add(Task::new(()).along(route, 1e9), &[]);
    let record = run(&resources, &mut graph).expect("runs");
    assert!(close(0.25, record.end), "{}", record.end);
}

#[test]
fn a_task_that_draws_twice_from_a_capacity_is_served_within_its_rate() {
    // In all ways to write it: 2 x 10 units at 10 units per second.
    let (mut resources, ids) = resources(&[10.0, 40.0]);
    let route = resources.add_route(&[ids[0], ids[0]]);
    for task in [
        Task::new(()).demand(ids[0], 10.0).demand(ids[0], 10.0),
        Task::new(()).demand(ids[1], 1.0).demand(ids[0], 10.0).demand(ids[0], 10.0),
        Task::drawing((), [(ids[0], 10.0), (ids[0], 10.0)]),
        Task::new(()).along(route, 10.0),
    ] {
        let mut graph = TaskGraph::default();
        graph.add(task, &[]);
        let record = run(&resources, &mut graph).expect("runs");
        assert!(close(2.0, record.end), "{}", record.end);
        assert!(record.served[0] <= 10.0 * record.end.seconds() * (1.0 + 1e-9));
    }
}

fn graph(resources: &Resources, tasks: &[Task<()>]) -> (Vec<SimTime>, Result<(), Fault>) {
    let mut graph = TaskGraph::default();
    let ids: Vec<_> = tasks.iter().map(|task| graph.add(*task, &[])).collect();
    let result = run(resources, &mut graph).map(|_| ());
    (ids.into_iter().map(|id| graph.end(id)).collect(), result)
}

proptest! {
    #[test]
    fn a_route_is_as_its_capacities_one_by_one(
        rates in prop::collection::vec(1..50u32, 6),
        tasks in prop::collection::vec((prop::collection::vec(0..6usize, 1..5), 1..40u32, 0..3u32), 1..20),
    ) {
        let rates: Vec<f64> = rates.into_iter().map(f64::from).collect();
        let (mut with_routes, ids) = resources(&rates);
        let mut one_by_one = Vec::new();
        let mut along = Vec::new();
        for (capacities, amount, shortest) in &tasks {
            let capacities: Vec<CapacityId> = capacities.iter().map(|&i| ids[i]).collect();
            let task = Task::new(()).no_faster_than(f64::from(*shortest));
            one_by_one.push(capacities.iter().fold(task, |task, &id| task.demand(id, f64::from(*amount))));
            let route = with_routes.add_route(&capacities);
            along.push(task.along(route, f64::from(*amount)));
        }
        let (ends, lawful) = graph(&with_routes, &one_by_one);
        prop_assert_eq!(&lawful, &Ok(()));
        prop_assert_eq!((ends, lawful), graph(&with_routes, &along));
    }
}
