//! All-to-alls, from the first rank's arrival to the last message's end.

use engine::{Actions, Batch, Task};
use units::SimTime;

use super::{At, Listed, RoutineDriver, Tag};
use crate::execute::gang::CallId;
use crate::execute::meet::Arrival;
use crate::execute::outcome::Ran;
use crate::execute::sequencer::Sequencer;
use crate::execute::state::RankState;
use crate::label::Label;
use platform::{ExchangeKind, ExchangeTemplate};

impl<'a, S: Sequencer> RoutineDriver<'a, S> {
    pub(super) fn arrive(
        &mut self,
        at: At,
        what: (u32, ExchangeKind),
        sms: u32,
        now: SimTime,
        actions: &mut Actions<Tag>,
    ) {
        self.launch_collective(at.rank);
        let stream = self.stream(at);
        let sequence = stream.n_exchanges;
        stream.n_exchanges += 1;
        let template = &self.routines.exchanges[what.0 as usize][what.1 as usize];
        let place = self.n_streams * (at.rank / self.exchanges.size) as usize + usize::from(at.stream);
        let RankState { gang, number, .. } = self.ranks[at.rank as usize];
        let arrival = Arrival { at, call: CallId { gang, number }, place, sequence, now };
        let Some(id) = self.exchanges.arrive(&arrival, what, template) else { return };
        if self.exchanges.get(id).mixed {
            self.fault.get_or_insert_with(|| format!("ranks beside rank {} met in different exchanges", at.rank));
        }
        self.start_exchange(id, sms, actions);
    }

    /// All ranks are there: every message of the all-to-all starts.
    fn start_exchange(&mut self, id: u32, sms: u32, actions: &mut Actions<Tag>) {
        // The capacity is that of a pair's SMs; fewer or more of them make a byte cost more or less of it.
        let copy_sms = self.routines.copy_sms.filter(|_| sms > 0);
        let copied = copy_sms.map_or(0.0, |of| f64::from(of) / f64::from(sms));
        self.exchanges.starts(id, copied);
        let exchange = self.exchanges.get(id);
        let first = exchange.first;
        let template = self.template(id);
        // What its tasks draw follows from these and nothing else, but for whose ports they are.
        let kind =
            (u64::from(exchange.batch) << 1 | exchange.kind as u64) << 32 | u64::from(copy_sms.map_or(0, |_| sms));
        let messages = actions.submit_together(Batch {
            list: Listed::Messages { exchange: id }.list(),
            n_tasks: template.flows.len() as u32,
            n_parts: self.exchanges.n_parts(template),
            kind,
        });
        self.exchanges.runs(id, messages);
        let gang = self.ranks[first as usize].gang;
        if self.routines.gangs[gang.0 as usize].ranks.len() > 1 {
            self.outcome.n_flows += template.flows.iter().map(|flow| u64::from(flow.copies)).sum::<u64>();
            self.outcome.ports.up_bytes += template.up_bytes;
            self.outcome.ports.out_bytes += template.out_bytes;
        }
        for (member, &bytes) in template.memory.iter().enumerate() {
            let tag = Tag::Copying { exchange: id, member: member as u32 };
            let resources = self.resources(first + member as u32);
            let task = Task::new(tag)
                .demand(resources.memory, bytes)
                .weight(f64::from(sms.max(1)))
                .no_faster_than(template.alone.get())
                .latency(template.delay())
                .claim(resources.sms, sms);
            let copying = actions.submit(task);
            self.exchanges.runs(id, Some(copying));
        }
    }

    pub(super) fn template(&self, id: u32) -> &'a ExchangeTemplate {
        let exchange = self.exchanges.get(id);
        &self.routines.exchanges[exchange.batch as usize][exchange.kind as usize]
    }

    /// One message of an all-to-all.
    #[inline(never)]
    pub(super) fn message_of(&self, id: u32, index: u32) -> Task<()> {
        let exchange = self.exchanges.get(id);
        let template = self.template(id);
        let flow = &template.flows[index as usize];
        let ends = [flow.from, flow.to].map(|member| self.resources(exchange.first + u32::from(member)));
        flow.task((), ends, exchange.copied, template.delay())
    }

    /// Something a member waits for has ended.
    pub(super) fn part_done(&mut self, id: u32, member: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let (late, delay) = (self.template(id).late, self.template(id).delay());
        let Some(met) = self.exchanges.part_done(id, member) else { return };
        let state = &mut self.ranks[met.at.rank as usize];
        if std::mem::take(&mut state.counts) {
            state.host = state.host.max(met.last + delay);
        }
        let waited = met.last.since(met.arrived) + late;
        let transferred = now.since(met.last) - late;
        state.totals.waited += waited;
        state.totals.transferred += transferred;
        if state.label == Label::OVERLAPPED {
            state.totals.overlapped.exchanges[met.kind as usize] += now.since(met.last);
        }
        let total = &mut self.outcome.exchanges[met.kind as usize];
        total.count += 1;
        total.waited += waited;
        total.transferred += transferred;
        let what = if met.kind == ExchangeKind::Dispatch { Ran::Dispatch } else { Ran::Combine };
        self.span(met.at, Ran::Wait, met.arrived, met.last);
        self.span(met.at, what, met.last, now);
        self.free(met.at, now, actions);
    }

    /// All messages of a part have ended: those of a member, or into a node whose members wait for them. A lone member has a
    /// part for each bundle of messages.
    pub(super) fn messages_ended(&mut self, id: u32, part: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let n_members = self.exchanges.size;
        if n_members == 1 {
            let flow = &self.template(id).flows[part as usize];
            self.outcome.n_flows += u64::from(flow.copies);
            self.outcome.ports.count(flow);
            self.part_done(id, 0, now, actions);
        } else if part < n_members {
            self.part_done(id, part, now, actions);
        } else {
            let devices = self.template(id).devices;
            let node = part - n_members;
            for member in node * devices..(node + 1) * devices {
                self.part_done(id, member, now, actions);
            }
        }
    }
}
