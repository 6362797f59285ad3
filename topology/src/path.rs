//! Paths between devices, computed from structure.

use units::Seconds;

use crate::wiring::{Choice, Ends};
use crate::{DeviceId, LinkId, Network, Routing, TopologyError};

/// The links a message takes, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Links from source to target; empty when both are one device.
    pub links: Vec<LinkId>,
    /// Sum of the latencies of the links.
    pub latency: Seconds,
}

/// A link that a message crosses, one of those that it spreads over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// The link, the fullest of those alike.
    pub link: LinkId,
    /// The message's bytes over its bytes on this link. A whole number where all links alike are as full.
    pub lanes: f64,
}

impl Network {
    /// The path of a message.
    ///
    /// Within a node it crosses the scale-up switch. Between nodes it leaves through the NIC of the source device and
    /// arrives at the NIC of the target device, turning at the lowest tier of switches that both are below. Where
    /// the two NICs are in different planes, the message is first carried over the scale-up fabric to the device of
    /// its own node that has the local rank of the target, and leaves from there. No other relay is taken, though one
    /// may be shorter: relaying at the far end, as DeepEP does, or to the rail of the target in one network, as NCCL's
    /// PXN does, is two paths asked for one by one.
    ///
    /// Which of several equal ways through the switches it takes is chosen by `routing`. In a folded Clos they differ in leaf and
    /// spine uplinks ("lanes"):
    ///
    /// - `Static` takes the lane numbered like the target's port (D-mod-k, Zahavi 2012). Without oversubscription every
    ///   downward wire then serves one NIC, so flows to different NICs never meet on the way down, and a shift of full leaves
    ///   meets nowhere. With it, as many NICs share a wire as a leaf has ports down for each up.
    /// - `Ecmp` takes a lane by a hash of source and target, so flows collide by chance. One lane for all messages of a
    ///   pair; real switches hash ports too, which spreads several queue pairs of one pair of devices.
    /// - `Adaptive` has no single path: this is the static one, equal to the others in links and latency;
    ///   [`Network::paths`] gives all with their shares.
    ///
    /// Cost: a few divisions and one vector, whatever the size of the machine.
    ///
    /// # Errors
    /// When a device does not exist, or nothing joins the two.
    pub fn path(&self, from: DeviceId, to: DeviceId, routing: Routing) -> Result<Path, TopologyError> {
        let route = self.route(from, to)?;
        let choice = match routing {
            Routing::Static | Routing::Adaptive => Choice::Target,
            Routing::Ecmp => Choice::Hash(mix((u64::from(from.0) << 32) | u64::from(to.0))),
        };
        Ok(self.along(&route, choice))
    }

    /// The paths a message takes and the share of its bytes on each; shares add to 1. `Static` and `Ecmp` have one
    /// path, `Adaptive` spreads evenly over all lanes: those of a leaf where leaves differ, that many times those of a
    /// spine where pods differ. Wires joining the same two switches count as lanes of their own, and a message
    /// comes down on the lane number it went up on.
    ///
    /// # Errors
    /// As [`Network::path`].
    pub fn paths(&self, from: DeviceId, to: DeviceId, routing: Routing) -> Result<Vec<(Path, f64)>, TopologyError> {
        if routing != Routing::Adaptive {
            return Ok(vec![(self.path(from, to, routing)?, 1.0)]);
        }
        let route = self.route(from, to)?;
        let n_ways = route.wired.map_or(1, |ends| self.wiring().n_ways(ends));
        let share = 1.0 / n_ways as f64;
        Ok((0..n_ways).map(|way| (self.along(&route, Choice::Way(way)), share)).collect())
    }

