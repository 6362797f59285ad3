//! Leaves with more ports down than up: what crosses them takes as much longer, what stays below one does not.

use plan::Program;
use platform::ExchangeKind;

use crate::flight::{BALANCED, TINY, fly, plan};

/// One network in which each node has a leaf of its own, whose eight NICs all send across: of so many ports eight face down.
const SHAPES: [(f64, &str, &str); 3] = [
    (1.0, "fabric.switch-ports=16", "fabric.oversubscription=1"),
    (2.0, "fabric.switch-ports=12", "fabric.oversubscription=2"),
    (4.0, "fabric.switch-ports=10", "fabric.oversubscription=4"),
];

/// Neither the scale-up fabric nor SMs that copy hold an exchange up.
const NOTHING_ELSE: [&str; 2] = ["gpu.scale-up.links=65536", "gpu.comm-engine=full"];

fn agree(expectation: f64, actual: f64, what: &str) {
    assert!((actual / expectation - 1.0).abs() <= 1e-9, "{what}: expectation {expectation:e}, actual {actual:e}");
}

fn across(ratio: f64, sets: &[&str]) -> (crate::flight::Training, Program) {
    let (_, ports, over) = SHAPES[SHAPES.iter().position(|shape| shape.0 == ratio).expect("a shape")];
    let plan = plan(TINY, &[&["use.fabric=ft2", ports, over, BALANCED], sets].concat());
    let leaf = plan.site.machine.fabric.leaf_ports();
    assert_eq!((leaf.down, leaf.ratio()), (8, ratio), "nothing is rounded");
    let program = plan::lower(plan.view()).expect("a preset with patches");
    (plan, program)
}

/// Every NIC sends as much, and all of it leaves its leaf: a byte takes the ratio over the rate of a link.
#[test]
fn an_exchange_that_fills_the_uplinks_takes_the_ratio_times_as_long() {
    for routing in ["policy.routing=adaptive", "policy.routing=static"] {
        for tiers in ["fabric.tiers=2", "fabric.tiers=3"] {
            for kind in [ExchangeKind::Dispatch, ExchangeKind::Combine] {
                let alone = |ratio| {
                    let (plan, program) =
                        across(ratio, &[&[routing, tiers, "policy.folding=none"], &NOTHING_ELSE[..]].concat());
                    let template = &program.exchanges[0][kind as usize];
                    let flow = template.flows.iter().find(|flow| !flow.up).expect("two nodes");
                    let port = flow.occupied[0] / plan.site.machine.node.nic.rate.get();
                    let uplinks = ratio * flow.bytes / plan.site.machine.fabric.link_rate.get();
                    // Each rank sends one message over the network.
                    let bound = if uplinks > port { uplinks } else { 0.0 };
                    assert_eq!(bound > 0.0, ratio > 1.0, "a port loses less than half of its rate");
                    assert!((flow.shortest - bound).abs() <= 1e-12 * bound, "{}, expected {bound}", flow.shortest);
                    template.alone.get()
                };
                let name = format!("{kind:?}, {routing}, {tiers}");
                let [full, twice, four] = SHAPES.map(|(ratio, ..)| alone(ratio));
                assert!(full < twice, "{name}: {full} and {twice} s");
                agree(2.0, four / twice, &name);
            }
        }
    }
}

/// A stage sends to the next and to the one before: two messages of each NIC, all of which leave the leaf.
#[test]
fn a_message_that_fills_the_uplinks_takes_the_ratio_times_as_long() {
    for ratio in SHAPES.map(|(ratio, ..)| ratio) {
        let (plan, program) = across(ratio, &[]);
        let expectation = 2.0 * ratio * program.messages.each.bytes / plan.site.machine.fabric.link_rate.get();
        agree(expectation, program.messages.each.shortest, &format!("{ratio} : 1"));
    }
}

#[test]
fn a_step_is_slower_for_it_and_the_slower_the_higher() {
    let steps = SHAPES.map(|(_, ports, over)| fly(TINY, &["use.fabric=ft2", ports, over, BALANCED]).seconds());
    assert!(steps.is_sorted_by(|a, b| a < b), "{steps:?}");
}

/// Eight nodes below one leaf of each plane: no message crosses an uplink, so their number is nothing to the step.
#[test]
fn within_a_leaf_it_changes_nothing() {
    for routing in ["policy.routing=adaptive", "policy.routing=ecmp"] {
        let base = fly(TINY, &[BALANCED, routing]);
        for over in ["fabric.oversubscription=2", "fabric.oversubscription=4"] {
            let other = fly(TINY, &[BALANCED, routing, over]);
            assert_eq!(base.outcome.step, other.outcome.step, "{over}");
            assert_eq!(base.phases(), other.phases(), "{over}");
        }
    }
}

/// Of a leaf that is half empty the uplinks are shared by those that are there: 32 ports up for 16 messages.
#[test]
fn a_leaf_that_is_not_full_has_uplinks_to_spare() {
    let shortest = |over: &str| {
        let sets = ["use.fabric=ft2", "fabric.switch-ports=64", "cluster.nodes=8", over, BALANCED];
        plan::lower(plan(TINY, &sets).view()).expect("a preset with patches").messages.each.shortest
    };
    // Four nodes a leaf: of its 32 NICs, 16 send up. At 3 : 1 six nodes share 16 ports up, and 16 NICs send.
    let [full, over] = ["fabric.oversubscription=1", "fabric.oversubscription=3"].map(shortest);
    agree(full, over, "16 messages");
}
