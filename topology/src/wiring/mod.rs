//! How the switches of the scale-out network are wired, one variant for each way, and what every wiring has.
//!
//! Outside this folder nobody knows what a wiring is made of: the builder, paths, counts, bills, surveys and drawings call the
//! methods of [`Wiring`]. A new wiring, such as a torus, is a file beside `clos.rs` and an arm in each method here. It gives
//!
//! - what it needs of a machine ([`Wiring::check`]), and its size with no port left free ([`Fabric::full_size`]);
//! - its switches and wires in the order in which they are numbered ([`Wiring::number`], [`Wiring::switches`], [`Wiring::wires`]),
//!   and as counts without a graph ([`Wiring::counts`]). Switches that take NICs are leaves; all wires between switches are of one
//!   rate and latency. A wire is two links, one after the other; where no end is farther from the devices, either may be first;
//! - where each NIC is plugged in ([`Wiring::socket`], [`Wiring::switch_above`]). Two NICs of one plane always reach each other;
//! - the equal ways between two sockets: how many there are ([`Wiring::n_ways`]), the links of one ([`Wiring::path`]), and the links
//!   of all at once, each with the part of the message that it carries ([`Wiring::lanes`]). All ways between two sockets have as
//!   many links, and a way by target or by hash is one of those that have a number;
//! - the maximum flow between halves ([`Wiring::bisection`]) and the farthest pair ([`Wiring::farthest_node`]), which the tests
//!   compare with searches of the graph;
//! - the tiers of a picture ([`Wiring::tiers`]). A picture has lines between tiers alone: wires inside a tier are in DOT only.
//!
//! Files that it touches: `fabric.rs` (its [`FabricKind`], which holds what only it needs), this one, its own, `error.rs` (what it
//! refuses), and for its word and keys `sim/scenario/src/machine.rs` and `scenarios/README.md`. Beside these its networks join the
//! kinds of `tests/mod.rs`, over which all laws are tried.

mod clos;

use units::BytesPerSec;

use self::clos::{Clos, Leaves};
use crate::{Counts, Fabric, FabricKind, LeafPorts, LinkId, Machine, TopologyError, Vertex};

/// More devices or wires than this are refused: their graph would not fit in an ordinary memory.
const COUNT_MAX: u64 = 1 << 22;

/// How the switches of a machine are wired, and who is wired to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// No switch: NICs lead nowhere.
    None,
    /// Folded Clos networks, side by side.
    Clos(Clos),
}

/// Where a NIC is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Plane of the switch.
    pub(crate) plane: u32,
    /// Switch within the plane, counted among those that take NICs.
    pub(crate) switch: u32,
    /// Port of the switch, counted among those that take NICs.
    pub(crate) port: u32,
}

/// Where a message enters the switches and where it leaves them, both in one plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Of the NIC that sends.
    pub(crate) source: Socket,
    /// Of the NIC that receives.
    pub(crate) target: Socket,
}

/// Which of the equal ways between two sockets a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one that its target decides.
    Target,
    /// The one that a hash of its source and target picks.
    Hash(u64),
    /// One by its number, below [`Wiring::n_ways`].
    Way(u64),
}

/// Rates of wires, one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WireRates {
    /// From a NIC to its switch.
    pub(crate) nic: BytesPerSec,
    /// Between switches; zero where none is joined to another.
    pub(crate) trunk: BytesPerSec,
}

impl Fabric {
    /// The network with no port left free, all planes together; zero where there is no network. What is built for
    /// a machine is smaller: see [`crate::Network::survey`].
    #[must_use]
    pub fn full_size(&self) -> Counts {
        match self.kind {
            FabricKind::FatTree | FabricKind::RailFatTree => Clos::full_size(self),
            FabricKind::None => Counts::default(),
        }
    }
}

/// What is wired.
impl Wiring {
    /// What a machine must hold for its wiring alone; planes, rates and latencies are looked at elsewhere.
    pub(crate) fn check(machine: &Machine) -> Result<(), TopologyError> {
        match machine.fabric.kind {
            FabricKind::FatTree | FabricKind::RailFatTree if machine.has_network() => Clos::check(&machine.fabric),
            FabricKind::FatTree | FabricKind::RailFatTree => Ok(()),
            FabricKind::None => check_none(&machine.fabric),
        }
    }

    /// The wiring of a checked machine; its vertices and links are counted from zero until [`Wiring::number`].
    pub(crate) fn of(machine: &Machine) -> Result<Self, TopologyError> {
        if machine.node.nic.count == 0 {
            return Ok(Self::None);
        }
        match machine.fabric.kind {
            FabricKind::FatTree => Clos::of(machine, Leaves::OfNodes).map(Self::Clos),
            FabricKind::RailFatTree => Clos::of(machine, Leaves::OfRails).map(Self::Clos),
            FabricKind::None => Ok(Self::None),
        }
    }

