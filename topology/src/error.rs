//! Why a machine cannot be built or a path not be found.

use crate::DeviceId;

/// Why a machine cannot be built or a path not be found. Each message holds the value at fault and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// A count that must be one or more is zero.
    #[error("{what} is 0; hint: a machine needs at least one")]
    Zero {
        /// The key or words for the count.
        what: &'static str,
    },
    /// A link without a rate.
    #[error("`{key}` is `{value}`; hint: a link in use needs a finite rate above zero")]
    Rate {
        /// The key the rate comes from.
        key: &'static str,
        /// The rate as printed.
        value: String,
    },
    /// A latency that is negative or not a number.
    #[error("`{key}` is `{value}`; hint: a latency is finite and zero or more")]
    Latency {
        /// The key the latency comes from.
        key: &'static str,
        /// The latency as printed.
        value: String,
    },
    /// Several nodes and nothing between them.
    #[error(
        "{n_nodes} nodes have no network between them; hint: choose a `fabric.kind` other than `none` and give \
         `node.nic.count`, or put all devices in one node (`node.devices`)"
    )]
    NoNetwork {
        /// Nodes of the machine.
        n_nodes: u32,
    },
    /// More NICs than devices.
    #[error(
        "`node.nic.count` is {n_nics} for {n_devices} devices; hint: a device sends through one NIC, so NICs beyond \
         the devices would idle: lower the count and raise `node.nic.rate`"
    )]
    NicsIdle {
        /// NICs of a node.
        n_nics: u32,
        /// Devices of a node.
        n_devices: u32,
    },
    /// Planes that no NIC joins, or no plane at all.
    #[error(
        "`fabric.planes` is {planes} for {n_nics} NICs in a node; hint: 1 to {n_nics}, as NIC i joins plane i modulo \
         planes"
    )]
    Planes {
        /// Planes asked for.
        planes: u32,
        /// NICs of a node.
        n_nics: u32,
    },
    /// A number of tiers no builder makes.
    #[error("`fabric.tiers` is {tiers}; hint: 2 (leaf, spine) or 3 (leaf, spine, core)")]
    Tiers {
        /// Tiers asked for.
        tiers: u32,
    },
    /// A switch whose ports cannot be halved.
    #[error("`fabric.switch-ports` is {ports}; hint: an even number from 2 up, as half the ports face down")]
    Ports {
        /// Ports asked for.
        ports: u32,
    },
    /// A ratio of ports that no leaf has.
    #[error(
        "`fabric.oversubscription` is `{value}`; hint: 1 for none, 2 for two ports of a leaf down for each up, and so on; a \
         finite number from 1 up"
    )]
    Oversubscription {
        /// The ratio as printed.
        value: String,
    },
    /// A ratio that leaves a leaf no port up.
    #[error(
        "`fabric.oversubscription` is `{value}`, which leaves no uplink of the {ports} ports of a leaf; hint: {ratio_max} at most, or \
         more `fabric.switch-ports`"
    )]
    NoUplink {
        /// The ratio as printed.
        value: String,
        /// Ports of a switch.
        ports: u32,
        /// The ratio of one port up.
        ratio_max: u32,
    },
    /// A ratio of ports where there are no switches.
    #[error(
        "`fabric.oversubscription` is `{value}`, but `fabric.kind` is `none`, which has no tiers; hint: 1, or another \
         `fabric.kind`"
    )]
    NoTiers {
        /// The ratio as printed.
        value: String,
    },
    /// A leaf too small for one node.
    #[error(
        "a leaf has {ports_down} ports down and a node {n_nics} NICs in a plane; hint: more `fabric.switch-ports`, \
         more `fabric.planes`, or `fabric.kind = \"rail-fat-tree\"`"
    )]
    NodeTooWide {
        /// NICs a node has in the plane.
        n_nics: u32,
        /// Ports of a leaf that face down.
        ports_down: u32,
    },
    /// More nodes than the switches have ports for.
    #[error(
        "{n_nodes} nodes do not fit: {tiers} tiers of {ports}-port switches in {planes} planes take {n_nodes_max}; \
         hint: more `fabric.switch-ports`, `fabric.tiers` or `fabric.planes`"
    )]
    TooManyNodes {
        /// Nodes of the machine.
        n_nodes: u32,
        /// Nodes the network takes.
        n_nodes_max: u64,
        /// Tiers of switches.
        tiers: u32,
        /// Ports of a switch.
        ports: u32,
        /// Planes.
        planes: u32,
    },
    /// More parts than the graph holds.
    #[error("the machine has {count} {what}; hint: at most {count_max} are simulated")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: u64,
        /// How many there may be.
        count_max: u64,
    },
    /// A device that does not exist.
    #[error("there is no {device}: the machine has {n_devices}, counted from 0")]
    NoSuchDevice {
        /// The device asked for.
        device: DeviceId,
        /// Devices of the machine.
        n_devices: u32,
    },
    /// Two devices no path joins.
    #[error("no path from {from} to {to}: {reason}")]
    Unreachable {
        /// Where the message starts, with its node.
        from: String,
        /// Where it should go, with its node.
        to: String,
        /// What is missing.
        reason: &'static str,
    },
}
