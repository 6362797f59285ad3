//! Closed forms of sharing, claiming and ordering.

use engine::{Actions, Capacity, Driver, Fault, Finished, Pool, Resources, Task, TaskGraph, run};
use units::{SimSpan, SimTime};

fn resources(rates: &[f64]) -> (Resources, Vec<engine::CapacityId>) {
    let mut resources = Resources::default();
    let ids = rates.iter().map(|&rate| resources.add_capacity(Capacity { rate })).collect();
    (resources, ids)
}

fn check(what: &str, expected: f64, actual: SimTime) {
    let actual = actual.seconds();
    assert!((expected - actual).abs() <= 1e-9 * expected.max(1.0), "{what}: expectation {expected}, actual {actual}");
}

#[test]
fn a_lone_task_takes_its_work_over_the_rate() {
    let (resources, caps) = resources(&[4.0]);
    let mut graph = TaskGraph::default();
    graph.add(Task::new(()).demand(caps[0], 10.0).latency(SimSpan::from_picos(500_000_000_000)), &[]);
    let record = run(&resources, &mut graph).expect("runs");
    check("latency + work / rate", 0.5 + 10.0 / 4.0, record.end);
}

#[test]
fn the_slower_of_two_demands_binds() {
    let (resources, caps) = resources(&[4.0, 100.0]);
    let mut graph = TaskGraph::default();
    let slow = graph.add(Task::new(()).demand(caps[0], 8.0).demand(caps[1], 8.0), &[]);
    run(&resources, &mut graph).expect("runs");
    check("roofline", 2.0, graph.end(slow));
}

#[test]
fn three_flows_over_two_links_are_max_min() {
    // The long flow shares both links; link b is the tighter for it: 1, 1 and then 3 for the other on link a.
    let (resources, caps) = resources(&[4.0, 2.0]);
    let mut graph = TaskGraph::default();
    let long = graph.add(Task::new(()).demand(caps[0], 6.0).demand(caps[1], 6.0), &[]);
    let a = graph.add(Task::new(()).demand(caps[0], 6.0), &[]);
    let b = graph.add(Task::new(()).demand(caps[1], 6.0), &[]);
    run(&resources, &mut graph).expect("runs");
    check("flow on link a at rate 3", 2.0, graph.end(a));
    check("flow on link b at rate 1", 6.0, graph.end(b));
    check("long flow at rate 1", 6.0, graph.end(long));
}

#[test]
fn weights_and_limits_shape_the_shares() {
    let (resources, caps) = resources(&[10.0]);
    let mut graph = TaskGraph::default();
    let capped = graph.add(Task::new(()).demand(caps[0], 2.0).no_faster_than(2.0), &[]);
    let light = graph.add(Task::new(()).demand(caps[0], 6.0).weight(1.0), &[]);
    let heavy = graph.add(Task::new(()).demand(caps[0], 12.0).weight(2.0), &[]);
    run(&resources, &mut graph).expect("runs");
    // 1 for the capped one, 3 and 6 for the others.
    check("capped", 2.0, graph.end(capped));
    check("light", 2.0, graph.end(light));
    check("heavy", 2.0, graph.end(heavy));
}

#[test]
fn copies_equal_as_many_tasks() {
    let (resources, caps) = resources(&[7.0, 9.0]);
    let one_by_one = {
        let mut graph = TaskGraph::default();
        for _ in 0..7 {
            graph.add(Task::new(()).demand(caps[0], 3.1), &[]);
        }
        graph.add(Task::new(()).demand(caps[0], 1.0).demand(caps[1], 2.0), &[]);
        run(&resources, &mut graph).expect("runs")
    };
    let bundled = {
        let mut graph = TaskGraph::default();
        graph.add(Task::new(()).demand(caps[0], 3.1).copies(7), &[]);
        graph.add(Task::new(()).demand(caps[0], 1.0).demand(caps[1], 2.0), &[]);
        run(&resources, &mut graph).expect("runs")
    };
    assert_eq!(one_by_one.end, bundled.end);
    assert_eq!(one_by_one.n_copies, bundled.n_copies);
    assert_eq!(bundled.n_tasks, 2);
}

#[test]
fn claims_queue_first_come_first_served() {
    let mut resources = Resources::default();
    let cap = resources.add_capacity(Capacity { rate: 10.0 });
    let pool = resources.add_pool(Pool { count: 132 });
    let mut graph = TaskGraph::default();
    let compute = graph.add(Task::new(()).demand(cap, 1.0).no_faster_than(4.0).claim(pool, 112), &[]);
    let copy = graph.add(Task::new(()).demand(cap, 1.0).no_faster_than(2.0).claim(pool, 20), &[]);
    let late = graph.add(Task::new(()).demand(cap, 1.0).no_faster_than(1.0).claim(pool, 20), &[]);
    run(&resources, &mut graph).expect("runs");
    check("compute beside the copy", 4.0, graph.end(compute));
    check("copy beside compute", 2.0, graph.end(copy));
    check("the next copy waits for the first", 3.0, graph.end(late));
}

#[test]
fn a_claim_larger_than_its_pool_is_stuck_and_says_so() {
    let mut resources = Resources::default();
    let pool = resources.add_pool(Pool { count: 1 });
    let mut graph = TaskGraph::default();
    graph.add(Task::new(()).claim(pool, 2), &[]);
    let stuck = run(&resources, &mut graph).expect_err("can never start");
    assert_eq!(stuck, Fault::Stuck { at: SimTime::ZERO, n_tasks: 1 });
    assert!(stuck.to_string().contains("1 tasks wait"), "{stuck}");
}

#[test]
fn predecessors_end_before_their_successors_start() {
    let (resources, caps) = resources(&[1.0]);
    let mut graph = TaskGraph::default();
    let first = graph.add(Task::new(()).demand(caps[0], 1.0), &[]);
    let nothing = graph.add(Task::new(()), &[first]);
    let last = graph.add(Task::new(()).demand(caps[0], 2.0), &[nothing]);
    run(&resources, &mut graph).expect("runs");
    check("a task that asks for nothing takes no time", 1.0, graph.end(nothing));
    check("chain", 3.0, graph.end(last));
}

/// Changes the link's rate half way, and is woken when it asked to be.
struct Throttle {
    link: engine::CapacityId,
    woken_at: Vec<SimTime>,
}

impl Driver for Throttle {
    type Tag = ();
    fn begin(&mut self, actions: &mut Actions<()>) {
        actions.submit(Task::new(()).demand(self.link, 10.0));
        actions.wake(SimTime::from_picos(500_000_000_000), 7);
    }
    fn finished(&mut self, _task: &Finished<()>, _actions: &mut Actions<()>) {}
    fn woken(&mut self, token: u64, now: SimTime, actions: &mut Actions<()>) {
        assert_eq!(token, 7);
        self.woken_at.push(now);
        actions.set_rate(self.link, 2.5);
    }
}

#[test]
fn a_rate_can_change_while_tasks_draw() {
    let (resources, caps) = resources(&[10.0]);
    let mut throttle = Throttle { link: caps[0], woken_at: Vec::new() };
    let record = run(&resources, &mut throttle).expect("runs");
    check("half at 10, half at 2.5", 0.5 + 5.0 / 2.5, record.end);
    assert_eq!(throttle.woken_at.len(), 1);
}
