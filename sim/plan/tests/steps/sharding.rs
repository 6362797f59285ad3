//! What replicas keep of their weights, gradients and optimizer's state.

use plan::{Ending, Instruction, Label};
use platform::Leg;
use workloads::parallel::Sharding;

use crate::flight::{Flight, fly};

/// Eight layers of a dense model on 64 devices, each a replica; the host and held SMs take nothing.
const DENSE: [&str; 14] = [
    "use.cluster=h800-64-mpft",
    "use.model=llama-3.1-8b",
    "model.layers=8",
    "parallel.pp=1",
    "parallel.tp=1",
    "job.global-batch=128",
    "job.precision=bf16",
    "policy.schedule=1f1b",
    "policy.memory-reserved='0 GiB'",
    "profile.collective.sms.value=0",
    "profile.host.unit-launch.value='0 s'",
    "profile.host.launch.value='0 s'",
    "profile.host.product-launch.value='0 s'",
    "profile.host.collective-launch.value='0 s'",
];

fn dense(sharding: Sharding, sets: &[&str]) -> Flight {
    let own = format!("parallel.sharding={}", sharding.name());
    fly("llama-3.1-405b-8192", &[&DENSE[..], &[&own], sets].concat())
}

fn time(leg: &Leg) -> f64 {
    leg.latency.seconds() + leg.shortest
}

/// How often an op ran on a rank, and the seconds of all of them.
fn ran(flight: &Flight, name: &str) -> (f64, f64) {
    let ops = flight.program.ops.iter().zip(&flight.outcome.ops).filter(|(op, _)| op.name == name);
    ops.fold((0.0, 0.0), |(n, seconds), (_, total)| (n + total.count as f64, seconds + total.span.seconds()))
}

#[test]
fn alone_a_rank_keeps_all_whatever_it_is_called() {
    let alone = ["cluster.nodes=1", "policy.devices-per-node=1", "parallel.dp=1", "model.vocabulary=16384"];
    for precision in ["job.precision=bf16", "job.precision=fp8-block"] {
        let sets = [&alone[..], &[precision]].concat();
        let steps = Sharding::ALL.map(|sharding| dense(sharding, &sets).outcome.step);
        assert!(steps.iter().all(|step| *step == steps[0]), "{precision}: {steps:?}");
    }
    let held =
        Sharding::ALL.map(|sharding| plan::memory(dense(sharding, &alone).plan.view(), None).expect("a footprint"));
    assert!(held.iter().all(|each| each[0].items == held[0][0].items), "{held:?}");
}

#[test]
fn every_chunk_gathers_its_layers_twice_and_its_ends_once() {
    // Two micro-batches of eight layers, and of embedding and head.
    let (gathers, reduces) = (2.0 * (2.0 * 8.0 + 1.0), 2.0 * (8.0 + 1.0));
    let three = dense(Sharding::Zero3, &[]);
    assert_eq!([ran(&three, "weight-gather").0, ran(&three, "gradient-reduce").0], [gathers, reduces]);
    let two = dense(Sharding::Zero2, &[]);
    // Gathered after the update, in one call.
    assert_eq!([ran(&two, "weight-gather").0, ran(&two, "gradient-reduce").0], [1.0, reduces]);
    let one = dense(Sharding::Zero1, &[]);
    assert_eq!([ran(&one, "weight-gather").0, ran(&one, "gradient-reduce").0], [1.0, 1.0]);
    let none = dense(Sharding::None, &[]);
    assert_eq!([ran(&none, "weight-gather").0, ran(&none, "gradient-reduce").0], [0.0, 1.0]);
}

#[test]
fn rings_shorter_than_layers_show_where_nothing_runs_beside() {
    let flight = dense(Sharding::Zero3, &["node.nic.rate='3200 Gbit/s'", "model.vocabulary=16384"]);
    let rings: Vec<f64> = flight.program.rings.iter().map(|ring| time(&ring.leg)).collect();
    let layer = |flight: &Flight| flight.mean(|phases| phases[Label::BACKWARD]) / 16.0;
    let longest = rings.iter().copied().fold(0.0, f64::max);
    assert!(longest < layer(&flight), "{longest} s of a ring, {} s of a layer", layer(&flight));
    // A forward chunk waits for its ends and its first layer, a backward one for its last layer and, at its end, for the sum of its first
    // and its ends.
    let of = |stream: usize| {
        let list = |routine: &plan::Routine| {
            let rings = routine.streams[stream].iter().filter_map(|instruction| match instruction {
                Instruction::Ring(ring) => Some(rings[*ring as usize]),
                _ => None,
            });
            rings.collect::<Vec<f64>>()
        };
        flight.program.routines.iter().map(list).collect::<Vec<_>>()
    };
    let (gathers, reduces) = (of(3), of(4));
    let forward = gathers.iter().find(|list| list.len() == 9).expect("a forward chunk");
    let backward = gathers.iter().find(|list| list.len() == 8).expect("a backward chunk");
    let sums = reduces.iter().find(|list| list.len() == 9).expect("a backward chunk");
    let shows = forward[0] + forward[1] + backward[0] + sums[7] + sums[8];
    let computes = |flight: &Flight| flight.outcome.ranks[0].compute.seconds();
    let chunks = flight.mean(|phases| phases[Label::FORWARD] + phases[Label::BACKWARD]);
    let waits = chunks - computes(&flight);
    // The sum of the first layer runs beside the embedding's gradient, and that of the last may meet the one before.
    assert!(waits < 2.0 * shows * (1.0 + 1e-9), "{waits} s of waits, {shows} s per micro-batch");
    assert!(waits > 2.0 * (forward[0] + forward[1] + backward[0] + sums[8]) * (1.0 - 1e-9), "{waits} s of waits");
}

