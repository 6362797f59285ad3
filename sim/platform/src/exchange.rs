//! Dispatch and combine, message by message.
//!
//! Node-forwarded (arXiv:2412.19437 section 3.2.2): a token crosses the network once for each node that wants it, to the
//! rank with its source's local index, and fans out from there over the scale-up fabric, once for each rank that wants
//! it. The combine goes the same ways back; relays add up what is theirs, so the sizes mirror. Kernels forward while
//! they receive (ring buffers of a few tokens), so all messages start together when the last rank has arrived and
//! counts are exchanged; a rank's dispatch ends when its own messages have left, those to it have come and its node's
//! relays have all they wait for; its combine when its own have left and come. The other exchange is [`direct`].
//!
//! Sizes are tokens x bytes per token of the sampled batch; ports are occupied for bytes over the share of their rate
//! that the kernels reach. A kernel also moves each payload byte through device memory a few times, spread over its
//! duration. Assumed: SMs copy at a fixed rate each what `hands` and `roles` say they have in hand. Breaks where ring buffers
//! are too small for the latency, and for messages of a few tokens.

use calibrate::EstimateKey;
use engine::{Capacity, Resources, Task, TaskGraph};
use topology::{DeviceId, Forwarding, Ordering};
use units::{Seconds, SimSpan, SimTime};
use workloads::step::Exchange;
use workloads::traffic::Picks;

use crate::way::way_seconds;
use crate::{Placement, Platform, PlatformError};

mod direct;
mod hands;
mod library;
mod policy;
mod roles;
mod template;
mod uniform;

use hands::{End, Hands, Relay};
pub use hands::{comm_sms, held_sms, needs_comm_sms};
pub use policy::{Delivery, ExchangeCopies};
pub use template::{ExchangeKind, ExchangeTemplate, Flow};
pub use uniform::UniformExchange;

/// Times that a thing may take beside others what it takes alone, where it is asked whether the clock counts that far. Assumed: sharing
/// makes nothing longer than this; a run in which something is reports a fault of the clock.
pub const CROWDED: f64 = 8.0;

/// How an expert-parallel group fills nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertSpread {
    /// Its ranks.
    pub n_ranks: u32,
    /// Nodes it spans.
    pub n_nodes: u32,
    /// Its ranks on one node.
    pub devices: u32,
}

impl ExpertSpread {
    /// A group of consecutive ranks that fills whole nodes or shares one evenly.
    #[must_use]
    pub fn new(n_ranks: u32, placement: Placement) -> Self {
        let devices = placement.devices();
        Self { n_ranks, n_nodes: (n_ranks / devices).max(1), devices: n_ranks.min(devices) }
    }
}

/// What an expert-parallel group must decide before it exchanges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangeSetup {
    /// Ranks of a group, which are consecutive.
    pub n_ranks: u32,
    /// Ranks of the job: groups of them one after the other, which exchange at the same time.
    pub n_ranks_job: u32,
    /// How tokens get to their experts and back.
    pub delivery: Delivery,
    /// How the SMs of the kernels move bytes.
    pub copies: ExchangeCopies,
    /// SMs of a kernel; zero where none copies.
    pub sms: u32,
    /// Bytes per token.
    pub sizes: Exchange,
}

/// An expert-parallel group that is ready to exchange: what is the same for all picks.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeGroup {
    delivery: Delivery,
    n_nodes: u32,
    devices: u32,
    /// Other ranks that a rank exchanges messages with over the network.
    n_far: u32,
    sizes: Exchange,
    /// How SMs move bytes.
    copies: ExchangeCopies,
    /// Who moves, copies and sums the bytes.
    hands: Hands,
    /// Bytes of a combine on the network over bytes in memory.
    squeeze: f64,
    /// Share of the port's rate: dispatch, combine.
    up_fraction: [f64; 2],
    out_fraction: [f64; 2],
    /// Seconds per byte that the network between the ports leaves a message.
    way: f64,
    up_rate: f64,
    out_rate: f64,
    copy_rate: f64,
    memory_passes: f64,
    latency: SimSpan,
}

