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

/// All capacities and pools of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    pub(crate) capacities: Vec<Capacity>,
    pub(crate) pools: Vec<Pool>,
}

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
