//! What replicas exchange, after the chunks or beside them.

use plan::{Ending, Program};

use crate::flight::{Flight, TINY, V3, fly};

/// Eight layers of a dense model on 64 devices, each a replica.
const DENSE: [&str; 9] = [
    "use.cluster=h800-64-mpft",
    "use.model=llama-3.1-8b",
    "model.layers=8",
    "parallel.pp=1",
    "parallel.tp=1",
    "parallel.dp=64",
    "job.global-batch=128",
    "policy.schedule=1f1b",
    "policy.memory-reserved='0 GiB'",
];
const HIDDEN: &str = "policy.data-parallel=hidden";

fn dense(sets: &[&str]) -> Flight {
    fly("llama-3.1-405b-8192", &[&DENSE[..], sets].concat())
}

/// Seconds of a rank's rings that move bytes, and of their latencies.
fn rings(program: &Program) -> [f64; 2] {
    let on = program.ranks[0];
    let seconds = |ring: &plan::Ring| {
        (ring.leg.up / program.resources.rate(on.up_send)).max(ring.leg.out / program.resources.rate(on.out_send))
    };
    let rings = program.optimizer[0].iter().filter_map(|ending| match ending {
        Ending::Ring(ring) => Some([seconds(ring), ring.leg.latency.seconds()]),
        _ => None,
    });
    rings.fold([0.0; 2], |sum, ring| [sum[0] + ring[0], sum[1] + ring[1]])
}

#[test]
fn beside_long_chunks_one_layer_of_every_ring_shows() {
    let (waited, hidden) = (dense(&[]), dense(&[HIDDEN]));
    let [moving, latencies] = rings(&waited.program);
    assert!(moving > 10.0 * latencies, "rings that move bytes: {moving} and {latencies} s");
    let optimizer = |flight: &Flight| flight.mean(|phases| phases.optimizer);
    let kernels = optimizer(&waited) - moving - latencies;
    // Of eight layers one of each ring, with its latency, as otherwise.
    let expected = kernels + moving / 8.0 + latencies;
    let actual = optimizer(&hidden);
    assert!((actual / expected - 1.0).abs() < 1e-6, "expected {expected}, actual {actual} s");
    assert!((waited.seconds() - hidden.seconds() - moving * 7.0 / 8.0).abs() < 1e-6, "and the step is as much shorter");
}

#[test]
fn beside_short_chunks_what_does_not_fit_shows() {
    // A network so slow that the rings take longer than all chunks.
    let slow = ["node.nic.rate='2 Gbit/s'"];
    let [waited, hidden] = [&[][..], &[HIDDEN]].map(|sets| dense(&[&slow[..], sets].concat()));
    let [moving, _] = rings(&waited.program);
    let saved = waited.seconds() - hidden.seconds();
    let chunks = waited.mean(|phases| phases.forward + phases.backward);
    assert!(moving > 2.0 * chunks, "{moving} s of rings, {chunks} s of chunks");
    // Two micro-batches: the backward chunk of the last and the forward chunk of the first are all there is to hide beside.
    let window = chunks / 2.0;
    assert!(0.8 * window < saved && saved < window, "saved {saved} s beside {window} s");
}

#[test]
fn it_is_never_longer_and_without_replicas_the_same() {
    for (scenario, sets) in [(TINY, &["traffic.router=balanced"][..]), (V3, &["traffic.router=balanced"])] {
        let [waited, hidden] = [&[][..], &[HIDDEN]].map(|more| fly(scenario, &[sets, more].concat()).seconds());
        assert!(hidden < waited, "{scenario}: {hidden} and {waited} s");
    }
    let alone = ["cluster.nodes=1", "parallel.dp=1", "job.global-batch=2"];
    let capacity = ["gpu.memory.capacity-per-stack='1 TiB'"];
    let alone = [&alone[..], &capacity].concat();
    let [waited, hidden] = [&[][..], &[HIDDEN]].map(|more| dense(&[&alone[..], more].concat()).outcome.step);
    assert_eq!(waited, hidden);
}
