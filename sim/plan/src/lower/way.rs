//! What the network between the ports leaves a message.

use topology::{Crossing, DeviceId, LinkId, LinkKind};

use super::Context;
use crate::PlanError;
use crate::layout::Layout;

/// Seconds a byte that the slowest of a group of messages needs on the most crowded link of its way, were all these
/// messages, of equal size, on their way at once: the mean over groups of `together` messages. Whoever meets in a group
/// waits for the slowest of it.
///
/// A link takes as many seconds as messages cross it, over its rate; where messages spread over lanes, as many as cross them
/// all, over the rate of them all ([`topology::Network::crossings`]). Spread so, a message to another leaf is still no faster
/// than the one port of a switch by which it comes in or goes out, which has the rate of a link. So with `Adaptive` routing a
/// full leaf that sends all it has to other leaves takes what its ports take, times `fabric.oversubscription`.
///
/// Links give their whole rate; what a protocol loses it loses at its ports, so a way is slower than its ports only where
/// clearly more messages meet than a port has. Assumed: all groups exchange at the same time.
pub(super) fn way_seconds(
    context: &Context<'_>,
    pairs: &[(DeviceId, DeviceId)],
    together: u32,
) -> Result<f64, PlanError> {
    let network = &context.network;
    let kind = |crossing: &Crossing| network.link(crossing.link).kind;
    // Over how many lanes messages spread is the same for all that cross a link.
    let (mut load, mut lanes) = (vec![0.0_f64; network.n_links()], vec![1.0_f64; network.n_links()]);
    let (mut binding, mut ends) = (Vec::new(), Vec::new());
    for group in pairs.chunks(together.max(1) as usize) {
        for &(from, to) in group {
            let crossings = network.crossings(from, to, context.plan.policy.routing)?;
            for crossing in &crossings {
                load[crossing.link.index()] += 1.0;
                lanes[crossing.link.index()] = crossing.lanes;
            }
            let is_spread = crossings.iter().any(|crossing| crossing.lanes > 1.0);
            binding.extend(crossings.iter().filter(|crossing| binds(kind(crossing), is_spread)).map(|at| at.link));
        }
        ends.push(binding.len());
    }
    let seconds = |link: &LinkId| load[link.index()] / lanes[link.index()] / rate(context, *link);
    let (mut first, mut sum) = (0, 0.0);
    for &end in &ends {
        sum += binding[first..end].iter().map(seconds).fold(0.0, f64::max);
        first = end;
    }
    Ok(sum / ends.len().max(1) as f64)
}

/// Whether a link of a message is part of its way. Ports are capacities of their own; that of the switch counts for what
/// spreads behind it.
fn binds(kind: LinkKind, is_spread: bool) -> bool {
    match kind {
        LinkKind::Trunk | LinkKind::Pcie => true,
        LinkKind::NicUp | LinkKind::NicDown => is_spread,
        LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive => false,
    }
}

/// Bytes a second of a link on a way: of a NIC's wire, those of the switch port at its end.
fn rate(context: &Context<'_>, link: LinkId) -> f64 {
    let link = context.network.link(link);
    match link.kind {
        LinkKind::NicUp | LinkKind::NicDown => context.plan.machine.fabric.link_rate.get(),
        LinkKind::Trunk | LinkKind::Pcie | LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive => link.rate.get(),
    }
}

/// Messages over the network of all expert-parallel groups at once.
pub(super) fn group_pairs(layout: &Layout) -> Vec<(DeviceId, DeviceId)> {
    let (n_nodes, devices) = (layout.expert_nodes(), layout.expert_devices());
    let mut pairs = Vec::new();
    for first in (0..layout.pp * layout.per_stage).step_by(layout.ep as usize) {
        for rank in 0..layout.ep {
            let (node, local) = (rank / devices, rank % devices);
            let others = (0..n_nodes).filter(|&other| other != node);
            let device = |index| layout.device(0, first + index);
            pairs.extend(others.map(|other| (device(rank), device(other * devices + local))));
        }
    }
    pairs
}

/// Messages between all neighboring stages at once.
pub(super) fn stage_pairs(context: &Context<'_>) -> Vec<(DeviceId, DeviceId)> {
    let layout = &context.layout;
    let hop = |p: u32, q: u32| (0..layout.per_stage).map(move |i| (layout.device(p, i), layout.device(q, i)));
    (0..layout.pp.saturating_sub(1)).flat_map(|p| hop(p, p + 1).chain(hop(p + 1, p))).collect()
}
