//! One collective alone, on links of bare rates.
//!
//! An all-to-all sends every ordered pair's share as a flow of its own, each rank's through its own ports: R flows.
//! The others are rings ([`calibrate::traffic`]): in each of R-1 steps (twice as many for an all-reduce) every rank sends a
//! share to its next, on a node through the scale-up ports, between nodes through all NICs side by side; the steps of a
//! rank are one task, since each waits for the one before. There is no latency and no loss: the answer is the
//! bandwidth bound, found by the engine.

use calibrate::{Algorithm, CollectiveCall, Spread, Traffic, traffic};
use engine::{Actions, Capacity, CapacityId, Driver, Finished, Record, Resources, Task, run};
use topology::InNetwork;
use units::{Bytes, BytesPerSec, Seconds};
use workloads::op::Collective;

use crate::{Contradiction, PlanError};

/// Ranks beyond which the flows of an all-to-all would not fit in memory.
const N_RANKS_MAX: u64 = 4096;

/// A collective of all devices of some nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveQuestion {
    /// Which.
    pub what: Collective,
    /// Nodes.
    pub n_nodes: u32,
    /// Devices of a node, one rank each.
    pub n_devices: u32,
    /// Rate of a device's scale-up port, one direction.
    pub scale_up: BytesPerSec,
    /// Rate of a device's NIC, one direction.
    pub nic: BytesPerSec,
    /// Size, as nccl-tests reports it.
    pub bytes: Bytes,
}

/// How long it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveAnswer {
    /// Until the slowest rank is done.
    pub time: Seconds,
    /// Messages sent, each step of a ring counted.
    pub n_flows: u64,
    /// Bytes over rate as nccl-tests counts them: size over time.
    pub algorithm_bandwidth: BytesPerSec,
    /// The same times the share that every rank must send or receive; comparable with a port's rate.
    pub bus_bandwidth: BytesPerSec,
}

/// Runs a collective alone.
///
/// # Errors
/// When there is no rank, a rate that is needed is zero, or there are too many flows.
pub fn collective(question: &CollectiveQuestion) -> Result<CollectiveAnswer, PlanError> {
    let n_ranks = check(question)?;
    let mut ports = Ports::new(question, n_ranks);
    let record = run(&ports.resources.clone(), &mut ports)
        .map_err(|fault| PlanError::Fault(format!("the collective: {fault}")))?;
    Ok(answer(question, n_ranks, &record))
}

fn check(question: &CollectiveQuestion) -> Result<u32, PlanError> {
    let n_ranks = u64::from(question.n_nodes) * u64::from(question.n_devices);
    let refuse = |reason: Contradiction| Err(reason.into());
    if n_ranks == 0 {
        return refuse(Contradiction::NoRanks);
    }
    if n_ranks > N_RANKS_MAX && question.what == Collective::AllToAll {
        return refuse(Contradiction::Flows { n_ranks, max: N_RANKS_MAX });
    }
    if n_ranks > u64::from(u32::MAX / 2) {
        return refuse(Contradiction::Ranks { n_ranks });
    }
    if question.n_devices > 1 && question.scale_up.get() <= 0.0 {
        return refuse(Contradiction::NoScaleUp);
    }
    if question.n_nodes > 1 && question.nic.get() <= 0.0 {
        return refuse(Contradiction::NoNic);
    }
    Ok(n_ranks as u32)
}

fn answer(question: &CollectiveQuestion, n_ranks: u32, record: &Record) -> CollectiveAnswer {
    let n = u64::from(n_ranks);
    let (n_flows, bus_share) = match question.what {
        Collective::AllToAll | Collective::AllGather | Collective::ReduceScatter => (n * (n - 1), 1.0 - 1.0 / n as f64),
        Collective::AllReduce => (2 * n * (n - 1), 2.0 * (1.0 - 1.0 / n as f64)),
        Collective::SendRecv => (if n > 1 { n } else { 0 }, 1.0),
    };
    let time = Seconds::new(record.end.seconds());
    let algorithm_bandwidth = if time.get() > 0.0 { question.bytes / time } else { BytesPerSec::ZERO };
    CollectiveAnswer { time, n_flows, algorithm_bandwidth, bus_bandwidth: algorithm_bandwidth * bus_share }
}

/// Ports of all ranks.
struct Ports {
    question: CollectiveQuestion,
    resources: Resources,
    up: [Vec<CapacityId>; 2],
    out: [Vec<CapacityId>; 2],
}

