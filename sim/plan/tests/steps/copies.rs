//! An exchange that SMs bind: how long it takes follows from who copies what.

use crate::flight::Training;
use calibrate::EstimateKey;
use platform::{ExchangeKind, ExchangeTemplate};

use crate::flight::{BALANCED, plan};

/// Ports without end, so that four SMs bind.
const BOUND: [&str; 5] = [
    BALANCED,
    "policy.comm-sms=4",
    "gpu.scale-up.links=1000",
    "node.nic.rate='100 TB/s'",
    "node.host.pcie-rate='100 TB/s'",
];
/// Devices of a node.
const N_DEVICES: f64 = 8.0;

fn exchange(sets: &[&str]) -> (Training, [ExchangeTemplate; 2]) {
    let plan = plan("moe-layer", &[&BOUND[..], sets].concat());
    let mut program = plan::lower(plan.view()).expect("a preset with patches");
    (plan, program.exchanges.swap_remove(0))
}

/// Bytes of one message over the scale-up fabric, and of one over the network.
fn sizes(template: &ExchangeTemplate) -> [f64; 2] {
    [true, false].map(|up| template.flows.iter().find(|flow| flow.up == up).map_or(0.0, |flow| flow.bytes))
}

fn agree(expectation: f64, actual: f64, what: &str) {
    assert!((actual / expectation - 1.0).abs() < 1e-9, "{what}: expectation {expectation:e}, actual {actual:e}");
}

/// A message to each of eight devices, the own among them, and one to each of `n` nodes.
#[test]
fn through_buffers_the_busier_half_of_the_sms_copies() {
    let one_node =
        ["cluster.nodes=1", "parallel.ep=8", "job.global-batch=8", "model.experts.groups=1", "model.node-limit=1"];
    for (sets, n_nodes) in [(&[][..], 2.0), (&one_node[..], 0.0)] {
        let (plan, templates) = exchange(sets);
        let rate = 4.0 * plan.site.profile.value(EstimateKey::AllToAllRatePerSm);
        for (kind, template) in ["dispatch", "combine"].iter().zip(&templates) {
            let [up, out] = sizes(template);
            // One half hands on, or sums; the other half takes what was handed on, and sends to the relays.
            let half = N_DEVICES * up + n_nodes * out;
            agree(2.0 * half / rate, template.alone.get(), &format!("{kind} over {n_nodes} nodes"));
        }
    }
}

#[test]
fn in_place_only_who_hands_on_copies_and_only_who_sums_reads() {
    let (plan, [dispatch, combine]) = exchange(&["policy.exchange-copies=in-place"]);
    let rate = 4.0 * plan.site.profile.value(EstimateKey::AllToAllBulkRatePerSm);
    let [up, _] = sizes(&dispatch);
    agree(N_DEVICES * up / rate, dispatch.alone.get(), "dispatch");
    // The relay sums what its node sends, the source what the other node sends.
    let [up, out] = sizes(&combine);
    agree((N_DEVICES * up + out) / rate, combine.alone.get(), "combine");
}

#[test]
fn who_copies_how_moves_no_bytes_over_ports() {
    let (_, buffered) = exchange(&[]);
    let (_, in_place) = exchange(&["policy.exchange-copies=in-place"]);
    for kind in [ExchangeKind::Dispatch, ExchangeKind::Combine] {
        let [a, b] = [&buffered, &in_place].map(|templates| &templates[kind as usize]);
        assert_eq!((a.up_bytes, a.out_bytes), (b.up_bytes, b.out_bytes));
        assert!(b.memory[0] < a.memory[0], "no ring buffers: {} and {} bytes", b.memory[0], a.memory[0]);
    }
}
