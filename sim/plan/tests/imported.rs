//! Random jobs: every law holds, and every rank accounts for the whole makespan.

use plan::{Imported, replay};
use proptest::prelude::*;
use topology::Routing;
use units::{Bytes, Flops, Seconds};
use workloads::import::{Graph, GraphNode, ProcessGroup, Trace, Work};
use workloads::op::Collective;

/// What all ranks do in one round: a node each rank runs alone, or one they meet in.
#[derive(Clone, Debug)]
enum Round {
    Device(Vec<u32>),
    Host(u32),
    Arithmetic(u32, u32),
    Meet(usize, u32),
    Pass(u32),
}

const COLLECTIVES: [Collective; 4] =
    [Collective::AllReduce, Collective::AllGather, Collective::ReduceScatter, Collective::AllToAll];

fn round(n_ranks: u32) -> impl Strategy<Value = Round> {
    prop_oneof![
        proptest::collection::vec(0_u32..2000, n_ranks as usize).prop_map(Round::Device),
        (0_u32..2000).prop_map(Round::Host),
        (0_u32..1000, 0_u32..1000).prop_map(|(flops, bytes)| Round::Arithmetic(flops, bytes)),
        (0..COLLECTIVES.len(), 0_u32..1000).prop_map(|(what, size)| Round::Meet(what, size)),
        (0_u32..1000).prop_map(Round::Pass),
    ]
}

/// A job and how many of its nodes wait for the one before.
fn job() -> impl Strategy<Value = Graph> {
    (2_u32..20).prop_flat_map(|n_ranks| {
        let rounds = proptest::collection::vec((round(n_ranks), any::<bool>()), 1..12);
        rounds.prop_map(move |rounds| Graph {
            n_ranks,
            traces: (0..n_ranks).map(|rank| trace(rank, n_ranks, &rounds)).collect(),
            groups: vec![ProcessGroup::Ranks((0..n_ranks).collect())],
            notes: Vec::new(),
        })
    })
}

fn trace(rank: u32, n_ranks: u32, rounds: &[(Round, bool)]) -> Trace {
    let mut nodes: Vec<GraphNode> = Vec::new();
    let micros = |time: u32| Seconds::new(f64::from(time) * 1e-6);
    let size = |size: u32| Bytes::new(f64::from(size) * 1e4);
    for (index, (round, waits)) in rounds.iter().enumerate() {
        let works = match round {
            Round::Device(times) => vec![Work::Device(micros(times[rank as usize]))],
            Round::Host(time) => vec![Work::Host(micros(*time))],
            Round::Arithmetic(flops, bytes) => {
                vec![Work::Arithmetic { flops: Flops::new(f64::from(*flops) * 1e9), bytes: size(*bytes) }]
            }
            Round::Meet(what, bytes) => {
                vec![Work::Collective { group: 0, what: COLLECTIVES[*what], bytes: size(*bytes) }]
            }
            Round::Pass(bytes) => vec![
                Work::Send { to: (rank + 1) % n_ranks, tag: index as u64, bytes: size(*bytes) },
                Work::Receive { from: (rank + n_ranks - 1) % n_ranks, tag: index as u64 },
            ],
        };
        let before = nodes.len() as u32;
        for work in works {
            let after = if *waits { (0..before).collect() } else { Vec::new() };
            nodes.push(GraphNode { name: format!("round {index}"), work, after });
        }
    }
    Trace { name: format!("rank {rank}"), nodes }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn laws_hold_and_time_adds_up(graph in job()) {
        let site = scenario::load("tiny-moe", &[], &scenario::Library::built_in()).expect("a preset").plan.site;
        let job = Imported { graph, routing: Routing::Adaptive };
        let replayed = replay(&site, &job).expect("it runs and every law holds");
        for (rank, trace) in replayed.ranks.iter().zip(&job.graph.traces) {
            let whole = (rank.device + rank.exposed + rank.idle).seconds();
            prop_assert!((whole - replayed.makespan.get()).abs() < 1e-12, "{whole} of {}", replayed.makespan.get());
            let alone: f64 = trace.nodes.iter().map(|node| match node.work {
                Work::Device(time) => time.get(),
                _ => 0.0,
            }).sum();
            prop_assert!(rank.device.seconds() >= alone - 1e-9);
            prop_assert!(rank.exposed <= rank.communication);
        }
        prop_assert_eq!(&replayed, &replay(&site, &job).expect("it runs again"));
    }
}
