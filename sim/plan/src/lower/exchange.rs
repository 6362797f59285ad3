//! Dispatch and combine, message by message.
//!
//! Node-forwarded (arXiv:2412.19437 section 3.2.2): a token crosses the network once for each node that wants it, to the
//! rank with its source's local index, and fans out from there over the scale-up fabric, once for each rank that wants
//! it. The combine goes the same ways back; relays add up what is theirs, so the sizes mirror. Kernels forward while
//! they receive (ring buffers of a few tokens), so all messages start together when the last rank has arrived and
//! counts are exchanged; a rank's dispatch ends when its own messages have left, those to it have come and its node's
//! relays have all they wait for; its combine when its own have left and come.
//!
//! Sizes are tokens x bytes a token of the sampled batch; ports are occupied for bytes over the share of their rate
//! that the kernels reach. A kernel also moves each payload byte through device memory a few times, spread over its
//! duration. Assumed: SMs copy at a fixed rate each, summed over
//! what a rank sends, forwards and receives over the scale-up fabric and what it sends over the network. Breaks where ring buffers are
//! too small for the latency, and for messages of a few tokens.

use std::collections::BTreeMap;

use calibrate::EstimateKey;
use engine::{Capacity, Resources, Task, TaskGraph};
use topology::{DeviceId, LinkId, LinkKind, Routing};
use units::{Seconds, SimSpan};
use workloads::step::{Exchange, Load};
use workloads::traffic::{Batch, ExpertLayout, Router};

use super::Context;
use crate::layout::Layout;
use crate::program::{ExchangeTemplate, Flow};
use crate::{Plan, PlanError};

/// How experts lie on ranks; `None` for a dense model.
#[must_use]
pub fn expert_layout(plan: &Plan, layout: &Layout) -> Option<ExpertLayout> {
    let experts = plan.model.experts.as_ref()?;
    let tokens = super::shape(plan).tokens_sequence_parallel();
    Some(ExpertLayout {
        n_ranks: layout.ep,
        n_nodes: layout.expert_nodes(),
        devices: layout.expert_devices(),
        experts: experts.routed,
        top_k: experts.top_k,
        groups: experts.groups,
        node_limit: experts.node_limit,
        gate: experts.gate,
        group_score: experts.group_score,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    })
}

/// What each simulated member of each batch computes on: `[batch x n_members + member]`. A folded member has the load of
/// the group's fullest rank.
pub(super) fn loads(context: &Context<'_>) -> Vec<Load> {
    let Some(pool) = &context.pool else {
        return Vec::new();
    };
    let of = |batch: &Batch, rank: u32| Load {
        received: u64::from(batch.tokens_received(rank)),
        rows: batch.rows(rank).iter().copied().map(u64::from).collect(),
    };
    let mut loads = Vec::new();
    for batch in pool.batches() {
        if context.folded() {
            let fullest = (0..batch.n_ranks()).max_by_key(|&rank| (batch.rows_total(rank), std::cmp::Reverse(rank)));
            loads.push(of(batch, fullest.unwrap_or(0)));
        } else {
            loads.extend((0..context.n_members).map(|member| of(batch, member % context.layout.ep)));
        }
    }
    loads
}

