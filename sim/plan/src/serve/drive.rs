//! Requests through units, event by event.
//!
//! Two things happen: a request comes to units of a kind, and an iteration of a unit ends. A unit that has nothing to do waits for an arrival. Work per
//! iteration does not grow with the requests that are decoded.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use workloads::requests::Request;

use super::books::{RequestRecord, ServingBooks};
use super::job::{Iterations, RequestList, Serve, ServedPhase};
use super::length::check_length;
use super::memory::{UnitMemory, unit_memory};
use super::price::IterationPricer;
use super::rank::Live;
use super::table::IterationTable;
use super::time::UnitLoad;
use super::unit::{Brought, Unit};
use crate::plan::ServePlan;
use crate::{Contradiction, PlanError};

/// Units of one kind, with what is needed to run them.
#[derive(Debug)]
pub struct UnitPart<'a> {
    /// The service as these units see it.
    pub plan: ServePlan<'a>,
    /// What a device of one holds.
    pub memory: UnitMemory,
    /// What its iterations take.
    pub pricer: IterationPricer<'a>,
}

impl<'a> UnitPart<'a> {
    /// Of one of the kinds of a service ([`Serve::kinds`]).
    ///
    /// # Errors
    /// Where its model leaves no room for a cache, or the machine cannot be wired.
    pub fn new(plan: ServePlan<'a>) -> Result<Self, PlanError> {
        Ok(Self { memory: unit_memory(plan)?, pricer: IterationPricer::new(plan)?, plan })
    }
}

/// Runs the requests of a service through its kinds of units, one after the other.
///
/// # Errors
/// A request that no cache can hold, a device that cannot run an op, and a fault of this program where what was asked is not what was done.
pub fn serve(parts: &[UnitPart<'_>]) -> Result<ServingBooks, PlanError> {
    let empty = RequestList { requests: Vec::new(), concurrency: None };
    let list = parts.first().and_then(|part| part.plan.job.requests.as_ref()).unwrap_or(&empty);
    parts.iter().try_for_each(|part| check(part.plan.job, list, &part.memory))?;
    let mut tables: Vec<IterationTable<'_>> = parts.iter().map(|part| IterationTable::new(&part.pricer)).collect();
    let mut driver = Driver::new(parts, list);
    driver.begin();
    while let Some(Due { at, what, .. }) = driver.queue.pop() {
        driver.books.system_area += (at - driver.now) * driver.n_in_system as f64;
        driver.now = at;
        match what {
            What::Arrives(id, part) => driver.arrives(id, part),
            What::Ends(unit) => driver.ends(unit)?,
        }
        driver.start(&mut |part, load| match parts[part].plan.job.iterations {
            Iterations::Detailed => Ok(parts[part].pricer.iteration(load)?.seconds),
            Iterations::Tabulated => tables[part].seconds(load),
        })?;
    }
    driver.books.n_cells = tables.iter().map(|table| table.n_cells() as u64).sum();
    driver.close()
}

/// Every request must fit a cache that holds nothing else, and all of them must end.
fn check(job: &Serve, list: &RequestList, memory: &UnitMemory) -> Result<(), PlanError> {
    check_length(job, list)?;
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
    /// A request comes to units of a kind.
    Arrives(usize, usize),
    /// An iteration of a unit ends.
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

/// Seconds of an iteration of a unit of a kind.
type Priced<'a> = &'a mut dyn FnMut(usize, &UnitLoad) -> Result<f64, PlanError>;

struct Driver<'a> {
    parts: &'a [UnitPart<'a>],
    list: &'a RequestList,
    /// Units of all kinds, each with its kind.
    units: Vec<(usize, Unit)>,
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
    fn new(parts: &'a [UnitPart<'a>], list: &'a RequestList) -> Self {
        let is_prefill_alone = parts.last().is_some_and(|part| part.plan.job.phase == ServedPhase::Prefill);
        let live = |request: &Request| Live { prompt: request.input, left: request.output, ..Live::default() };
        let record = |request: &Request| RequestRecord {
            arrival: request.arrival,
            input: request.input,
            output: if is_prefill_alone { 1 } else { request.output },
            first_token: f64::NAN,
            end: f64::NAN,
        };
        let of_kind = |(index, part): (usize, &UnitPart<'_>)| {
            let unit = Unit::new(part.plan.job, &part.memory);
            vec![(index, unit); part.plan.job.units as usize]
        };
        let units: Vec<(usize, Unit)> = parts.iter().enumerate().flat_map(of_kind).collect();
        Self {
            parts,
            list,
            is_busy: vec![false; units.len()],
            units,
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

    fn job(&self, unit: usize) -> &'a Serve {
        self.parts[self.units[unit].0].plan.job
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
        let front = self.parts.first().map_or(0.0, |part| part.plan.job.stack.front.get());
        self.books.system_area += front;
        self.due(at + front, What::Arrives(id, 0));
    }

    fn arrives(&mut self, id: usize, part: usize) {
        self.n_in_system += 1;
        let of_kind = self.units.iter_mut().filter(|(kind, _)| *kind == part);
        if let Some((_, unit)) = of_kind.min_by_key(|(_, unit)| unit.n_requests()) {
            unit.arrives(id);
        }
    }

    fn ends(&mut self, unit: usize) -> Result<(), PlanError> {
        self.is_busy[unit] = false;
        let (job, part) = (self.job(unit), self.units[unit].0);
        let Brought { first, ended, tokens, between } = self.units[unit].1.finish(job, &mut self.lives, self.now);
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
            self.n_in_system -= 1;
            if part + 1 < self.parts.len() && self.lives[id].left > 0 {
                self.hand_on(id, part)?;
            } else {
                self.records[id].end = self.now;
                if self.list.concurrency.is_some() {
                    self.next_of_loop();
                }
            }
        }
        Ok(())
    }

    /// The cache of a request goes to units of the next kind.
    fn hand_on(&mut self, id: usize, part: usize) -> Result<(), PlanError> {
        let seconds = self.parts[part].pricer.transfer(self.lives[id].prompt)?;
        self.books.transfer += seconds;
        self.books.system_area += seconds;
        self.due(self.now + seconds, What::Arrives(id, part + 1));
        Ok(())
    }

    /// Units that have something to do and do nothing begin. Whatever else happens at this instant comes first.
    fn start(&mut self, seconds: Priced<'_>) -> Result<(), PlanError> {
        if self.queue.peek().is_some_and(|due| due.at <= self.now) {
            return Ok(());
        }
        for unit in 0..self.units.len() {
            if self.is_busy[unit] || self.units[unit].1.n_requests() == 0 {
                continue;
            }
            let job = self.job(unit);
            let Some(load) = self.units[unit].1.plan(job, &mut self.lives, self.now) else {
                return Err(PlanError::Fault("a unit has requests and can run none".to_owned()));
            };
            let seconds = seconds(self.units[unit].0, &load)?;
            self.note(unit, &load, seconds);
            self.is_busy[unit] = true;
            self.due(self.now + seconds, What::Ends(unit));
        }
        Ok(())
    }

    fn note(&mut self, unit: usize, load: &UnitLoad, seconds: f64) {
        let (books, ranks) = (&mut self.books, &self.units[unit].1.ranks);
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
        if load.fullest.decoding.requests > 0 {
            books.busy_decoding += seconds;
            books.decoded_area += decoded as f64 * seconds;
            books.context_area += context as f64 * seconds;
        }
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
        let ranks = || self.units.iter().flat_map(|(_, unit)| &unit.ranks);
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
