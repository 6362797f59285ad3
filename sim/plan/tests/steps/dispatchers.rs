//! Who brings tokens to their experts: bytes, kernels around, and what waits.

use plan::Label;
use workloads::step::Dispatcher;

use crate::flight::{BALANCED, Flight, TINY, fly};

/// A dense pipeline of lone chunks, products in BF16, a host that takes no time.
const PLAIN: [&str; 8] = [
    BALANCED,
    "policy.schedule=1f1b",
    "job.precision=bf16",
    "policy.routing=adaptive",
    "profile.host.launch.value='0 s'",
    "profile.host.product-launch.value='0 s'",
    "profile.host.collective-launch.value='0 s'",
    "policy.dispatch-format=bf16",
];

fn by(dispatcher: Dispatcher, sets: &[&str]) -> Flight {
    let own = format!("policy.dispatcher={}", dispatcher.name());
    fly(TINY, &[&PLAIN[..], &[&own], sets].concat())
}

/// How often ops of a name ran, and what they took in all.
fn ran(flight: &Flight, name: &str) -> (f64, f64) {
    let ops = flight.program.ops.iter().zip(&flight.outcome.ops).filter(|(op, _)| op.name == name);
    ops.fold((0.0, 0.0), |(n, seconds), (_, total)| (n + total.count as f64, seconds + total.span.seconds()))
}

#[test]
fn a_library_sends_a_row_for_each_pick() {
    let flight = by(Dispatcher::NcclAllToAll, &[]);
    let job = &flight.plan.job;
    let (model, experts) = (&job.model, job.model.experts.as_ref().expect("experts"));
    let shape = plan::shape(flight.plan.view());
    let (ep, hidden) = (f64::from(job.parallel.ep), model.hidden as f64);
    let rows = shape.tokens_sequence_parallel() as f64 * f64::from(experts.top_k) * ep;
    let [dispatch, combine] = &flight.program.exchanges[0];
    // Of all ranks of the group; balanced picks leave a rank for all others alike.
    // All but those of its own rail cross the scale-up fabric, all but those of its own node a NIC.
    let (n_nodes, devices) = (2.0, 8.0);
    assert!((n_nodes * devices - ep).abs() < 1e-9);
    for template in [dispatch, combine] {
        for (bytes, among) in [(template.up_bytes, devices), (template.out_bytes, n_nodes)] {
            let expected = rows * (1.0 - 1.0 / among) * hidden * 2.0;
            assert!((bytes / expected - 1.0).abs() < 0.02, "{bytes} of {expected} bytes");
        }
    }
}

#[test]
fn kernels_sort_around_a_library_and_not_around_kernels_that_do() {
    let layers = |flight: &Flight| ran(flight, "expert-gate-up").0;
    let [own, library, gather] = Dispatcher::ALL.map(|dispatcher| by(dispatcher, &[]));
    assert_eq!(ran(&own, "token-permute").0 + ran(&own, "token-sum").0, 0.0);
    assert_eq!(ran(&gather, "token-permute").0 + ran(&gather, "token-sum").0, 0.0);
    // Once each forward and backward, where products of gate and up run forward, for the input's gradient and the weights'.
    assert_eq!(ran(&library, "token-permute").0 * 3.0, layers(&library) * 2.0);
    assert_eq!(ran(&library, "token-permute").0, ran(&library, "token-sum").0);
    assert_eq!(ran(&own, "token-gather").0, 0.0);
    assert_eq!(ran(&gather, "token-gather").0 * 3.0, layers(&gather) * 2.0);
    assert_eq!(ran(&gather, "token-gather").0, ran(&gather, "token-scatter").0);
}

#[test]
fn products_of_experts_are_the_same_whoever_brings_the_tokens() {
    let seconds = Dispatcher::ALL.map(|dispatcher| ran(&by(dispatcher, &[]), "expert-gate-up").1);
    assert!(seconds.iter().all(|each| (each / seconds[0] - 1.0).abs() < 1e-9), "{seconds:?}");
}

#[test]
fn a_gather_takes_as_long_whoever_picks_what() {
    let times = ["balanced", "skewed"].map(|router| {
        let flight = by(Dispatcher::NcclAllGather, &[&format!("traffic.router={router}")]);
        let (n, seconds) = ran(&flight, "token-gather");
        seconds / n
    });
    // Messages of the pipeline meet it at the ports now and then.
    assert!((times[0] / times[1] - 1.0).abs() < 0.01, "{times:?}");
}

#[test]
fn on_a_slow_network_who_sends_more_takes_longer() {
    let slow = ["node.nic.rate='10 Gbit/s'"];
    let of = |dispatcher| {
        let flight = by(dispatcher, &slow);
        flight.mean(|phases| phases[Label::FORWARD] + phases[Label::BACKWARD])
    };
    let [own, library, gather] = Dispatcher::ALL.map(of);
    // A relay gets a token once for its node; a library sends each pick; a gather sends all to all.
    assert!(own < library && own < gather, "{own}, {library} and {gather} s");
}

#[test]
fn a_dispatch_that_must_count_takes_longer_than_one_that_knows() {
    let counts =
        ["profile.all-to-all.notify-latency.value='200 us'", "profile.all-to-all.cached-latency.value='50 us'"];
    let flight = by(Dispatcher::DeepEp, &counts);
    let (n, seconds) = ran(&flight, "token-counts");
    // Forward alone: a third of the products of gate and up.
    assert_eq!(n * 3.0, ran(&flight, "expert-gate-up").0);
    assert!((seconds / n - 150e-6).abs() < 1e-12, "{seconds} s of {n}");
    let known = by(Dispatcher::DeepEp, &["profile.all-to-all.notify-latency.value='50 us'", counts[1]]);
    assert_eq!(ran(&known, "token-counts").0, 0.0);
    assert!(known.seconds() < flight.seconds());
    for library in [Dispatcher::NcclAllToAll, Dispatcher::NcclAllGather] {
        assert_eq!(ran(&by(library, &counts), "token-counts").0, 0.0);
    }
}
