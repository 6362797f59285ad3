//! What the network between the ports leaves a message.

use topology::{DeviceId, LinkId, LinkKind, Network, Routing};

use crate::PlatformError;

/// Seconds a byte that the slowest of a group of messages needs on the most crowded link of its way, were all these
/// messages, of equal size, on their way at once: the mean over groups of `together` messages. Whoever meets in a group
/// waits for the slowest of it.
///
/// Links give their whole rate; what a protocol loses it loses at its ports, so a way is slower than its ports only where
/// clearly more messages meet than a port has. `Adaptive` spreads over all lanes evenly. Assumed: all groups exchange at
/// the same time.
pub fn way_seconds(
    network: &Network,
    routing: Routing,
    pairs: &[(DeviceId, DeviceId)],
    together: u32,
) -> Result<f64, PlatformError> {
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
