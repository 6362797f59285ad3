//! Closed forms, laws of accounting, and what cannot run.

use calibrate::{CollectiveCall, CollectiveTerm, EstimateKey, GemmTerm, Profile};
use topology::{Machine, Routing};
use units::{Bytes, Flops};
use workloads::import::{Graph, GraphNode, ProcessGroup, Trace, Work, simai};
use workloads::op::{Collective, Precision};

use super::*;
use platform::{Placement, Platform};

fn machine() -> (Machine, Profile) {
    let library = scenario::Library::built_in();
    let plan = scenario::load("tiny-moe", &[], &library).expect("a preset").plan;
    // The crate under test is built twice, once for `scenario`: what is shared are the types of the crates below.
    (plan.site.machine, plan.site.profile)
}

/// With messages on whichever lane is free.
fn replay(job: &Graph, machine: &Machine, profile: &Profile) -> Result<Replayed, PlanError> {
    routed(job, machine, profile, Routing::Adaptive)
}

fn routed(graph: &Graph, machine: &Machine, profile: &Profile, routing: Routing) -> Result<Replayed, PlanError> {
    let site = Site { machine: machine.clone(), profile: profile.clone() };
    super::replay(&site, &Imported { graph: graph.clone(), routing })
}

fn node(name: &str, work: Work, after: &[u32]) -> GraphNode {
    GraphNode { name: name.to_owned(), work, after: after.to_vec() }
}

fn job(traces: Vec<Vec<GraphNode>>, groups: Vec<ProcessGroup>) -> Graph {
    let n_ranks = traces.len() as u32;
    let named = |(rank, nodes)| Trace { name: format!("rank {rank}"), nodes };
    Graph { n_ranks, traces: traces.into_iter().enumerate().map(named).collect(), groups, notes: Vec::new() }
}

fn close(what: &str, expected: f64, actual: f64) {
    // Ends and latencies are whole picoseconds.
    assert!((actual - expected).abs() < 1e-11, "{what}: expectation {expected}, actual {actual}");
}

fn ms(milliseconds: f64) -> Work {
    Work::Device(Seconds::new(milliseconds * 1e-3))
}

const SIZE: f64 = 256.0 * 1024.0 * 1024.0;

/// The collective of the first `n` ranks alone.
fn ring(machine: &Machine, profile: &Profile, what: Collective, n: u32) -> f64 {
    let placement = Placement::new(machine, machine.node.devices);
    let platform = Platform::new(machine, profile, placement, topology::Routing::Adaptive).expect("a machine");
    let group = platform.group(&[(0..n).collect()]).expect("a group");
    let call = CollectiveCall::new(what, Bytes::new(SIZE));
    let alone = crate::collective_alone(&machine.device, profile, &call, &group.spread, None).expect("it runs");
    alone.answer.time.get()
}

#[test]
fn a_collective_alone_takes_what_a_probe_of_it_answers() {
    let (machine, profile) = machine();
    for what in [Collective::AllReduce, Collective::AllGather, Collective::ReduceScatter, Collective::AllToAll] {
        for n in [2, 8, 16] {
            let work = Work::Collective { group: 0, what, bytes: Bytes::new(SIZE) };
            let traces = (0..n).map(|_| vec![node("ring", work, &[])]).collect();
            let replayed =
                replay(&job(traces, vec![ProcessGroup::Ranks((0..n).collect())]), &machine, &profile).expect("runs");
            close(&format!("{what:?} of {n}"), ring(&machine, &profile, what, n), replayed.makespan.get());
        }
    }
}

#[test]
fn collectives_and_messages_wait_for_pcie_where_the_nic_is_faster() {
    let (mut machine, profile) = machine();
    machine.node.host.pcie_rate = machine.node.nic.rate * 0.1;
    let pcie = machine.node.host.pcie_rate.get();
    let n = 2 * machine.node.devices;
    let what = Collective::AllReduce;
    let work = Work::Collective { group: 0, what, bytes: Bytes::new(SIZE) };
    let traces = (0..n).map(|_| vec![node("ring", work, &[])]).collect();
    let replayed = replay(&job(traces, vec![ProcessGroup::Ranks((0..n).collect())]), &machine, &profile).expect("runs");
    close("ring", ring(&machine, &profile, what, n), replayed.makespan.get());
    let least = 2.0 * SIZE * f64::from(n - 1) / f64::from(n) / f64::from(machine.node.devices) / pcie;
    assert!(replayed.makespan.get() > least, "expected above {least}, actual {} s", replayed.makespan.get());

    let mut traces = vec![Vec::new(); n as usize];
    let last = n - 1;
    traces[0] = vec![node("send", Work::Send { to: last, tag: 7, bytes: Bytes::new(SIZE) }, &[])];
    traces[last as usize] = vec![node("receive", Work::Receive { from: 0, tag: 7 }, &[])];
    let replayed = replay(&job(traces, Vec::new()), &machine, &profile).expect("runs");
    assert!(replayed.makespan.get() > SIZE / pcie, "a message of {SIZE} bytes took {} s", replayed.makespan.get());
}

