//! Laws of a service: closed forms of one request, conservation, the table beside detailed iterations, overload.

use plan::{
    IterationPricer, IterationTable, Iterations, PlanError, RequestList, SchedulerKind, Serve, ServePlan, ServingBooks,
    UnitLoad, UnitPart, unit_memory,
};
use scenario::{Library, load};
use workloads::iteration::{Decoding, PromptPart, RankBatch};
use workloads::requests::{Arrivals, Lengths, Request, RequestsSpec};

const SMALL: &str = "llama-3.1-8b-1xh200";

/// A service with changes, and the rest of its plan.
fn with<T>(sets: &[&str], change: impl FnOnce(&mut Serve), see: impl FnOnce(ServePlan<'_>) -> T) -> T {
    preset(SMALL, sets, change, see)
}

fn preset<T>(name: &str, sets: &[&str], change: impl FnOnce(&mut Serve), see: impl FnOnce(ServePlan<'_>) -> T) -> T {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let plan = load(name, &sets, &Library::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
    let plan = plan.serving().expect("a service");
    let mut job = plan.job.clone();
    change(&mut job);
    see(ServePlan { job: &job, ..plan })
}

fn run(plan: ServePlan<'_>) -> Result<ServingBooks, PlanError> {
    let kinds = plan.job.kinds();
    let parts: Vec<UnitPart<'_>> =
        kinds.iter().map(|job| UnitPart::new(ServePlan { job, ..plan })).collect::<Result<_, _>>()?;
    plan::serve(&parts)
}

fn list(requests: &[(f64, u64, u64)]) -> Option<RequestList> {
    let requests = requests.iter().map(|&(arrival, input, output)| Request { arrival, input, output }).collect();
    Some(RequestList { requests, concurrency: None })
}

fn near(actual: f64, expected: f64) {
    assert!((actual / expected - 1.0).abs() < 1e-9, "{actual} {expected}");
}

#[test]
fn a_lone_request_takes_its_prompt_and_an_iteration_per_token() {
    let change = |job: &mut Serve| {
        job.iterations = Iterations::Detailed;
        job.requests = list(&[(3.0, 100, 4)]);
    };
    with(&[], change, |plan| {
        let books = run(plan).expect("it runs");
        let pricer = IterationPricer::new(plan).expect("a pricer");
        let prompts = vec![PromptPart { tokens: 100, cached: 0 }];
        let fullest = RankBatch { prompts, decoding: Decoding::default() };
        let prompt = pricer.iteration(&UnitLoad { fullest, rows: 100 }).expect("a prompt").seconds;
        let token = |context| {
            let fullest = RankBatch { prompts: Vec::new(), decoding: Decoding { requests: 1, queries: 1, context } };
            pricer.iteration(&UnitLoad { fullest, rows: 1 }).expect("a token").seconds
        };
        let request = books.requests[0];
        near(request.ttft(), prompt);
        near(request.end - request.first_token, token(101) + token(102) + token(103));
        assert_eq!((books.n_iterations, books.n_with_prompts, books.tokens), (4, 1, 4));
    });
}

#[test]
fn every_scheduler_gives_every_token_and_takes_back_every_block() {
    // `serve` itself refuses books that do not balance; a small cache makes requests wait and drives some out.
    for kind in SchedulerKind::ALL {
        let change = |job: &mut Serve| {
            job.scheduler.kind = kind.1;
            job.memory_share = 0.16;
            job.scheduler.tokens = 512;
            let lengths = Lengths { mean: 700, spread: 0.6 };
            let arrivals = Arrivals::Open { rate: 30.0, variation: 2.0 };
            let spec = RequestsSpec { arrivals, count: 200, input: lengths, output: lengths, seed: 3 };
            job.requests = Some(RequestList::new(spec.requests(), &arrivals));
        };
        with(&[], change, |plan| {
            let books = run(plan).unwrap_or_else(|error| panic!("{}: {error}", kind.0));
            assert!(books.waiting_max > 0, "{}: the cache is small", kind.0);
            let drives_out = matches!(kind.1, SchedulerKind::Vllm | SchedulerKind::Sglang);
            assert_eq!(books.n_driven_out > 0, drives_out, "{}: {}", kind.0, books.n_driven_out);
            assert!(books.requests.iter().all(|request| request.arrival < request.first_token));
            assert!(books.requests.iter().all(|request| request.first_token <= request.end));
        });
    }
}

#[test]
fn a_table_is_within_two_hundredths_of_detailed_iterations() {
    for sets in [
        vec!["requests.concurrency=24", "requests.input-spread=1.0", "requests.output-spread=0.5"],
        vec!["scheduler.tokens=600", "requests.arrivals=open", "requests.rate=6.0", "requests.input=3000"],
    ] {
        let of =
            |iterations: Iterations| with(&sets, |job| job.iterations = iterations, |plan| run(plan).expect("it runs"));
        let (detailed, table) = (of(Iterations::Detailed), of(Iterations::Tabulated));
        let tpot = |books: &ServingBooks| {
            let all: Vec<f64> = books.requests.iter().filter_map(plan::RequestRecord::tpot).collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let throughput = |books: &ServingBooks| books.tokens as f64 / books.end();
        for (a, b) in [(tpot(&table), tpot(&detailed)), (throughput(&table), throughput(&detailed))] {
            assert!((a / b - 1.0).abs() < 0.02, "{sets:?}: {a} {b}");
        }
        assert!(table.n_cells > 0 && detailed.n_cells == 0);
    }
}

#[test]
fn a_table_does_not_depend_on_what_it_was_asked_before() {
    with(
        &[],
        |_| {},
        |plan| {
            let pricer = IterationPricer::new(plan).expect("a pricer");
            let load = |requests, context| {
                let decoding = Decoding { requests, queries: 1, context };
                UnitLoad { rows: requests, fullest: RankBatch { prompts: Vec::new(), decoding } }
            };
            let (mut one, mut other) = (IterationTable::new(&pricer), IterationTable::new(&pricer));
            let loads = [load(7, 9000), load(40, 100_000), load(33, 2000)];
            let there: Vec<f64> = loads.iter().map(|load| one.seconds(load).expect("a time")).collect();
            let back: Vec<f64> = loads.iter().rev().map(|load| other.seconds(load).expect("a time")).collect();
            assert_eq!(there, back.into_iter().rev().collect::<Vec<f64>>());
        },
    );
}

#[test]
fn parts_of_an_iteration_add_up_where_nothing_overlaps() {
    with(
        &[],
        |_| {},
        |plan| {
            let pricer = IterationPricer::new(plan).expect("a pricer");
            let decoding = Decoding { requests: 8, queries: 1, context: 8000 };
            let fullest = RankBatch { prompts: vec![PromptPart { tokens: 300, cached: 50 }], decoding };
            let time = pricer.iteration(&UnitLoad { rows: fullest.rows(), fullest }).expect("a time");
            near(time.parts.iter().map(|part| part.seconds).sum(), time.seconds);
            near(time.bounds.values().sum(), time.seconds);
            near(time.evidence.values().sum(), time.seconds);
        },
    );
}

#[test]
fn overlap_never_takes_longer_than_one_thing_after_the_other_nor_less_than_its_longest() {
    let time = |overlap: &str| {
        let set = format!("serve.overlap={overlap}");
        preset(
            "deepseek-v3-prefill-32",
            &[&set],
            |_| {},
            |plan| {
                let pricer = IterationPricer::new(plan).expect("a pricer");
                let prompts = vec![PromptPart { tokens: 2048, cached: 0 }; 2];
                let fullest = RankBatch { prompts, decoding: Decoding::default() };
                let rows = fullest.rows() * plan.job.layout.dp;
                pricer.iteration(&UnitLoad { fullest, rows }).expect("a time")
            },
        )
    };
    let (none, shared, two) = (time("none"), time("shared-expert"), time("two-batches"));
    assert!(shared.seconds < none.seconds && two.seconds < none.seconds, "{} {}", shared.seconds, two.seconds);
    let sent: f64 =
        two.parts.iter().filter(|part| ["dispatch", "combine"].contains(&part.name)).map(|p| p.seconds).sum();
    assert!(two.seconds > sent);
}

#[test]
fn overload_saturates_and_what_never_fits_is_refused() {
    let at = |rate: &str| {
        let rate = format!("requests.rate={rate}");
        with(
            &["requests.arrivals=open", &rate, "requests.count=400"],
            |_| {},
            |plan| {
                let books = run(plan).expect("it runs");
                books.tokens as f64 / books.end()
            },
        )
    };
    let (full, over) = (at("200.0"), at("2000.0"));
    assert!(over >= full && over < 1.2 * full, "{full} {over}");
    let refused = with(&["requests.output=900000"], |_| {}, |plan| run(plan).expect_err("too long").to_string());
    assert!(refused.contains("request 1 has 901024 tokens"), "{refused}");
    let refused = preset(
        "deepseek-r1-8xh200",
        &["serve.weights=bf16"],
        |_| {},
        |plan| unit_memory(plan).expect_err("too large").to_string(),
    );
    assert!(refused.contains("serve.weights"), "{refused}");
}

#[test]
fn right_guesses_bring_tokens_for_less_than_an_iteration_each() {
    let tpot = |acceptance: &str| {
        let set = format!("serve.drafts.acceptance={acceptance}");
        preset(
            "deepseek-r1-8xh200",
            &[&set, "requests.concurrency=1", "requests.count=1"],
            |_| {},
            |plan| run(plan).expect("it runs").requests[0].tpot().expect("many tokens"),
        )
    };
    let (none, wrong, right) = (tpot("[]"), tpot("[0.0]"), tpot("[0.9]"));
    assert!(right < none && none < wrong, "{right} {none} {wrong}");
    assert!(none / right < 1.9, "no more than tokens per iteration");
}

#[test]
fn prompts_and_decoding_apart_are_the_two_and_a_transfer_between() {
    let change = |job: &mut Serve| {
        job.iterations = Iterations::Detailed;
        job.requests = list(&[(0.0, 2000, 3)]);
    };
    let together = with(&[], change, |plan| run(plan).expect("it runs").requests[0]);
    with(&["serve.phase=apart", "cluster.nodes=2"], change, |plan| {
        let books = run(plan).expect("it runs");
        let apart = books.requests[0];
        near(apart.ttft(), together.ttft());
        near(apart.end - apart.first_token - books.transfer, together.end - together.first_token);
        // 131,072 bytes per token and device, over a NIC of 50 GB/s that a message does not fill.
        assert!(books.transfer > 2000.0 * 131_072.0 / 50e9 && books.transfer < 2.0 * 2000.0 * 131_072.0 / 50e9);
    });
}
