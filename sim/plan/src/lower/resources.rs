//! What the ranks of a column share and hold.

use calibrate::EstimateKey;
use engine::{Capacity, Pool, Resources};

use super::Context;
use crate::program::RankResources;

/// Resources of one column; columns are alike.
///
/// Device memory gives what memory-bound kernels reach together (`memory.peak-fraction` of its peak). Ports give their own
/// rate; what protocols lose there is in the demands. Devices that share a NIC have an equal part of it each. Links inside
/// the network are not capacities: a fabric of full bisection binds at its ports, and what static routes, hashes or few
/// uplinks crowd together bounds the messages from below ([`super::way::way_seconds`]).
pub(super) fn resources(context: &Context<'_>) -> (Resources, Vec<RankResources>) {
    let mut resources = Resources::default();
    let n_ranks = context.layout.pp * context.n_members;
    let ranks = (0..n_ranks).map(|_| rank(context, &mut resources)).collect();
    (resources, ranks)
}

fn rank(context: &Context<'_>, resources: &mut Resources) -> RankResources {
    let machine = &context.plan.machine;
    let device = &machine.device;
    let profile = &context.plan.profile;
    let memory = device.memory_rate().get() * profile.value(EstimateKey::MemoryFraction);
    let up = device.scale_up_rate().get();
    let out = machine.nic_rate_per_device().get();
    let copy = f64::from(context.comm_sms().max(1)) * profile.value(context.plan.policy.exchange_copies.rate_per_sm());
    let mut add =
        |rate: f64| resources.add_capacity(Capacity { rate: if rate > 0.0 { rate } else { f64::MIN_POSITIVE } });
    RankResources {
        tensor: add(1.0),
        memory: add(memory),
        copy: add(copy),
        up_send: add(up),
        up_receive: add(up),
        out_send: add(out),
        out_receive: add(out),
        sms: resources.add_pool(Pool { count: device.sms }),
    }
}
