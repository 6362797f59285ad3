//! What the network between the ports leaves a message.

use topology::{Crossing, DeviceId, LinkId, LinkKind};

use crate::{Platform, PlatformError};

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
pub(crate) fn way_seconds(
    platform: &Platform<'_>,
    pairs: &[(DeviceId, DeviceId)],
    together: u32,
) -> Result<f64, PlatformError> {
    let network = &platform.network;
    let kind = |crossing: &Crossing| network.link(crossing.link).kind;
    // Over how many lanes messages spread is the same for all that cross a link.
    let (mut load, mut lanes) = (vec![0.0_f64; network.n_links()], vec![1.0_f64; network.n_links()]);
    let (mut binding, mut ends) = (Vec::new(), Vec::new());
    for group in pairs.chunks(together.max(1) as usize) {
        for &(from, to) in group {
            let crossings = network.crossings(from, to, platform.routing)?;
            for crossing in &crossings {
                load[crossing.link.index()] += 1.0;
                lanes[crossing.link.index()] = crossing.lanes;
            }
            let is_spread = crossings.iter().any(|crossing| crossing.lanes > 1.0);
            binding.extend(crossings.iter().filter(|crossing| binds(kind(crossing), is_spread)).map(|at| at.link));
        }
        ends.push(binding.len());
    }
    let seconds = |link: &LinkId| load[link.index()] / lanes[link.index()] / rate(platform, *link);
    let (mut first, mut sum) = (0, 0.0);
    for &end in &ends {
        sum += binding[first..end].iter().map(seconds).fold(0.0, f64::max);
        first = end;
    }
    Ok(sum / ends.len().max(1) as f64)
}

/// Whether a link of a message is part of its way. Ports are capacities of their own; that of the switch counts for what
/// spreads behind it.
pub(crate) fn binds(kind: LinkKind, is_spread: bool) -> bool {
    match kind {
        LinkKind::Trunk | LinkKind::Pcie => true,
        LinkKind::NicUp | LinkKind::NicDown => is_spread,
        LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive => false,
    }
}

/// Bytes a second of a link on a way: of a NIC's wire, those of the switch port at its end.
pub(crate) fn rate(platform: &Platform<'_>, link: LinkId) -> f64 {
    let link = platform.network.link(link);
    match link.kind {
        LinkKind::NicUp | LinkKind::NicDown => platform.machine.fabric.link_rate.get(),
        LinkKind::Trunk | LinkKind::Pcie | LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive => link.rate.get(),
    }
}
