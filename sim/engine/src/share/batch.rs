//! What sharing knows of batches: what their future depends on, and how their tasks become ordinary ones.

use units::SimTime;

use super::{Occupant, Sharing};
use crate::replay::Leg;

impl Sharing {
    /// Finds the lanes of capacities that are met in this order: capacities by their first meeting. None if one of them is
    /// in use.
    pub(crate) fn lay_out(
        &mut self,
        met: impl Iterator<Item = u32>,
        lanes: &mut Vec<u32>,
        capacities: &mut Vec<u32>,
    ) -> Option<()> {
        self.pass = self.pass.wrapping_add(1).max(1);
        for capacity in met {
            // A route is no capacity: tasks along one are not replayed.
            let shared = self.shared.get_mut(capacity as usize)?;
            if shared.pass != self.pass {
                if !shared.users.is_empty() || shared.occupant != Occupant::Nobody {
                    return None;
                }
                shared.pass = self.pass;
                shared.lane = capacities.len() as u32;
                capacities.push(capacity);
            }
            lanes.push(shared.lane);
        }
        Some(())
    }

    /// The rate of a capacity.
    pub(crate) fn rate(&self, capacity: u32) -> f64 {
        self.shared[capacity as usize].rate
    }

    /// Says whose future is known on some capacities.
    pub(crate) fn occupy(&mut self, capacities: &[u32], occupant: Occupant) {
        for &capacity in capacities {
            self.shared[capacity as usize].occupant = occupant;
        }
    }

    /// Counts what replayed tasks drew: lanes of the capacities, and units.
    pub(crate) fn serve(&mut self, capacities: &[u32], drawn: &[(u32, f64)]) {
        for &(lane, units) in drawn {
            self.served[capacities[lane as usize] as usize] += units;
        }
    }

    /// A replayed task goes on as an ordinary one in this slot; it will be solved with the next change.
    pub(crate) fn adopt(&mut self, slot: u32, leg: Leg, start: SimTime) {
        self.start(slot, start + leg.from);
        let draw = &mut self.draws[slot as usize];
        draw.rate = leg.rate;
        draw.left = leg.left;
        draw.end = start + leg.end;
        for entry in self.uses.of(slot, draw.n_uses) {
            self.shared[entry.capacity as usize].used += draw.copies * entry.amount * leg.rate;
        }
    }

    /// Remembers that the ends of the last solve's tasks are known.
    pub(crate) fn mark_scheduled(&mut self) {
        for place in 0..self.solved().len() {
            let slot = self.solved()[place];
            let draw = &mut self.draws[slot as usize];
            draw.scheduled = draw.version;
        }
    }
}
