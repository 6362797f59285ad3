//! Work asked for is done, cancelled or cut: whatever is given up, in whatever state.

use engine::{
    Actions, Batch, Capacity, CapacityId, Driver, Finished, Handle, List, Pool, PoolId, Record, Resources, Task, Turn,
    run,
};
use proptest::prelude::*;
use units::{SimSpan, SimTime};

/// One task: latency, units of two capacities (which may be the same), shortest time, things claimed.
#[derive(Clone, Debug)]
struct Work {
    latency: u64,
    draws: [(usize, f64); 2],
    shortest: f64,
    claim: u32,
}

#[derive(Clone, Debug)]
enum What {
    Alone(Work),
    /// Without claims, of one latency.
    Batch(u64, Vec<Work>),
    Chain(Vec<Work>),
}

/// Submits everything at its moment, and gives some of it up at another.
#[derive(Clone)]
struct Job {
    capacities: Vec<CapacityId>,
    pool: PoolId,
    /// When it is submitted and, for some, when it is given up.
    all: Vec<(u64, What, Option<u64>)>,
    stop: Option<u64>,
    handles: Vec<Option<Handle>>,
    given_up: Vec<bool>,
    n_submitted: u64,
    n_told: u64,
    asked: Vec<f64>,
}

const CANCEL: u64 = 1 << 32;
const STOP: u64 = 1 << 33;

impl Job {
    fn task<T>(&self, tag: T, work: &Work) -> Task<T> {
        let mut task = Task::new(tag).latency(SimSpan::from_picos(work.latency)).no_faster_than(work.shortest);
        for &(capacity, amount) in &work.draws {
            task = task.demand(self.capacities[capacity], amount);
        }
        task.claim(self.pool, work.claim)
    }

    fn works(&self, index: usize) -> &[Work] {
        match &self.all[index].1 {
            What::Alone(work) => std::slice::from_ref(work),
            What::Batch(_, works) | What::Chain(works) => works,
        }
    }

    fn submit(&mut self, index: usize, actions: &mut Actions<usize>) {
        let works = self.works(index).to_vec();
        self.n_submitted += works.len() as u64;
        for (capacity, amount) in works.iter().flat_map(|work| work.draws) {
            self.asked[capacity] += amount;
        }
        let (list, n_tasks) = (List(index as u64), works.len() as u32);
        self.handles[index] = match &self.all[index].1 {
            What::Alone(work) => Some(actions.submit(self.task(index, work))),
            What::Batch(..) => actions.submit_together(Batch { list, n_tasks, n_parts: n_tasks, kind: index as u64 }),
            What::Chain(_) => actions.submit_in_turn(list, n_tasks),
        };
    }

    fn told(&mut self, index: usize, now: SimTime, n_tasks: u64) {
        assert!(!self.given_up[index], "{index} was given up and told at {now}");
        self.n_told += n_tasks;
    }
}

impl Driver for Job {
    type Tag = usize;

    fn begin(&mut self, actions: &mut Actions<usize>) {
        for (index, &(at, _, cancel)) in self.all.iter().enumerate() {
            actions.wake(SimTime::from_picos(at), index as u64);
            if let Some(cancel) = cancel {
                actions.wake(SimTime::from_picos(cancel.max(at)), CANCEL + index as u64);
            }
        }
        if let Some(stop) = self.stop {
            actions.wake(SimTime::from_picos(stop), STOP);
        }
    }

    fn finished(&mut self, task: &Finished<usize>, _actions: &mut Actions<usize>) {
        self.told(task.tag, task.end, 1);
    }

    fn woken(&mut self, token: u64, _now: SimTime, actions: &mut Actions<usize>) {
        if token == STOP {
            actions.stop();
        } else if token >= CANCEL {
            let index = (token - CANCEL) as usize;
            self.given_up[index] = true;
            self.handles[index].into_iter().for_each(|handle| actions.cancel(handle));
        } else {
            self.submit(token as usize, actions);
        }
    }

    fn listed(&self, List(list): List, index: u32) -> Task<()> {
        let work = &self.works(list as usize)[index as usize];
        match &self.all[list as usize].1 {
            What::Batch(latency, _) => self.task((), &Work { latency: *latency, claim: 0, ..work.clone() }),
            What::Alone(_) | What::Chain(_) => self.task((), work),
        }
    }