impl ExchangeGroup {
    pub(crate) fn of(platform: &Platform<'_>, setup: &ExchangeSetup) -> Result<Self, PlatformError> {
        let value = |key| platform.profile.value(key);
        let machine = platform.machine;
        let ExchangeSetup { delivery, copies, sms, sizes, .. } = *setup;
        let spread = ExpertSpread::new(setup.n_ranks, platform.placement);
        let [up_keys, out_keys] = delivery.fractions();
        let ports = platform.port_rates(f64::from(sms) * value(delivery.rate_per_sm(copies)));
        let mut group = Self {
            delivery,
            n_nodes: spread.n_nodes,
            devices: spread.devices,
            n_far: match delivery {
                Delivery::Forwarded | Delivery::Library => spread.n_nodes - 1,
                Delivery::Direct => spread.n_ranks - spread.devices,
            },
            sizes,
            copies,
            hands: Hands::of(machine, copies),
            squeeze: machine.node.nic.compression.ratio(),
            up_fraction: up_keys.map(value),
            out_fraction: out_keys.map(value),
            way: 0.0,
            up_rate: ports.up,
            out_rate: ports.out,
            copy_rate: ports.copy,
            memory_passes: match (delivery, copies) {
                (Delivery::Forwarded | Delivery::Direct, ExchangeCopies::Buffered) => {
                    value(EstimateKey::AllToAllMemoryPasses)
                }
                // Each end has counted its passes.
                (Delivery::Library, _) | (_, ExchangeCopies::InPlace) => 1.0,
            },
            latency: start(platform, &spread, delivery)?,
        };
        let pairs = match delivery {
            Delivery::Forwarded | Delivery::Library => relay_pairs(platform.placement, &spread, setup.n_ranks_job),
            Delivery::Direct => direct::pairs(platform.placement, &spread, setup.n_ranks_job),
        };
        if spread.n_nodes > 1 {
            group.way = way_seconds(platform, &pairs, spread.n_ranks * group.n_far)?;
        }
        Ok(group)
    }

    /// A dispatch or combine of some picks: every message of every rank.
    ///
    /// # Errors
    /// A fault of the engine, which finds how long it takes alone.
    pub fn exchange(&self, picks: &Picks, kind: ExchangeKind) -> Result<ExchangeTemplate, PlatformError> {
        whole(self, picks, kind)
    }

    /// The same as one rank sees it that stands for all; whether every rank has the same picks.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn folded(&self, whole: &ExchangeTemplate, balanced: bool) -> Result<ExchangeTemplate, PlatformError> {
        folded(self, whole, balanced)
    }
}

/// Barriers, and the hops of a token: to the relay and, where a kernel hands it on, one more in software. Where
/// writes keep their order no fence stands between data and flag: one way less.
fn relayed_latency(platform: &Platform<'_>, spread: &ExpertSpread) -> Result<SimSpan, PlatformError> {
    let device = |rank| platform.placement.device(rank);
    let to = |rank| platform.network.path(device(0), device(rank), platform.routing).map(|path| path.latency);
    let nic = &platform.machine.node.nic;
    let near = to(1 % spread.n_ranks)?;
    let far = if spread.n_nodes > 1 { to(platform.placement.devices())? } else { near };
    let hops = match nic.forwarding {
        _ if spread.n_nodes == 1 => near,
        Forwarding::Kernel => far + near,
        Forwarding::Hardware => far,
    };
    let barriers = Seconds::new(platform.profile.value(EstimateKey::AllToAllCached));
    let unfenced = match nic.ordering {
        Ordering::Fence => barriers,
        Ordering::Native => {
            if barriers > far {
                barriers - far
            } else {
                Seconds::ZERO
            }
        }
    };
    Ok(SimSpan::from(unfenced + hops))
}

/// What an exchange takes before it moves bytes.
pub(crate) fn start(
    platform: &Platform<'_>,
    spread: &ExpertSpread,
    delivery: Delivery,
) -> Result<SimSpan, PlatformError> {
    match delivery {
        Delivery::Forwarded => relayed_latency(platform, spread),
        Delivery::Library => library::latency(platform, spread),
        Delivery::Direct => {
            direct::refuse_planes(platform, spread)?;
            direct::latency(platform, spread)
        }
    }
}

/// Messages over the network of all expert-parallel groups at once: from every rank to the relay of each other node.
fn relay_pairs(placement: Placement, spread: &ExpertSpread, n_ranks_job: u32) -> Vec<(DeviceId, DeviceId)> {
    let ExpertSpread { n_ranks, n_nodes, devices } = *spread;
    let mut pairs = Vec::new();
    for first in (0..n_ranks_job).step_by(n_ranks as usize) {
        let device = |index| placement.device(first + index);
        for rank in 0..n_ranks {
            let (node, local) = (rank / devices, rank % devices);
            let others = (0..n_nodes).filter(|&other| other != node);
            pairs.extend(others.map(|other| (device(rank), device(other * devices + local))));
        }
    }
    pairs
}

/// Every message of every rank.
fn whole(wires: &ExchangeGroup, batch: &Picks, kind: ExchangeKind) -> Result<ExchangeTemplate, PlatformError> {
    let n_ranks = batch.n_ranks();
    let mut draft = Draft {
        kind,
        flows: Vec::with_capacity((n_ranks * (wires.n_far + wires.devices)) as usize),
        memory: vec![0.0; n_ranks as usize],
        on_way: None,
    };
    match wires.delivery {
        Delivery::Forwarded => forwarded(wires, batch, &mut draft),
        Delivery::Direct => straight(wires, batch, &mut draft),
        Delivery::Library => library::messages(wires, batch, &mut draft),
    }
    wires.template(draft)
}