    /// The links a message crosses, and over how many like each it spreads: what [`Network::paths`] gives, in a dozen links.
    ///
    /// `Static` and `Ecmp` do not spread, and cross the links of [`Network::path`]. `Adaptive` fills the lanes of a leaf evenly,
    /// and the lanes of a spine. Here the first lane stands for all of them, and of the spines of a pod the first one, to
    /// which the most wires lead. The load of such a link is the number of messages that cross it over their lanes, and no
    /// link that it stands for carries more.
    ///
    /// # Errors
    /// As [`Network::path`].
    pub fn crossings(&self, from: DeviceId, to: DeviceId, routing: Routing) -> Result<Vec<Crossing>, TopologyError> {
        let alone = |link| Crossing { link, lanes: 1.0 };
        if routing != Routing::Adaptive {
            return Ok(self.path(from, to, routing)?.links.into_iter().map(alone).collect());
        }
        let route = self.route(from, to)?;
        let (out, into) = self.links_of_nodes(&route);
        let lanes = route.wired.map(|ends| self.wiring().lanes(ends)).unwrap_or_default();
        let spread = lanes.into_iter().map(|(link, lanes)| Crossing { link, lanes });
        Ok(out.into_iter().map(alone).chain(spread).chain(into.into_iter().flatten().map(alone)).collect())
    }

    fn route(&self, from: DeviceId, to: DeviceId) -> Result<Route, TopologyError> {
        self.check_device(from)?;
        self.check_device(to)?;
        let unreachable = |reason| TopologyError::Unreachable { from: self.name(from), to: self.name(to), reason };
        let near = self.node_of(from) == self.node_of(to);
        let relays = self.plane_of(from) != self.plane_of(to);
        if from != to && (near || relays) && !self.has_scale_up() {
            return Err(unreachable("the devices of a node have no scale-up links (`gpu.scale-up.links`)"));
        }
        if near {
            return Ok(Route { from, exit: from, to, wired: None });
        }
        let exit = if relays { self.device(self.node_of(from), self.local_rank(to)) } else { from };
        let wired = self.wired(exit, to);
        let wired = wired.ok_or_else(|| unreachable("their nodes have no network between them"))?;
        Ok(Route { from, exit, to, wired: Some(wired) })
    }

    /// Both ends of a message between devices of one plane; `None` without a network.
    fn wired(&self, exit: DeviceId, to: DeviceId) -> Option<Ends> {
        Some(Ends { source: self.socket(exit)?, target: self.socket(to)? })
    }

    fn has_scale_up(&self) -> bool {
        self.link(self.scale_up_send(DeviceId(0))).rate.get() > 0.0
    }

    fn along(&self, route: &Route, choice: Choice) -> Path {
        let (mut links, into) = self.links_of_nodes(route);
        if let Some(ends) = route.wired {
            self.wiring().path(ends, choice, &mut links);
        }
        links.extend(into.into_iter().flatten());
        let latency = links.iter().map(|link| self.link(*link).latency).sum();
        Path { links, latency }
    }

    /// The links before the switches of the network and those behind them.
    fn links_of_nodes(&self, route: &Route) -> (Vec<LinkId>, Option<[LinkId; 3]>) {
        let mut out = Vec::with_capacity(12);
        let Route { from, exit, to, wired } = *route;
        let scale_up_to = if wired.is_some() { exit } else { to };
        if from != scale_up_to {
            out.extend([self.scale_up_send(from), self.scale_up_receive(scale_up_to)]);
        }
        if wired.is_none() {
            return (out, None);
        }
        out.extend([self.pcie_send(exit), self.bus_send(exit), self.nic_send(exit)]);
        (out, Some([self.nic_receive(to), self.bus_send(to).reverse(), self.pcie_receive(to)]))
    }
}

/// What is fixed about a message before a way through the switches is chosen.
struct Route {
    from: DeviceId,
    /// The device whose NIC sends.
    exit: DeviceId,
    to: DeviceId,
    /// Both ends on the network; `None` within a node.
    wired: Option<Ends>,
}

/// Spreads the bits of a pair over a word: rounds of multiply and fold, the same on every platform and release.
fn mix(pair: u64) -> u64 {
    // Any odd multiplier with bits in every byte that it reaches will do.
    const MULTIPLIER: u64 = 0xB_5297;
    (0..4u32).fold(pair.wrapping_add(1), |word, round| {
        let word = word.wrapping_mul(MULTIPLIER).rotate_left(21 + 2 * round);
        word ^ (word >> 29)
    })
}