    fn parts(&self, _list: List, index: u32) -> [u32; 2] {
        [index, index]
    }

    fn part_ended(&mut self, List(list): List, _part: u32, now: SimTime, _actions: &mut Actions<usize>) {
        self.told(list as usize, now, 1);
    }

    fn chain_ended(&mut self, List(list): List, turns: &[Turn], _actions: &mut Actions<usize>) {
        self.told(list as usize, turns.last().expect("turns").end, turns.len() as u64);
    }
}

const RATES: [f64; 4] = [7.0, 10.0, 3.0, 11.0];
const N_CLAIMED: u32 = 5;

fn play(all: Vec<(u64, What, Option<u64>)>, stop: Option<u64>) -> (Job, Record) {
    let mut resources = Resources::default();
    let capacities = RATES.iter().map(|&rate| resources.add_capacity(Capacity { rate })).collect();
    let pool = resources.add_pool(Pool { count: N_CLAIMED });
    let n = all.len();
    let mut job = Job {
        capacities,
        pool,
        all,
        stop,
        handles: vec![None; n],
        given_up: vec![false; n],
        n_submitted: 0,
        n_told: 0,
        asked: vec![0.0; RATES.len()],
    };
    let record = run(&resources, &mut job).expect("a lawful run");
    (job, record)
}

fn work() -> impl Strategy<Value = Work> {
    let draw = || (0..RATES.len(), (1..60u32).prop_map(|tenths| f64::from(tenths) / 10.0));
    let shortest = prop_oneof![Just(0.0), (1..30u32).prop_map(|tenths| f64::from(tenths) / 10.0)];
    let latency = prop_oneof![Just(0), 1..1_000_000_000_000u64];
    (latency, [draw(), draw()], shortest, 0..=N_CLAIMED).prop_map(|(latency, draws, shortest, claim)| Work {
        latency,
        draws,
        shortest,
        claim,
    })
}

fn what() -> impl Strategy<Value = What> {
    let works = || prop::collection::vec(work(), 1..6);
    prop_oneof![
        work().prop_map(What::Alone),
        (prop_oneof![Just(0), 1..1_000_000_000_000u64], works())
            .prop_map(|(latency, works)| What::Batch(latency, works)),
        // A chain claims the same all along, as kernels of a stream do, or not.
        (works(), any::<bool>(), 0..=N_CLAIMED).prop_map(|(mut works, alike, claim)| {
            works.iter_mut().filter(|_| alike).for_each(|work| work.claim = claim);
            What::Chain(works)
        }),
    ]
}

