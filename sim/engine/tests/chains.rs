//! Tasks submitted in turn behave, to the bit, as tasks submitted each at the end of the one before.

use std::collections::VecDeque;

use engine::{
    Actions, Bound, Capacity, CapacityId, Driver, Finished, List, Pool, PoolId, Record, Resources, Task, Turn, run,
};
use proptest::prelude::*;
use units::{SimSpan, SimTime};

/// One kernel: latency in picoseconds, units of two capacities, shortest time, SMs.
type Kernel = (u64, f64, f64, f64, u32);

/// Ranks that run kernels in turn, and others that draw beside them, claim their SMs or change their rates.
#[derive(Clone)]
struct Ranks {
    memory: Vec<CapacityId>,
    tensor: Vec<CapacityId>,
    sms: Vec<PoolId>,
    chains: Vec<VecDeque<Vec<Kernel>>>,
    /// When, on which rank, units of memory, shortest time, SMs.
    strangers: Vec<(u64, usize, f64, f64, u32)>,
    rates: Vec<(u64, usize, f64)>,
    in_turn: bool,
    waiting: Vec<VecDeque<Kernel>>,
    /// The chain that each rank is at.
    running: Vec<Vec<Kernel>>,
    ends: Vec<(u32, SimTime, SimTime, Bound)>,
}

const STRANGER: u32 = 1_000_000;

impl Ranks {
    fn task<T>(&self, tag: T, rank: usize, (latency, memory, tensor, shortest, sms): Kernel) -> Task<T> {
        Task::new(tag)
            .demand(self.memory[rank], memory)
            .demand(self.tensor[rank], tensor)
            .weight(f64::from(sms.max(1)))
            .no_faster_than(shortest)
            .latency(SimSpan::from_picos(latency))
            .claim(self.sms[rank], sms)
    }

    fn next_chain(&mut self, rank: usize, actions: &mut Actions<u32>) {
        let Some(chain) = self.chains[rank].pop_front() else { return };
        if self.in_turn {
            actions.submit_in_turn(List(rank as u64), chain.len() as u32);
            self.running[rank] = chain;
        } else {
            self.waiting[rank] = chain.into();
            self.next_kernel(rank, actions);
        }
    }

    fn next_kernel(&mut self, rank: usize, actions: &mut Actions<u32>) {
        match self.waiting[rank].pop_front() {
            Some(kernel) => {
                actions.submit(self.task(rank as u32, rank, kernel));
            }
            None => self.next_chain(rank, actions),
        }
    }
}

impl Driver for Ranks {
    type Tag = u32;

    fn begin(&mut self, actions: &mut Actions<u32>) {
        for (token, &(at, ..)) in self.strangers.iter().enumerate() {
            actions.wake(SimTime::from_picos(at), token as u64);
        }
        for (token, &(at, ..)) in self.rates.iter().enumerate() {
            actions.wake(SimTime::from_picos(at), u64::from(STRANGER) + token as u64);
        }
        for rank in 0..self.chains.len() {
            self.next_chain(rank, actions);
        }
    }

    fn finished(&mut self, task: &Finished<u32>, actions: &mut Actions<u32>) {
        self.ends.push((task.tag, task.start, task.end, task.bound));
        if task.tag >= STRANGER {
            return;
        }
        self.next_kernel(task.tag as usize, actions);
    }

    fn listed(&self, list: List, index: u32) -> Task<()> {
        let rank = list.0 as usize;
        self.task((), rank, self.running[rank][index as usize])
    }

    fn chain_ended(&mut self, list: List, turns: &[Turn], actions: &mut Actions<u32>) {
        let rank = list.0 as usize;
        assert_eq!(turns.len(), self.running[rank].len(), "every task of a chain has its turn");
        self.ends.extend(turns.iter().map(|turn| (rank as u32, turn.start, turn.end, turn.bound)));
        self.next_chain(rank, actions);
    }

