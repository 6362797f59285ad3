//! The law of every wind tunnel: a machine that is `k` times as fast in everything takes a `k`-th of the time.

use std::collections::BTreeMap;

use crate::flight::Training;
use calibrate::{Dimension, Estimate, Profile};

use crate::flight::{BALANCED, TINY, V3, plan, run};

/// Every rate `k` times as high, every latency a `k`-th.
pub(crate) fn quicker(plan: &Training, k: f64) -> Training {
    let mut quick = plan.clone();
    let device = &mut quick.site.machine.device;
    device.clock = device.clock * k;
    device.memory.rate_per_stack = device.memory.rate_per_stack * k;
    device.scale_up.rate_per_link = device.scale_up.rate_per_link * k;
    device.scale_up.latency = device.scale_up.latency / k;
    let (node, fabric) = (&mut quick.site.machine.node, &mut quick.site.machine.fabric);
    node.nic.rate = node.nic.rate * k;
    node.host.pcie_rate = node.host.pcie_rate * k;
    node.host.pcie_latency = node.host.pcie_latency / k;
    fabric.link_rate = fabric.link_rate * k;
    fabric.switch_latency = fabric.switch_latency / k;
    fabric.endpoint_latency = fabric.endpoint_latency / k;
    let scaled = |(key, estimate): (calibrate::EstimateKey, &Estimate)| {
        let scale = match key.dimension() {
            Dimension::Fraction
            | Dimension::Share
            | Dimension::Count
            | Dimension::CountAboveZero
            | Dimension::CountFromOne
            | Dimension::Tile => 1.0,
            Dimension::Seconds => 1.0 / k,
            Dimension::BytesPerSec => k,
        };
        (key, Estimate { value: estimate.value * scale, ..estimate.clone() })
    };
    let estimates: BTreeMap<_, _> = plan.site.profile.iter().map(scaled).collect();
    quick.site.profile = Profile::new(estimates).expect("as many as before");
    quick
}

#[test]
fn twice_as_fast_in_everything_takes_half_the_time() {
    let skewed = ["traffic.router=skewed", "traffic.samples=2", "policy.folding=none"];
    for (scenario, sets) in [(V3, &[BALANCED][..]), (TINY, &skewed), ("llama-3.1-405b-8192", &[])] {
        let plan = plan(scenario, sets);
        let quick = run(quicker(&plan, 2.0)).expect("it runs as the slow one does");
        let slow = run(plan).expect("a preset runs");
        let ratio = slow.seconds() / quick.seconds();
        // Picoseconds are whole, so a hundred thousand kernels leave a trace.
        assert!((ratio - 2.0).abs() < 1e-6, "{scenario}: expected 2, actual {ratio}");
        assert_eq!(slow.outcome.n_tasks, quick.outcome.n_tasks);
        assert_eq!(slow.outcome.ports.out_bytes, quick.outcome.ports.out_bytes);
    }
}
