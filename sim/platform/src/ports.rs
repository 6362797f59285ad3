//! What a rank shares and holds.

use calibrate::{EstimateKey, Profile};
use engine::{Capacity, CapacityId, Pool, PoolId, Resources};
use topology::Machine;

/// Capacities and pools of one simulated rank.
#[derive(Clone, Copy, Debug)]
pub struct RankResources {
    /// Tensor cores, in seconds of the whole array at its peak.
    pub tensor: CapacityId,
    /// Device memory, bytes.
    pub memory: CapacityId,
    /// What the SMs of a communication kernel can send on, bytes.
    pub copy: CapacityId,
    /// Scale-up port, bytes.
    pub up_send: CapacityId,
    /// Scale-up port, bytes.
    pub up_receive: CapacityId,
    /// NIC, bytes.
    pub out_send: CapacityId,
    /// NIC, bytes.
    pub out_receive: CapacityId,
    /// SMs.
    pub sms: PoolId,
    /// The turn of one stream to compute; none where one stream computes. Kernels of two streams wait for each other here and not for SMs, in
    /// whose queue they would hold up a communication kernel that needs fewer.
    pub turn: Option<PoolId>,
}

impl RankResources {
    /// With several streams that compute in turn.
    #[must_use]
    pub fn in_turn(self, resources: &mut Resources) -> Self {
        Self { turn: Some(resources.add_pool(Pool { count: 1 })), ..self }
    }
}

/// Rates of the capacities of one rank, and its SMs.
///
/// Device memory gives what memory-bound kernels reach together (`memory.peak-fraction` of its peak). Ports give their own
/// rate; what protocols lose there is in the demands. Devices that share a NIC have an equal part of it each. Links inside
/// the network are not capacities: a fabric of full bisection binds at its ports, and what static routes, hashes or
/// few uplinks crowd together bounds the messages from below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortRates {
    /// Device memory, bytes per second.
    pub memory: f64,
    /// SMs of a communication kernel, bytes per second.
    pub copy: f64,
    /// Scale-up port, each direction, bytes per second.
    pub up: f64,
    /// NIC, each direction, bytes per second.
    pub out: f64,
    /// SMs.
    pub sms: u32,
}

impl PortRates {
    /// Of a device of a machine.
    #[must_use]
    pub fn of(machine: &Machine, profile: &Profile, copy: f64) -> Self {
        let device = &machine.device;
        Self {
            memory: device.memory_rate().get() * profile.value(EstimateKey::MemoryFraction),
            copy,
            up: device.scale_up_rate().get(),
            out: machine.nic_rate_per_device().get(),
            sms: device.sms,
        }
    }

    /// Adds one rank. A rate that nobody needs may be zero.
    pub fn add_to(&self, resources: &mut Resources) -> RankResources {
        let mut add =
            |rate: f64| resources.add_capacity(Capacity { rate: if rate > 0.0 { rate } else { f64::MIN_POSITIVE } });
        RankResources {
            tensor: add(1.0),
            memory: add(self.memory),
            copy: add(self.copy),
            up_send: add(self.up),
            up_receive: add(self.up),
            out_send: add(self.out),
            out_receive: add(self.out),
            sms: resources.add_pool(Pool { count: self.sms }),
            turn: None,
        }
    }
}
