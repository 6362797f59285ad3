//! Collectives of 1,024 ranks with every message and every step of its own, on nodes of eight.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::{Actions, Capacity, CapacityId, Driver, Finished, Resources, Task, run};
use std::hint::black_box;

const N_RANKS: usize = 1024;
const N_DEVICES: usize = 8;
const UP: f64 = 160e9;
const OUT: f64 = 40e9;
const MIB: f64 = 1024.0 * 1024.0;

/// Ports of all ranks: sending and receiving, within a node and between nodes.
#[derive(Clone)]
struct Ports {
    up: [Vec<CapacityId>; 2],
    out: [Vec<CapacityId>; 2],
}

impl Ports {
    fn new(resources: &mut Resources) -> Self {
        let mut add = |rate| (0..N_RANKS).map(|_| resources.add_capacity(Capacity { rate })).collect();
        Self { up: [add(UP), add(UP)], out: [add(OUT), add(OUT)] }
    }

    fn message(&self, from: usize, to: usize, bytes: f64) -> Task<u32> {
        let [send, receive] = if from / N_DEVICES == to / N_DEVICES { &self.up } else { &self.out };
        Task::new(from as u32).demand(send[from], bytes).demand(receive[to], bytes)
    }
}

/// Every ordered pair's message at once.
struct AllToAll {
    ports: Ports,
    bytes: f64,
}

impl Driver for AllToAll {
    type Tag = u32;
    fn begin(&mut self, actions: &mut Actions<u32>) {
        for from in 0..N_RANKS {
            for to in (0..N_RANKS).filter(|&to| to != from) {
                actions.submit(self.ports.message(from, to, self.bytes / N_RANKS as f64));
            }
        }
    }
    fn finished(&mut self, _task: &Finished<u32>, _actions: &mut Actions<u32>) {}
}

/// A ring all-reduce: a rank sends a piece on when it has sent the one before and received the next.
struct Ring {
    ports: Ports,
    bytes: f64,
    sent: Vec<u32>,
    received: Vec<u32>,
    sending: Vec<bool>,
}

impl Ring {
    const N_STEPS: u32 = 2 * (N_RANKS as u32 - 1);

    fn try_send(&mut self, rank: usize, actions: &mut Actions<u32>) {
        let ready = self.received[rank] >= self.sent[rank] && !self.sending[rank];
        if ready && self.sent[rank] < Self::N_STEPS {
            self.sending[rank] = true;
            actions.submit(self.ports.message(rank, (rank + 1) % N_RANKS, self.bytes / N_RANKS as f64));
        }
    }
}

impl Driver for Ring {
    type Tag = u32;
    fn begin(&mut self, actions: &mut Actions<u32>) {
        for rank in 0..N_RANKS {
            self.try_send(rank, actions);
        }
    }
    fn finished(&mut self, task: &Finished<u32>, actions: &mut Actions<u32>) {
        let (from, to) = (task.tag as usize, (task.tag as usize + 1) % N_RANKS);
        self.sent[from] += 1;
        self.received[to] += 1;
        self.sending[from] = false;
        self.try_send(from, actions);
        self.try_send(to, actions);
    }
}

fn collectives(c: &mut Criterion) {
    let mut group = c.benchmark_group("1,024 ranks");
    group.sample_size(10);
    let mut resources = Resources::default();
    let ports = Ports::new(&mut resources);
    let n_flows = (N_RANKS * (N_RANKS - 1)) as u64;
    group.throughput(Throughput::Elements(n_flows));
    group.bench_function("all-to-all of 64 MiB, every message", |b| {
        b.iter(|| {
            let record = run(&resources, &mut AllToAll { ports: ports.clone(), bytes: 64.0 * MIB }).expect("runs");
            let between = (N_RANKS - N_DEVICES) as f64 / N_RANKS as f64;
            let bound = 64.0 * MIB * between / OUT;
            assert_eq!(record.n_tasks, n_flows);
            assert!((record.end.seconds() / bound - 1.0).abs() < 1e-3);
            black_box(record)
        });
    });
    let n_steps = N_RANKS as u64 * u64::from(Ring::N_STEPS);
    group.throughput(Throughput::Elements(n_steps));
    group.bench_function("ring all-reduce of 256 MiB, every step", |b| {
        b.iter(|| {
            let (sent, received, sending) = (vec![0; N_RANKS], vec![0; N_RANKS], vec![false; N_RANKS]);
            let mut ring = Ring { ports: ports.clone(), bytes: 256.0 * MIB, sent, received, sending };
            let record = run(&resources, &mut ring).expect("runs");
            // Every piece crosses from node to node, and nobody is ahead of the slowest link.
            let bound = f64::from(Ring::N_STEPS) * 256.0 * MIB / N_RANKS as f64 / OUT;
            assert_eq!(record.n_tasks, n_steps);
            assert!((record.end.seconds() / bound - 1.0).abs() < 1e-3);
            black_box(record)
        });
    });
    group.finish();
}

criterion_group!(benches, collectives);
criterion_main!(benches);
