//! Throughput of the engine: simple tasks, alone and in turn, and messages that share links.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::{Actions, Capacity, CapacityId, Driver, Finished, List, Resources, Task, Turn, run};
use std::hint::black_box;
use units::SimSpan;

/// Chains of tasks, each on a capacity of its own: a start, an end and a small solve each.
struct Chains {
    capacities: Vec<CapacityId>,
    left: Vec<u32>,
    /// Tasks that are submitted at once, in turn; none: each at the end of the one before.
    in_turn: Option<u32>,
}

impl Driver for Chains {
    type Tag = u32;
    fn begin(&mut self, actions: &mut Actions<u32>) {
        for chain in 0..self.capacities.len() as u32 {
            self.go_on(chain, actions);
        }
    }
    fn finished(&mut self, task: &Finished<u32>, actions: &mut Actions<u32>) {
        self.ended(task.tag, 1, actions);
    }
    fn listed(&self, list: List, index: u32) -> Task<()> {
        self.task((), list.0 as u32, self.left[list.0 as usize] - index)
    }
    fn chain_ended(&mut self, list: List, turns: &[Turn], actions: &mut Actions<u32>) {
        self.ended(list.0 as u32, turns.len() as u32, actions);
    }
}

impl Chains {
    fn ended(&mut self, chain: u32, n: u32, actions: &mut Actions<u32>) {
        self.left[chain as usize] -= n;
        if self.left[chain as usize] > 0 {
            self.go_on(chain, actions);
        }
    }

    fn go_on(&self, chain: u32, actions: &mut Actions<u32>) {
        let left = self.left[chain as usize];
        match self.in_turn {
            None => Some(actions.submit(self.task(chain, chain, left))),
            Some(n) => actions.submit_in_turn(List(u64::from(chain)), n.min(left)),
        };
    }

    fn task<T>(&self, tag: T, chain: u32, left: u32) -> Task<T> {
        let amount = 1.0 + f64::from(chain % 7) + f64::from(left % 5);
        let latency = SimSpan::from_picos(if self.in_turn.is_some() { 1000 } else { 0 });
        Task::new(tag).demand(self.capacities[chain as usize], amount).no_faster_than(amount).latency(latency)
    }
}

fn simple_tasks(c: &mut Criterion) {
    let mut group = c.benchmark_group("simple tasks");
    let cases = [(16_u32, None), (2048, None), (16, Some(20)), (2048, Some(20))];
    for (n_chains, in_turn) in cases {
        // A multiple of what is submitted at once.
        let n_each = 400_000 / n_chains / 20 * 20;
        group.throughput(Throughput::Elements(u64::from(n_chains * n_each)));
        group.sample_size(10);
        let how = if in_turn.is_some() { ", 20 in turn" } else { "" };
        group.bench_function(format!("{n_chains} at a time{how}"), |b| {
            let mut resources = Resources::default();
            let capacities: Vec<CapacityId> =
                (0..n_chains).map(|_| resources.add_capacity(Capacity { rate: 2.0 })).collect();
            b.iter(|| {
                let left = vec![n_each; n_chains as usize];
                black_box(run(&resources, &mut Chains { capacities: capacities.clone(), left, in_turn }))
            });
        });
    }
    group.finish();
}

/// One all-to-all of `n` ports with slightly uneven messages: every end changes the shares of others.
struct Uneven {
    send: Vec<CapacityId>,
    receive: Vec<CapacityId>,
}

impl Driver for Uneven {
    type Tag = ();
    fn begin(&mut self, actions: &mut Actions<()>) {
        for (i, &send) in self.send.iter().enumerate() {
            for (j, &receive) in self.receive.iter().enumerate().filter(|(j, _)| *j != i) {
                let bytes = 100.0 + ((i * 31 + j * 17) % 13) as f64;
                actions.submit(Task::new(()).demand(send, bytes).demand(receive, bytes));
            }
        }
    }
    fn finished(&mut self, _task: &Finished<()>, _actions: &mut Actions<()>) {}
}

fn uneven_flows(c: &mut Criterion) {
    let mut group = c.benchmark_group("uneven all-to-all");
    for n in [8_usize, 64] {
        group.throughput(Throughput::Elements((n * (n - 1)) as u64));
        group.sample_size(10);
        group.bench_function(format!("{n} ports"), |b| {
            let mut resources = Resources::default();
            let mut ports = || (0..n).map(|_| resources.add_capacity(Capacity { rate: 50.0 })).collect::<Vec<_>>();
            let (send, receive) = (ports(), ports());
            b.iter(|| {
                let mut driver = Uneven { send: send.clone(), receive: receive.clone() };
                black_box(run(&resources, &mut driver))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, simple_tasks, uneven_flows);
criterion_main!(benches);
