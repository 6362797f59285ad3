//! Groups: tasks that one large solve gave their rates share an event, for the first of them to end.

use std::ops::Range;

use units::SimTime;

use super::{EVENT_EACH, Ended, Ending, Engine};
use crate::driver::Driver;
use crate::queue::Due;
use crate::share::NO_GROUP;

/// Tasks that one large solve gave their rates.
#[derive(Default)]
pub(super) struct Group {
    version: u32,
    n_members: u32,
    members: Vec<u32>,
}

impl<D: Driver> Engine<'_, D> {
    pub(super) fn collect_group(&mut self, id: u32, version: u32) {
        let group = &self.groups[id as usize];
        if group.version != version {
            return;
        }
        for &slot in &group.members {
            let draw = &self.sharing.draws[slot as usize];
            if draw.group == id && draw.end <= self.now {
                let entry = &self.entries[slot as usize];
                self.ended.push(Ended { class: entry.class, sequence: entry.sequence, what: Ending::Slot(slot) });
            }
        }
        self.due_groups.push((id, version));
    }

    /// Puts the ends of what was solved in the queue, one event for a large family.
    pub(super) fn schedule(&mut self) {
        let mut begin = 0;
        let mut family = 0;
        while let Some(end) = self.sharing.family_end(family) {
            if end - begin > EVENT_EACH {
                self.schedule_group(begin..end);
            } else {
                (begin..end).for_each(|place| self.schedule_one(place));
            }
            family += 1;
            begin = end;
        }
    }

    fn schedule_one(&mut self, place: usize) {
        let slot = self.sharing.solved()[place];
        let grouped = self.leave_group(slot);
        let draw = &mut self.sharing.draws[slot as usize];
        if draw.scheduled != draw.version || grouped {
            draw.scheduled = draw.version;
            self.queue.push(draw.end.max(self.now), Due::End { slot, version: draw.version });
        }
    }

    fn schedule_group(&mut self, places: Range<usize>) {
        let id = self.free_groups.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() as u32 - 1
        });
        let mut first = SimTime::MAX;
        let mut members = std::mem::take(&mut self.groups[id as usize].members);
        members.clear();
        members.extend_from_slice(&self.sharing.solved()[places]);
        for &slot in &members {
            self.leave_group(slot);
            let draw = &mut self.sharing.draws[slot as usize];
            draw.group = id;
            first = first.min(draw.end);
        }
        let group = &mut self.groups[id as usize];
        group.n_members = members.len() as u32;
        group.members = members;
        self.queue.push(first.max(self.now), Due::Group { group: id, version: group.version });
    }

    /// A group whose first members ended, and whose others were not solved again, waits for its next.
    pub(super) fn schedule_rest(&mut self, id: u32, version: u32) {
        let group = &mut self.groups[id as usize];
        let draws = &self.sharing.draws;
        if group.version != version {
            return;
        }
        let mut first = SimTime::MAX;
        group.members.retain(|&slot| {
            let draw = &draws[slot as usize];
            let stays = draw.group == id;
            if stays {
                first = first.min(draw.end);
            }
            stays
        });
        self.queue.push(first.max(self.now), Due::Group { group: id, version: group.version });
    }

    /// Takes a slot out of its group; whether it was in one.
    pub(super) fn leave_group(&mut self, slot: u32) -> bool {
        let id = std::mem::replace(&mut self.sharing.draws[slot as usize].group, NO_GROUP);
        if id == NO_GROUP {
            return false;
        }
        let group = &mut self.groups[id as usize];
        group.n_members -= 1;
        if group.n_members == 0 {
            group.version = group.version.wrapping_add(1);
            self.free_groups.push(id);
        }
        true
    }
}