/// To relays over the network, and from them to the ranks of their nodes.
fn forwarded(wires: &ExchangeGroup, batch: &Picks, draft: &mut Draft) {
    let (n_nodes, devices) = (wires.n_nodes, wires.devices);
    for rank in 0..batch.n_ranks() {
        let (node, local) = (rank / devices, rank % devices);
        let relay = Relay::of(batch, rank, n_nodes, devices);
        let [up, out] = [true, false].map(|up| wires.hands.ends(draft.kind, up, &relay));
        for other in (0..n_nodes).filter(|&other| other != node) {
            let tokens = batch.to_node[(rank * n_nodes + other) as usize];
            wires.push(draft, out, [rank, other * devices + local], tokens, false);
        }
        for other in (0..devices).filter(|&other| other != local) {
            let tokens = batch.forwarded[(rank * devices + other) as usize];
            wires.push(draft, up, [rank, node * devices + other], tokens, true);
        }
    }
    if wires.copies == ExchangeCopies::Buffered {
        roles::divide(&mut draft.flows, draft.kind, batch, devices);
    }
}

/// From every rank to every other that experts are picked of.
fn straight(wires: &ExchangeGroup, batch: &Picks, draft: &mut Draft) {
    let ends = wires.hands.direct_ends(draft.kind);
    let is_near = |rank: u32, other: u32| rank / wires.devices == other / wires.devices;
    draft.on_way = Some(direct::mean_copies(batch, |rank, other| !is_near(rank, other)));
    for (rank, copies) in (0..).zip(batch.copies.chunks(batch.n_ranks() as usize)) {
        for (other, &copies) in (0..).zip(copies).filter(|&(other, _)| other != rank) {
            wires.push(draft, ends, [rank, other], copies, is_near(rank, other));
        }
    }
}

/// Messages while they are written down.
struct Draft {
    kind: ExchangeKind,
    flows: Vec<Flow>,
    /// Bytes through each member's device memory.
    memory: Vec<f64>,
    /// Tokens of a message that the others on its way have, where that is not its own number.
    on_way: Option<f64>,
}

impl ExchangeGroup {
    /// A message of `tokens` from the first to the second rank of a dispatch; the other way round for a combine. The first
    /// is the token's source, or its relay, in both.
    fn push(&self, draft: &mut Draft, ends: [End; 2], [first, second]: [u32; 2], tokens: u32, up: bool) {
        if tokens == 0 {
            return;
        }
        let (from, to, size) = match draft.kind {
            ExchangeKind::Dispatch => (first, second, self.sizes.dispatch_bytes_per_token),
            ExchangeKind::Combine => (second, first, self.sizes.combine_bytes_per_token),
        };
        let squeeze = if !up && draft.kind == ExchangeKind::Combine { self.squeeze } else { 1.0 };
        let held = f64::from(tokens) * size.get();
        let bytes = held * squeeze;
        let fractions = if up { self.up_fraction } else { self.out_fraction };
        let occupancy = bytes / fractions[draft.kind as usize];
        // Side by side with the others of its rank a message has its part of the port; it is slowed where its way has less.
        let others = draft.on_way.map_or(1.0, |others| others / f64::from(tokens));
        let at_port = occupancy * others * f64::from(self.n_far) / self.out_rate;
        let on_way = if up { 0.0 } else { bytes * others * self.way };
        for (member, end) in [from, to].into_iter().zip(&ends) {
            draft.memory[member as usize] += held * end.memory * self.memory_passes;
        }
        draft.flows.push(Flow {
            from: from as u16,
            to: to as u16,
            up,
            copies: 1,
            occupied: ends.map(|end| occupancy * end.port),
            bytes,
            copied: ends.map(|end| held * end.sms),
            shortest: if on_way > at_port { on_way } else { 0.0 },
        });
    }

