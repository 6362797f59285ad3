//! What nodes ask of ports and devices.

use calibrate::{EstimateKey, Estimator, Profile};
use engine::{Capacity, CapacityId, Resources, Task};
use topology::{Machine, Network, Routing};
use units::{Bytes, Flops, SimSpan};
use workloads::import::{Group, Job, Work};
use workloads::op::Collective;

use crate::PlanError;
use crate::lower::{Occupied, occupied};

/// Capacities of one rank.
#[derive(Clone, Copy, Debug)]
struct Ports {
    memory: CapacityId,
    tensor: CapacityId,
    up: [CapacityId; 2],
    out: [CapacityId; 2],
}

/// Prices of everything a job does on a machine.
#[derive(Debug)]
pub(super) struct Costs<'a> {
    machine: &'a Machine,
    profile: &'a Profile,
    network: Network,
    resources: Resources,
    ranks: Vec<Ports>,
    /// Members of each group on its thinnest node.
    per_node: Vec<u32>,
    groups: &'a [Group],
}

impl<'a> Costs<'a> {
    pub(super) fn new(job: &'a Job, machine: &'a Machine, profile: &'a Profile) -> Result<Self, PlanError> {
        let network = Network::build(machine)?;
        let mut resources = Resources::default();
        let ranks = job.traces.iter().map(|_| ports(machine, profile, &mut resources)).collect();
        let per_node: Vec<u32> = job.groups.iter().map(|group| per_node(group, job.n_ranks, machine)).collect();
        let spread = job.groups.iter().zip(&per_node).any(|(group, per_node)| *per_node < group.n_ranks());
        if spread && !network.has_network() {
            let message = "a group spans several nodes, but the machine has no network between them".to_owned();
            return Err(PlanError::Contradiction(message));
        }
        Ok(Self { machine, profile, network, resources, ranks, per_node, groups: &job.groups })
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Seconds that all nodes would take one after the other: no run is longer.
    pub(super) fn longest(&self, job: &Job) -> f64 {
        job.traces.iter().flat_map(|trace| &trace.nodes).map(|node| self.longest_alone(&node.work)).sum()
    }

    fn longest_alone(&self, work: &Work) -> f64 {
        let rate = |port: CapacityId| self.resources.rate(port);
        let Some(ports) = self.ranks.first() else { return 0.0 };
        match *work {
            Work::Mark | Work::Receive { .. } => 0.0,
            Work::Device(time) | Work::Host(time) => time.get(),
            Work::Arithmetic { flops, bytes } => self.tensor_seconds(flops) + bytes.get() / rate(ports.memory),
            Work::Collective { group, what, bytes } => {
                let Occupied { up, out, latency } = self.occupied(group, what, bytes);
                latency.seconds() + up / rate(ports.up[0]) + out / rate(ports.out[0])
            }
            // Whichever way it goes, or both.
            Work::Send { bytes, .. } => {
                let up = bytes.get() / self.profile.value(EstimateKey::SendRecvFraction) / rate(ports.up[0]);
                let out = bytes.get() / self.profile.value(EstimateKey::PointToPointFraction) / rate(ports.out[0]);
                up + if self.network.has_network() { out } else { 0.0 }
            }
        }
    }

    fn tensor_seconds(&self, flops: Flops) -> f64 {
        let peak = self.machine.device.peak_bf16() * self.profile.value(EstimateKey::GemmBf16Fraction);
        if flops > Flops::ZERO { flops.get() / peak.get() } else { 0.0 }
    }

    fn occupied(&self, group: u32, what: Collective, bytes: Bytes) -> Occupied {
        let estimator = Estimator::new(&self.machine.device, self.profile);
        let n = self.groups[group as usize].n_ranks();
        occupied(self.profile, estimator, what, bytes, n, self.per_node[group as usize])
    }

    /// A node on a rank's device or host; `None` for one that is neither.
    pub(super) fn alone<T>(&self, tag: T, rank: usize, work: &Work) -> Option<Task<T>> {
        match *work {
            Work::Device(time) | Work::Host(time) => Some(Task::new(tag).latency(SimSpan::from(time))),
            Work::Arithmetic { flops, bytes } => Some(self.arithmetic(tag, rank, flops, bytes)),
            Work::Mark | Work::Collective { .. } | Work::Send { .. } | Work::Receive { .. } => None,
        }
    }

    fn arithmetic<T>(&self, tag: T, rank: usize, flops: Flops, bytes: Bytes) -> Task<T> {
        let latency = self.profile.value(EstimateKey::KernelLatency);
        let ports = &self.ranks[rank];
        Task::new(tag)
            .demand(ports.memory, bytes.get())
            .demand(ports.tensor, self.tensor_seconds(flops))
            .latency(SimSpan::from(units::Seconds::new(latency)))
    }

    /// The part of a collective that one rank takes.
    pub(super) fn collective<T>(&self, tag: T, rank: usize, group: u32, what: Collective, bytes: Bytes) -> Task<T> {
        let n = self.groups[group as usize].n_ranks();
        let Occupied { up, out, latency } = self.occupied(group, what, bytes);
        let ports = &self.ranks[rank];
        let task = Task::new(tag)
            .demand(ports.up[0], up)
            .demand(ports.up[1], up)
            .demand(ports.out[0], out)
            .demand(ports.out[1], out);
        if n > 1 { task.latency(latency) } else { task }
    }

    /// A message between two ranks.
    pub(super) fn message<T>(&self, tag: T, [from, to]: [u32; 2], bytes: Bytes) -> Result<Task<T>, PlanError> {
        let [a, b] = [from, to].map(topology::DeviceId);
        let inside = self.network.node_of(a) == self.network.node_of(b);
        let latency = self.network.path(a, b, Routing::Adaptive)?.latency;
        let [sender, receiver] = [from, to].map(|rank| &self.ranks[rank as usize]);
        let (send, receive, key) = if inside {
            (sender.up[0], receiver.up[1], EstimateKey::SendRecvFraction)
        } else {
            (sender.out[0], receiver.out[1], EstimateKey::PointToPointFraction)
        };
        let occupied = bytes.get() / self.profile.value(key);
        Ok(Task::new(tag).demand(send, occupied).demand(receive, occupied).latency(SimSpan::from(latency)))
    }
}

fn ports(machine: &Machine, profile: &Profile, resources: &mut Resources) -> Ports {
    let node = &machine.node;
    let share = (f64::from(node.nic.count) / f64::from(node.devices.max(1))).min(1.0);
    let memory = machine.device.memory_rate().get() * profile.value(EstimateKey::MemoryFraction);
    let mut add = |rate: f64| resources.add_capacity(Capacity { rate: rate.max(f64::MIN_POSITIVE) });
    let (up, out) = (machine.device.scale_up_rate().get(), node.nic.rate.get() * share);
    Ports { memory: add(memory), tensor: add(1.0), up: [add(up), add(up)], out: [add(out), add(out)] }
}

/// Members on the node that has fewest of those that have any.
fn per_node(group: &Group, n_ranks: u32, machine: &Machine) -> u32 {
    let devices = machine.node.devices.max(1);
    let fewest = |ranks: &mut dyn Iterator<Item = u32>| {
        let mut counts: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
        ranks.for_each(|rank| *counts.entry(rank / devices).or_default() += 1);
        counts.values().copied().min().unwrap_or(1)
    };
    match group {
        Group::Ranks(ranks) => fewest(&mut ranks.iter().copied()),
        // All such groups: the thinnest of them holds the others up, since all are in lockstep.
        Group::Even { n, stride } => {
            let span = n * stride;
            let first = |index: u32| index / stride * span + index % stride;
            let all = (0..n_ranks / n.max(&1)).map(|index| fewest(&mut (0..*n).map(|i| first(index) + i * stride)));
            all.min().unwrap_or(1)
        }
    }
}
