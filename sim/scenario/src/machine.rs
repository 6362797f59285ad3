//! The machine: `gpu.*`, `node.*`, `fabric.*`, `cluster.*`.

use topology::{
    BlockScaling, Cast, CommEngine, Compression, Device, Expense, Fabric, FabricExpenses, FabricKind, Forwarding, Fp8,
    Host, InNetwork, Machine, Memory, Nic, Node, Ordering, ScaleUp, Tensor, TransposedReads,
};

use units::Watts;

use crate::reader::{Reader, WordOr};

/// Namespaces of a machine.
pub(crate) const NAMESPACES: [&str; 4] = ["gpu", "node", "fabric", "cluster"];

/// Devices a machine may have; more would not be simulated on any host.
const N_DEVICES_MAX: u64 = 1 << 20;
/// Operations an SM may finish in a clock, SMs and stacks of a device, ports of a switch: beyond any silicon.
const N_PARTS_MAX: u64 = 1 << 16;

pub(crate) fn machine(reader: &mut Reader<'_>) -> Machine {
    let machine = Machine {
        device: device(reader),
        node: node(reader),
        fabric: fabric(reader),
        n_nodes: reader.count("cluster.nodes", 1..=N_DEVICES_MAX),
    };
    check(reader, &machine);
    machine
}

/// One node without a network, for questions of a device or a node alone.
pub(crate) fn one_node(reader: &mut Reader<'_>) -> Machine {
    Machine { device: device(reader), node: node(reader), fabric: Fabric::NONE, n_nodes: 1 }
}

pub(crate) fn device(reader: &mut Reader<'_>) -> Device {
    let expense = expense(reader, "gpu.price", "gpu.power");
    Device {
        sms: reader.count("gpu.sms", 1..=N_PARTS_MAX),
        clock: reader.quantity("gpu.clock"),
        tensor: Tensor {
            bf16_flops_per_sm_clock: flops_per_sm_clock(reader, "gpu.tensor.bf16.flops-per-sm-clock", 1.0),
            fp8: Fp8 {
                flops_per_sm_clock: flops_per_sm_clock(reader, "gpu.tensor.fp8.flops-per-sm-clock", 0.0),
                accumulate: reader.count("gpu.tensor.fp8.accumulate", 1..=52),
                block_scaling: reader.choice("gpu.tensor.fp8.block-scaling", &BlockScaling::WORDS),
            },
            transposed_reads: reader.choice("gpu.tensor.transposed-reads", &TransposedReads::WORDS),
        },
        vector_flops_per_sm_clock: flops_per_sm_clock(reader, "gpu.vector.flops-per-sm-clock", 1.0),
        memory: Memory {
            stacks: reader.count("gpu.memory.stacks", 1..=N_PARTS_MAX),
            rate_per_stack: reader.quantity("gpu.memory.rate-per-stack"),
            capacity_per_stack: reader.quantity("gpu.memory.capacity-per-stack"),
        },
        l2: reader.quantity("gpu.l2"),
        scale_up: ScaleUp {
            links: reader.count("gpu.scale-up.links", 1..=N_PARTS_MAX),
            rate_per_link: reader.quantity("gpu.scale-up.rate-per-link"),
            latency: reader.quantity_or_zero("gpu.scale-up.latency"),
            in_network: reader.choice("gpu.scale-up.in-network", &InNetwork::WORDS),
        },
        comm_engine: reader.choice("gpu.comm-engine", &CommEngine::WORDS),
        cast: reader.choice("gpu.cast", &Cast::WORDS),
        power_limit: power_limit(reader, expense.power),
        expense,
    }
}

/// What a device may draw. `auto`, and where the key is left out: its rated power.
fn power_limit(reader: &mut Reader<'_>, rated: Watts) -> Watts {
    const KEY: &str = "gpu.power-limit";
    reader.expect(KEY);
    if !reader.has(KEY) {
        return rated;
    }
    match reader.word_or_quantity(KEY, &["auto"]) {
        WordOr::Given(limit) => limit,
        WordOr::Word(_) => {
            reader.decide_quantity(KEY, rated);
            rated
        }
    }
}

fn flops_per_sm_clock(reader: &mut Reader<'_>, key: &str, min: f64) -> f64 {
    reader.number(key, min..=N_PARTS_MAX as f64)
}

fn node(reader: &mut Reader<'_>) -> Node {
    Node {
        devices: reader.count("node.devices", 1..=N_DEVICES_MAX),
        nic: Nic {
            count: reader.count("node.nic.count", 0..=N_DEVICES_MAX),
            rate: reader.quantity_or_zero("node.nic.rate"),
            forwarding: reader.choice("node.nic.forwarding", &Forwarding::WORDS),
            ordering: reader.choice("node.nic.ordering", &Ordering::WORDS),
            compression: reader.choice("node.nic.compression", &Compression::WORDS),
            expense: expense(reader, "node.nic.price", "node.nic.power"),
        },
        host: Host {
            pcie_rate: reader.quantity("node.host.pcie-rate"),
            pcie_latency: reader.quantity_or_zero("node.host.pcie-latency"),
            memory_rate: reader.quantity("node.host.memory-rate"),
            memory_capacity: reader.quantity("node.host.memory-capacity"),
        },
        expense: expense(reader, "node.price", "node.power"),
    }
}

