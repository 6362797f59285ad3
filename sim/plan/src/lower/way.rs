//! What the network between the ports leaves a message.

use topology::{DeviceId, LinkId, LinkKind, Network, Routing};

use crate::PlanError;
use crate::layout::Layout;

/// Seconds a byte that the slowest of a group of messages needs on the most crowded link of its way, were all these
/// messages, of equal size, on their way at once: the mean over groups of `together` messages. Whoever meets in a group
/// waits for the slowest of it.
///
/// Links give their whole rate; what a protocol loses it loses at its ports, so a way is slower than its ports only where
/// clearly more messages meet than a port has. `Adaptive` spreads over all lanes evenly. Assumed: all groups exchange at
/// the same time.
pub(crate) fn way_seconds(
    network: &Network,
    routing: Routing,
    pairs: &[(DeviceId, DeviceId)],
    together: u32,
) -> Result<f64, PlanError> {
    let mut load = vec![0.0_f64; network.n_links()];
    let mut ways = Vec::with_capacity(pairs.len());
    for &(from, to) in pairs {
        let links = network.path(from, to, routing)?.links;
        for link in &links {
            load[link.index()] += 1.0;
        }
        ways.push(links);
    }
    let slowest = |links: &Vec<LinkId>| {
        let is_port = |link: &&LinkId| matches!(network.link(**link).kind, LinkKind::NicUp | LinkKind::NicDown);
        let port_load = links.iter().filter(is_port).map(|link| load[link.index()]).fold(0.0, f64::max);
        let at = |link: &LinkId| match network.link(*link).kind {
            // Evenly spread, a lane carries what a port does.
            LinkKind::Trunk if routing == Routing::Adaptive => port_load / network.link(*link).rate.get(),
            LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive | LinkKind::NicUp | LinkKind::NicDown => 0.0,
            LinkKind::Trunk | LinkKind::Pcie => load[link.index()] / network.link(*link).rate.get(),
        };
        links.iter().map(at).fold(0.0, f64::max)
    };
    let groups = ways.chunks(together.max(1) as usize);
    let n_groups = groups.len().max(1) as f64;
    let sum: f64 = groups.map(|group| group.iter().map(slowest).fold(0.0, f64::max)).sum();
    Ok(sum / n_groups)
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
pub(super) fn stage_pairs(layout: &Layout) -> Vec<(DeviceId, DeviceId)> {
    let hop = |p: u32, q: u32| (0..layout.per_stage).map(move |i| (layout.device(p, i), layout.device(q, i)));
    (0..layout.pp.saturating_sub(1)).flat_map(|p| hop(p, p + 1).chain(hop(p + 1, p))).collect()
}
