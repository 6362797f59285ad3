//! Tasks submitted together behave as tasks submitted one by one, disturbed or not.

use engine::{Actions, Batch, Capacity, CapacityId, Driver, Finished, List, Record, Resources, Task, run};
use proptest::prelude::*;
use units::{SimSpan, SimTime};

/// Rounds of one all-to-all after the other, and strangers that come and go on the same ports.
#[derive(Clone)]
struct Rounds {
    send: Vec<CapacityId>,
    receive: Vec<CapacityId>,
    sizes: Vec<f64>,
    together: bool,
    n_left: u32,
    n_open: usize,
    strangers: Vec<(u64, usize, f64)>,
    ends: Vec<(u32, SimTime)>,
}

impl Rounds {
    /// The message of a rank to the `to`-th of the others.
    fn message<T>(&self, tag: T, index: u32) -> Task<T> {
        let n = self.send.len();
        let (from, other) = (index as usize / (n - 1), index as usize % (n - 1));
        let to = other + usize::from(other >= from);
        let size = self.sizes[(from * n + to) % self.sizes.len()];
        Task::new(tag).demand(self.send[from], size).demand(self.receive[to], size).latency(SimSpan::from_picos(7))
    }

    fn start(&mut self, actions: &mut Actions<u32>) {
        let n_tasks = self.send.len() * (self.send.len() - 1);
        self.n_open = n_tasks;
        let n_tasks = n_tasks as u32;
        if self.together {
            // A part each, so that every end is heard of.
            actions.submit_together(Batch { list: List(0), n_tasks, n_parts: n_tasks, kind: 0 });
        } else {
            for index in 0..n_tasks {
                actions.submit(self.message(index, index));
            }
        }
    }

    fn ended(&mut self, tag: u32, end: SimTime, actions: &mut Actions<u32>) {
        self.ends.push((tag, end));
        if tag < 1000 {
            self.n_open -= 1;
            if self.n_open == 0 && self.n_left > 0 {
                self.n_left -= 1;
                self.start(actions);
            }
        }
    }
}

impl Driver for Rounds {
    type Tag = u32;

    fn begin(&mut self, actions: &mut Actions<u32>) {
        for (token, &(at, _, _)) in self.strangers.iter().enumerate() {
            actions.wake(SimTime::from_picos(at), token as u64);
        }
        self.start(actions);
    }

    fn finished(&mut self, task: &Finished<u32>, actions: &mut Actions<u32>) {
        self.ended(task.tag, task.end, actions);
    }

    fn listed(&self, _list: List, index: u32) -> Task<()> {
        self.message((), index)
    }

    fn parts(&self, _list: List, index: u32) -> [u32; 2] {
        [index, index]
    }

    fn part_ended(&mut self, _list: List, part: u32, now: SimTime, actions: &mut Actions<u32>) {
        self.ended(part, now, actions);
    }

    fn woken(&mut self, token: u64, _now: SimTime, actions: &mut Actions<u32>) {
        let (_, port, size) = self.strangers[token as usize];
        actions.submit(Task::new(1000 + token as u32).demand(self.send[port % self.send.len()], size));
    }
}

fn play(rounds: &Rounds, resources: &Resources, together: bool) -> (Record, Vec<(u32, SimTime)>) {
    let mut rounds = Rounds { together, ..rounds.clone() };
    let record = run(resources, &mut rounds).expect("runs");
    (record, rounds.ends)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn together_equals_one_by_one(
        n in 2..6usize,
        sizes in prop::collection::vec(1..9u32, 1..12),
        strangers in prop::collection::vec((0..40_000_000_000_000_u64, 0..6usize, 1..30u32), 0..4),
    ) {
        let mut resources = Resources::default();
        let mut ports = || (0..n).map(|_| resources.add_capacity(Capacity { rate: 3.0 })).collect::<Vec<_>>();
        let rounds = Rounds {
            send: ports(),
            receive: ports(),
            sizes: sizes.into_iter().map(f64::from).collect(),
            together: true,
            n_left: 3,
            n_open: 0,
            strangers: strangers.into_iter().map(|(at, port, size)| (at, port, f64::from(size))).collect(),
            ends: Vec::new(),
        };
        let (record, ends) = play(&rounds, &resources, true);
        let (plain, plain_ends) = play(&rounds, &resources, false);
        prop_assert_eq!(record.n_tasks, plain.n_tasks);
        prop_assert_eq!(record.served.len(), plain.served.len());
        for (a, b) in record.served.iter().zip(&plain.served) {
            prop_assert!((a - b).abs() <= 1e-9 * b.max(1.0));
        }
        // Solves in another order round otherwise: a few picoseconds after a stranger came, none without one.
        let slack = if rounds.strangers.is_empty() { 0 } else { 1_000 };
        let by_tag = |mut ends: Vec<(u32, SimTime)>| { ends.sort(); ends };
        for (a, b) in by_tag(ends).into_iter().zip(by_tag(plain_ends)) {
            prop_assert_eq!(a.0, b.0);
            prop_assert!(a.1.picos().abs_diff(b.1.picos()) <= slack, "task {}: {} together, {} one by one", a.0, a.1.picos(), b.1.picos());
        }
    }
}
