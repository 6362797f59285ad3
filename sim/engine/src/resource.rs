//! What tasks share and hold.

/// A rate that running tasks share: a link, a memory, an array of tensor cores. Its unit is the lowering's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Units a second, over all tasks together.
    pub rate: f64,
}

/// Things a task holds from its start to its end: SMs, copy engines, queue places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How many there are.
    pub count: u32,
}

/// Index of a capacity in its [`Resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapacityId(pub u32);

/// Index of a pool in its [`Resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// Index of a route in its [`Resources`]: a list of capacities that a task draws from alike ([`crate::Task::along`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u32);

impl RouteId {
    /// Above all indices of capacities: a demand is of a capacity or along a route, in one word.
    const FIRST: u32 = 1 << 31;

    /// The route in the place of a capacity.
    pub(crate) fn as_demand(self) -> CapacityId {
        CapacityId(Self::FIRST | self.0)
    }

    /// The route that stands in the place of a capacity, if one does.
    #[inline]
    pub(crate) fn of_demand(id: CapacityId) -> Option<Self> {
        (id.0 >= Self::FIRST).then_some(Self(id.0 & !Self::FIRST))
    }
}

/// All capacities, routes over them, and pools of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    pub(crate) capacities: Vec<Capacity>,
    pub(crate) routes: Routes,
    pub(crate) pools: Vec<Pool>,
}

/// Routes, one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Routes {
    capacities: Vec<CapacityId>,
    ends: Vec<u32>,
}

impl Routes {
    /// The capacities of a route, in order.
    pub(crate) fn of(&self, RouteId(index): RouteId) -> &[CapacityId] {
        let first = if index == 0 { 0 } else { self.ends[index as usize - 1] };
        &self.capacities[first as usize..self.ends[index as usize] as usize]
    }
}

/// Capacities one route may have.
const MAX_ROUTE: usize = 48;

impl Resources {
    /// Adds a capacity. A rate that is not positive and finite would let a task run for ever.
    ///
    /// # Panics
    /// If the rate is not positive and finite: a fault of the caller, who validates what users type.
    pub fn add_capacity(&mut self, capacity: Capacity) -> CapacityId {
        assert!(
            capacity.rate.is_finite() && capacity.rate > 0.0,
            "a capacity needs a positive rate, not {}",
            capacity.rate
        );
        self.capacities.push(capacity);
        CapacityId(self.capacities.len() as u32 - 1)
    }

    /// Adds a pool.
    pub fn add_pool(&mut self, pool: Pool) -> PoolId {
        self.pools.push(pool);
        PoolId(self.pools.len() as u32 - 1)
    }

    /// Adds a route: what a task draws along it, it draws from each of these capacities. An empty one slows nothing.
    ///
    /// # Panics
    /// If there are more than 48 capacities, or one that has not been added: faults of the caller.
    pub fn add_route(&mut self, capacities: &[CapacityId]) -> RouteId {
        assert!(capacities.len() <= MAX_ROUTE, "a route of {} capacities is too long", capacities.len());
        assert!(
            capacities.iter().all(|id| (id.0 as usize) < self.capacities.len()),
            "capacities are added before routes"
        );
        self.routes.capacities.extend_from_slice(capacities);
        self.routes.ends.push(self.routes.capacities.len() as u32);
        RouteId(self.routes.ends.len() as u32 - 1)
    }

    /// How many capacities there are.
    #[must_use]
    pub fn n_capacities(&self) -> usize {
        self.capacities.len()
    }

    /// The rate of a capacity.
    #[must_use]
    pub fn rate(&self, id: CapacityId) -> f64 {
        self.capacities[id.0 as usize].rate
    }
}
