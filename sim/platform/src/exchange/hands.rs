//! Who moves, copies and sums the bytes of dispatch and combine: SMs, an engine, the NIC, the switches.
//!
//! A token of a dispatch is sent to a relay on every node that wants it, which hands it to the ranks of its node that want it;
//! the results of a combine come back the same ways and are summed at the relay and at the token's source. What of this
//! hardware does is an ability, and each ability takes its bytes off somebody:
//!
//! | ability | takes off |
//! |---|---|
//! | `gpu.comm-engine = "copy"` | all copies of SMs; sums of a combine stay |
//! | `gpu.comm-engine = "full"` | sums too |
//! | `node.nic.forwarding = "hardware"` | what a relay hands on for others, and its memory; the relay's sums stay |
//! | `*.in-network = "multicast"` | what a sender sends more than once: its port and its copies; receivers get as much as before |
//! | `*.in-network = "reduce"` | also what a receiver of a combine gets more than once: its port, its sums |
//!
//! Who copies how (`policy.exchange-copies`) says which of those bytes SMs have in hand at all: both ends of every message, or
//! the rank that hands on or sums, alone.
//!
//! A direct exchange has no relays: nothing is handed on, and switches leave its copies alone, each of which has a slot
//! of its own.
//!
//! Breaks where a switch has no room for sums in flight, and where the ways of multicast cross trunks that are full: those carry
//! what they did.

use topology::{CommEngine, Forwarding, InNetwork, Machine};
use workloads::model::Experts;
use workloads::traffic::{Picks, expected_distinct};

use super::{Delivery, ExchangeCopies, ExchangeKind, ExpertSpread};

/// The abilities of a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hands {
    copies: ExchangeCopies,
    engine: CommEngine,
    forwarding: Forwarding,
    up: InNetwork,
    out: InNetwork,
}

/// What a message asks of one of its ends, over its own bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Bytes through the port.
    pub(super) port: f64,
    /// Bytes that SMs copy or sum.
    pub(super) sms: f64,
    /// Bytes through device memory, of one pass.
    pub(super) memory: f64,
}

/// How tokens spread from one rank, as their source and as a relay of its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    /// Copies on the network of a token that leaves its node.
    out_copies: f64,
    /// Copies on the scale-up fabric of a token that is handed on.
    up_copies: f64,
    /// Copies that the relay makes for each of those: it also keeps some for itself.
    made: f64,
    /// Share of the relay's tokens that are the rank's own.
    own: f64,
}

impl Relay {
    pub(super) fn of(batch: &Picks, rank: u32, n_nodes: u32, devices: u32) -> Self {
        let (node, local) = (rank / devices, rank % devices);
        let to = |source: u32, node: u32| f64::from(batch.to_node[(source * n_nodes + node) as usize]);
        let out: f64 = (0..n_nodes).filter(|&other| other != node).map(|other| to(rank, other)).sum();
        let handed = |other: u32| f64::from(batch.forwarded[(rank * devices + other) as usize]);
        let up: f64 = (0..devices).filter(|&other| other != local).map(handed).sum();
        let through: f64 = (0..n_nodes).map(|from| to(from * devices + local, node)).sum();
        let ratio = |copies: f64, tokens: u32| if tokens > 0 { (copies / f64::from(tokens)).max(1.0) } else { 1.0 };
        Self {
            out_copies: ratio(out, batch.leaving[rank as usize]),
            up_copies: ratio(up, batch.handed[rank as usize]),
            made: if up > 0.0 { 1.0 + handed(local) / up } else { 1.0 },
            own: if through > 0.0 { to(rank, node) / through } else { 1.0 },
        }
    }

    /// Of uniform picks, without sampling them.
    fn expected(experts: &Experts, spread: &ExpertSpread) -> Self {
        let distinct = |places| expected_distinct(experts.routed, places, experts.top_k);
        // A limit counts groups of experts, of which a node holds one or more.
        Self::reaching([distinct(spread.n_ranks), distinct(spread.n_nodes).min(f64::from(experts.node_limit))], spread)
    }

    /// Of tokens that reach so many ranks and nodes each.
    pub(super) fn reaching([ranks, nodes]: [f64; 2], spread: &ExpertSpread) -> Self {
        let elsewhere = |places: u32| f64::from(places - 1) / f64::from(places);
        Self {
            out_copies: (nodes * elsewhere(spread.n_nodes)).max(1.0),
            up_copies: (ranks / nodes * elsewhere(spread.devices)).max(1.0),
            made: if spread.devices > 1 { 1.0 / elsewhere(spread.devices) } else { 1.0 },
            own: 1.0 / f64::from(spread.n_nodes),
        }
    }
}

