//! The calls of gangs: decided once for each gang, begun and ended by each rank for itself.
//!
//! Were a gang's calls started together, a rank that is through with one would wait for the slowest of its gang, also where they
//! exchange nothing; and a rank that waits for a message would hold the exchange that the call before still owes its peers.

use engine::{Actions, Task};
use units::SimTime;

use super::driver::RoutineDriver;
use super::gang::{Call, CallId, GangId, Next, Tabulated};
use super::sequencer::{CANCELLED, CallPart, Event, Sequencer};
use super::state::{Decided, RankState, Standing, What};
use super::tag::Tag;

impl<S: Sequencer> RoutineDriver<'_, S> {
    /// Begins a rank's next call, if one is decided and everything it needs is there.
    pub(super) fn try_begin(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        self.pass_over(rank);
        let state = &self.ranks[rank as usize];
        if state.running || state.unsent > 0 {
            return;
        }
        match self.decided(state.gang, state.number, now) {
            Some(What::Call(call)) => {
                let needs = call.lanes.map(|lane| lane.and_then(|lane| lane.needs));
                if needs.iter().flatten().all(|&key| self.has_come(rank, key)) {
                    needs.iter().flatten().for_each(|&key| self.uses(rank, key));
                    self.begin_call(rank, call, now, actions);
                }
            }
            Some(What::Tabulated(tabulated)) => self.arrive_at(rank, tabulated, now, actions),
            None => {}
        }
    }

    /// A gang's call of a number; none if the sequencer has not decided it.
    fn decided(&mut self, gang: GangId, number: u32, now: SimTime) -> Option<What> {
        let state = &mut self.gangs[gang.0 as usize];
        let place = (number - state.first) as usize;
        if let Some(decided) = state.decided.get(place) {
            return Some(decided.what);
        }
        if state.standing != Standing::Open {
            return None;
        }
        let what = match self.sequencer.next(CallId { gang, number }, now, &mut self.commands) {
            Next::Run(call) => What::Call(call),
            Next::Tabulated(tabulated) => What::Tabulated(tabulated),
            Next::Wait => {
                state.standing = Standing::Waiting;
                return None;
            }
            Next::Done => {
                state.standing = Standing::Done;
                return None;
            }
        };
        let unknown = match &what {
            What::Call(call) => self.routines.unknown(gang, call),
            What::Tabulated(tabulated) => self.routines.unknown_in(gang, tabulated),
        };
        if let Some(unknown) = unknown {
            state.standing = Standing::Done;
            self.fault.get_or_insert_with(|| format!("call {number} of gang {} names {unknown}", gang.0));
            return None;
        }
        state.decided.push_back(Decided { what, n_arrived: 0, n_ended: 0, task: None, is_cancelled: false });
        Some(what)
    }

    /// A gang that waits is asked again.
    pub(super) fn ask(&mut self, gang: GangId, now: SimTime, actions: &mut Actions<Tag>) {
        let state = &mut self.gangs[gang.0 as usize];
        if state.standing == Standing::Waiting {
            state.standing = Standing::Open;
            for rank in self.routines.gangs[gang.0 as usize].ranks.clone() {
                self.try_begin(rank, now, actions);
            }
        }
    }

    fn begin_call(&mut self, rank: u32, call: Call, now: SimTime, actions: &mut Actions<Tag>) {
        let n_events = self.routines.routines[call.routine as usize].n_events;
        let state = &mut self.ranks[rank as usize];
        state.running = true;
        state.call = call;
        state.label = call.label;
        state.began = now;
        let meets = call.lanes.iter().flatten().any(|lane| lane.needs.is_some() || lane.sends.is_some());
        if self.routines.host.messages && meets {
            state.host = state.host.max(now);
        }
        state.reached.clear();
        state.reached.resize(usize::from(n_events).div_ceil(64), 0);
        self.rewind(rank);
        self.advance(rank, now, actions);
    }

    pub(super) fn end_call(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let state = &mut self.ranks[rank as usize];
        let call = CallId { gang: state.gang, number: state.number };
        let start = state.began;
        state.totals.phases[state.label] += now.since(start);
        state.totals.last = now;
        self.sequencer.rank_ended(&CallPart { call, rank, start, end: now });
        if self.leave_call(rank) {
            self.sequencer.ended(call, now, &mut self.commands);
        }
        self.try_begin(rank, now, actions);
    }

    /// A rank is through with its call; whether it was the last of its gang.
    fn leave_call(&mut self, rank: u32) -> bool {
        let RankState { gang: id, number, running, .. } = &mut self.ranks[rank as usize];
        let n_ranks = self.routines.gangs[id.0 as usize].ranks.len();
        let gang = &mut self.gangs[id.0 as usize];
        let decided = &mut gang.decided[(*number - gang.first) as usize];
        *running = false;
        *number += 1;
        decided.n_ended += 1;
        // Ranks end calls in order, so what all have ended is the first.
        let is_over = decided.n_ended as usize == n_ranks;
        if is_over {
            gang.decided.pop_front();
            gang.first += 1;
        }
        is_over
    }

    /// A rank goes past calls that were cancelled before it came to them.
    fn pass_over(&mut self, rank: u32) {
        loop {
            let RankState { gang, number, running, .. } = self.ranks[rank as usize];
            let gang = &self.gangs[gang.0 as usize];
            let next = gang.decided.get((number - gang.first) as usize);
            if running || !next.is_some_and(|decided| decided.is_cancelled) {
                return;
            }
            self.leave_call(rank);
        }
    }

    /// Gives up a call, if it has not ended.
    pub(super) fn cancel(&mut self, call: CallId, now: SimTime, actions: &mut Actions<Tag>) {
        let CallId { gang: id, number } = call;
        let gang = &mut self.gangs[id.0 as usize];
        let Some(place) = number.checked_sub(gang.first) else { return };
        let Some(decided) = gang.decided.get_mut(place as usize) else {
            self.fault
                .get_or_insert_with(|| format!("call {number} of gang {} is cancelled and was not decided", id.0));
            return;
        };
        if std::mem::replace(&mut decided.is_cancelled, true) {
            return;
        }
        let ranks = self.routines.gangs[id.0 as usize].ranks.clone();
        let has_begun = matches!(decided.what, What::Call(_)) || decided.n_arrived as usize == ranks.len();
        decided.task.take().into_iter().for_each(|task| actions.cancel(task));
        let runs = |state: &RankState| state.running && state.number == number;
        let running: Vec<u32> = ranks.filter(|&rank| runs(&self.ranks[rank as usize])).collect();
        self.clear(call, &running, actions);
        for &rank in &running {
            let state = &mut self.ranks[rank as usize];
            if has_begun {
                state.totals.phases[state.label] += now.since(state.began);
            }
            state.totals.last = now;
        }
        // Until this is carried out the engine reads what was under way: its ranks take nothing else in hand before that.
        self.cancelled.push((call, running));
        actions.wake(now, CANCELLED);
    }

    /// Calls that were given up at this instant are gone.
    pub(super) fn go_on(&mut self, now: SimTime, actions: &mut Actions<Tag>) {
        for (call, running) in std::mem::take(&mut self.cancelled) {
            self.exchanges.release(call);
            for &rank in &running {
                self.leave_call(rank);
            }
            self.sequencer.event(Event::Cancelled(call), now, &mut self.commands);
            for rank in running {
                self.try_begin(rank, now, actions);
            }
        }
    }

    /// A rank is free for a tabulated call, which starts when all of the gang are.
    fn arrive_at(&mut self, rank: u32, tabulated: Tabulated, now: SimTime, actions: &mut Actions<Tag>) {
        let state = &mut self.ranks[rank as usize];
        let call = CallId { gang: state.gang, number: state.number };
        state.running = true;
        state.label = tabulated.label;
        let of = &self.routines.gangs[call.gang.0 as usize];
        let gang = &mut self.gangs[call.gang.0 as usize];
        let first = gang.first;
        let decided = &mut gang.decided[(call.number - first) as usize];
        decided.n_arrived += 1;
        if (decided.n_arrived as usize) < of.ranks.len() {
            return;
        }
        for member in of.ranks.clone() {
            self.ranks[member as usize].began = now;
        }
        let mut task = Task::new(Tag::Tabulated { call }).no_faster_than(tabulated.alone.get());
        if let Some(pooled) = of.pooled {
            let ports = [pooled.memory, pooled.copy, pooled.up, pooled.out];
            task = ports.into_iter().zip(tabulated.draws).fold(task, |task, (port, bytes)| task.demand(port, bytes));
        } else if tabulated.draws.iter().any(|&bytes| bytes > 0.0) {
            self.fault
                .get_or_insert_with(|| format!("gang {} has no pooled ports for call {}", call.gang.0, call.number));
        }
        let handle = actions.submit(task);
        self.gangs[call.gang.0 as usize].decided[(call.number - first) as usize].task = Some(handle);
    }

    pub(super) fn tabulated_ended(&mut self, call: CallId, now: SimTime, actions: &mut Actions<Tag>) {
        for rank in self.routines.gangs[call.gang.0 as usize].ranks.clone() {
            self.end_call(rank, now, actions);
        }
    }

    /// The first gang with a rank that is not through, if there is one.
    pub(super) fn waits_for_ever(&self) -> Option<String> {
        let through = |state: &RankState| {
            let gang = &self.gangs[state.gang.0 as usize];
            gang.standing == Standing::Done && !state.running && gang.decided.is_empty() && state.unsent == 0
        };
        let (rank, state) = self.ranks.iter().enumerate().find(|(_, state)| !through(state))?;
        Some(format!("gang {}: rank {rank} waits for ever in call {}", state.gang.0, state.number))
    }
}
