//! How plans add, and how long their FP8 sums are.

use std::collections::BTreeSet;

use plan::{Plan, Scales, sums};
use scenario::{Library, load};
use workloads::op::{LinearPrecision, Pass};

fn plan(name: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    load(name, &sets, &Library::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan
}

fn lengths(plan: &Plan, name: &str, pass: Pass) -> BTreeSet<u64> {
    let has = |length: &&plan::Length| length.products.contains(&(name, pass));
    sums(plan).lengths.iter().filter(has).map(|length| length.k).collect()
}

/// arXiv:2412.19437: hidden 7168, dense 18432, experts 2048, latents 1536 and 512, 128 heads of 128 + 64; 4,096 tokens.
#[test]
fn the_main_job_sums_over_its_own_inner_dimensions() {
    let plan = plan("deepseek-v3-2048", &[]);
    for (name, pass, k) in [
        ("query-down", Pass::Forward, 7168),
        ("query-up", Pass::Forward, 1536),
        ("key-value-up", Pass::Forward, 512),
        ("output-projection", Pass::Forward, 16_384),
        ("expert-down", Pass::Forward, 2048),
        ("mtp-projection", Pass::Forward, 14_336),
        ("query-up", Pass::InputGradient, 24_576),
        ("expert-gate-up", Pass::InputGradient, 4096),
        ("query-up", Pass::WeightGradient, 4096),
        // 4,096 x 8 picks of 64 ranks over 256 experts, as many to each.
        ("expert-down", Pass::WeightGradient, 8192),
    ] {
        assert_eq!(lengths(&plan, name, pass), BTreeSet::from([k]), "{name} {pass:?}");
    }
    let all = sums(&plan).lengths;
    let is_tile = |pass: &Pass| *pass == Pass::WeightGradient;
    for length in &all {
        let tiles = length.products.iter().filter(|(_, pass)| is_tile(pass)).count();
        let expected = if length.scales == Scales::Tile { length.products.len() } else { 0 };
        assert_eq!(tiles, expected, "weight gradients alone have tiles on both sides: {length:?}");
    }
    assert!(all.iter().all(|length| length.products.iter().all(|(name, _)| !["gate", "head"].contains(name))));
}

#[test]
fn a_plan_says_how_it_adds() {
    let narrow = sums(&plan("tiny-moe", &[]));
    assert_eq!((narrow.fraction_bits, narrow.promote), (13, Some(128)));
    for (bits, promote) in [(22, Some(128)), (23, None), (33, None)] {
        let wide = sums(&plan("tiny-moe", &[&format!("gpu.tensor.fp8.accumulate={bits}")]));
        assert_eq!((wide.fraction_bits, wide.promote), (bits, promote));
        assert_eq!(wide.lengths, narrow.lengths);
    }
    let bf16 = sums(&plan("tiny-moe", &["job.precision=bf16"]));
    assert_eq!((bf16.precision, bf16.lengths.len()), (LinearPrecision::Bf16, 0));
    let tensor = sums(&plan("tiny-moe", &["job.precision=fp8-tensor"]));
    assert!(tensor.lengths.iter().all(|length| length.scales == Scales::Tensor));
}

/// Sums that stay in the tensor core are those of the forward pass alone, and of one scale a tensor alone.
#[test]
fn forward_sums_may_stay_in_the_tensor_core() {
    for (precision, left) in [("fp8-tensor", true), ("fp8-block", false)] {
        let plan = plan("tiny-moe", &[&format!("job.precision={precision}"), "policy.forward-sums=left"]);
        for length in sums(&plan).lengths {
            let forward = length.products.iter().all(|(_, pass)| *pass == Pass::Forward);
            let stays = length.scales == Scales::TensorLeft;
            assert_eq!(stays, left && forward, "{precision}: {length:?}");
        }
    }
}
