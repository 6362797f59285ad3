//! What would make a job fit: each way is what the patched scenario itself holds.

use scenario::Library;

use crate::ask::ScenarioQuery;
use crate::ways_out::{WayOut, WaysOut, ways_out};
use crate::{Prepared, check};

/// Jobs that do not fit, dense and with experts, and whether one change of the job is enough.
const TOO_LARGE: [(&str, &[&str], bool); 4] = [
    ("tiny-moe", &["gpu.memory.capacity-per-stack=8 GiB"], true),
    ("tiny-moe", &["gpu.memory.capacity-per-stack=2 GiB"], false),
    ("llama-3.1-70b-64", &["parallel.pp=1", "gpu.memory.capacity-per-stack='9 GB'"], false),
    ("gpt-1.5b-8", &["parallel.pp=2", "parallel.dp=4", "gpu.memory.capacity-per-stack=5 GiB"], true),
];

fn query(job: &str, sets: &[&str]) -> ScenarioQuery {
    ScenarioQuery { scenario: job.to_owned(), sets: sets.iter().map(|&set| set.to_owned()).collect() }
}

/// What the fullest rank of a patched scenario holds, planned as `run` plans it, and what its device has; with its ranks.
fn held(query: &ScenarioQuery, more: &[String]) -> (f64, f64, u32) {
    let sets = [query.sets.as_slice(), more].concat();
    let prepared = Prepared::load(&query.scenario, &sets, &Library::built_in()).expect("a legal change");
    let plan = prepared.plan().train().expect("a training job");
    let pool = plan::sample(plan).expect("it can be sampled");
    let ranks = plan::memory(plan, pool.as_ref()).expect("it can be planned");
    let fullest = ranks.iter().map(|rank| rank.total.get()).fold(0.0, f64::max);
    (fullest, ranks[0].capacity.get(), plan.job.parallel.n_ranks())
}

fn each(check: impl Fn(&ScenarioQuery, &WaysOut, bool)) {
    for (job, sets, is_enough) in TOO_LARGE {
        let query = query(job, sets);
        check(&query, &ways_out(&query, &Library::built_in()), is_enough);
    }
}

#[test]
fn every_remainder_is_the_memory_of_the_patched_plan_on_the_same_devices() {
    each(|query, ways, _| {
        let (before, capacity, n_ranks) = held(query, &[]);
        assert!(before > capacity && ways.single.len() > 3, "{query:?}: {ways}");
        for way in ways.single.iter().chain(&ways.pair) {
            let (needed, capacity, ranks) = held(query, &way.remedy.sets());
            assert_eq!((way.needed.get(), way.capacity.get()), (needed, capacity), "{query:?}: {way}");
            assert_eq!((way.freed.get(), ranks), (before - needed, n_ranks), "{query:?}: {way}");
        }
    });
}

#[test]
fn those_that_fit_say_so_and_the_one_that_leaves_least_stands_first() {
    each(|query, ways, is_enough| {
        let (device, of_job) = ways.single.split_last().expect("ways");
        assert!(of_job.is_sorted_by(|a, b| a.needed <= b.needed), "{query:?}: {ways}");
        assert_eq!(of_job.iter().any(WayOut::fits), is_enough, "{query:?}: {ways}");
        assert!(device.fits() && device.freed.get() == 0.0, "{query:?}: {device}");
        assert_eq!(ways.pair.is_none(), is_enough, "{query:?}: {ways}");
        let least = of_job.first().expect("a change of the job").needed;
        assert!(ways.pair.iter().all(|pair| pair.needed <= least), "{query:?}: {ways}");
        for way in ways.single.iter().chain(&ways.pair) {
            assert!(way.to_string().ends_with(if way.fits() { ": fits" } else { ": does not fit" }), "{way}");
        }
    });
}

/// A hundredth less than the memory that is named is too little, and with it the scenario can run.
#[test]
fn the_larger_device_is_the_least_that_is_enough() {
    each(|query, ways, _| {
        let sets = [query.sets.as_slice(), &ways.single.last().expect("a device").remedy.sets()].concat();
        let loaded = Prepared::load(&query.scenario, &sets, &Library::built_in()).expect("a device");
        check(loaded.plan()).expect("it fits");
        let mut plan = loaded.plan().clone();
        let memory = &mut plan.site.machine.device.memory;
        memory.capacity_per_stack = memory.capacity_per_stack * 0.99;
        assert!(check(&plan).is_err(), "{sets:?}");
    });
}

/// Schedules that overlap chunks cannot spread gradients, one sequence cannot be halved, dense models have no experts to spread.
#[test]
fn what_is_not_legal_is_no_way() {
    each(|query, ways, _| {
        let of = |key: &str| ways.single.iter().filter(|way| way.to_string().contains(key)).count();
        match query.scenario.as_str() {
            "tiny-moe" => assert_eq!((of("parallel.sharding"), of("job.micro-batch")), (0, 0), "{ways}"),
            "llama-3.1-70b-64" => assert_eq!((of("parallel.ep"), of("zero-2"), of("zero-3")), (0, 1, 1), "{ways}"),
            _ => assert_eq!((of("parallel.ep"), of("keep-activations"), of("zero-3")), (0, 0, 1), "{ways}"),
        }
    });
}

#[test]
fn what_fits_and_what_cannot_be_loaded_has_no_way_out() {
    for sets in [&[][..], &["gpu.smz=1"]] {
        let ways = ways_out(&query("tiny-moe", sets), &Library::built_in());
        assert_eq!((ways.to_string(), ways), (String::new(), WaysOut::default()));
    }
}
