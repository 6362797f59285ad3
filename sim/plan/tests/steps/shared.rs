//! What several plans of one machine have once.

use std::sync::Arc;

use plan::Shared;
use workloads::traffic::PicksPool;

use crate::flight::{TINY, plan};

/// Batches depend on their index alone: one after the other or side by side, on whatever threads the caller has.
#[test]
fn traffic_is_the_same_on_any_number_of_threads() {
    for router in ["balanced", "skewed", "power-law", "learned-bias"] {
        let plan = plan(TINY, &[&format!("traffic.router={router}"), "traffic.samples=5", "traffic.bias-steps=3"]);
        let sampled = plan::sample(plan.view()).expect("it can be sampled").expect("a mixture of experts");
        let alone = PicksPool::sample(&plan.job.traffic, sampled.layout()).expect("it can be sampled");
        assert_eq!(alone, sampled, "{router}");
        for n_threads in [1, 2, 7] {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            let pool = threads.install(|| plan::sampled(&plan.job.traffic, sampled.layout()));
            assert_eq!(pool.as_ref(), Ok(&alone), "{router} on {n_threads} threads");
        }
    }
}

#[test]
fn a_network_that_is_handed_on_is_not_built_again() {
    let plan = plan(TINY, &[]);
    let first = plan::lower(plan.view()).expect("a preset with patches");
    let shared = Shared { network: Some(Arc::clone(&first.network)), ..Shared::default() };
    let second = plan::lower_with(plan.view(), &shared).expect("a preset with patches");
    assert!(Arc::ptr_eq(&first.network, &second.network));
    assert_eq!(first.messages, second.messages, "the same network gives the same prices");
}
