//! Prices of what nodes of an imported job do.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::{CollectiveCall, EstimateKey, Spread};
use engine::{CapacityId, Resources, Task};
use platform::{Leg, Placement, Platform, RankResources, Trunks};
use units::{Bytes, SimSpan};
use workloads::import::{Graph, ProcessGroup, Work};
use workloads::op::Collective;

use crate::{Contradiction, Imported, PlanError, Site};

/// Seconds of nodes, each alone, by the estimate that sets their time; those under none are of nodes whose time the graph holds.
pub type Evidence = BTreeMap<Option<EstimateKey>, f64>;

/// Prices of everything a job does on a machine; rank `r` is device `r`.
#[derive(Debug)]
pub(super) struct Costs<'a> {
    platform: Platform<'a>,
    resources: Resources,
    ranks: Vec<RankResources>,
    trunks: Trunks,
    groups: Vec<platform::Group>,
}

impl<'a> Costs<'a> {
    pub(super) fn new(site: &'a Site, job: &Imported) -> Result<Self, PlanError> {
        let Site { machine, profile } = site;
        let Imported { graph: job, routing } = job;
        let platform = Platform::new(machine, profile, Placement::new(machine, machine.node.devices), *routing)?;
        let groups = groups(&platform, job)?;
        if groups.iter().any(platform::Group::is_spread) && !platform.network().has_network() {
            return Err(Contradiction::NoNetwork.into());
        }
        let mut resources = Resources::default();
        let rates = platform.port_rates(0.0);
        let ranks = job.traces.iter().map(|_| rates.add_to(&mut resources)).collect();
        let mut trunks = Trunks::default();
        for (rank, trace) in (0..).zip(&job.traces) {
            for node in &trace.nodes {
                if let Work::Send { to, .. } = node.work {
                    trunks.add(&platform, [rank, to], &mut resources)?;
                }
            }
        }
        Ok(Self { platform, resources, ranks, trunks, groups })
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Seconds that all nodes would take one after the other, by the estimate that sets their time; no run is longer than their
    /// sum. Those whose time the graph holds rest on none.
    pub(super) fn alone_by_estimate(&self, job: &Graph) -> Result<Evidence, PlanError> {
        let mut evidence = Evidence::new();
        for (rank, trace) in (0..).zip(&job.traces) {
            for node in &trace.nodes {
                let (key, seconds) = self.longest_alone(rank, &node.work)?;
                *evidence.entry(key).or_default() += seconds;
            }
        }
        Ok(evidence)
    }

    fn longest_alone(&self, rank: u32, work: &Work) -> Result<(Option<EstimateKey>, f64), PlanError> {
        let rate = |port: CapacityId| self.resources.rate(port);
        let Some(on) = self.ranks.first() else { return Ok((None, 0.0)) };
        Ok(match *work {
            Work::Mark | Work::Receive { .. } => (None, 0.0),
            Work::Device(time) | Work::Host(time) => (None, time.get()),
            Work::Arithmetic { flops, bytes } => {
                let kernel = self.platform.arithmetic(flops, bytes);
                (Some(kernel.limit), kernel.tensor + kernel.memory / rate(on.memory))
            }
            Work::Collective { group, what, bytes } => {
                let Leg { up, out, shortest, latency, limit, .. } = self.leg(group, what, bytes);
                let ports = (up[0] + up[1]) / rate(on.up_send) + (out[0] + out[1]) / rate(on.out_send);
                (Some(limit), latency.seconds() + shortest + ports)
            }
            Work::Send { to, bytes, .. } => {
                let message = self.platform.message([rank, to], bytes)?;
                let ports = message.up / rate(on.up_send) + message.out / rate(on.out_send);
                (Some(message.limit()), message.latency.seconds() + message.shortest + ports)
            }
        })
    }

    fn leg(&self, group: u32, what: Collective, bytes: Bytes) -> Leg {
        let group = &self.groups[group as usize];
        let leg = self.platform.collective(group, &CollectiveCall::new(what, bytes));
        if group.spread.n_ranks > 1 { leg } else { Leg { latency: SimSpan::ZERO, ..leg } }
    }

    /// A node on a rank's device or host; `None` for one that is neither.
    pub(super) fn alone<T>(&self, tag: T, rank: usize, work: &Work) -> Option<Task<T>> {
        match *work {
            Work::Device(time) | Work::Host(time) => Some(Task::new(tag).latency(SimSpan::from(time))),
            Work::Arithmetic { flops, bytes } => {
                Some(self.platform.arithmetic(flops, bytes).task(tag, &self.ranks[rank]))
            }
            Work::Mark | Work::Collective { .. } | Work::Send { .. } | Work::Receive { .. } => None,
        }
    }

    /// The part of a collective that one rank takes.
    pub(super) fn collective<T>(&self, tag: T, rank: usize, group: u32, what: Collective, bytes: Bytes) -> Task<T> {
        self.leg(group, what, bytes).task(tag, &self.ranks[rank])
    }

    /// A message between two ranks.
    pub(super) fn message<T>(&self, tag: T, ends: [u32; 2], bytes: Bytes) -> Result<Task<T>, PlanError> {
        let message = self.platform.message(ends, bytes)?;
        let task = message.task(tag, ends.map(|rank| &self.ranks[rank as usize]));
        Ok(match self.trunks.route(ends[0], ends[1]) {
            Some(route) => task.along(route, message.bytes),
            None => task,
        })
    }
}

/// How each group lies on the machine, while those of its size that share no rank with it are at work too: ranks that run one
/// program come to their groups of one kind at the same time.
fn groups(platform: &Platform<'_>, job: &Graph) -> Result<Vec<platform::Group>, PlanError> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut groups = vec![platform.group(&[])?; job.groups.len()];
    for (index, group) in job.groups.iter().enumerate() {
        match group {
            ProcessGroup::Even { n, stride } => groups[index] = platform.group(&even(job.n_ranks, *n, *stride))?,
            ProcessGroup::Ranks(ranks) => match families.iter_mut().find(|family| family.has_room(ranks)) {
                Some(family) => family.add(index, ranks),
                None => families.push(Family::of(index, ranks)),
            },
        }
    }
    for family in families {
        let all: Vec<Vec<u32>> = family.groups.iter().map(|(_, ranks)| ranks.to_vec()).collect();
        let way = platform.group(&all)?.spread.way;
        for (index, ranks) in family.groups {
            // Its own members per node: only the ways are the family's.
            let alone = platform.group(&[ranks.to_vec()])?;
            groups[index] = platform::Group { spread: Spread { way, ..alone.spread } };
        }
    }
    Ok(groups)
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

    fn of(index: usize, ranks: &'a [u32]) -> Self {
        let mut family = Self { n: ranks.len(), ..Self::default() };
        family.add(index, ranks);
        family
    }

    fn add(&mut self, index: usize, ranks: &'a [u32]) {
        self.taken.extend(ranks);
        self.groups.push((index, ranks));
    }
}

/// The ranks of each of the groups of `n` that are `stride` apart.
fn even(n_ranks: u32, n: u32, stride: u32) -> Vec<Vec<u32>> {
    let (n, stride) = (n.max(1), stride.max(1));
    let group = |index: u32| {
        let first = index / stride * n * stride + index % stride;
        (0..n).map(|i| first + i * stride).collect()
    };
    (0..n_ranks / n).map(group).collect()
}
