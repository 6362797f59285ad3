//! A machine made ready.

use std::sync::Arc;

use calibrate::{Algorithm, CannotRun, CollectiveCall, EstimateKey, Estimator, Profile};
use topology::{Machine, Network, Routing};

use crate::ports::PortRates;
use crate::{
    ExchangeGroup, ExchangeSetup, ExpertSpread, Group, Kernel, Leg, Message, Placement, PlatformError, Throttle,
    UniformExchange,
};
use units::{Bytes, Flops, Seconds};
use workloads::op::Op;
use workloads::recipe::Grids;

/// A machine, what was measured of it, its network and where ranks sit. Every price is made here, from nothing else.
#[derive(Debug)]
pub struct Platform<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) profile: &'a Profile,
    pub(crate) network: Arc<Network>,
    pub(crate) placement: Placement,
    pub(crate) routing: Routing,
    promote: Option<u32>,
    grids: Grids,
}

impl<'a> Platform<'a> {
    /// Builds the network of a machine.
    ///
    /// # Errors
    /// When the machine cannot be wired.
    pub fn new(
        machine: &'a Machine,
        profile: &'a Profile,
        placement: Placement,
        routing: Routing,
    ) -> Result<Self, PlatformError> {
        let network = Arc::new(Network::build(machine)?);
        Ok(Self { machine, profile, network, placement, routing, promote: None, grids: Grids::default() })
    }

    /// As [`Platform::new`], on the network of the same machine where it is built already.
    #[must_use]
    pub fn on(
        network: Arc<Network>,
        machine: &'a Machine,
        profile: &'a Profile,
        placement: Placement,
        routing: Routing,
    ) -> Self {
        Self { machine, profile, network, placement, routing, promote: None, grids: Grids::default() }
    }

    /// With kernels of such grids.
    #[must_use]
    pub fn with_grids(self, grids: Grids) -> Self {
        Self { grids, ..self }
    }

    /// With FP8 sums moved to FP32 every so many products; `None`: never.
    #[must_use]
    pub fn promoting(self, promote: Option<u32>) -> Self {
        Self { promote, ..self }
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &'a Machine {
        self.machine
    }

    /// The estimates.
    #[must_use]
    pub fn profile(&self) -> &'a Profile {
        self.profile
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    pub(crate) fn estimator(&self) -> Estimator<'a> {
        Estimator::new(&self.machine.device, self.profile).promoting(self.promote).with_grids(self.grids)
    }

    /// An op on `sms` SMs.
    ///
    /// # Errors
    /// For a collective, for arithmetic that the device lacks, and where the demand is no number that can be counted.
    pub fn kernel(&self, op: &Op, sms: u32) -> Result<Kernel, CannotRun> {
        Ok(Kernel::from_demand(&self.estimator().demand(op, sms)?, sms))
    }

    /// How far power slows kernels that follow each other again and again.
    #[must_use]
    pub fn throttle(&self, kernels: &[Kernel]) -> Throttle {
        Throttle::of(kernels, self.memory_together(), self.profile.value(EstimateKey::PowerClock))
    }

    /// A kernel at the clock that power leaves.
    #[must_use]
    pub fn throttled(&self, kernel: Kernel, throttle: Throttle) -> Kernel {
        throttle.slowed(kernel, self.memory_together())
    }

    /// Bytes per second of the device memory that kernels reach together.
    #[must_use]
    pub fn memory_together(&self) -> f64 {
        self.machine.device.memory_rate().get() * self.profile.value(EstimateKey::MemoryFraction)
    }

    /// Work of which only arithmetic and bytes are known: BF16 products in their main loop, and kernels bound by memory.
    #[must_use]
    pub fn arithmetic(&self, flops: Flops, bytes: Bytes) -> Kernel {
        Kernel::arithmetic(&self.machine.device, self.profile, flops, bytes)
    }

    /// A message from one rank to another with the network to itself.
    ///
    /// # Errors
    /// When they do not reach each other.
    pub fn message(&self, ends: [u32; 2], bytes: Bytes) -> Result<Message, PlatformError> {
        Message::of(self, ends, bytes, &[(ends[0], ends[1])], 1)
    }

    /// The first of several messages of one size that are under way at once, each in a group of `together` that wait for each
    /// other; `None` where there is none.
    ///
    /// # Errors
    /// When two ranks do not reach each other.
    pub fn message_among(
        &self,
        pairs: &[(u32, u32)],
        together: u32,
        bytes: Bytes,
    ) -> Result<Option<Message>, PlatformError> {
        pairs.first().map(|&(from, to)| Message::of(self, [from, to], bytes, pairs, together)).transpose()
    }

    /// How a communicator lies on the machine, from the ranks of all communicators like it, which work at the same time.
    ///
    /// # Errors
    /// When two ranks do not reach each other.
    pub fn group(&self, at_once: &[Vec<u32>]) -> Result<Group, PlatformError> {
        Group::of(self, at_once)
    }

    /// The part of a collective that each rank of a group takes, by the quickest algorithm that the library and the machine have.
    #[must_use]
    pub fn collective(&self, group: &Group, call: &CollectiveCall) -> Leg {
        Leg::of(self, group, call)
    }

    /// The same of a stack that has one-shot and two-shot kernels for all-reduces within a node, where those are quicker.
    #[must_use]
    pub fn collective_of_stack(&self, group: &Group, call: &CollectiveCall) -> Leg {
        let own = [Algorithm::OneShot, Algorithm::TwoShot]
            .into_iter()
            .filter_map(|algorithm| self.estimator().collective_by(algorithm, call, &group.spread));
        let library = self.estimator().collective(call, &group.spread);
        own.fold(library, |best, other| if other.alone() < best.alone() { other } else { best }).into()
    }

    /// An expert-parallel group that is ready to exchange.
    ///
    /// # Errors
    /// When two ranks do not reach each other.
    pub fn exchange_group(&self, setup: &ExchangeSetup) -> Result<ExchangeGroup, PlatformError> {
        ExchangeGroup::of(self, setup)
    }

    /// The dispatch and the combine of a rank whose tokens pick experts alike, with the network to themselves.
    ///
    /// # Errors
    /// When two ranks do not reach each other.
    pub fn uniform_exchange(&self, spread: &ExpertSpread, call: &UniformExchange) -> Result<[Leg; 2], PlatformError> {
        let latency = crate::exchange::start(self, spread, call.delivery)?;
        let latency = Seconds::new(latency.seconds());
        Ok(call.demands((self.machine, self.profile), spread, latency).map(Leg::from))
    }

    /// The time of a kernel with the device to itself.
    #[must_use]
    pub fn alone(&self, kernel: &Kernel) -> Seconds {
        let longest = kernel.shortest.max(kernel.tensor).max(kernel.memory / self.memory_together());
        Seconds::new(kernel.latency.seconds() + longest)
    }

    /// Rates of what a rank shares, `copy` bytes per second of them on the SMs of its communication kernels.
    #[must_use]
    pub fn port_rates(&self, copy: f64) -> PortRates {
        PortRates::of(self.machine, self.profile, copy)
    }
}