#[test]
fn a_chain_adds_up_and_a_device_runs_one_node_at_a_time() {
    let (machine, profile) = machine();
    let chain = job(vec![vec![node("a", ms(1.0), &[]), node("b", ms(2.0), &[0]), node("c", ms(4.0), &[])]], Vec::new());
    let replayed = replay(&chain, &machine, &profile).expect("runs");
    close("makespan", 7e-3, replayed.makespan.get());
    let host = Work::Host(Seconds::new(5e-3));
    let beside = job(vec![vec![node("a", ms(7.0), &[]), node("h", host, &[])]], Vec::new());
    let replayed = replay(&beside, &machine, &profile).expect("runs");
    close("makespan", 7e-3, replayed.makespan.get());
    close("host", 5e-3, replayed.ranks[0].host.seconds());
}

#[test]
fn arithmetic_is_the_roofline() {
    let (machine, profile) = machine();
    let peak = machine.device.peak_bf16().get() * profile.value(EstimateKey::Gemm(Precision::Bf16, GemmTerm::Fraction));
    let memory = machine.device.memory_rate().get() * profile.value(EstimateKey::MemoryFraction);
    let latency = profile.value(EstimateKey::KernelLatency);
    for (flops, bytes) in [(1e12, 1e6), (1e6, 1e9), (0.0, 1e9), (1e12, 0.0)] {
        let work = Work::Arithmetic { flops: Flops::new(flops), bytes: Bytes::new(bytes) };
        let replayed = replay(&job(vec![vec![node("a", work, &[])]], Vec::new()), &machine, &profile).expect("runs");
        close("roofline", latency + f64::max(flops / peak, bytes / memory), replayed.makespan.get());
    }
}

#[test]
fn a_late_rank_is_waited_for_and_every_rank_accounts_for_its_time() {
    let (machine, profile) = machine();
    let work = Work::Collective { group: 0, what: Collective::AllReduce, bytes: Bytes::new(SIZE) };
    let early = vec![node("a", ms(1.0), &[]), node("ring", work, &[0])];
    let late = vec![node("a", ms(9.0), &[]), node("ring", work, &[0])];
    let replayed =
        replay(&job(vec![early, late], vec![ProcessGroup::Ranks(vec![0, 1])]), &machine, &profile).expect("runs");
    let alone = ring(&machine, &profile, Collective::AllReduce, 2);
    close("makespan", 9e-3 + alone, replayed.makespan.get());
    close("exposed of the early rank", 8e-3 + alone, replayed.ranks[0].exposed.seconds());
    close("exposed of the late rank", alone, replayed.ranks[1].exposed.seconds());
    for rank in &replayed.ranks {
        close("sum", replayed.makespan.get(), (rank.device + rank.exposed + rank.idle).seconds());
    }
}

#[test]
fn communication_hides_beside_compute_that_does_not_wait_for_it() {
    let (machine, profile) = machine();
    let work = Work::Collective { group: 0, what: Collective::AllReduce, bytes: Bytes::new(SIZE) };
    let trace = || vec![node("ring", work, &[]), node("a", ms(100.0), &[])];
    let replayed =
        replay(&job(vec![trace(), trace()], vec![ProcessGroup::Ranks(vec![0, 1])]), &machine, &profile).expect("runs");
    close("makespan", 100e-3, replayed.makespan.get());
    assert_eq!(replayed.ranks[0].exposed, SimSpan::ZERO);
    close(
        "communication",
        ring(&machine, &profile, Collective::AllReduce, 2),
        replayed.ranks[0].communication.seconds(),
    );
}