impl Hands {
    pub(super) fn of(machine: &Machine, copies: ExchangeCopies) -> Self {
        Self {
            copies,
            engine: machine.device.comm_engine,
            forwarding: machine.node.nic.forwarding,
            up: machine.device.scale_up.in_network,
            out: machine.fabric.in_network,
        }
    }

    /// What a message asks of its sender and its receiver.
    pub(super) fn ends(self, kind: ExchangeKind, up: bool, relay: &Relay) -> [End; 2] {
        match self.copies {
            ExchangeCopies::Buffered => self.buffered(kind, up, relay),
            ExchangeCopies::InPlace => self.in_place(kind, up, relay),
        }
    }

    /// Both ends of a message copy it, into and out of ring buffers.
    fn buffered(self, kind: ExchangeKind, up: bool, relay: &Relay) -> [End; 2] {
        let (ability, copies) = if up { (self.up, relay.up_copies) } else { (self.out, relay.out_copies) };
        let [copying, summing] = self.sms_do();
        let handled = self.handled(relay);
        match (kind, up) {
            (ExchangeKind::Dispatch, false) => {
                let sent = if ability.multicasts() { 1.0 / copies } else { 1.0 };
                // The relay's kernel reads what has come when it hands it on.
                [End { port: sent, sms: copying * sent, memory: sent }, End { port: 1.0, sms: 0.0, memory: handled }]
            }
            (ExchangeKind::Dispatch, true) => {
                let sent = if ability.multicasts() { 1.0 / copies } else { 1.0 };
                let by_kernel = sent * handled;
                [
                    End { port: sent, sms: copying * by_kernel, memory: by_kernel },
                    End { port: 1.0, sms: copying, memory: 1.0 },
                ]
            }
            (ExchangeKind::Combine, true) => {
                let sender = End { port: 1.0, sms: copying, memory: 1.0 };
                if ability.reduces() {
                    // Sums arrive, and go on without the relay where hardware forwards.
                    let sums = handled / copies;
                    [sender, End { port: 1.0 / copies, sms: copying * sums, memory: sums }]
                } else {
                    [sender, End { port: 1.0, sms: summing, memory: 1.0 }]
                }
            }
            (ExchangeKind::Combine, false) => {
                // Where hardware forwards, the kernel that sums at the relay leaves its result to it.
                let sent = if self.forwarding == Forwarding::Hardware { 0.0 } else { 1.0 };
                let sender = End { port: 1.0, sms: copying * sent, memory: sent };
                if ability.reduces() {
                    [sender, End { port: 1.0 / copies, sms: copying / copies, memory: 1.0 / copies }]
                } else {
                    [sender, End { port: 1.0, sms: summing, memory: 1.0 }]
                }
            }
        }
    }

    /// The NIC and the relay's bulk copies work on the tensors themselves: who neither hands on nor sums has no work, and memory
    /// is read once for all copies of a token.
    fn in_place(self, kind: ExchangeKind, up: bool, relay: &Relay) -> [End; 2] {
        let (ability, copies) = if up { (self.up, relay.up_copies) } else { (self.out, relay.out_copies) };
        let [copying, summing] = self.sms_do();
        let handled = self.handled(relay);
        let passive = End { port: 1.0, sms: 0.0, memory: 1.0 };
        match (kind, up) {
            (ExchangeKind::Dispatch, false) => {
                let sent = if ability.multicasts() { 1.0 / copies } else { 1.0 };
                [End { port: sent, sms: 0.0, memory: sent }, End { memory: handled, ..passive }]
            }
            (ExchangeKind::Dispatch, true) => {
                let sent = if ability.multicasts() { 1.0 / copies } else { 1.0 };
                // A switch copies for the others, not for the relay itself.
                let made = copying * handled * (sent + relay.made - 1.0);
                [End { port: sent, sms: made, memory: handled / copies }, passive]
            }
            (ExchangeKind::Combine, true) if ability.reduces() => {
                let sums = handled / copies;
                [passive, End { port: 1.0 / copies, sms: copying * sums, memory: sums }]
            }
            (ExchangeKind::Combine, true) => {
                [passive, End { port: 1.0, sms: summing * relay.made, memory: 1.0 / copies }]
            }
            (ExchangeKind::Combine, false) if ability.reduces() => {
                [passive, End { port: 1.0 / copies, sms: copying / copies, memory: 1.0 / copies }]
            }
            (ExchangeKind::Combine, false) => [passive, End { port: 1.0, sms: summing, memory: 1.0 }],
        }
    }

