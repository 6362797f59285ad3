//! What sharing knows of batches: what their future depends on, and how their tasks become ordinary ones.

use units::SimTime;

use super::{Occupant, Sharing};
use crate::replay::{Leg, mix};
use crate::resource::{Capacity, CapacityId};
use crate::task::{Bound, Task};

impl Sharing {
    /// A hash of all that the future of a batch depends on, with the lanes (capacities in order of first use) of its uses
    /// and their rates; none if one of the capacities is in use.
    pub(crate) fn identify<T>(
        &mut self,
        tasks: &[Task<T>],
        lanes: &mut Vec<u32>,
        rates: &mut Vec<Capacity>,
    ) -> Option<u128> {
        self.pass = self.pass.wrapping_add(1).max(1);
        let mut hash = tasks.len() as u128;
        for task in tasks {
            hash = mix(hash, task.weight.to_bits() ^ u64::from(task.n_demands));
            hash = mix(hash, task.limit.to_bits() ^ task.copies.to_bits().rotate_left(17));
            for &(capacity, amount) in task.demands() {
                let shared = &mut self.shared[capacity.0 as usize];
                if shared.pass != self.pass {
                    if !shared.users.is_empty() || shared.occupant != Occupant::Nobody {
                        return None;
                    }
                    shared.pass = self.pass;
                    shared.lane = rates.len() as u32;
                    rates.push(Capacity { rate: shared.rate });
                    hash = mix(hash, shared.rate.to_bits());
                }
                lanes.push(shared.lane);
                hash = mix(hash, amount.to_bits() ^ u64::from(shared.lane));
            }
        }
        Some(hash)
    }

    /// Says whose future is known on the capacities of tasks.
    pub(crate) fn occupy<T>(&mut self, tasks: &[Task<T>], occupant: Occupant) {
        for task in tasks {
            for &(capacity, _) in task.demands() {
                self.shared[capacity.0 as usize].occupant = occupant;
            }
        }
    }

    /// Whose future on a capacity is known.
    pub(crate) fn occupant(&self, id: CapacityId) -> Occupant {
        self.shared[id.0 as usize].occupant
    }

    /// Counts what a replayed task drew.
    pub(crate) fn serve<T>(&mut self, task: &Task<T>) {
        for &(capacity, amount) in task.demands() {
            self.shared[capacity.0 as usize].served += task.copies * amount;
        }
    }

    /// A replayed task goes on as an ordinary one in this slot; it will be solved with the next change.
    pub(crate) fn adopt(&mut self, slot: u32, leg: Leg, start: SimTime) {
        self.start(slot, start + leg.from);
        let draw = &mut self.draws[slot as usize];
        draw.rate = leg.rate;
        draw.left = leg.left;
        draw.end = start + leg.end;
        for entry in &draw.uses[..usize::from(draw.n_uses)] {
            self.shared[entry.capacity as usize].used += draw.copies * entry.amount * leg.rate;
        }
    }

    /// Remembers that the ends of the last solve's tasks are known.
    pub(crate) fn mark_scheduled(&mut self) {
        for &slot in &self.set {
            let draw = &mut self.draws[slot as usize];
            draw.scheduled = draw.version;
        }
    }

    /// Which of its uses stopped a task; none: its own limit.
    pub(crate) fn stopped_by(&self, slot: u32) -> Option<u8> {
        let draw = &self.draws[slot as usize];
        let uses = &draw.uses[..usize::from(draw.n_uses)];
        match draw.bound {
            Bound::Capacity(id) => uses.iter().position(|entry| entry.capacity == id.0).map(|i| i as u8),
            Bound::Limit | Bound::Latency => None,
        }
    }
}