fn fabric(reader: &mut Reader<'_>) -> Fabric {
    Fabric {
        kind: reader.choice(
            "fabric.kind",
            &[
                ("fat-tree", FabricKind::FatTree),
                ("rail-fat-tree", FabricKind::RailFatTree),
                ("none", FabricKind::None),
            ],
        ),
        planes: reader.count("fabric.planes", 0..=N_PARTS_MAX),
        tiers: reader.count("fabric.tiers", 0..=3),
        switch_ports: reader.count("fabric.switch-ports", 0..=N_PARTS_MAX),
        oversubscription: reader.number("fabric.oversubscription", 1.0..=N_PARTS_MAX as f64),
        link_rate: reader.quantity_or_zero("fabric.link-rate"),
        switch_latency: reader.quantity_or_zero("fabric.switch-latency"),
        endpoint_latency: reader.quantity_or_zero("fabric.endpoint-latency"),
        in_network: reader.choice("fabric.in-network", &InNetwork::WORDS),
        expenses: FabricExpenses {
            switch: expense(reader, "fabric.switch-price", "fabric.switch-power"),
            link: expense(reader, "fabric.link-price", "fabric.link-power"),
            endpoint_link: expense(reader, "fabric.endpoint-link-price", "fabric.endpoint-link-power"),
        },
    }
}

/// What a part costs and draws. Nothing is a value: some parts come with others.
fn expense(reader: &mut Reader<'_>, price: &str, power: &str) -> Expense {
    Expense { price: reader.quantity_or_zero(price), power: reader.quantity_or_zero(power) }
}

fn check(reader: &mut Reader<'_>, machine: &Machine) {
    let n_nodes = u64::from(machine.n_nodes);
    let n_devices = n_nodes * u64::from(machine.node.devices);
    if reader.sound(&["cluster.nodes", "node.devices"]) && n_devices > N_DEVICES_MAX {
        reader.refuse(
            "cluster.nodes",
            format!("{n_nodes} nodes of {} devices are {n_devices} devices", machine.node.devices),
            Some(format!("at most {N_DEVICES_MAX} devices are simulated: lower `cluster.nodes` or `node.devices`")),
        );
    }
    if !reader.sound(&["fabric.kind", "cluster.nodes"]) {
        return;
    }
    match machine.fabric.kind {
        FabricKind::None if n_nodes > 1 => reader.refuse(
            "fabric.kind",
            format!("{n_nodes} nodes cannot reach each other without a fabric"),
            Some("name one with `use.fabric`, or set `cluster.nodes = 1`".to_owned()),
        ),
        FabricKind::None => check_no_network(reader, &machine.fabric),
        FabricKind::FatTree | FabricKind::RailFatTree => check_network(reader, machine),
    }
}

fn check_no_network(reader: &mut Reader<'_>, fabric: &Fabric) {
    let (key, ratio) = ("fabric.oversubscription", fabric.oversubscription);
    if reader.sound(&[key]) && ratio > 1.0 {
        reader.refuse(
            key,
            format!("`{key}` is {ratio}, but `fabric.kind` is `none`, which has no tiers of switches"),
            Some("leave it at 1, or name a network with `use.fabric`".to_owned()),
        );
    }
}

fn check_network(reader: &mut Reader<'_>, machine: &Machine) {
    let (fabric, nic) = (&machine.fabric, &machine.node.nic);
    let kind = "a fat tree";
    for (key, count, min) in [
        ("fabric.planes", fabric.planes, 1),
        ("fabric.tiers", fabric.tiers, 2),
        ("fabric.switch-ports", fabric.switch_ports, 2),
        ("node.nic.count", nic.count, 1),
    ] {
        if reader.sound(&[key]) && count < min {
            reader.refuse(key, format!("`{key}` is {count}: {kind} needs at least {min}"), Some(no_fabric()));
        }
    }
    for (key, rate) in [("fabric.link-rate", fabric.link_rate), ("node.nic.rate", nic.rate)] {
        if reader.sound(&[key]) && rate.get() <= 0.0 {
            reader.refuse(key, format!("`{key}` is zero: {kind} needs a rate"), Some(no_fabric()));
        }
    }
    check_oversubscription(reader, fabric);
    let sound = reader.sound(&["fabric.planes", "node.nic.count"]);
    if sound && !nic.count.is_multiple_of(fabric.planes) {
        reader.refuse(
            "fabric.planes",
            format!("{} NICs of a node do not spread evenly over {} planes", nic.count, fabric.planes),
            Some(format!("take a number of planes that divides {}", nic.count)),
        );
    }
}

fn no_fabric() -> String {
    "give that much, or one node without a network: `fabric.kind=none` and `cluster.nodes=1`".to_owned()
}

fn check_oversubscription(reader: &mut Reader<'_>, fabric: &Fabric) {
    let (key, ratio, ports) = ("fabric.oversubscription", fabric.oversubscription, fabric.switch_ports);
    if reader.sound(&[key, "fabric.switch-ports"]) && ratio > f64::from(ports.saturating_sub(1)) {
        reader.refuse(
            key,
            format!(
                "`{key}` is {ratio}, which leaves no uplink of the {ports} ports of a leaf (`fabric.switch-ports`)"
            ),
            Some(format!("take {} at most, or more ports", ports.saturating_sub(1))),
        );
    }
}