    /// What a message of a direct exchange asks of its sender and its receiver, over either fabric: its kernel sends
    /// each copy; at the other end a dispatch takes it out of its slot, unless it lies where it is wanted, and a combine
    /// adds it up.
    pub(super) fn direct_ends(self, kind: ExchangeKind) -> [End; 2] {
        let [copying, summing] = self.sms_do();
        let received = match (kind, self.copies) {
            (ExchangeKind::Dispatch, ExchangeCopies::Buffered) => copying,
            (ExchangeKind::Dispatch, ExchangeCopies::InPlace) => 0.0,
            (ExchangeKind::Combine, _) => summing,
        };
        [copying, received].map(|sms| End { port: 1.0, sms, memory: 1.0 })
    }

    /// The same of a library's all-to-all, whose rate per SM counts what a rank sends: sending and receiving go on together, and nobody sums.
    pub(super) fn library_ends(self) -> [End; 2] {
        let [copying, _] = self.sms_do();
        [copying, 0.0].map(|sms| End { port: 1.0, sms, memory: 1.0 })
    }

    /// Whether SMs copy, and whether they sum.
    const fn sms_do(self) -> [f64; 2] {
        match self.engine {
            CommEngine::None => [1.0, 1.0],
            CommEngine::Copy => [0.0, 1.0],
            CommEngine::Full => [0.0, 0.0],
        }
    }

    /// Of what passes a relay, the part that a kernel on it takes in hand.
    const fn handled(self, relay: &Relay) -> f64 {
        match self.forwarding {
            Forwarding::Kernel => 1.0,
            Forwarding::Hardware => relay.own,
        }
    }

    /// Bytes a second that SMs copy and sum for one rank while its ports are full.
    fn work_of_sms(self, kind: ExchangeKind, delivery: Delivery, relay: &Relay, [up, out]: [f64; 2]) -> f64 {
        let ends = |over_up| match delivery {
            Delivery::Forwarded => self.ends(kind, over_up, relay),
            Delivery::Direct => self.direct_ends(kind),
            Delivery::Library => self.library_ends(),
        };
        let sms = |over_up| ends(over_up).iter().map(|end| end.sms).sum::<f64>();
        up * sms(true) + out * sms(false)
    }
}

/// Of the SMs of a communication kernel, those that a dispatch or a combine holds: an engine copies, and nobody sums in a dispatch.
#[must_use]
pub const fn held_sms(engine: CommEngine, kind: ExchangeKind, sms: u32) -> u32 {
    match (engine, kind) {
        (CommEngine::None, _) | (CommEngine::Copy, ExchangeKind::Combine) => sms,
        (CommEngine::Copy, ExchangeKind::Dispatch) | (CommEngine::Full, _) => 0,
    }
}

/// Whether dispatch or combine has bytes that only SMs copy or sum on this machine: without any they would never arrive.
#[must_use]
pub fn needs_comm_sms(
    machine: &Machine,
    experts: &Experts,
    spread: &ExpertSpread,
    delivery: Delivery,
    copies: ExchangeCopies,
) -> bool {
    let relay = Relay::expected(experts, spread);
    let hands = Hands::of(machine, copies);
    // One where messages go at all.
    let goes = [spread.devices > 1, spread.n_nodes > 1].map(|goes| f64::from(u8::from(goes)));
    let of = |kind| hands.work_of_sms(kind, delivery, &relay, goes);
    of(ExchangeKind::Dispatch).max(of(ExchangeKind::Combine)) > 0.0
}

/// SMs that dispatch and combine need: `software` where SMs do everything, and of those the share of the work that the
/// machine's abilities leave them while both ports are full, in pairs (a channel has two).
#[must_use]
pub fn comm_sms(
    machine: &Machine,
    experts: &Experts,
    spread: &ExpertSpread,
    delivery: Delivery,
    copies: ExchangeCopies,
    software: u32,
) -> u32 {
    let relay = Relay::expected(experts, spread);
    let hands = Hands::of(machine, copies);
    let (none, kernel) = (InNetwork::None, Forwarding::Kernel);
    let alone = Hands { copies, engine: CommEngine::None, forwarding: kernel, up: none, out: none };
    let out = if spread.n_nodes > 1 { machine.nic_rate_per_device().get() } else { 0.0 };
    let rates = [machine.device.scale_up_rate().get(), out];
    let most = |hands: Hands| {
        let of = |kind| hands.work_of_sms(kind, delivery, &relay, rates);
        of(ExchangeKind::Dispatch).max(of(ExchangeKind::Combine))
    };
    let share = most(hands) / most(alone).max(f64::MIN_POSITIVE);
    // Rounding must not ask for a pair more where nothing is taken off.
    let pairs = (f64::from(software) * share / 2.0 - 1e-9).ceil() as u32;
    (2 * pairs).min(software)
}