    fn template(&self, draft: Draft) -> Result<ExchangeTemplate, PlatformError> {
        let Draft { kind, flows, memory, .. } = draft;
        let (n_members, devices) = (memory.len(), self.devices as usize);
        let mut waits = vec![0; n_members];
        let mut node_waits = vec![0; n_members.div_ceil(devices)];
        let (mut up_bytes, mut out_bytes) = (0.0, 0.0);
        for flow in &flows {
            let (from, to) = (usize::from(flow.from), usize::from(flow.to));
            waits[from] += 1;
            if self.delivery == Delivery::Forwarded && kind == ExchangeKind::Dispatch && !flow.up {
                node_waits[to / devices] += 1;
            } else {
                waits[to] += 1;
            }
            *(if flow.up { &mut up_bytes } else { &mut out_bytes }) += flow.bytes * f64::from(flow.copies);
        }
        for (member, waits) in waits.iter_mut().enumerate() {
            *waits += u32::from(node_waits[member / devices] > 0);
        }
        let alone = self.alone(&flows, n_members)?;
        Ok(ExchangeTemplate {
            flows,
            waits,
            node_waits,
            devices: self.devices,
            memory,
            alone,
            latency: self.latency,
            late: SimSpan::ZERO,
            up_bytes,
            out_bytes,
        })
    }

    /// How long the messages take with the machine to themselves.
    fn alone(&self, flows: &[Flow], n_members: usize) -> Result<Seconds, PlatformError> {
        let [up, out] = [self.up_rate, self.out_rate].map(|rate| rate.max(f64::MIN_POSITIVE));
        let least = direct::alone(flows, n_members, [up, out, self.copy_rate]);
        // Sharing makes it a few times as long at most.
        if least.get().is_nan() || least.get() > SimTime::MAX.seconds() / CROWDED {
            return Err(PlatformError::Uncountable { seconds: least.get() });
        }
        match self.delivery {
            Delivery::Forwarded => self.shared(flows, n_members),
            Delivery::Direct | Delivery::Library => Ok(least),
        }
    }

    /// The same, sharing solved message by message.
    fn shared(&self, flows: &[Flow], n_members: usize) -> Result<Seconds, PlatformError> {
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
            let [sent, received] = flow.occupied;
            let mut task = Task::new(()).demand(send, sent).demand(receive, received);
            if self.copy_rate > 0.0 {
                task = task.demand(copy[from], flow.copied[0]).demand(copy[to], flow.copied[1]);
            }
            graph.add(task.no_faster_than(flow.shortest).copies(flow.copies), &[]);
        }
        let record = engine::run(&resources, &mut graph)?;
        Ok(Seconds::new(record.end.seconds()))
    }
}

/// One rank that stands for all: as many messages of the mean size, stretched so that they take as long as the group's
/// slowest. Where picks are `balanced` every rank is the mean rank and nothing is stretched.
fn folded(wires: &ExchangeGroup, whole: &ExchangeTemplate, balanced: bool) -> Result<ExchangeTemplate, PlatformError> {
    let bundle = |up: bool, copies: u32| {
        let mut sizes = whole.flows.iter().filter(|flow| flow.up == up);
        let first = *sizes.next()?;
        let of_kind = whole.flows.iter().filter(|flow| flow.up == up);
        let n_flows = copies as usize * whole.waits.len();
        let same =
            sizes.all(|flow| flow.bytes.to_bits() == first.bytes.to_bits()) && of_kind.clone().count() == n_flows;
        let total = n_flows as f64;
        if same && balanced {
            return Some(Flow { from: 0, to: 0, copies, ..first });
        }
        let mean = |of: &dyn Fn(&Flow) -> f64| of_kind.clone().map(of).sum::<f64>() / total;
        Some(Flow {
            from: 0,
            to: 0,
            up,
            copies,
            occupied: [mean(&|flow| flow.occupied[0]), mean(&|flow| flow.occupied[1])],
            bytes: mean(&|flow| flow.bytes),
            copied: [mean(&|flow| flow.copied[0]), mean(&|flow| flow.copied[1])],
            shortest: mean(&|flow| flow.shortest),
        })
    };
    let mut flows: Vec<Flow> =
        [bundle(false, wires.n_far), bundle(true, wires.devices - 1)].into_iter().flatten().collect();
    let one = ExchangeGroup { devices: 1, ..*wires };
    if !balanced {
        let mean = one.alone(&flows, 1)?;
        let stretch = if mean.get() > 0.0 { whole.alone / mean } else { 1.0 };
        for flow in &mut flows {
            flow.occupied = flow.occupied.map(|occupied| occupied * stretch);
            flow.shortest *= stretch;
        }
        // Ports take their time and bytes stay what they are, unless SMs bind: those copy more.
        if one.alone(&flows, 1)?.get() < whole.alone.get() * (1.0 - 1e-9) {
            for flow in &mut flows {
                flow.copied = flow.copied.map(|copied| copied * stretch);
            }
        }
    }
    Ok(ExchangeTemplate {
        // The one member is sender and receiver of each bundle.
        waits: vec![2 * flows.len() as u32],
        node_waits: vec![0],
        devices: 1,
        memory: vec![whole.memory.iter().sum::<f64>() / whole.memory.len() as f64],
        alone: one.alone(&flows, 1)?,
        flows,
        ..whole.clone()
    })
}
