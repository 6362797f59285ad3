//! What a run says of money and energy.

use std::collections::BTreeSet;

use crate::{assert_near, json, number, refused, stdout};

/// What the default terms say, beside what the run says: 2 USD an hour, 0.08 USD a kWh, 1,461 days, a PUE of 1.18.
#[test]
fn a_trillion_tokens_cost_their_time() {
    let summary = json(&["run", "tiny-moe", "--json"]);
    let machine = json(&["topology", "tiny-moe", "--json"])["cost"].clone();
    let hours = 1e12 / number(&summary, "/tokens_per_day") * 24.0;
    let (price, power) = (number(&machine, "/total/usd"), number(&machine, "/total/watts"));
    assert_near("price", price, number(&summary, "/cost/cluster_usd"));
    assert_near("power", power, number(&summary, "/energy/power_watts"));
    assert_near("a device", price / 64.0, number(&summary, "/cost/usd_per_device"));
    let relative = |what: &str, expected: f64, key: &str| assert_near(what, 1.0, number(&summary, key) / expected);
    relative("GPU-hours", 64.0 * hours, "/gpu_hours_per_trillion_tokens");
    relative("rented", 64.0 * hours * 2.0, "/cost/rental_usd_per_trillion_tokens");
    let energy = power * 1.18 * hours;
    relative("energy", energy / 1e6, "/energy/mwh_per_trillion_tokens");
    relative("electricity", energy / 1e3 * 0.08, "/cost/electricity_usd_per_trillion_tokens");
    let owned = price * hours / (1461.0 * 24.0) + energy / 1e3 * 0.08;
    relative("owned", owned, "/cost/usd_per_trillion_tokens");
}

/// Money is part of a plan: another value is another digest, the same step, and another cost.
#[test]
fn every_price_counts_in_the_digest_and_moves_the_cost_alone() {
    let run = |sets: &[&str]| {
        let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        json(&[&["run", "tiny-moe", "--json"][..], &args].concat())
    };
    let base = run(&[]);
    let dearer = [
        "gpu.price=30000 USD",
        "gpu.power=800 W",
        "node.price=60000 USD",
        "node.power=5 kW",
        "node.nic.price=2000 USD",
        "node.nic.power=30 W",
        "fabric.switch-price=50000 USD",
        "fabric.switch-power=1 kW",
        "fabric.link-price=2000 USD",
        "fabric.link-power=20 W",
        "fabric.endpoint-link-price=2000 USD",
        "fabric.endpoint-link-power=20 W",
        "cost.electricity=0.1 USD/kWh",
        "cost.lifetime=1000 d",
        "cost.pue=1.4",
    ];
    let mut digests = BTreeSet::from([base["digest"].to_string()]);
    for set in dearer {
        let other = run(&[set]);
        assert!(digests.insert(other["digest"].to_string()), "{set}: the digest of another plan");
        assert_eq!(other["step_seconds"], base["step_seconds"], "{set}");
        let owned = |summary| number(summary, "/cost/usd_per_trillion_tokens");
        // Tiny-moe has one leaf a plane: no wire between switches.
        let is_there = !set.starts_with("fabric.link");
        assert!(if is_there { owned(&other) > owned(&base) } else { owned(&other) == owned(&base) }, "{set}");
    }
    let rented = run(&["cost.rental=4 USD/h"]);
    assert!(digests.insert(rented["digest"].to_string()));
    let rental = |summary| number(summary, "/cost/rental_usd_per_trillion_tokens");
    assert_near("twice the rent", 2.0, rental(&rented) / rental(&base));
}

#[test]
fn the_screen_has_a_line_of_money_and_one_of_energy() {
    let text = stdout(&["run", "tiny-moe"]);
    let cost = text.lines().find(|line| line.starts_with("cost  ")).unwrap_or_else(|| panic!("{text}"));
    assert!(cost.contains("per GPU") && cost.contains("owned") && cost.contains("rented"), "{cost}");
    assert!(text.lines().any(|line| line.starts_with("energy  ") && line.contains("at full load")), "{text}");
}

#[test]
fn a_price_without_a_unit_says_which() {
    let (code, message) = refused(&["run", "tiny-moe", "--set", "gpu.price=30000"]);
    assert!(code == 2 && message.contains("it has no unit") && message.contains("`USD`"), "{message}");
}