    /// Whether NICs are plugged into switches.
    pub(crate) const fn is_network(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Counts its switches from a first vertex on and its wires from a first link on, two links a wire. Refuses more wires than
    /// the graph holds.
    pub(crate) fn number(&mut self, first_vertex: u32, first_link: u32) -> Result<(), TopologyError> {
        match self {
            Self::None => Ok(()),
            Self::Clos(clos) => clos.number(first_vertex, first_link),
        }
    }

    /// Its switches, in the order of their vertices.
    pub(crate) fn switches(&self) -> Box<dyn Iterator<Item = Vertex> + '_> {
        match self {
            Self::None => Box::new(std::iter::empty()),
            Self::Clos(clos) => Box::new(clos.switches()),
        }
    }

    /// Its wires between switches, in the order of their links: the vertex that the first link of the wire leaves, and the one
    /// that it leads to.
    pub(crate) fn wires(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            Self::None => Box::new(std::iter::empty()),
            Self::Clos(clos) => Box::new(clos.wires()),
        }
    }

    /// Switches and wires as wired for this many nodes.
    pub(crate) fn counts(&self, n_nodes: u32) -> Counts {
        match self {
            Self::None => Counts::default(),
            Self::Clos(clos) => clos.counts(n_nodes),
        }
    }

    /// Its planes: copies of one network that share nothing.
    pub(crate) fn n_planes(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Clos(clos) => clos.n_planes(),
        }
    }

    /// Where a NIC of a node is plugged in; `None` without switches.
    pub(crate) fn socket(&self, node: u32, nic: u32) -> Option<Socket> {
        match self {
            Self::None => None,
            Self::Clos(clos) => Some(clos.socket(node, nic)),
        }
    }

    /// The switch that a NIC of a node is plugged into, as a vertex; `None` without switches.
    pub(crate) fn switch_above(&self, node: u32, nic: u32) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Clos(clos) => Some(clos.switch_above(node, nic)),
        }
    }
}

/// How a message crosses the switches.
impl Wiring {
    /// How many equal ways there are between two sockets, each of which takes the same share of a message that spreads.
    pub(crate) fn n_ways(&self, ends: Ends) -> u64 {
        match self {
            Self::None => 1,
            Self::Clos(clos) => clos.n_ways(ends),
        }
    }

    /// The links between switches that a message crosses, in order; none where both sockets are of one switch.
    pub(crate) fn path(&self, ends: Ends, choice: Choice, links: &mut Vec<LinkId>) {
        match self {
            Self::None => {}
            Self::Clos(clos) => clos.path(ends, choice, links),
        }
    }

    /// The links between switches that a message crosses that takes every way alike, in order, each with the message's bytes over
    /// its bytes on the link. One link may stand for several as full, and is to be the fullest of them.
    pub(crate) fn lanes(&self, ends: Ends) -> Vec<(LinkId, f64)> {
        match self {
            Self::None => Vec::new(),
            Self::Clos(clos) => clos.lanes(ends),
        }
    }
}

/// What a wiring amounts to.
impl Wiring {
    /// How the ports of a leaf are split; `None` where there are no leaves.
    pub(crate) fn leaf_ports(&self) -> Option<LeafPorts> {
        match self {
            Self::None => None,
            Self::Clos(clos) => clos.leaf_ports(),
        }
    }

    /// What the NICs of the first half of the nodes can send to those of the second at once, as a maximum flow; an odd node
    /// counts to the second.
    pub(crate) fn bisection(&self, n_nodes: u32, rates: WireRates) -> BytesPerSec {
        match self {
            Self::None => BytesPerSec::ZERO,
            Self::Clos(clos) => clos.bisection(n_nodes, rates),
        }
    }

    /// A node than which none is farther from the first, in switches and in latency, for a NIC of each; and no two nodes are
    /// farther from each other.
    pub(crate) fn farthest_node(&self, n_nodes: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Clos(_) => Clos::farthest_node(n_nodes),
        }
    }
}

/// A tier of switches as a picture shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SwitchTier {
    /// What one is called, and what several are.
    pub(crate) words: [&'static str; 2],
    /// What the name of a stack counts; `None` where the stacks are all the same network.
    pub(crate) owner: Option<&'static str>,
    /// Wires from each switch to the next tier.
    pub(crate) n_wires_up: u32,
    /// Its switches, those that are alike together.
    pub(crate) stacks: Vec<Stack>,
}

/// Switches that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    /// The NICs of a node that stand below them.
    pub(crate) nics: Vec<u32>,
    /// Which of its kind it is.
    pub(crate) name: u32,
    /// How many there are.
    pub(crate) count: u32,
}

/// What a drawing needs.
impl Wiring {
    /// Its tiers, from the NICs up, each joined to the next; a tier of no switches is not drawn.
    pub(crate) fn tiers(&self) -> Vec<SwitchTier> {
        match self {
            Self::None => Vec::new(),
            Self::Clos(clos) => clos.tiers(),
        }
    }
}

fn check_none(fabric: &Fabric) -> Result<(), TopologyError> {
    if fabric.oversubscription.to_bits() == 1.0_f64.to_bits() {
        return Ok(());
    }
    Err(TopologyError::NoTiers { value: fabric.oversubscription.to_string() })
}

/// Refuses more parts than the graph holds.
pub(crate) fn at_most(what: &'static str, count: u64) -> Result<(), TopologyError> {
    if count > COUNT_MAX {
        return Err(TopologyError::TooLarge { what, count, count_max: COUNT_MAX });
    }
    Ok(())
}
