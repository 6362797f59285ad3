//! What replicas exchange, after the chunks or beside them.

use plan::{Ending, Label, Program};
use platform::Leg;

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

/// Rings that take no SMs from the chunks they hide under.
const NO_SMS: &str = "profile.collective.sms.value=0";

fn dense(sets: &[&str]) -> Flight {
    fly("llama-3.1-405b-8192", &[&DENSE[..], &[NO_SMS], sets].concat())
}

#[test]
fn rings_take_sms_from_the_chunks_they_hide_under_and_from_no_others() {
    let with = |sms: u32| dense(&[HIDDEN, "job.global-batch=512", &format!("profile.collective.sms.value={sms}")]);
    let [none, few, many] = [0, 8, 32].map(with);
    let compute = |flight: &Flight| flight.mean(|phases| phases[Label::FORWARD] + phases[Label::BACKWARD]);
    assert!(compute(&none) < compute(&few) && compute(&few) < compute(&many));
    // One of eight micro-batches each way; a quarter of the SMs held can cost no more than twice the waves and the late ones.
    assert!(compute(&many) < compute(&none) * (1.0 + 1.5 / 8.0), "{} and {} s", compute(&none), compute(&many));
    let [waited, held] = [0, 32].map(|sms| dense(&[&format!("profile.collective.sms.value={sms}")]));
    assert_eq!(waited.outcome.step, held.outcome.step, "what is waited for runs beside nothing");
}

/// Seconds of a rank's rings in one piece, in their layers, and in one layer of each.
fn rings(program: &Program) -> [f64; 3] {
    let time = |leg: &Leg| leg.latency.seconds() + leg.shortest;
    let layers = f64::from(program.hiding.first().map_or(1, |hiding| hiding.n_layers));
    let rings = program.optimizer[0].iter().filter_map(|ending| match ending {
        Ending::Ring(ring) => ring.layer.map(|layer| [time(&ring.leg), time(&layer) * layers, time(&layer)]),
        Ending::Kernel(_) | Ending::Barrier => None,
    });
    rings.fold([0.0; 3], |sum, ring| [sum[0] + ring[0], sum[1] + ring[1], sum[2] + ring[2]])
}

#[test]
fn beside_long_chunks_one_layer_of_every_ring_shows() {
    let (waited, hidden) = (dense(&[]), dense(&[HIDDEN]));
    let [whole, ..] = rings(&waited.program);
    let [_, layers, layer] = rings(&hidden.program);
    assert!(whole < layers, "eight calls cost more than one: {layers} and {whole} s");
    let optimizer = |flight: &Flight| flight.mean(|phases| phases[Label::OPTIMIZER]);
    let kernels = optimizer(&waited) - whole;
    // Of eight layers one of each ring shows.
    let expected = kernels + layer;
    let actual = optimizer(&hidden);
    assert!((actual / expected - 1.0).abs() < 1e-6, "expected {expected}, actual {actual} s");
    assert!((waited.seconds() - hidden.seconds() - whole + layer).abs() < 1e-6, "and the step is as much shorter");
}

#[test]
fn beside_short_chunks_what_does_not_fit_shows() {
    // A network so slow that the rings take longer than all chunks.
    let slow = ["node.nic.rate='2 Gbit/s'"];
    let [waited, hidden] = [&[][..], &[HIDDEN]].map(|sets| dense(&[&slow[..], sets].concat()));
    let [moving, ..] = rings(&waited.program);
    let saved = waited.seconds() - hidden.seconds();
    let chunks = waited.mean(|phases| phases[Label::FORWARD] + phases[Label::BACKWARD]);
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

#[test]
fn a_table_that_both_ends_share_is_summed_between_them() {
    let run = |tied: &str, pp: u32| {
        let own = [format!("model.tied={tied}"), format!("parallel.pp={pp}"), format!("parallel.dp={}", 64 / pp)];
        dense(&[&own.each_ref().map(String::as_str)[..], &[HIDDEN]].concat())
    };
    let table = |flight: &Flight, rank: usize| {
        let op = flight.program.ops.iter().position(|op| op.name == "table-gradient-reduce");
        let mut rings = flight.program.optimizer[rank].iter().filter_map(|ending| match ending {
            Ending::Ring(ring) => Some(*ring),
            Ending::Kernel(_) | Ending::Barrier => None,
        });
        rings.find(|ring| Some(usize::from(ring.op)) == op)
    };
    let four = run("true", 4);
    let [first, inner, last] = [0, 1, 3].map(|rank| table(&four, rank));
    assert_eq!(first, last, "both ends run the same collective");
    assert!(inner.is_none() && first.is_some_and(|ring| ring.layer.is_none()), "nothing hides it");
    assert!(table(&run("false", 4), 0).is_none(), "two tables");
    assert!(table(&run("true", 1), 0).is_none(), "one rank");
    let frozen = ["model.tied=true", "parallel.pp=4", "parallel.dp=16", "job.lora.rank=8", "job.precision=bf16"];
    assert!(table(&dense(&frozen), 0).is_none(), "a frozen table has no gradient");
}
