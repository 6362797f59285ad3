//! Requests through units, event by event.
//!
//! Three things happen: a request arrives, an iteration of a unit ends, nothing else. A unit that has nothing to do waits for an arrival. Work per
//! iteration does not grow with the requests that are decoded.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::books::{RequestRecord, ServingBooks};
use super::job::{Iterations, RequestList, Serve, ServedPhase};
use super::memory::UnitMemory;
use super::price::IterationPricer;
use super::rank::Live;
use super::table::IterationTable;
use super::time::UnitLoad;
use super::unit::{Brought, Unit};
use crate::plan::ServePlan;
use crate::{Contradiction, PlanError};

/// Runs the requests of a service; `table` holds times of iterations across runs of one plan.
///
/// # Errors
/// A request that no cache can hold, a device that cannot run an op, and a fault of this program where what was asked is not what was done.
pub fn serve(
    plan: ServePlan<'_>,
    memory: &UnitMemory,
    pricer: &IterationPricer<'_>,
    table: &mut IterationTable<'_>,
) -> Result<ServingBooks, PlanError> {
    let empty = RequestList { requests: Vec::new(), concurrency: None };
    let list = plan.job.requests.as_ref().unwrap_or(&empty);
    check(plan.job, list, memory)?;
    let mut driver = Driver::new(plan.job, memory, list);
    driver.begin();
    while let Some(Due { at, what, .. }) = driver.queue.pop() {
        driver.books.system_area += (at - driver.now) * driver.n_in_system as f64;
        driver.now = at;
        match what {
            What::Arrives(id) => driver.arrives(id),
            What::Ends(unit) => driver.ends(unit),
        }
        driver.start(&mut |load| match plan.job.iterations {
            Iterations::Detailed => Ok(pricer.iteration(load)?.seconds),
            Iterations::Tabulated => table.seconds(load),
        })?;
    }
    driver.books.n_cells = table.n_cells() as u64;
    driver.close()
}

/// Every request must fit a cache that holds nothing else.
fn check(job: &Serve, list: &RequestList, memory: &UnitMemory) -> Result<(), PlanError> {
    let spare = 2 * job.drafts.queries();
    for (index, request) in list.requests.iter().enumerate() {
        let tokens = request.input + if job.phase == ServedPhase::Prefill { 1 } else { request.output };
        if (tokens + spare).div_ceil(memory.block) > memory.blocks {
            let (number, fits) = (index as u64 + 1, memory.tokens());
            return Err(Contradiction::LongRequest { number, tokens, fits }.into());
        }
    }
    Ok(())
}

/// What happens at a time; earlier ones first, then in the order in which they were decided.
struct Due {
    at: f64,
    turn: u64,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Arrives(usize),
    Ends(usize),
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.turn.cmp(&self.turn))
    }
}

struct Driver<'a> {
    job: &'a Serve,
    list: &'a RequestList,
    units: Vec<Unit>,
    is_busy: Vec<bool>,
    lives: Vec<Live>,
    records: Vec<RequestRecord>,
    queue: BinaryHeap<Due>,
    turn: u64,
    now: f64,
    /// Requests of a closed loop that have begun.
    n_begun: usize,
    n_in_system: u64,
    books: ServingBooks,
}

impl<'a> Driver<'a> {
    fn new(job: &'a Serve, memory: &UnitMemory, list: &'a RequestList) -> Self {
        let live = |request: &workloads::requests::Request| Live {
            prompt: request.input,
            left: request.output,
            ..Live::default()
        };
        let record = |request: &workloads::requests::Request| RequestRecord {
            arrival: request.arrival,
            input: request.input,
            output: if job.phase == ServedPhase::Prefill { 1 } else { request.output },
            first_token: f64::NAN,
            end: f64::NAN,
        };
        Self {
            job,
            list,
            units: vec![Unit::new(job, memory); job.units as usize],
            is_busy: vec![false; job.units as usize],
            lives: list.requests.iter().map(live).collect(),
            records: list.requests.iter().map(record).collect(),
            queue: BinaryHeap::new(),
            turn: 0,
            now: 0.0,
            n_begun: 0,
            n_in_system: 0,
            books: ServingBooks::default(),
        }
    }

    fn due(&mut self, at: f64, what: What) {
        self.turn += 1;
        self.queue.push(Due { at, turn: self.turn, what });
    }

    fn begin(&mut self) {
        match self.list.concurrency {
            Some(concurrency) => (0..concurrency).for_each(|_| self.next_of_loop()),
            None => (0..self.list.requests.len()).for_each(|id| self.comes(id, self.records[id].arrival)),
        }
    }

