//! What lies between the ports binds collectives as it binds exchanges.

use plan::{Ending, Program, Ring};

use crate::flight::{TINY, fly};

/// Tensor parallelism over two nodes that stand at leaves of their own.
const ACROSS: [&str; 7] = [
    "parallel.tp=16",
    "parallel.pp=4",
    "policy.data-parallel=waited",
    "fabric.kind=fat-tree",
    "fabric.planes=1",
    "fabric.switch-ports=16",
    "fabric.tiers=3",
];
/// NICs that PCIe cannot fill.
const QUICK_NICS: [&str; 2] = ["node.nic.rate='3200 Gbit/s'", "policy.data-parallel=waited"];

#[test]
fn tensor_parallel_collectives_slow_down_with_the_trunks_between_their_nodes() {
    let seconds = |rate: u32| {
        let rate = format!("fabric.link-rate='{rate} Gbit/s'");
        fly("llama-3.1-70b-64", &[&ACROSS[..], &[&rate]].concat()).seconds()
    };
    let [none, fast, slow, slower] = [400, 40, 20, 10].map(seconds);
    assert!(none < fast, "expected trunks of 40 Gbit/s to bind, actual {none} and {fast} s");
    // Once they bind, all that is left of a step is in proportion to a byte's time on them.
    let growth = (slower - slow) / (slow - fast);
    assert!((growth - 2.0).abs() < 0.02, "expected twice the growth for half the rate again, actual {growth}");
}

/// Collectives of the end of a step that leave a node.
fn rings(program: &Program) -> Vec<Ring> {
    let endings = program.optimizer.iter().flatten().filter_map(|ending| match ending {
        Ending::Ring(ring) => Some(*ring),
        Ending::Kernel(_) | Ending::Barrier => None,
    });
    endings.filter(|ring| ring.leg.out[0] > 0.0).collect()
}

#[test]
fn collectives_over_replicas_wait_for_pcie_where_the_nic_is_faster() {
    for scenario in [TINY, "llama-3.1-405b-1024"] {
        let ends = |rate: f64| {
            let rate = format!("node.host.pcie-rate='{rate} GB/s'");
            rings(&fly(scenario, &[&QUICK_NICS[..], &[&rate]].concat()).program)
        };
        let [slow, fast, free, freer] = [2.0, 4.0, 1600.0, 3200.0].map(ends);
        assert!(!slow.is_empty(), "`{scenario}` has replicas on several nodes");
        for (slow, fast) in slow.iter().zip(&fast) {
            let ratio = slow.leg.shortest / fast.leg.shortest;
            assert!((ratio - 2.0).abs() < 1e-9, "expected twice as long at half the rate, actual {ratio}");
        }
        assert_eq!(free, freer, "ports bind");
    }
}