fn moment() -> impl Strategy<Value = u64> {
    // Few values, so that much happens at one instant.
    (0..40u64).prop_map(|tenths| tenths * 100_000_000_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn work_asked_for_is_done_or_cancelled_or_cut(
        all in prop::collection::vec((moment(), what(), prop::option::of(moment())), 1..14),
        stop in prop::option::of(moment()),
    ) {
        let (job, record) = play(all, stop);
        prop_assert_eq!(job.n_submitted, record.n_tasks + record.n_cancelled + record.n_cut);
        if stop.is_none() {
            prop_assert_eq!(record.n_cut, 0);
        }
        for (id, &asked) in job.asked.iter().enumerate() {
            let sum = record.served[id] + record.cancelled[id] + record.cut[id];
            prop_assert!((sum - asked).abs() <= 1e-9 * asked.max(1.0), "capacity {}: {} of {}", id, sum, asked);
        }
        if let Some(stop) = stop {
            prop_assert!(record.end <= SimTime::from_picos(stop), "nothing happens after {}: {}", stop, record.end);
        }
    }

    #[test]
    fn to_cancel_what_is_over_changes_nothing(
        all in prop::collection::vec((moment(), what()), 1..10),
    ) {
        let never: Vec<_> = all.iter().cloned().map(|(at, what)| (at, what, None)).collect();
        let (_, plain) = play(never, None);
        let late = plain.end.picos() + 1;
        let (_, cancelled) = play(all.into_iter().map(|(at, what)| (at, what, Some(late))).collect(), None);
        prop_assert_eq!(plain, cancelled);
    }
}

/// Three that end at one instant: the first to be told gives up the others.
struct Rivals {
    link: CapacityId,
    handles: Vec<Handle>,
    told: Vec<u32>,
}

impl Driver for Rivals {
    type Tag = u32;

    fn begin(&mut self, actions: &mut Actions<u32>) {
        self.handles.push(actions.submit(Task::new(0).demand(self.link, 1.0)));
        self.handles.push(actions.submit(Task::new(1).demand(self.link, 1.0)));
        self.handles.extend(actions.submit_in_turn(List(2), 1));
    }

    fn finished(&mut self, task: &Finished<u32>, actions: &mut Actions<u32>) {
        self.told.push(task.tag);
        self.handles.iter().for_each(|&handle| actions.cancel(handle));
    }

    fn listed(&self, _list: List, _index: u32) -> Task<()> {
        Task::new(()).demand(self.link, 1.0)
    }

    fn chain_ended(&mut self, List(list): List, _turns: &[Turn], _actions: &mut Actions<u32>) {
        self.told.push(list as u32);
    }
}

#[test]
fn what_is_given_up_at_the_instant_of_its_end_is_done_and_not_told() {
    let mut resources = Resources::default();
    let link = resources.add_capacity(Capacity { rate: 3.0 });
    let mut rivals = Rivals { link, handles: Vec::new(), told: Vec::new() };
    let record = run(&resources, &mut rivals).expect("a lawful run");
    assert_eq!((rivals.told, record.n_tasks, record.n_cancelled), (vec![0], 3, 0));
}

fn alone(draw: f64, claim: u32) -> What {
    What::Alone(Work { latency: 0, draws: [(1, draw), (1, 0.0)], shortest: 0.0, claim })
}

/// Tenths of a second.
const fn tenths(n: u64) -> u64 {
    n * 100_000_000_000
}

#[test]
fn what_a_cancelled_task_drew_is_free_for_others() {
    // Two share 10 units per second for one second; then one has all of it for its last 5.
    let (job, record) = play(vec![(0, alone(10.0, 0), None), (0, alone(20.0, 0), Some(tenths(10)))], None);
    assert_eq!(record.end, SimTime::from_picos(tenths(15)));
    assert_eq!((record.n_tasks, record.n_cancelled, job.n_told), (1, 1, 1));
    assert!((record.cancelled[1] - 15.0).abs() < 1e-9, "{:?}", record.cancelled);
}

#[test]
fn claims_of_a_cancelled_task_go_to_those_who_wait() {
    // The third and fourth stand behind the second, and nobody overtakes: only when the first lets go at 0.5 s may they
    // begin. They share 10 units per second until the fourth has its 5 at 1.5 s; the third then has 5 left.
    let all = vec![
        (0, alone(10.0, 4), Some(tenths(5))),
        (0, alone(10.0, 5), Some(tenths(2))),
        (0, alone(10.0, 3), None),
        (0, alone(5.0, 1), None),
    ];
    let (_, record) = play(all, None);
    assert_eq!(record.end, SimTime::from_picos(tenths(20)));
    assert_eq!((record.n_tasks, record.n_cancelled), (2, 2));
}

#[test]
fn a_stopped_run_ends_there_and_then() {
    let chain = vec![
        Work { latency: 0, draws: [(1, 10.0), (1, 0.0)], shortest: 0.0, claim: 0 },
        Work { latency: tenths(2), draws: [(1, 10.0), (1, 0.0)], shortest: 0.0, claim: 0 },
        Work { latency: 0, draws: [(2, 30.0), (1, 0.0)], shortest: 0.0, claim: 0 },
    ];
    let (job, record) = play(vec![(0, What::Chain(chain), None)], Some(tenths(17)));
    assert_eq!(record.end, SimTime::from_picos(tenths(17)));
    assert_eq!((record.n_tasks, record.n_cut, job.n_told), (1, 2, 0));
    assert!((record.served[1] - 15.0).abs() < 1e-9 && (record.cut[1] - 5.0).abs() < 1e-9, "{record:?}");
    assert_eq!(record.cut[2], 30.0);
}