    /// The next request of a closed loop arrives now.
    fn next_of_loop(&mut self) {
        if self.n_begun < self.records.len() {
            let id = self.n_begun;
            self.n_begun += 1;
            self.records[id].arrival = self.now;
            self.comes(id, self.now);
        }
    }

    /// A request comes to the front end, which hands it on.
    fn comes(&mut self, id: usize, at: f64) {
        let front = self.job.stack.front.get();
        self.books.system_area += front;
        self.due(at + front, What::Arrives(id));
    }

    fn arrives(&mut self, id: usize) {
        self.n_in_system += 1;
        if let Some(unit) = self.units.iter_mut().min_by_key(|unit| unit.n_requests()) {
            unit.arrives(id);
        }
    }

    fn ends(&mut self, unit: usize) {
        self.is_busy[unit] = false;
        let Brought { first, ended, tokens, between } = self.units[unit].finish(self.job, &mut self.lives, self.now);
        if let Some((n, since)) = between {
            self.books.between_tokens.add(since, n);
        }
        self.books.tokens += tokens;
        for id in first {
            let record = &mut self.records[id];
            if record.first_token.is_nan() {
                record.first_token = self.now;
            }
        }
        for id in ended {
            self.records[id].end = self.now;
            self.n_in_system -= 1;
            if self.list.concurrency.is_some() {
                self.next_of_loop();
            }
        }
    }

    /// Units that have something to do and do nothing begin. Whatever else happens at this instant comes first.
    fn start(&mut self, seconds: &mut dyn FnMut(&UnitLoad) -> Result<f64, PlanError>) -> Result<(), PlanError> {
        if self.queue.peek().is_some_and(|due| due.at <= self.now) {
            return Ok(());
        }
        for unit in 0..self.units.len() {
            if self.is_busy[unit] || self.units[unit].n_requests() == 0 {
                continue;
            }
            let Some(load) = self.units[unit].plan(self.job, &mut self.lives) else {
                return Err(PlanError::Fault("a unit has requests and can run none".to_owned()));
            };
            let seconds = seconds(&load)?;
            self.note(unit, &load, seconds);
            self.is_busy[unit] = true;
            self.due(self.now + seconds, What::Ends(unit));
        }
        Ok(())
    }

    fn note(&mut self, unit: usize, load: &UnitLoad, seconds: f64) {
        let (books, ranks) = (&mut self.books, &self.units[unit].ranks);
        books.n_iterations += 1;
        books.busy += seconds;
        if !load.fullest.prompts.is_empty() {
            books.n_with_prompts += 1;
            books.busy_with_prompts += seconds;
        }
        let (mut decoded, mut context, mut waiting, mut share, mut fullest) = (0, 0, 0, 0.0, 0.0_f64);
        for rank in ranks {
            decoded += rank.n;
            context += rank.context;
            waiting += rank.n_waiting();
            let used = rank.cache.used() as f64 / (rank.cache.used() + rank.cache.free()) as f64;
            share += used;
            fullest = fullest.max(used);
        }
        books.decoded_max = books.decoded_max.max(decoded);
        books.decoded_area += decoded as f64 * seconds;
        books.context_area += context as f64 * seconds;
        books.waiting_max = books.waiting_max.max(waiting);
        books.cache_share_max = books.cache_share_max.max(fullest);
        books.cache_area += share / ranks.len() as f64 * seconds;
    }

    /// The books, if they balance: every request ended once with all its tokens, every block was given back, and Little's two areas are one.
    fn close(mut self) -> Result<ServingBooks, PlanError> {
        let fault = |what: &str| Err(PlanError::Fault(format!("after serving: {what}")));
        if self.n_in_system > 0 || self.records.iter().any(|record| record.end.is_nan() || record.first_token.is_nan())
        {
            return fault("a request has not ended");
        }
        let asked: u64 = self.records.iter().map(|record| record.output).sum();
        if self.books.tokens != asked {
            return fault(&format!("{} tokens were given, {asked} asked", self.books.tokens));
        }
        let ranks = || self.units.iter().flat_map(|unit| &unit.ranks);
        if ranks().any(|rank| rank.cache.used() > 0 || rank.n > 0 || rank.context > 0) {
            return fault("blocks of a cache were not given back");
        }
        let stays: f64 = self.records.iter().map(|record| record.end - record.arrival).sum();
        if (stays - self.books.system_area).abs() > 1e-6 * stays.max(f64::MIN_POSITIVE) {
            return fault(&format!("requests stayed {stays} s, {} s were counted", self.books.system_area));
        }
        self.books.n_driven_out = ranks().map(|rank| rank.n_driven_out).sum();
        self.books.requests = self.records;
        Ok(self.books)
    }
}