#[test]
fn messages_take_the_port_between_their_ends() {
    let (machine, profile) = machine();
    let bytes = Bytes::new(SIZE);
    let devices = machine.node.devices;
    for to in [1, devices] {
        let mut traces = vec![Vec::new(); to as usize + 1];
        traces[0] = vec![node("a", ms(1.0), &[]), node("send", Work::Send { to, tag: 7, bytes }, &[0])];
        traces[to as usize] = vec![node("receive", Work::Receive { from: 0, tag: 7 }, &[])];
        let replayed = replay(&job(traces, Vec::new()), &machine, &profile).expect("runs");
        let network = topology::Network::build(&machine).expect("a network");
        let path = network.path(topology::DeviceId(0), topology::DeviceId(to), topology::Routing::Adaptive);
        let latency = path.expect("a path").latency.get();
        let own = if to == 1 {
            ring(&machine, &profile, Collective::SendRecv, 2)
        } else {
            handover(&profile) + SIZE / (machine.node.nic.rate.get() * profile.value(EstimateKey::PointToPointFraction))
        };
        close(&format!("to {to}"), 1e-3 + latency + own, replayed.makespan.get());
    }
}

#[test]
fn messages_that_meet_on_a_trunk_share_it_and_others_do_not_wait() {
    let (mut machine, profile) = machine();
    let devices = machine.node.devices;
    // A leaf of twelve ports down and four up; eight messages leave it for another leaf.
    machine.n_nodes = 6;
    let fabric = &mut machine.fabric;
    (fabric.kind, fabric.planes, fabric.tiers) = (topology::FabricKind::FatTree, 1, 2);
    (fabric.switch_ports, fabric.oversubscription) = (16, 3.0);
    let trunk = fabric.link_rate.get();
    let bytes = Bytes::new(SIZE);
    let first = 3 * devices;
    let alone = SIZE / (machine.node.nic.rate.get() * profile.value(EstimateKey::PointToPointFraction));
    let network = topology::Network::build(&machine).expect("a network");
    for routing in [Routing::Adaptive, Routing::Static] {
        let latency = network.path(topology::DeviceId(0), topology::DeviceId(first), routing).expect("a path").latency;
        // At once, or each only when the one before must have come.
        for (n, apart, expected) in
            [(1, 0.0, alone), (2, 0.0, alone), (8, 0.0, 8.0 * SIZE / (4.0 * trunk)), (8, 1.0, 7.0 + alone)]
        {
            let mut traces = vec![Vec::new(); (first + devices) as usize];
            for rank in 0..n {
                let to = first + rank;
                let waits = Work::Device(Seconds::new(apart * f64::from(rank)));
                let send = Work::Send { to, tag: 7, bytes };
                traces[rank as usize] = vec![node("wait", waits, &[]), node("send", send, &[0])];
                traces[to as usize] = vec![node("receive", Work::Receive { from: rank, tag: 7 }, &[])];
            }
            let replayed = routed(&job(traces, Vec::new()), &machine, &profile, routing).expect("runs");
            let expected = expected + latency.get() + handover(&profile);
            close(&format!("{n} {apart} s apart, {routing:?}"), expected, replayed.makespan.get());
        }
    }
}

/// What the library's kernels need to hand a message over.
fn handover(profile: &Profile) -> f64 {
    profile.value(EstimateKey::Collective(Collective::SendRecv, CollectiveTerm::Latency))
}

/// A message to the next rank of a node: the way, and what a probe of one answers.
fn message(machine: &Machine, profile: &Profile) -> f64 {
    let network = topology::Network::build(machine).expect("a network");
    let path = network.path(topology::DeviceId(0), topology::DeviceId(1), topology::Routing::Adaptive);
    path.expect("a path").latency.get() + ring(machine, profile, Collective::SendRecv, 2)
}

#[test]
fn a_message_sets_out_with_its_sender_and_is_received_when_its_receiver_has_begun() {
    let (machine, profile) = machine();
    let alone = message(&machine, &profile);
    let send = node("send", Work::Send { to: 1, tag: 7, bytes: Bytes::new(SIZE) }, &[]);
    let receive = |after: &[u32]| node("receive", Work::Receive { from: 0, tag: 7 }, after);
    let late = vec![node("a", ms(100.0), &[]), receive(&[0]), node("b", ms(1.0), &[1])];
    let replayed = replay(&job(vec![vec![send.clone()], late], Vec::new()), &machine, &profile).expect("runs");
    close("a late receiver finds it there", 101e-3, replayed.makespan.get());
    close("its sender did not wait", alone, replayed.ranks[0].communication.seconds());
    assert_eq!(replayed.ranks[1].communication, SimSpan::ZERO);
    let early = vec![receive(&[]), node("b", ms(1.0), &[0])];
    let replayed = replay(&job(vec![vec![send], early], Vec::new()), &machine, &profile).expect("runs");
    close("an early one waits for it", alone + 1e-3, replayed.makespan.get());
    close("exposed", alone, replayed.ranks[1].exposed.seconds());
}