/// Dispatch and combine of every batch of the pool.
pub(super) fn exchanges(context: &Context<'_>) -> Result<Vec<[ExchangeTemplate; 2]>, PlanError> {
    let sizes = workloads::step::exchange(&context.plan.model, &context.shape);
    let (Some(pool), Some(sizes)) = (&context.pool, sizes) else {
        return Ok(Vec::new());
    };
    let wires = Wires::of(context, sizes)?;
    let templates = pool.batches().iter().map(|batch| {
        [Way::Dispatch, Way::Combine].map(|way| {
            let whole = whole(&wires, batch, way);
            if context.folded() { folded(context, &wires, &whole) } else { whole }
        })
    });
    Ok(templates.collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Dispatch,
    Combine,
}

/// What is the same for all batches.
struct Wires {
    n_nodes: u32,
    devices: u32,
    sizes: Exchange,
    /// Share of the port's rate: dispatch, combine.
    up_fraction: [f64; 2],
    out_fraction: [f64; 2],
    /// Seconds a byte that the network between the ports leaves a message.
    way: f64,
    up_rate: f64,
    out_rate: f64,
    copy_rate: f64,
    memory_passes: f64,
    latency: SimSpan,
}

impl Wires {
    fn of(context: &Context<'_>, sizes: Exchange) -> Result<Self, PlanError> {
        let plan = context.plan;
        let value = |key| plan.profile.value(key);
        let layout = &context.layout;
        let node = &plan.machine.node;
        let mut wires = Self {
            n_nodes: layout.expert_nodes(),
            devices: layout.expert_devices(),
            sizes,
            up_fraction: [value(EstimateKey::DispatchScaleUpFraction), value(EstimateKey::CombineScaleUpFraction)],
            out_fraction: [value(EstimateKey::DispatchScaleOutFraction), value(EstimateKey::CombineScaleOutFraction)],
            way: 0.0,
            up_rate: plan.machine.device.scale_up_rate().get(),
            out_rate: node.nic.rate.get() * (f64::from(node.nic.count) / f64::from(node.devices)).min(1.0),
            copy_rate: f64::from(context.comm_sms()) * value(EstimateKey::AllToAllRatePerSm),
            memory_passes: value(EstimateKey::AllToAllMemoryPasses),
            latency: SimSpan::ZERO,
        };
        let (from, near) = (layout.device(0, 0), layout.device(0, 1 % layout.ep));
        let mut way = context.network.path(from, near, plan.policy.routing)?.latency;
        if wires.n_nodes > 1 {
            let far = layout.device(0, layout.devices);
            way += context.network.path(from, far, plan.policy.routing)?.latency;
            wires.way = way_seconds(context, &group_pairs(layout), layout.ep * (layout.expert_nodes() - 1))?;
        }
        wires.latency = SimSpan::from(Seconds::new(value(EstimateKey::AllToAllNotify)) + way);
        Ok(wires)
    }
}

/// Every message of every rank.
fn whole(wires: &Wires, batch: &Batch, way: Way) -> ExchangeTemplate {
    let n_ranks = batch.n_ranks();
    let (n_nodes, devices) = (wires.n_nodes, wires.devices);
    let mut flows = Vec::with_capacity((n_ranks * (n_nodes + devices)) as usize);
    for rank in 0..n_ranks {
        let (node, local) = (rank / devices, rank % devices);
        for other in (0..n_nodes).filter(|&other| other != node) {
            let tokens = batch.to_node[(rank * n_nodes + other) as usize];
            wires.push(&mut flows, way, [rank, other * devices + local], tokens, false);
        }
        for other in (0..devices).filter(|&other| other != local) {
            let tokens = batch.forwarded[(rank * devices + other) as usize];
            wires.push(&mut flows, way, [rank, node * devices + other], tokens, true);
        }
    }
    wires.template(flows, n_ranks as usize, way)
}

impl Wires {
    /// A message of `tokens` from the first to the second rank of a dispatch; the other way round for a combine.
    fn push(&self, flows: &mut Vec<Flow>, way: Way, [first, second]: [u32; 2], tokens: u32, up: bool) {
        if tokens == 0 {
            return;
        }
        let (from, to, size) = match way {
            Way::Dispatch => (first, second, self.sizes.dispatch_bytes_per_token),
            Way::Combine => (second, first, self.sizes.combine_bytes_per_token),
        };
        let bytes = f64::from(tokens) * size.get();
        let fraction = if up { self.up_fraction[way as usize] } else { self.out_fraction[way as usize] };
        let occupancy = bytes / fraction;
        // Side by side with the others of its rank a message has its part of the port; it is slowed where its way has less.
        let at_port = occupancy * f64::from(self.n_nodes - 1) / self.out_rate;
        let on_way = if up { 0.0 } else { bytes * self.way };
        let shortest = if on_way > at_port { on_way } else { 0.0 };
        flows.push(Flow { from: from as u16, to: to as u16, up, copies: 1, occupancy, bytes, shortest });
    }

    fn template(&self, flows: Vec<Flow>, n_members: usize, way: Way) -> ExchangeTemplate {
        let devices = self.devices as usize;
        let mut waits = vec![0; n_members];
        let mut node_waits = vec![0; n_members.div_ceil(devices)];
        let mut memory = vec![0.0; n_members];
        let (mut up_bytes, mut out_bytes) = (0.0, 0.0);
        for flow in &flows {
            let (from, to) = (usize::from(flow.from), usize::from(flow.to));
            let bytes = flow.bytes * f64::from(flow.copies);
            waits[from] += 1;
            if way == Way::Dispatch && !flow.up {
                node_waits[to / devices] += 1;
            } else {
                waits[to] += 1;
            }
            memory[from] += bytes * self.memory_passes;
            memory[to] += bytes * self.memory_passes;
            *(if flow.up { &mut up_bytes } else { &mut out_bytes }) += bytes;
        }
        for (member, waits) in waits.iter_mut().enumerate() {
            *waits += u32::from(node_waits[member / devices] > 0);
        }
        let alone = self.alone(&flows, n_members);
        ExchangeTemplate {
            flows,
            waits,
            node_waits,
            devices: self.devices,
            memory,
            alone,
            latency: self.latency,
            up_bytes,
            out_bytes,
        }
    }

    /// How long the messages take with the machine to themselves.
    fn alone(&self, flows: &[Flow], n_members: usize) -> Seconds {
        let mut resources = Resources::default();
        let mut ports = |rate: f64| -> Vec<_> {
            (0..n_members).map(|_| resources.add_capacity(Capacity { rate: rate.max(f64::MIN_POSITIVE) })).collect()
        };
        let (up_send, up_receive) = (ports(self.up_rate), ports(self.up_rate));
        let (out_send, out_receive) = (ports(self.out_rate), ports(self.out_rate));
        let copy = ports(self.copy_rate);
        let mut graph = TaskGraph::default();
        for flow in flows {
            let (from, to) = (usize::from(flow.from), usize::from(flow.to));
            let (send, receive) =
                if flow.up { (up_send[from], up_receive[to]) } else { (out_send[from], out_receive[to]) };
            let mut task = Task::new(()).demand(send, flow.occupancy).demand(receive, flow.occupancy);
            if self.copy_rate > 0.0 {
                task = task.demand(copy[from], flow.bytes);
                // What comes over the network is copied when it is sent on.
                task = if flow.up { task.demand(copy[to], flow.bytes) } else { task };
            }
            graph.add(task.no_faster_than(flow.shortest).copies(flow.copies), &[]);
        }
        match engine::run(&resources, &mut graph) {
            Ok(record) => Seconds::new(record.end.seconds()),
            // No task claims anything, so none can be stuck.
            Err(_) => Seconds::ZERO,
        }
    }
}

/// One rank that stands for all: as many messages of the mean size, stretched so that they take as long as the group's
/// slowest. In balanced traffic every rank is the mean rank and nothing is stretched.
fn folded(context: &Context<'_>, wires: &Wires, whole: &ExchangeTemplate) -> ExchangeTemplate {
    let bundle = |up: bool, copies: u32| {
        let mut sizes = whole.flows.iter().filter(|flow| flow.up == up);
        let first = *sizes.next()?;
        let same = sizes.all(|flow| flow.bytes.to_bits() == first.bytes.to_bits());
        let of_kind = whole.flows.iter().filter(|flow| flow.up == up);
        let total = f64::from(copies) * whole.waits.len() as f64;
        if same && context.plan.traffic.router == Router::Balanced {
            return Some(Flow { from: 0, to: 0, copies, ..first });
        }
        let sum =
            of_kind.fold([0.0; 3], |sum, flow| [sum[0] + flow.bytes, sum[1] + flow.occupancy, sum[2] + flow.shortest]);
        let [bytes, occupancy, shortest] = sum.map(|sum| sum / total);
        Some(Flow { from: 0, to: 0, up, copies, occupancy, bytes, shortest })
    };
    let mut flows: Vec<Flow> =
        [bundle(false, wires.n_nodes - 1), bundle(true, wires.devices - 1)].into_iter().flatten().collect();
    let one = Wires { devices: 1, sizes: wires.sizes, ..*wires };
    if context.plan.traffic.router != Router::Balanced {
        let mean = one.alone(&flows, 1);
        let stretch = if mean.get() > 0.0 { whole.alone / mean } else { 1.0 };
        for flow in &mut flows {
            flow.occupancy *= stretch;
            flow.shortest *= stretch;
        }
        // Ports take their time and bytes stay what they are, unless SMs bind: those copy bytes.
        if one.alone(&flows, 1).get() < whole.alone.get() * (1.0 - 1e-9) {
            for flow in &mut flows {
                flow.bytes *= stretch;
            }
        }
    }
    ExchangeTemplate {
        // The one member is sender and receiver of each bundle.
        waits: vec![2 * flows.len() as u32],
        node_waits: vec![0],
        devices: 1,
        memory: vec![whole.memory.iter().sum::<f64>() / whole.memory.len() as f64],
        alone: one.alone(&flows, 1),
        flows,
        ..whole.clone()
    }
}

/// Seconds a byte that the slowest of a group of messages needs on the most crowded link of its way, were all these
/// messages, of equal size, on their way at once: the mean over groups of `together` messages. Whoever meets in a group
/// waits for the slowest of it.
///
/// Links give their whole rate; what a protocol loses it loses at its ports, so a way is slower than its ports only where
/// clearly more messages meet than a port has. `Adaptive` spreads over all lanes evenly. Assumed: all groups exchange at
/// the same time.
pub(super) fn way_seconds(
    context: &Context<'_>,
    pairs: &[(DeviceId, DeviceId)],
    together: u32,
) -> Result<f64, PlanError> {
    let network = &context.network;
    let routing = context.plan.policy.routing;
    let mut load: BTreeMap<LinkId, f64> = BTreeMap::new();
    let mut ways = Vec::with_capacity(pairs.len());
    for &(from, to) in pairs {
        let links = network.path(from, to, routing)?.links;
        for link in &links {
            *load.entry(*link).or_default() += 1.0;
        }
        ways.push(links);
    }
    let slowest = |links: &Vec<LinkId>| {
        let is_port = |link: &&LinkId| matches!(network.link(**link).kind, LinkKind::NicUp | LinkKind::NicDown);
        let port_load = links.iter().filter(is_port).map(|link| load[link]).fold(0.0, f64::max);
        let at = |link: &LinkId| match network.link(*link).kind {
            // Evenly spread, a lane carries what a port does.
            LinkKind::Trunk if routing == Routing::Adaptive => port_load / network.link(*link).rate.get(),
            LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive | LinkKind::NicUp | LinkKind::NicDown => 0.0,
            LinkKind::Trunk | LinkKind::Pcie => load[link] / network.link(*link).rate.get(),
        };
        links.iter().map(at).fold(0.0, f64::max)
    };
    let groups = ways.chunks(together.max(1) as usize);
    let n_groups = groups.len().max(1) as f64;
    let sum: f64 = groups.map(|group| group.iter().map(slowest).fold(0.0, f64::max)).sum();
    Ok(sum / n_groups)
}

/// Messages over the network of all expert-parallel groups at once.
fn group_pairs(layout: &Layout) -> Vec<(DeviceId, DeviceId)> {
    let (n_nodes, devices) = (layout.expert_nodes(), layout.expert_devices());
    let mut pairs = Vec::new();
    for first in (0..layout.pp * layout.per_stage).step_by(layout.ep as usize) {
        for rank in 0..layout.ep {
            let (node, local) = (rank / devices, rank % devices);
            let others = (0..n_nodes).filter(|&other| other != node);
            pairs.extend(others.map(|other| (DeviceId(first + rank), DeviceId(first + other * devices + local))));
        }
    }
    pairs
}

/// Messages between all neighboring stages at once.
pub(super) fn stage_pairs(context: &Context<'_>) -> Vec<(DeviceId, DeviceId)> {
    let layout = &context.layout;
    let hop = |p: u32, q: u32| (0..layout.per_stage).map(move |i| (layout.device(p, i), layout.device(q, i)));
    (0..layout.pp.saturating_sub(1)).flat_map(|p| hop(p, p + 1).chain(hop(p + 1, p))).collect()
}