    fn woken(&mut self, token: u64, _now: SimTime, actions: &mut Actions<u32>) {
        let token = token as u32;
        if token >= STRANGER {
            let (_, rank, rate) = self.rates[(token - STRANGER) as usize];
            actions.set_rate(self.memory[rank % self.memory.len()], rate);
            return;
        }
        let (_, rank, memory, shortest, sms) = self.strangers[token as usize];
        let rank = rank % self.memory.len();
        let task = Task::new(STRANGER + token)
            .demand(self.memory[rank], memory)
            .weight(f64::from(sms.max(1)))
            .no_faster_than(shortest)
            .latency(SimSpan::from_picos(3))
            .claim(self.sms[rank], sms);
        actions.submit(task);
    }
}

fn play(ranks: &Ranks, resources: &Resources, in_turn: bool) -> (Record, Vec<(u32, SimTime, SimTime, Bound)>) {
    let mut ranks = Ranks { in_turn, ..ranks.clone() };
    let record = run(resources, &mut ranks).expect("runs");
    ranks.ends.sort();
    (record, ranks.ends)
}

/// What is left of a task is a sum that the two ways add up in different orders, so over tens of seconds its end may round to the next picosecond:
/// 37.262026305832 and 37.262026305831 s were found once.
fn is_near(one: SimTime, other: SimTime) -> bool {
    one.picos().abs_diff(other.picos()) <= 1
}

fn kernel() -> impl Strategy<Value = Kernel> {
    let units = prop_oneof![Just(0.0), (1..40_u32).prop_map(f64::from)];
    let shortest = prop_oneof![Just(0.0), (1..9_u32).prop_map(f64::from)];
    (prop_oneof![Just(0_u64), 1..2_000_000_000_000_u64], units.clone(), units, shortest, 5..9_u32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_turn_equals_one_by_one(
        chains in prop::collection::vec(prop::collection::vec(prop::collection::vec(kernel(), 1..9), 1..4), 1..4),
        strangers in prop::collection::vec(
            (0..60_000_000_000_000_u64, 0..4_usize, (1..60_u32).prop_map(f64::from), (0..30_u32).prop_map(f64::from), 0..6_u32),
            0..8,
        ),
        rates in prop::collection::vec((0..60_000_000_000_000_u64, 0..4_usize, (2..9_u32).prop_map(f64::from)), 0..2),
    ) {
        let mut resources = Resources::default();
        let n = chains.len();
        let mut capacities = |rate: f64| (0..n).map(|_| resources.add_capacity(Capacity { rate })).collect::<Vec<_>>();
        let (memory, tensor) = (capacities(7.0), capacities(5.0));
        let sms = (0..n).map(|_| resources.add_pool(Pool { count: 10 })).collect();
        let ranks = Ranks {
            memory,
            tensor,
            sms,
            chains: chains.into_iter().map(VecDeque::from).collect(),
            strangers,
            rates,
            in_turn: false,
            waiting: vec![VecDeque::new(); n],
            ends: Vec::new(),
            running: vec![Vec::new(); n],
        };
        let (record, ends) = play(&ranks, &resources, true);
        let (plain, plain_ends) = play(&ranks, &resources, false);
        prop_assert_eq!((record.n_tasks, record.n_copies), (plain.n_tasks, plain.n_copies));
        prop_assert!(is_near(record.end, plain.end), "{:?} and {:?}", record.end, plain.end);
        prop_assert_eq!(record.served.len(), plain.served.len());
        for (one, other) in record.served.iter().zip(&plain.served) {
            prop_assert!((one - other).abs() <= 1e-12 * one.abs(), "{one} and {other} served");
        }
        prop_assert_eq!(ends.len(), plain_ends.len());
        for ((tag, start, end, bound), other) in ends.into_iter().zip(plain_ends) {
            prop_assert_eq!((tag, bound), (other.0, other.3));
            prop_assert!(is_near(start, other.1) && is_near(end, other.2), "{tag}: {start:?} to {end:?}, and {other:?}");
        }
    }
}
