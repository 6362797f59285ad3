//! What the all-to-all of a collective library has of its own: a row for each pick, on rails.
//!
//! NCCL sends each pair of ranks one message of all their rows. Within a node it goes straight. To another node it crosses the scale-up fabric to the
//! device whose NIC is on the rail of its destination and leaves from there (PXN), so planes and rails of any number will do, and what a
//! rank's NIC sends is what its whole node has for that rail. A row is sent once for each pick, also twice to the same rank.
//!
//! Sources: NVIDIA/nccl, `NCCL_P2P_PXN_LEVEL` 2, which is its default. Assumed: SMs copy what crosses the scale-up fabric, once, where it sets out; NICs fetch the rest.
//! Breaks where `NCCL_P2P_PXN_LEVEL` is 0, and where a library cuts messages of unlike sizes into rounds.

use calibrate::{CollectiveTerm, EstimateKey};
use units::{Seconds, SimSpan};
use workloads::op::Collective;
use workloads::traffic::Picks;

use super::hands::End;
use super::template::ExchangeKind;
use super::{Draft, ExchangeGroup, ExpertSpread};
use crate::{Platform, PlatformError};

/// What it takes of as many ranks, and the path between two nodes.
pub(super) fn latency(platform: &Platform<'_>, spread: &ExpertSpread) -> Result<SimSpan, PlatformError> {
    let value = |term| Seconds::new(platform.profile.value(EstimateKey::Collective(Collective::AllToAll, term)));
    let device = |rank| platform.placement.device(rank);
    let far = if spread.n_nodes > 1 {
        platform.network.path(device(0), device(spread.devices), platform.routing)?.latency
    } else {
        Seconds::ZERO
    };
    let more = f64::from(spread.n_ranks.saturating_sub(2));
    Ok(SimSpan::from(value(CollectiveTerm::Latency) + value(CollectiveTerm::RankLatency) * more + far))
}

/// Rows from every rank to the devices of its node, for them and for their rails; and from those to every rank of their rail.
pub(super) fn messages(wires: &ExchangeGroup, batch: &Picks, draft: &mut Draft) {
    let (n_ranks, devices) = (batch.n_ranks(), wires.devices);
    let [mut up, mut out] = [devices, wires.n_nodes].map(|others| vec![0_u32; (n_ranks * others) as usize]);
    let pairs = (0..n_ranks).flat_map(|rank| (0..n_ranks).map(move |other| (rank, other)));
    for ((rank, other), &copies) in pairs.zip(&batch.copies).filter(|((rank, other), _)| rank != other) {
        // A combine sets out where a dispatch arrives.
        let (from, to) = match draft.kind {
            ExchangeKind::Dispatch => (rank, other),
            ExchangeKind::Combine => (other, rank),
        };
        let relay = from / devices * devices + to % devices;
        if relay != from {
            up[(from * devices + relay % devices) as usize] += copies;
        }
        if relay / devices != to / devices {
            out[(relay * wires.n_nodes + to / devices) as usize] += copies;
        }
    }
    let sent = wires.hands.library_ends();
    let relayed = [End { sms: 0.0, ..sent[0] }, sent[1]];
    let kind = draft.kind;
    let mut push = |ends, [from, to]: [u32; 2], rows, up| {
        // The first is the token's source, or its relay.
        let pair = if kind == ExchangeKind::Dispatch { [from, to] } else { [to, from] };
        wires.push(draft, ends, pair, rows, up);
    };
    for rank in 0..n_ranks {
        for device in 0..devices {
            let rows = up[(rank * devices + device) as usize];
            push(sent, [rank, rank / devices * devices + device], rows, true);
        }
        for node in 0..wires.n_nodes {
            let rows = out[(rank * wires.n_nodes + node) as usize];
            push(relayed, [rank, node * devices + rank % devices], rows, false);
        }
    }
}
