//! What nodes ask of ports and devices.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::{EstimateKey, Estimator, Profile};
use engine::{Capacity, CapacityId, Resources, Task};
use topology::{DeviceId, Machine, Network, Routing};
use units::{Bytes, Flops, SimSpan};
use workloads::import::{Group, Job, Work};
use workloads::op::Collective;

use crate::PlanError;
use crate::lower::{Occupied, Spread, group_way, occupied, way_seconds};

/// An imported job has no policy: its messages take whichever way is free.
const ROUTING: Routing = Routing::Adaptive;

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
    /// How each group lies on the machine.
    spreads: Vec<Spread>,
}

impl<'a> Costs<'a> {
    pub(super) fn new(job: &'a Job, machine: &'a Machine, profile: &'a Profile) -> Result<Self, PlanError> {
        let network = Network::build(machine)?;
        let mut resources = Resources::default();
        let ranks = job.traces.iter().map(|_| ports(machine, profile, &mut resources)).collect();
        let per_node: Vec<u32> = job.groups.iter().map(|group| per_node(group, job.n_ranks, machine)).collect();
        let is_spread = job.groups.iter().zip(&per_node).any(|(group, per_node)| *per_node < group.n_ranks());
        if is_spread && !network.has_network() {
            let message = "a group spans several nodes, but the machine has no network between them".to_owned();
            return Err(PlanError::Contradiction(message));
        }
        let nic = machine.nic_rate_per_device().get();
        let ways = if is_spread { ways(&network, job)? } else { vec![0.0; per_node.len()] };
        let spread = |((group, per_node), way): ((&Group, u32), f64)| Spread { n: group.n_ranks(), per_node, way, nic };
        let spreads = job.groups.iter().zip(per_node).zip(ways).map(spread).collect();
        Ok(Self { machine, profile, network, resources, ranks, spreads })
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
                let Occupied { up, out, shortest, latency } = self.occupied(group, what, bytes);
                latency.seconds() + shortest + up / rate(ports.up[0]) + out / rate(ports.out[0])
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
        occupied(self.profile, estimator, what, bytes, &self.spreads[group as usize])
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
        let n = self.spreads[group as usize].n;
        let Occupied { up, out, shortest, latency } = self.occupied(group, what, bytes);
        let ports = &self.ranks[rank];
        let task = Task::new(tag)
            .demand(ports.up[0], up)
            .demand(ports.up[1], up)
            .demand(ports.out[0], out)
            .demand(ports.out[1], out)
            .no_faster_than(shortest);
        if n > 1 { task.latency(latency) } else { task }
    }

    /// A message between two ranks.
    pub(super) fn message<T>(&self, tag: T, [from, to]: [u32; 2], bytes: Bytes) -> Result<Task<T>, PlanError> {
        let [a, b] = [from, to].map(DeviceId);
        let inside = self.network.node_of(a) == self.network.node_of(b);
        let latency = self.network.path(a, b, ROUTING)?.latency;
        let way = if inside { 0.0 } else { way_seconds(&self.network, ROUTING, &[(a, b)], 1)? };
        let [sender, receiver] = [from, to].map(|rank| &self.ranks[rank as usize]);
        let (send, receive, key) = if inside {
            (sender.up[0], receiver.up[1], EstimateKey::SendRecvFraction)
        } else {
            (sender.out[0], receiver.out[1], EstimateKey::PointToPointFraction)
        };
        let occupied = bytes.get() / self.profile.value(key);
        let task = Task::new(tag).demand(send, occupied).demand(receive, occupied).latency(SimSpan::from(latency));
        Ok(task.no_faster_than(bytes.get() * way))
    }
}

fn ports(machine: &Machine, profile: &Profile, resources: &mut Resources) -> Ports {
    let memory = machine.device.memory_rate().get() * profile.value(EstimateKey::MemoryFraction);
    let mut add = |rate: f64| resources.add_capacity(Capacity { rate: rate.max(f64::MIN_POSITIVE) });
    let (up, out) = (machine.device.scale_up_rate().get(), machine.nic_rate_per_device().get());
    Ports { memory: add(memory), tensor: add(1.0), up: [add(up), add(up)], out: [add(out), add(out)] }
}

/// What the network leaves the collectives of each group, while those of its size that share no rank are at work too: ranks that
/// run one program come to their groups of one kind at the same time.
fn ways(network: &Network, job: &Job) -> Result<Vec<f64>, PlanError> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut ways = vec![0.0; job.groups.len()];
    for (index, group) in job.groups.iter().enumerate() {
        match group {
            Group::Even { n, stride } => {
                let groups: Vec<Vec<u32>> = even(job.n_ranks, *n, *stride).map(Iterator::collect).collect();
                ways[index] = group_way(network, ROUTING, &devices(groups.iter().map(Vec::as_slice)))?;
            }
            Group::Ranks(ranks) => match families.iter_mut().find(|family| family.has_room(ranks)) {
                Some(family) => family.add(index, ranks),
                None => {
                    families.push(Family { n: ranks.len(), ..Family::default() });
                    families.last_mut().into_iter().for_each(|family| family.add(index, ranks));
                }
            },
        }
    }
    for family in families {
        let way = group_way(network, ROUTING, &devices(family.groups.iter().map(|(_, ranks)| *ranks)))?;
        family.groups.iter().for_each(|&(index, _)| ways[index] = way);
    }
    Ok(ways)
}

/// Groups of one size of which no two share a rank.
#[derive(Default)]
struct Family<'a> {
    n: usize,
    taken: BTreeSet<u32>,
    groups: Vec<(usize, &'a [u32])>,
}

impl<'a> Family<'a> {
    fn has_room(&self, ranks: &[u32]) -> bool {
        ranks.len() == self.n && ranks.iter().all(|rank| !self.taken.contains(rank))
    }

    fn add(&mut self, index: usize, ranks: &'a [u32]) {
        self.taken.extend(ranks);
        self.groups.push((index, ranks));
    }
}

/// Rank `r` of an imported job is device `r`.
fn devices<'a>(groups: impl Iterator<Item = &'a [u32]>) -> Vec<Vec<DeviceId>> {
    groups.map(|ranks| ranks.iter().copied().map(DeviceId).collect()).collect()
}

/// The ranks of each of the groups of `n` that are `stride` apart.
fn even(n_ranks: u32, n: u32, stride: u32) -> impl Iterator<Item = impl Iterator<Item = u32>> {
    let (n, stride) = (n.max(1), stride.max(1));
    (0..n_ranks / n).map(move |index| {
        let first = index / stride * n * stride + index % stride;
        (0..n).map(move |i| first + i * stride)
    })
}

/// Members on the node that has fewest of those that have any.
fn per_node(group: &Group, n_ranks: u32, machine: &Machine) -> u32 {
    let devices = machine.node.devices.max(1);
    let fewest = |ranks: &mut dyn Iterator<Item = u32>| {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        ranks.for_each(|rank| *counts.entry(rank / devices).or_default() += 1);
        counts.values().copied().min().unwrap_or(1)
    };
    match group {
        Group::Ranks(ranks) => fewest(&mut ranks.iter().copied()),
        // All such groups: the thinnest of them holds the others up, since all are in lockstep.
        Group::Even { n, stride } => even(n_ranks, *n, *stride).map(|mut ranks| fewest(&mut ranks)).min().unwrap_or(1),
    }
}