#[test]
fn on_a_slow_network_a_step_is_its_gathers() {
    let flight = dense(Sharding::Zero3, &["node.nic.rate='2 Gbit/s'"]);
    let (_, gathered) = ran(&flight, "weight-gather");
    let (_, reduced) = ran(&flight, "gradient-reduce");
    // Gathers of a chunk follow one another, and sums may run beside those of the same chunk.
    assert!(flight.seconds() > gathered, "{} s, {gathered} s of gathers", flight.seconds());
    let rest = flight.outcome.ranks[0].compute.seconds();
    assert!(flight.seconds() < gathered + reduced + rest + 0.1, "nothing is waited for twice");
}

#[test]
fn without_sharding_every_rank_updates_all_it_holds() {
    let [none, one] = [Sharding::None, Sharding::Zero1].map(|sharding| dense(sharding, &[]));
    let update = |flight: &Flight| {
        let optimizer = flight.mean(|phases| phases[Label::OPTIMIZER]);
        let rings = flight.program.optimizer[0].iter().filter_map(|ending| match ending {
            Ending::Ring(ring) => Some(time(&ring.leg)),
            Ending::Kernel(_) | Ending::Barrier => None,
        });
        let rings: Vec<f64> = rings.collect();
        (rings.len(), optimizer - rings.iter().sum::<f64>())
    };
    let ((n_none, all), (n_one, shard)) = (update(&none), update(&one));
    assert_eq!((n_none, n_one), (1, 2), "one sum; a sum and a gather");
    // Sixty-four replicas; clearing gradients is of all they hold either way.
    assert!(all > 20.0 * shard || all > shard + 0.5 * all, "{all} and {shard} s");
}

#[test]
fn the_more_is_spread_the_less_a_rank_holds() {
    let held = Sharding::ALL.map(|sharding| {
        let flight = dense(sharding, &[]);
        let held = &plan::memory(flight.plan.view(), None).expect("a footprint")[0];
        let of = |name: &str| held.items.iter().find(|(item, _)| *item == name).map_or(0.0, |(_, bytes)| bytes.get());
        ["weights", "gradients", "optimizer"].map(of)
    });
    let [none, one, two, three] = held;
    assert_eq!((none[0], none[1]), (one[0], one[1]));
    assert!((none[2] / one[2] - 64.0).abs() < 1e-3, "the state over 64 replicas: {} and {}", none[2], one[2]);
    assert_eq!((two[0], two[2], three[2]), (one[0], one[2], one[2]));
    assert!(two[1] < one[1] && (two[1] - three[1]).abs() < 1.0 && three[0] < two[0]);
}

#[test]
fn gradients_are_summed_when_the_side_stream_has_made_them() {
    let on = |stream: &str| dense(Sharding::Zero2, &[&format!("framework.streams.weight-gradients={stream}")]);
    let (compute, side) = (on("compute"), on("side"));
    let awaits = |flight: &Flight| {
        let all = flight.program.routines.iter().flat_map(|routine| routine.streams.get(4).into_iter().flatten());
        let [mut awaits, mut rings] = [0; 2];
        for instruction in all {
            awaits += usize::from(matches!(instruction, Instruction::Await(_)));
            rings += usize::from(matches!(instruction, Instruction::Ring(_)));
        }
        (awaits, rings)
    };
    let ((one, rings), (both, same)) = (awaits(&compute), awaits(&side));
    assert_eq!((one, both, same), (rings, 2 * rings, rings), "one wait per sum, and one more for the other stream");
}

/// Bytes that a rank sends over the fabric for an op of a chunk.
fn sent_out(flight: &Flight, name: &str) -> f64 {
    let op = flight.program.ops.iter().position(|op| op.name == name);
    let rings = flight.program.rings.iter().filter(|ring| Some(usize::from(ring.op)) == op);
    rings.map(|ring| ring.leg.out[0]).fold(0.0, f64::max)
}

#[test]
fn hybrid_sharding_gathers_within_a_node_and_sums_shards_beyond() {
    let [node, all, auto] =
        ["8", "64", "'auto'"].map(|ranks| dense(Sharding::Zero3, &[&format!("parallel.shard-ranks={ranks}")]));
    assert_eq!(all.outcome.step, auto.outcome.step, "all of them is what it is without");
    assert_eq!(ran(&auto, "shard-reduce").0, 0.0);
    assert_eq!(sent_out(&node, "weight-gather"), 0.0);
    assert!(sent_out(&all, "weight-gather") > 0.0 && sent_out(&node, "shard-reduce") > 0.0);
    assert_eq!(ran(&node, "shard-reduce").0, ran(&node, "gradient-reduce").0, "each sum has its second half");
    let of = |flight: &Flight, name: &str| {
        let memory = plan::memory(flight.plan.view(), None).expect("a footprint");
        memory[0].items.iter().find(|(item, _)| *item == name).expect("an item").1.get()
    };
    let ratio = of(&node, "optimizer") / of(&all, "optimizer");
    assert!((ratio - 8.0).abs() < 1e-6, "eight times the share: {ratio}");
    // Replicas without anything spread over them all-reduce; spread over one rank each, `zero-1` does the same.
    let one = dense(Sharding::Zero1, &["parallel.shard-ranks=1"]);
    let none = dense(Sharding::None, &[]);
    let summed = |flight: &Flight| {
        let rings = flight.program.optimizer[0].iter().filter_map(|ending| match ending {
            Ending::Ring(ring) => Some(time(&ring.leg)),
            Ending::Kernel(_) | Ending::Barrier => None,
        });
        rings.sum::<f64>()
    };
    assert_eq!(summed(&one), summed(&none));
}
