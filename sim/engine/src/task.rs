//! What a task asks for.

use units::SimSpan;

use crate::resource::{CapacityId, PoolId, RouteId};

/// Demands one task may have, each of a capacity or along a route.
pub(crate) const MAX_DEMANDS: usize = 4;
/// Pools one task may claim from.
pub(crate) const MAX_CLAIMS: usize = 2;

/// Work laid on resources. A task waits for its claims, pays its latency, then draws all its demands in step at the
/// rate the solve gives it, and releases its claims at its end.
///
/// A task may stand for several equal copies ([`Task::copies`]): flows of the same path, start and size. Demands,
/// weight and limit are those of one copy.
#[derive(Clone, Copy, Debug)]
pub struct Task<T> {
    pub(crate) tag: T,
    pub(crate) latency: SimSpan,
    pub(crate) weight: f64,
    pub(crate) limit: f64,
    pub(crate) copies: u32,
    pub(crate) n_demands: u8,
    pub(crate) n_claims: u8,
    pub(crate) class: u8,
    pub(crate) claims: [(PoolId, u32); MAX_CLAIMS],
    pub(crate) demands: [(CapacityId, f64); MAX_DEMANDS],
}

/// What set the rate of a task when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// It drew from nothing: only its latency.
    Latency,
    /// Its own limit.
    Limit,
    /// A capacity it shared, or filled alone.
    Capacity(CapacityId),
}

impl<T> Task<T> {
    /// A task that asks for nothing and ends when it starts.
    #[inline]
    pub fn new(tag: T) -> Self {
        Self::drawing(tag, [(CapacityId(0), 0.0); 2])
    }

    /// The same with two demands ([`Task::demand`]), in one go: for tasks that are made by the million.
    ///
    /// # Panics
    /// On an amount that is negative or not finite: a fault of the caller.
    #[inline]
    pub fn drawing(tag: T, [first, second]: [(CapacityId, f64); 2]) -> Self {
        let (draws_first, draws_second) = (is_drawn(first.1), is_drawn(second.1));
        let nothing = (CapacityId(0), 0.0);
        Self {
            tag,
            latency: SimSpan::ZERO,
            weight: 1.0,
            limit: f64::INFINITY,
            copies: 1,
            n_demands: u8::from(draws_first) + u8::from(draws_second),
            n_claims: 0,
            class: 0,
            claims: [(PoolId(0), 0); MAX_CLAIMS],
            demands: [
                if draws_first { first } else { second },
                if draws_first { second } else { nothing },
                nothing,
                nothing,
            ],
        }
    }

    /// Adds `amount` units drawn from a capacity. The first demand is the main one: fairness is judged by it, so the
    /// main demands of tasks that meet must have one unit (bytes, say). Nothing is added for an amount of zero.
    ///
    /// # Panics
    /// On a fifth demand, or an amount that is negative or not finite: faults of the caller.
    #[must_use]
    #[inline]
    pub fn demand(mut self, capacity: CapacityId, amount: f64) -> Self {
        if is_drawn(amount) {
            self.demands[usize::from(self.n_demands)] = (capacity, amount);
            self.n_demands += 1;
        }
        self
    }

    /// Adds `amount` units drawn from each capacity of a route. It counts as one demand: if it is the first, its amount is the
    /// main one.
    ///
    /// # Panics
    /// As [`Task::demand`].
    #[must_use]
    pub fn along(self, route: RouteId, amount: f64) -> Self {
        self.demand(route.as_demand(), amount)
    }

    /// Claims `count` things of a pool from start to end. Nothing is claimed for a count of zero.
    ///
    /// # Panics
    /// On a third claim: a fault of the caller.
    #[must_use]
    #[inline]
    pub fn claim(mut self, pool: PoolId, count: u32) -> Self {
        if count > 0 {
            self.claims[usize::from(self.n_claims)] = (pool, count);
            self.n_claims += 1;
        }
        self
    }

    /// Time between claiming and drawing.
    #[must_use]
    #[inline]
    pub fn latency(mut self, latency: SimSpan) -> Self {
        self.latency = latency;
        self
    }

    /// Its share against others: usage of the main demand grows in proportion. 1 for a flow, the SMs held for a kernel.
    #[must_use]
    #[inline]
    pub fn weight(mut self, weight: f64) -> Self {
        debug_assert!(weight > 0.0);
        self.weight = weight;
        self
    }

    /// The shortest time the task may take, even alone: bounds its progress from above.
    #[must_use]
    #[inline]
    pub fn no_faster_than(mut self, seconds: f64) -> Self {
        self.limit = if seconds > 0.0 { 1.0 / seconds } else { f64::INFINITY };
        self
    }

    /// How many equal tasks this one stands for.
    #[must_use]
    #[inline]
    pub fn copies(mut self, copies: u32) -> Self {
        self.copies = copies;
        self
    }

    /// Order among what happens at one instant; lower first.
    #[must_use]
    #[inline]
    pub fn class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    #[inline]
    pub(crate) fn demands(&self) -> &[(CapacityId, f64)] {
        &self.demands[..usize::from(self.n_demands)]
    }

    /// Whether it claims the same as another.
    #[inline]
    pub(crate) fn claims_as(&self, other: &Self) -> bool {
        self.n_claims == other.n_claims && (0..usize::from(self.n_claims)).all(|i| self.claims[i] == other.claims[i])
    }

    #[inline]
    pub(crate) fn claims(&self) -> &[(PoolId, u32)] {
        &self.claims[..usize::from(self.n_claims)]
    }
}

/// Whether a demand is more than nothing.
#[inline]
fn is_drawn(amount: f64) -> bool {
    // Bits of numbers from zero on are in their order; adding zero turns a negative one into zero.
    assert!((amount + 0.0).to_bits() < f64::INFINITY.to_bits(), "a demand must be zero or more, not {amount}");
    amount > 0.0
}
