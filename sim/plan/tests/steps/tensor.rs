//! Collectives of tensor parallelism, waited for or beside products.

use plan::Instruction;
use workloads::op::{Axis, Collective, OpKind};

use crate::flight::{Flight, fly};

/// Eight layers of a dense model over eight tensor-parallel ranks; the host and the start of a kernel or collective take nothing.
const DENSE: [&str; 11] = [
    "use.cluster=h800-64-mpft",
    "use.model=llama-3.1-70b",
    "model.layers=8",
    "parallel.pp=1",
    "parallel.tp=8",
    "job.global-batch=16",
    "job.precision=bf16",
    "policy.schedule=1f1b",
    "policy.memory-reserved='0 GiB'",
    "profile.host.launch.value='0 s'",
    "profile.host.product-launch.value='0 s'",
];

fn dense(how: &str, sets: &[&str]) -> Flight {
    let own = format!("policy.tensor-collectives={how}");
    fly("llama-3.1-405b-8192", &[&DENSE[..], &[&own], sets].concat())
}

/// Bytes of the gathers and scatters, and operations of the products, that a layer of the job's own shape has.
fn work(flight: &Flight) -> [f64; 2] {
    let shape = plan::shape(flight.plan.view());
    let model = &flight.plan.view().job.model;
    let kind = workloads::step::LayerKind::Dense;
    let segments = [
        workloads::step::attention(model, &shape, kind),
        workloads::step::mlp(model, &shape, kind, &workloads::step::Load::default()),
    ];
    let ops = segments.iter().flat_map(|passes| passes.forward.iter().chain(&passes.input_gradient));
    let mut work = [0.0; 2];
    for op in ops {
        match op.kind {
            OpKind::Collective { axis: Axis::Tp, what: Collective::AllGather | Collective::ReduceScatter, bytes } => {
                work[0] += bytes.get();
            }
            _ => work[1] += op.flops().get(),
        }
    }
    work
}

#[test]
fn overlap_moves_the_same_bytes_and_computes_the_same_products() {
    let [waited, overlapped] = ["waited", "overlapped"].map(|how| work(&dense(how, &[])));
    for (a, b) in waited.iter().zip(overlapped) {
        assert!((a - b).abs() < 1e-9 * a, "{waited:?} {overlapped:?}");
    }
}

#[test]
fn what_overlaps_hides_all_but_a_piece_and_never_more_than_it_takes() {
    let [waited, overlapped] = ["waited", "overlapped"].map(|how| dense(how, &[]).outcome.step.seconds());
    // Over links that take no time nothing is left to hide, and products run in pieces.
    let free = ["gpu.scale-up.rate-per-link='1000 TB/s'"];
    let [lone, pieces] = ["waited", "overlapped"].map(|how| dense(how, &free).outcome.step.seconds());
    let hidden = (waited - lone) - (overlapped - pieces);
    assert!(overlapped < waited, "{overlapped} s beside, {waited} s waited");
    assert!(hidden < waited - lone, "a piece of eight is always waited for");
    assert!(pieces > lone, "pieces of a product fill the device less");
}

#[test]
fn one_rank_has_nothing_to_overlap() {
    let one = ["parallel.tp=1", "model.layers=2", "parallel.dp=16", "cluster.nodes=2"];
    let streams = |flight: &Flight| flight.program.routines.iter().map(|routine| routine.streams.len()).max();
    let [waited, overlapped] = ["waited", "overlapped"].map(|how| dense(how, &one));
    assert_eq!(waited.outcome.step, overlapped.outcome.step);
    assert_eq!(streams(&waited), streams(&overlapped));
    let beside = dense("overlapped", &[]);
    let rings = beside.program.routines.iter().flat_map(|routine| routine.streams.last());
    assert!(rings.flatten().any(|instruction| matches!(instruction, Instruction::Ring(_))));
}