#[test]
fn a_ring_goes_round_where_all_send_first_and_is_stuck_where_all_receive_first() {
    let (machine, profile) = machine();
    for n in [2, 3, 8_u32] {
        let ring = |sends_first: bool| {
            let trace = |rank: u32| {
                let send = Work::Send { to: (rank + 1) % n, tag: 0, bytes: Bytes::new(SIZE) };
                let receive = Work::Receive { from: (rank + n - 1) % n, tag: 0 };
                let [first, second] = if sends_first { [send, receive] } else { [receive, send] };
                vec![node("first", first, &[]), node("second", second, &[0])]
            };
            job((0..n).map(trace).collect(), Vec::new())
        };
        let replayed = replay(&ring(true), &machine, &profile).expect("it goes round");
        close(&format!("{n} at once"), message(&machine, &profile), replayed.makespan.get());
        let stuck = replay(&ring(false), &machine, &profile).expect_err("nobody sends").to_string();
        assert!(stuck.contains("rank 0: first waits for ever"), "{stuck}");
    }
}

#[test]
fn a_workload_of_one_trace_is_its_ranks_in_lockstep() {
    let (machine, profile) = machine();
    let header = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 4 ep: 1 pp: 1 vpp: 1 ga: 1 all_gpus: 16 \
                  checkpoints: 0 checkpoint_initiates: 0";
    let text = format!("{header}\n1\na -1 1000000 ALLGATHER {SIZE} 2000000 NONE 0 3000000 ALLREDUCE {SIZE} 0\n");
    let one = simai::read("w.txt", &text, simai::Pipeline::Refuse).expect("it can be read");
    let groups = |n: u32, stride: u32| -> Vec<Vec<u32>> {
        (0..16 / n).map(|i| (0..n).map(|k| i / stride * n * stride + i % stride + k * stride).collect()).collect()
    };
    let all: Vec<Vec<u32>> = groups(4, 1).into_iter().chain(groups(4, 4)).collect();
    let traces = (0..16_u32).map(|rank| {
        let mut nodes = one.traces[0].nodes.clone();
        for node in &mut nodes {
            if let Work::Collective { group, .. } = &mut node.work {
                let range = if *group == 0 { 0..4 } else { 4..8 };
                let of = range.clone().find(|&index| all[index].contains(&rank));
                *group = of.expect("every rank is in a group") as u32;
            }
        }
        nodes
    });
    let every = job(traces.collect(), all.iter().cloned().map(ProcessGroup::Ranks).collect());
    let [one, every] = [one, every].map(|job| replay(&job, &machine, &profile).expect("runs"));
    assert_eq!((one.ranks.len(), every.ranks.len()), (1, 16));
    assert_eq!(one.makespan, every.makespan);
    assert!(every.ranks.iter().all(|rank| *rank == one.ranks[0]));
}

#[test]
fn what_cannot_run_says_why() {
    let (machine, profile) = machine();
    let crowd = job(vec![vec![node("a", ms(1.0), &[])]; 1 + machine.n_devices() as usize], Vec::new());
    let text = replay(&crowd, &machine, &profile).expect_err("too many").to_string();
    assert!(text.contains("ranks but the machine") && text.contains("cluster.nodes"), "{text}");
    let eternal = job(vec![vec![node("a", Work::Device(Seconds::new(1e14)), &[])]], Vec::new());
    let text = replay(&eternal, &machine, &profile).expect_err("too long").to_string();
    assert!(text.contains("take up to 1e14 s together"), "{text}");
    // Two groups of the same ranks, called in opposite orders.
    let call =
        |group| node("ring", Work::Collective { group, what: Collective::AllReduce, bytes: Bytes::new(1.0) }, &[]);
    let then = |group| GraphNode { after: vec![0], ..call(group) };
    let groups = vec![ProcessGroup::Ranks(vec![0, 1]); 2];
    let crossed = job(vec![vec![call(0), then(1)], vec![call(1), then(0)]], groups);
    let text = replay(&crossed, &machine, &profile).expect_err("crossed").to_string();
    assert!(text.contains("rank 0: ring waits for ever"), "{text}");
}
