//! Counts against the published sizes.

use super::*;
use crate::fixtures::{deepseek_v2, deepseek_v3, llama_405b};

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual / expected - 1.0).abs() < tolerance, "{actual} is not {expected}");
}

#[test]
fn parameters_agree_with_the_published_sizes() {
    let billions = |count: u64| count as f64 / 1e9;
    let v3 = deepseek_v3();
    close(billions(v3.params()), 671.03, 1e-4);
    close(billions(v3.active_params()), 37.55, 2e-4);
    close(billions(v3.body_params()), 35.70, 2e-4);
    close(billions(v3.mtp_params()), 11.61, 1e-3);
    close(billions(deepseek_v2().params()), 235.74, 1e-4);
    close(billions(deepseek_v2().active_params()), 21.38, 3e-4);
    close(billions(llama_405b().params()), 405.85, 1e-4);
    assert_eq!(llama_405b().params(), llama_405b().active_params());
}

#[test]
fn arithmetic_a_token_is_what_mfu_was_published_with() {
    close(deepseek_v3().flops_per_token(4096, true), 250.5e9, 1e-3);
    close(deepseek_v3().flops_per_token(4096, false), 281.2e9, 1e-3);
    close(deepseek_v2().flops_per_token(4096, true), 155.3e9, 1e-3);
    close(llama_405b().flops_per_token(4096, true), 2473e9, 1e-3);
}

#[test]
fn cache_bytes_a_token() {
    assert_eq!(deepseek_v3().kv_bytes_per_token(), 70_272);
    assert_eq!(deepseek_v2().kv_bytes_per_token(), 69_120);
    assert_eq!(llama_405b().kv_bytes_per_token(), 516_096);
}

#[test]
fn a_model_beyond_counting_is_refused() {
    let mut model = llama_405b();
    model.ffn = u64::MAX;
    assert!(matches!(model.check()[..], [ModelError::TooLarge(_)]));
}

#[test]
fn a_model_that_makes_no_sense_says_everything_that_is_wrong() {
    assert_eq!(deepseek_v3().check(), []);
    let mut model = deepseek_v3();
    model.hidden = 0;
    let experts = model.experts.as_mut().expect("it has experts");
    (experts.top_k, experts.node_limit, experts.groups) = (300, 9, 7);
    assert_eq!(
        model.check(),
        [
            ModelError::Zero("hidden"),
            ModelError::TooMany { what: "experts.top-k", is: 300, limit: "experts.routed", max: 256 },
            ModelError::TooMany { what: "node-limit", is: 9, limit: "experts.groups", max: 7 },
            ModelError::Uneven { what: "experts.routed", is: 256, by_what: "experts.groups", by: 7 },
        ]
    );
}
