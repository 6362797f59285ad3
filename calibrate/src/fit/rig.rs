//! What samples were measured on: a device, and for collectives over nodes how their ranks lie and what the network gives them.

use std::collections::BTreeMap;

use topology::{Device, InNetwork};
use units::{Bytes, Seconds};
use workloads::op::{Collective, OpKind};

use crate::{
    Algorithm, CollectiveCall, CollectiveDemand, EstimateKey, Estimator, MovedBy, Profile, Question, Sample, Spread,
    traffic,
};

/// How ranks lie on nodes, by their number and that of their nodes. One node needs no entry.
pub type Spreads = BTreeMap<(u32, u32), Spread>;

/// What samples were measured on.
#[derive(Clone, Copy, Debug)]
pub struct Rig<'a> {
    /// The device.
    pub device: &'a Device,
    /// Of every number of ranks and nodes that is asked.
    pub spreads: &'a Spreads,
}

impl Rig<'_> {
    fn spread(&self, ranks: u32, nodes: u32) -> Option<Spread> {
        if nodes == 1 { Some(Spread::node(ranks)) } else { self.spreads.get(&(ranks, nodes)).copied() }
    }

    /// The time of a collective, and the estimate that sets it.
    pub(super) fn collective(&self, profile: &Profile, question: &Question) -> Option<(Seconds, EstimateKey)> {
        let Question::Collective { what, ranks, bytes, sms, nodes, by } = *question else { return None };
        let call = CollectiveCall { what, bytes: Bytes::new(bytes as f64), sms };
        let spread = self.spread(ranks, nodes)?;
        if what == Collective::SendRecv && nodes > 1 {
            return Some(self.message(profile, &call, &spread));
        }
        let demand = self.demand(profile, by, &(call, spread))?;
        Some((demand.alone(), demand.limit))
    }

    fn demand(
        &self,
        profile: &Profile,
        by: Option<MovedBy>,
        asked: &(CollectiveCall, Spread),
    ) -> Option<CollectiveDemand> {
        let (call, spread) = asked;
        let estimator = Estimator::new(self.device, profile);
        let one = |algorithm| estimator.collective_by(algorithm, call, spread);
        match by {
            None => Some(estimator.collective(call, spread)),
            Some(MovedBy::Ring) => one(Algorithm::Ring),
            Some(MovedBy::Tree) => one(Algorithm::Tree),
            Some(MovedBy::NoSwitches) => {
                let all = [Algorithm::Ring, Algorithm::Tree, Algorithm::Pairwise].into_iter().filter_map(one);
                all.reduce(|best, other| if other.alone() < best.alone() { other } else { best })
            }
            Some(MovedBy::Switches) => {
                // They summed, so they are there, whatever the hardware's file makes of them.
                let mut device = self.device.clone();
                device.scale_up.in_network = InNetwork::Reduce;
                Estimator::new(&device, profile).collective_by(Algorithm::InNetwork, call, spread)
            }
        }
    }

    /// What a message between nodes takes: the start of the library's kernels, the path, and its bytes through a NIC, no faster than
    /// its routes.
    fn message(&self, profile: &Profile, call: &CollectiveCall, spread: &Spread) -> (Seconds, EstimateKey) {
        let key = EstimateKey::PointToPointFraction;
        let estimator = Estimator::new(self.device, profile);
        let start = estimator.collective_latency(Algorithm::Pairwise, call.what, &Spread::node(2));
        let bytes = call.bytes / (spread.nic * profile.value(key));
        let on_way = Seconds::new(call.bytes.get() * spread.way);
        (start + spread.hop + if on_way > bytes { on_way } else { bytes }, key)
    }
}

/// Why a sample cannot be what it says or, of a collective whose log does not say how its bytes moved, what the model takes it for: it was
/// quicker than its bytes cross the ports or the memory they must. `None` where it was not.
///
/// This is the only conclusion that is drawn from a time. A sample that is slower tells nothing about how its bytes moved.
#[must_use]
pub fn impossible(rig: Rig<'_>, Sample { question, reading, .. }: &Sample) -> Option<String> {
    match question {
        Question::Collective { .. } => impossible_collective(rig, question, reading.seconds),
        _ => {
            let OpKind::Stream { reads, writes, .. } = question.op(rig.device.sms)?.0.kind else { return None };
            // One of a few at the very peak may be over it by its noise.
            ((reads + writes) / rig.device.memory_rate() > Seconds::new(reading.high)).then(|| {
                "quicker than its bytes cross the memory of `--hardware`: its operands were in a cache, as those of a job may be".to_owned()
            })
        }
    }
}

fn impossible_collective(rig: Rig<'_>, question: &Question, seconds: f64) -> Option<String> {
    let Question::Collective { what, ranks, bytes, sms, nodes, by } = *question else { return None };
    let call = CollectiveCall { what, bytes: Bytes::new(bytes as f64), sms };
    let spread = rig.spread(ranks, nodes)?;
    let algorithm = match (what, by) {
        (Collective::AllToAll | Collective::SendRecv, _) => Algorithm::Pairwise,
        (Collective::AllReduce, Some(MovedBy::Switches)) => Algorithm::InNetwork,
        (_, Some(MovedBy::Switches)) => return None,
        _ => Algorithm::Ring,
    };
    let moved = traffic(algorithm, &call, &spread, InNetwork::Reduce)?;
    if moved.up[0] / rig.device.scale_up_rate().get() > seconds {
        return Some(match by {
            None => "quicker than a ring's bytes cross the scale-up port of `--hardware`; no line of its log says so, but it cannot be \
                     otherwise: switches summed or multicast (NVLS) and it tells nothing of rings: measure with `NCCL_NVLS_ENABLE=0`"
                .to_owned(),
            Some(_) => "quicker than its bytes cross the scale-up port of `--hardware`, by what its log says of their way: is it \
                        the hardware that was measured?"
                .to_owned(),
        });
    }
    (moved.out[0] / spread.nic.get() > seconds).then(|| {
        "quicker than a ring's bytes cross the NICs of `--hardware`: it has other NICs, its hosts share a scale-up fabric \
         (`--hosts-per-node`), or the network's switches summed"
            .to_owned()
    })
}

/// What is missing to set a collective beside the model, in words; `None` where nothing is.
#[must_use]
pub fn lacks(rig: Rig<'_>, question: &Question, devices: u32) -> Option<String> {
    let Question::Collective { ranks, nodes, .. } = *question else { return None };
    let each = ranks / nodes.max(1);
    if each > devices {
        return Some(format!("{each} ranks on a node, and a node of `--hardware` has {devices} devices"));
    }
    match rig.spread(ranks, nodes) {
        None => Some(format!("{ranks} ranks on {nodes} nodes, which the network does not have")),
        Some(spread) if nodes > 1 && spread.nic.get() <= 0.0 => {
            Some("over several nodes, and nodes of `--hardware` have no NIC".to_owned())
        }
        Some(_) => None,
    }
}
