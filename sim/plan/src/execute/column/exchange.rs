//! The communication stream: all-to-alls, from the first rank's arrival to the last message's end.

use engine::{Actions, Task};
use units::SimTime;

use super::{COMMUNICATION, Column, Tag};
use crate::execute::outcome::Ran;
use platform::ExchangeKind;

impl Column<'_> {
    pub(super) fn arrive(
        &mut self,
        rank: u32,
        kind: ExchangeKind,
        batch: u32,
        sms: u32,
        now: SimTime,
        actions: &mut Actions<Tag>,
    ) {
        let sequence = self.ranks[rank as usize].n_exchanges;
        self.ranks[rank as usize].n_exchanges += 1;
        let template = &self.program.exchanges[batch as usize][kind as usize];
        if let Some(id) = self.exchanges.arrive(rank, sequence, (batch, kind), template, now) {
            self.start_exchange(id, sms, actions);
        }
    }

    /// All ranks are there: every message of the all-to-all starts.
    fn start_exchange(&mut self, id: u32, sms: u32, actions: &mut Actions<Tag>) {
        let exchange = self.exchanges.get(id);
        let template = &self.program.exchanges[exchange.batch as usize][exchange.kind as usize];
        let first = exchange.first;
        // The capacity is that of a pair's SMs; fewer or more of them make a byte cost more or less of it.
        let copied =
            if self.program.copy_binds && sms > 0 { f64::from(self.program.comm_sms) / f64::from(sms) } else { 0.0 };
        let ranks = &self.program.ranks[first as usize..];
        actions.submit_together(template.flows.iter().enumerate().map(|(i, flow)| {
            let tag = Tag::Flow { exchange: id, flow: i as u32 };
            let ends = [flow.from, flow.to].map(|member| &ranks[usize::from(member)]);
            flow.task(tag, ends, copied, template.latency)
        }));
        for (member, &bytes) in template.memory.iter().enumerate() {
            let tag = Tag::Copying { exchange: id, member: member as u32 };
            let resources = &self.program.ranks[first as usize + member];
            let task = Task::new(tag)
                .demand(resources.memory, bytes)
                .weight(f64::from(sms.max(1)))
                .no_faster_than(template.alone.get())
                .latency(template.latency)
                .claim(resources.sms, sms);
            actions.submit(task);
        }
    }

    /// Something a member waits for has ended.
    pub(super) fn part_done(&mut self, id: u32, member: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let Some(met) = self.exchanges.part_done(id, member) else { return };
        let rank = met.rank;
        let state = &mut self.ranks[rank as usize];
        state.totals.waited += met.last.since(met.arrived);
        state.totals.transferred += now.since(met.last);
        let total = &mut self.outcome.exchanges[met.kind as usize];
        total.count += 1;
        total.waited += met.last.since(met.arrived);
        total.transferred += now.since(met.last);
        state.busy[COMMUNICATION] = false;
        if self.keep.streams && self.records(rank) {
            let what = if met.kind == ExchangeKind::Dispatch { Ran::Dispatch } else { Ran::Combine };
            self.span(rank, COMMUNICATION, Ran::Wait, met.arrived, met.last);
            self.span(rank, COMMUNICATION, what, met.last, now);
        }
        self.advance(rank, now, actions);
    }

    pub(super) fn flow_ended(&mut self, id: u32, index: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let exchange = self.exchanges.get(id);
        let template = &self.program.exchanges[exchange.batch as usize][exchange.kind as usize];
        let flow = template.flows[index as usize];
        let devices = template.devices;
        self.outcome.n_flows += u64::from(flow.copies);
        self.outcome.ports.count(&flow);
        let node = u32::from(flow.to) / devices;
        let node_done = self.exchanges.node_part_done(id, node, &flow);
        self.part_done(id, u32::from(flow.from), now, actions);
        match node_done {
            None => self.part_done(id, u32::from(flow.to), now, actions),
            Some(true) => {
                for member in node * devices..(node + 1) * devices {
                    self.part_done(id, member, now, actions);
                }
            }
            Some(false) => {}
        }
    }
}