impl Ports {
    fn new(question: &CollectiveQuestion, n_ranks: u32) -> Self {
        let mut resources = Resources::default();
        let mut add = |rate: BytesPerSec| -> Vec<CapacityId> {
            // A rate that no flow needs may be zero.
            let rate = rate.get().max(f64::MIN_POSITIVE);
            (0..n_ranks).map(|_| resources.add_capacity(Capacity { rate })).collect()
        };
        let up = [add(question.scale_up), add(question.scale_up)];
        let out = [add(question.nic), add(question.nic)];
        Self { question: *question, resources, up, out }
    }

    fn node(&self, rank: usize) -> usize {
        rank / self.question.n_devices as usize
    }

    fn all_to_all(&self, actions: &mut Actions<()>) {
        let n = self.up[0].len();
        let share = self.question.bytes.get() / n as f64;
        for from in 0..n {
            for to in (0..n).filter(|&to| to != from) {
                let [send, receive] = if self.node(from) == self.node(to) { &self.up } else { &self.out };
                actions.submit(Task::new(()).demand(send[from], share).demand(receive[to], share));
            }
        }
    }

    fn ring(&self, actions: &mut Actions<()>) {
        let n = self.up[0].len();
        let CollectiveQuestion { what, n_nodes, n_devices, nic, bytes, .. } = self.question;
        let spread = Spread { per_node: n_devices, n_nodes, nic, ..Spread::node(n as u32) };
        let Traffic { up, out, .. } =
            traffic(Algorithm::Ring, &CollectiveCall::new(what, bytes), &spread, InNetwork::None).unwrap_or_default();
        for from in 0..n {
            let to = (from + 1) % n;
            let task = Task::new(())
                .demand(self.up[0][from], up[0])
                .demand(self.up[1][to], up[1])
                .demand(self.out[0][from], out[0])
                .demand(self.out[1][to], out[1]);
            actions.submit(task);
        }
    }

    /// Every rank to its next: within a node, or from its last device to the next node's first.
    fn pass_on(&self, actions: &mut Actions<()>) {
        let n = self.up[0].len();
        for from in (0..n).filter(|_| n > 1) {
            let to = (from + 1) % n;
            let [send, receive] = if self.node(from) == self.node(to) { &self.up } else { &self.out };
            let bytes = self.question.bytes.get();
            actions.submit(Task::new(()).demand(send[from], bytes).demand(receive[to], bytes));
        }
    }
}

impl Driver for Ports {
    type Tag = ();

    fn begin(&mut self, actions: &mut Actions<()>) {
        match self.question.what {
            Collective::AllToAll => self.all_to_all(actions),
            Collective::SendRecv => self.pass_on(actions),
            Collective::AllReduce | Collective::AllGather | Collective::ReduceScatter => self.ring(actions),
        }
    }

    fn finished(&mut self, _task: &Finished<()>, _actions: &mut Actions<()>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: Collective, n_nodes: u32, n_devices: u32, expected: f64) {
        let question = CollectiveQuestion {
            what,
            n_nodes,
            n_devices,
            scale_up: BytesPerSec::new(160e9),
            nic: BytesPerSec::new(40e9),
            bytes: Bytes::new(f64::from(1_u32 << 26)),
        };
        let actual = collective(&question).expect("runs").time.get();
        assert!((actual / expected - 1.0).abs() < 1e-3, "{what:?}: expectation {expected}, actual {actual}");
    }

    #[test]
    fn an_all_to_all_takes_its_bandwidth_bound() {
        let size = f64::from(1_u32 << 26);
        check(Collective::AllToAll, 8, 8, size * 56.0 / 64.0 / 40e9);
        check(Collective::AllToAll, 32, 8, size * 248.0 / 256.0 / 40e9);
        check(Collective::AllToAll, 1, 8, size * 7.0 / 8.0 / 160e9);
    }

    #[test]
    fn rings_take_their_bandwidth_bound() {
        let size = f64::from(1_u32 << 26);
        check(Collective::AllReduce, 1, 8, 2.0 * size * 7.0 / 8.0 / 160e9);
        check(Collective::AllGather, 4, 1, size * 3.0 / 4.0 / 40e9);
        check(Collective::ReduceScatter, 32, 8, size * 255.0 / 256.0 / 160e9);
        check(Collective::SendRecv, 2, 1, size / 40e9);
    }
}
