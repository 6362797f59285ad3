//! What every task draws from which capacities.

use crate::resource::{CapacityId, RouteId, Routes};
use crate::task::MAX_DEMANDS;

/// What a task draws from one capacity, and where it stands among the capacity's users.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) capacity: u32,
    pub(super) place: u32,
    pub(super) amount: f64,
}

/// The uses of one task, in one line of cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Few([Use; MAX_DEMANDS]);

/// The uses of all tasks, by slot. Nearly all have few; those along routes may have many.
#[derive(Debug, Default)]
pub(super) struct AllUses {
    few: Vec<Few>,
    many: Vec<Vec<Use>>,
}

impl AllUses {
    /// Writes the demands of the task in a slot down as uses. How many there are.
    #[inline]
    pub(super) fn place(&mut self, slot: u32, demands: &[(CapacityId, f64)], routes: &Routes) -> u8 {
        let mut few = Few::default();
        let mut along = false;
        for (entry, &(id, amount)) in few.0.iter_mut().zip(demands) {
            along |= RouteId::of_demand(id).is_some();
            *entry = Use { capacity: id.0, place: 0, amount };
        }
        if slot as usize >= self.few.len() {
            self.few.resize(slot as usize + 1, few);
        }
        self.few[slot as usize] = few;
        if along { self.place_along(slot, demands, routes) } else { demands.len() as u8 }
    }

    /// The same where one of the demands is along a route.
    #[cold]
    fn place_along(&mut self, slot: u32, demands: &[(CapacityId, f64)], routes: &Routes) -> u8 {
        let mut uses = Vec::new();
        for &(id, amount) in demands {
            let route = RouteId::of_demand(id);
            let capacities = route.map_or(std::slice::from_ref(&id), |route| routes.of(route));
            uses.extend(capacities.iter().map(|id| Use { capacity: id.0, place: 0, amount }));
        }
        let n_uses = uses.len();
        if n_uses <= MAX_DEMANDS {
            self.few[slot as usize].0[..n_uses].copy_from_slice(&uses);
        } else {
            if self.many.len() <= slot as usize {
                self.many.resize_with(slot as usize + 1, Vec::new);
            }
            self.many[slot as usize] = uses;
        }
        n_uses as u8
    }

    /// The uses of the task in a slot that has so many.
    #[inline]
    pub(super) fn of(&self, slot: u32, n_uses: u8) -> &[Use] {
        let n_uses = usize::from(n_uses);
        if n_uses <= MAX_DEMANDS { &self.few[slot as usize].0[..n_uses] } else { &self.many[slot as usize] }
    }

    #[inline]
    pub(super) fn of_mut(&mut self, slot: u32, n_uses: u8) -> &mut [Use] {
        let n_uses = usize::from(n_uses);
        if n_uses <= MAX_DEMANDS { &mut self.few[slot as usize].0[..n_uses] } else { &mut self.many[slot as usize] }
    }

    /// Whether two uses of the task in a slot are of one capacity.
    #[inline]
    pub(super) fn repeats(&self, slot: u32, n_uses: u8) -> bool {
        let uses = self.of(slot, n_uses);
        (1..uses.len()).any(|i| uses[..i].iter().any(|before| before.capacity == uses[i].capacity))
    }
}
