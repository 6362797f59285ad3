//! Laws of a search over the model itself.

use std::collections::BTreeMap;

use scenario::Library;
use study::{Search, SearchAnswer, StudyProgress, Tunnel};

use crate::Simulator;
use crate::search::{self, values};

fn found(scenario: &str, over: &[&str], top: usize) -> SearchAnswer {
    let library = Library::built_in();
    let tunnel = Simulator::new(&library, scenario);
    let given = over.iter().map(|text| values(text).expect("values")).collect();
    let base = tunnel.base(&[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let dimensions = search::dimensions(&base, &given, true).expect("dimensions");
    let asked = Search { dimensions, limits: Vec::new(), top };
    study::search(&tunnel, &asked, &StudyProgress::default()).expect("an answer")
}

const GRID: [&str; 4] =
    ["parallel.tp=1,2", "parallel.pp=1,2,4", "job.micro-batch=1,2", "policy.recompute.full=false,true"];

#[test]
fn the_best_is_the_best_of_all_run_one_by_one() {
    let few = found("tiny-moe", &GRID, 2);
    let all = found("tiny-moe", &GRID, usize::from(u16::MAX));
    assert!(all.points.len() > 4 && few.n_simulated <= all.n_simulated, "{} of {}", few.n_simulated, all.n_simulated);
    assert_eq!(few.points, all.points[..2]);
    assert_eq!(few.n_candidates, few.points.len() + few.rejected.len() + (few.n_simulated - few.points.len()));
    assert!(all.points.is_sorted_by(|a, b| a.objective <= b.objective));
    let library = Library::built_in();
    let tunnel = Simulator::new(&library, "tiny-moe");
    for point in &all.points {
        let plan = tunnel.base(&point.changes()).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
        let alone = tunnel.run(&plan).expect("a run").objective();
        assert_eq!(alone, Some(point.objective), "{:?}", point.sets());
        let bound = tunnel.bound(&plan).expect("a bound").expect("of a step");
        assert!(bound > 0.0 && bound <= point.objective, "{bound} and {}", point.objective);
    }
}

#[test]
fn threads_change_nothing_and_equal_plans_are_one_candidate() {
    let on = |n| study::on_threads(Some(n), || found("tiny-moe", &GRID, 3)).expect("threads");
    assert_eq!(on(1), on(4));
    let twice = found("tiny-moe", &["parallel.tp=1,1", "job.micro-batch=1"], 3);
    assert_eq!(twice.n_candidates, 1);
}

/// Values that were asked for are candidates whatever they are, and what cannot be laid out says why.
#[test]
fn what_was_asked_for_is_run_or_refused_and_never_left_out() {
    let library = Library::built_in();
    for (scenario, over) in [
        ("tiny-moe", "parallel.tp=3"),
        ("tiny-moe", "parallel.pp=0"),
        ("tiny-moe", "parallel.cp=9223372036854775807"),
        ("tiny-moe", "parallel.tp=many"),
        ("llama-3.1-70b-8xh100", "serve.tp=3"),
        ("llama-3.1-70b-8xh100", "serve.dp=9223372036854775807"),
        ("llama-3.1-70b-8xh100", "requests.concurrency=0"),
    ] {
        let tunnel = Simulator::new(&library, scenario);
        let base = tunnel.base(&[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let few = ["job.micro-batch=1", "policy.recompute.full=false", "policy.schedule=1f1b", "parallel.ep=8"];
        let others = few.iter().filter(|_| scenario == "tiny-moe").map(|text| values(text).expect("values"));
        let given = others.chain([values(over).expect("values")]).collect();
        let dimensions = search::dimensions(&base, &given, false).expect("dimensions");
        let asked = Search { dimensions, limits: Vec::new(), top: 1 };
        let answer = study::search(&tunnel, &asked, &StudyProgress::default()).expect("an answer");
        assert!(answer.points.is_empty() && !answer.rejected.is_empty(), "{over}: {:?}", answer.points);
        assert!(answer.rejected.iter().all(|row| !row.fault && !row.reason.is_empty()), "{over}");
    }
}

#[test]
fn a_service_is_searched_over_its_layouts_and_loads() {
    let library = Library::built_in();
    let tunnel = Simulator::new(&library, "llama-3.1-70b-8xh100");
    let base = tunnel.base(&[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let dimensions = search::dimensions(&base, &BTreeMap::new(), false).expect("dimensions");
    let limits = vec![search::limit("serving.tpot.p50<=20 ms").expect("a limit")];
    let answer = study::search(&tunnel, &Search { dimensions, limits, top: 5 }, &StudyProgress::default());
    let answer = answer.expect("an answer");
    let best = answer.points.first().expect("a point");
    assert!(best.results["serving.tpot.p50"] <= 0.02 && answer.base.is_some_and(|base| best.objective <= base));
    assert!(answer.rejected.iter().all(|row| !row.reason.is_empty() && !row.fault));
}
