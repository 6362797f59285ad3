//! Context parallelism: keys gathered, or passed around a ring.

use workloads::op::{Axis, OpKind};

use crate::flight::{Flight, fly};

/// Four layers over eight context-parallel ranks.
const LONG: [&str; 11] = [
    "use.cluster=h800-64-mpft",
    "use.model=llama-3.1-8b",
    "model.layers=4",
    "parallel.pp=1",
    "parallel.tp=1",
    "job.sequence=65536",
    "job.global-batch=8",
    "job.precision=bf16",
    "policy.schedule=1f1b",
    "policy.memory-reserved='0 GiB'",
    "policy.recompute.full=true",
];

fn long(how: &str, sets: &[&str]) -> Flight {
    let own = format!("policy.context-parallel={how}");
    fly("llama-3.1-405b-8192", &[&LONG[..], &[&own], sets].concat())
}

/// Scores that a rank computes in one layer and bytes that it gets of others' keys and values, forward.
fn forward(flight: &Flight) -> [f64; 2] {
    let shape = plan::shape(flight.plan.view());
    let model = &flight.plan.view().job.model;
    let passes = workloads::step::attention(model, &shape, workloads::step::LayerKind::Dense);
    let mut work = [0.0; 2];
    for op in &passes.forward {
        match op.kind {
            OpKind::Attention { .. } => work[0] += op.flops().get(),
            OpKind::Collective { axis: Axis::Cp, what, bytes } => {
                let gathered = what == workloads::op::Collective::AllGather;
                work[1] += bytes.get() * if gathered { 7.0 / 8.0 } else { 1.0 };
            }
            _ => {}
        }
    }
    work
}

#[test]
fn a_ring_computes_and_moves_what_a_gather_does() {
    let cp = ["parallel.cp=8"];
    let [gather, ring] = ["gather", "ring"].map(|how| forward(&long(how, &cp)));
    for (a, b) in gather.iter().zip(ring) {
        assert!((a - b).abs() < 1e-3 * a, "{gather:?} {ring:?}");
    }
}

#[test]
fn a_ring_hides_what_a_gather_waits_for() {
    for links in [2, 4, 8] {
        let sets = ["parallel.cp=8", &format!("gpu.scale-up.links={links}")];
        let [gather, ring] = ["gather", "ring"].map(|how| long(how, &sets).outcome.step);
        assert!(ring < gather, "{links} links: {ring:?} in turns, {gather:?} gathered");
    }
    // Turns longer than messages: the fabric moves nothing but what is waited for, the gradients that go home.
    let sets = |links: u32| {
        let own = [format!("gpu.scale-up.links={links}")];
        let more = ["parallel.cp=8", "job.sequence=262144", own[0].as_str()].map(str::to_owned);
        more.to_vec()
    };
    let step = |how: &str, links: u32| {
        let sets = sets(links);
        long(how, &sets.iter().map(String::as_str).collect::<Vec<_>>()).outcome.step.seconds()
    };
    let [gather, ring] = ["gather", "ring"].map(|how| step(how, 2) - step(how, 8));
    assert!(ring < 0.5 * gather, "{ring} s in turns, {gather} s gathered");
}

#[test]
fn alone_there_is_no_ring() {
    let one = ["parallel.cp=1", "job.sequence=8192", "job.global-batch=64"];
    let [gather, ring] = ["gather", "ring"].map(|how| long(how, &one).outcome.step);
    assert_eq!(gather, ring);
}
