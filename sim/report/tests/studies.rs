//! Laws of the page of a study: as of every page, and its numbers are those it was given.

mod markup;

#[path = "../examples/sample/study.rs"]
mod invented;

use report::figures::Figure;
use report::format::{change, seconds};
use report::study::{ProposalResult, StudyBase, StudySummary};
use report::{BeforeAfter, ReportError, Span, SpanKind, StudyInput, Timeline, Track};

use markup::{NASTY, assert_no_way_out, assert_page, well_formed};

fn timeline() -> Timeline {
    let span = |kind, start, end| Span { name: NASTY.into(), kind, start, end };
    let lane = |thread: &str, spans| Track { process: NASTY.into(), thread: thread.into(), spans };
    let chunks = vec![span(SpanKind::Forward, 0.0, 1.0), span(SpanKind::Overlapped, 1.0, 10.0)];
    Timeline {
        lanes: vec![
            lane("chunks", chunks),
            lane("compute", vec![span(SpanKind::Tensor, 1.0, 6.0)]),
            lane("communication", vec![span(SpanKind::Transfer, 2.0, 9.0)]),
        ],
    }
}

fn made(summary: &StudySummary) -> Result<(String, Vec<Figure>), ReportError> {
    let timeline = timeline();
    let timelines = BeforeAfter { proposal: NASTY, before: &timeline, after: &timeline };
    let input = StudyInput { summary, timelines: Some(timelines), command: NASTY };
    Ok((report::study_page(&input)?, report::study_figures(&input)?))
}

/// The invented study with every name and word such that it breaks what does not escape it.
fn nasty() -> StudySummary {
    let mut study = invented::study();
    let word = || NASTY.to_owned();
    (study.name, study.about, study.notes) = (word(), word(), vec![word()]);
    (study.base.name, study.base.digest, study.base.patch) = (word(), word(), vec![word()]);
    study.base.made_of.binding_parts = [(word(), 18.0)].into();
    study.base.made_of.basis_shares = [(word(), 1.0)].into();
    for row in &mut study.proposals {
        (row.name, row.about, row.source, row.assumes, row.patch) = (word(), word(), word(), word(), vec![word()]);
        row.hand.text = word();
        match &mut row.result {
            ProposalResult::Failed(why) => *why = word(),
            ProposalResult::Ran(ran) => {
                ran.decided_by = vec![(word(), 0.5)];
                (ran.made_of.binding, ran.made_of.basis) = (word(), word());
            }
        }
    }
    for sweep in &mut study.sweeps {
        sweep.name = word();
        for map in &mut sweep.maps {
            map.x.key = word();
            map.y.values.fill(word());
        }
        for point in &mut sweep.best {
            (point.name, point.patch, point.binding) = (word(), vec![word()], word());
        }
    }
    let together = study.together.as_mut().expect("together");
    for share in &mut together.shares {
        share.proposal = word();
    }
    for pair in &mut together.pairs {
        (pair.first, pair.second) = (word(), word());
    }
    for set in together.sets.iter_mut().chain(&mut together.cheapest) {
        set.proposals = vec![word()];
    }
    let front = study.front.as_mut().expect("a front");
    front.cost_name = word();
    front.points.iter_mut().for_each(|point| point.name = word());
    for knob in &mut study.sensitivity.as_mut().expect("a sensitivity").knobs {
        (knob.key, knob.value, knob.note) = (word(), word(), Some(word()));
    }
    for row in &mut study.arithmetic {
        (row.proposal, row.promotion) = (word(), word());
    }
    study
}

#[test]
fn pages_and_figures_are_well_formed_with_names_that_break_markup() {
    let study = nasty();
    let (page, figures) = made(&study).expect("a page");
    let sensitivity = study.sensitivity.as_ref().expect("a sensitivity");
    let small = report::sensitivity_page(sensitivity, NASTY).expect("a page");
    for page in [&page, &small] {
        assert_page(page);
        assert_no_way_out(page);
        assert!(!page.contains("<script"), "markup came through");
    }
    assert_eq!(figures.len(), 11);
    for figure in figures {
        for svg in [Some(figure.svg.clone()), Some(figure.file()), figure.narrow.clone()].into_iter().flatten() {
            well_formed(&svg).unwrap_or_else(|error| panic!("{}: {error}\n{svg}", figure.name));
            assert_no_way_out(&svg);
        }
    }
}

#[test]
fn an_empty_study_still_has_a_page() {
    let summary = StudySummary::default();
    let input = StudyInput { summary: &summary, timelines: None, command: "" };
    let page = report::study_page(&input).expect("a page");
    assert_page(&page);
    assert!(!page.contains("NaN") && !page.contains("inf<"), "{page}");
    assert!(report::study_figures(&input).expect("figures").is_empty());
    // Parts that say nothing are not there.
    for absent in ["Speed and arithmetic", "Time against cost", "Together", "What moves the step", "Sweep:"] {
        assert!(!page.contains(absent), "`{absent}`");
    }
}

#[test]
fn a_study_that_changes_nothing_still_draws() {
    let mut study = invented::study();
    for row in &mut study.proposals {
        row.hand = report::study::Hand::default();
        if let ProposalResult::Ran(ran) = &mut row.result {
            (ran.change, ran.interval) = (0.0, Some([0.0, 0.0]));
        }
    }
    for knob in &mut study.sensitivity.as_mut().expect("a sensitivity").knobs {
        (knob.elasticity, knob.ends) = (Some(0.0), None);
    }
    for point in &mut study.front.as_mut().expect("a front").points {
        (point.cost, point.value) = (0.0, 1.0);
    }
    study.base.made_of.binding_parts.clear();
    let (page, figures) = made(&study).expect("a page");
    assert_page(&page);
    for figure in figures {
        well_formed(&figure.svg).unwrap_or_else(|error| panic!("{}: {error}", figure.name));
        assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf"), "{}", figure.name);
    }
}

#[test]
fn numbers_shown_are_those_given() {
    let study = invented::study();
    let (page, figures) = made(&study).expect("a page");
    let intervals = &figures.iter().find(|figure| figure.name == "intervals").expect("intervals").svg;
    let mut after = 0;
    for row in &study.proposals {
        let ProposalResult::Ran(ran) = &row.result else {
            assert!(page.contains("the plan needs 92.1 GiB"));
            continue;
        };
        let [low, high] = ran.interval.expect("an interval");
        let cells = [seconds(ran.value), change(ran.change), change(low), change(high)];
        let cells: String = cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
        let line = format!("<td>{}</td>{cells}", row.name);
        let at = page.find(&line).unwrap_or_else(|| panic!("no `{line}`"));
        assert!(at > after, "rows stand in the order given");
        after = at;
        assert!(intervals.contains(&change(ran.change)), "{}", row.name);
    }
    for (key, value) in [("proposals", "9"), ("surely less", "4"), ("as expected by hand", "7 of 8")] {
        assert!(page.contains(&format!("<dt>{key}</dt><dd>{value}</dd>")), "{key}");
    }
    assert!(page.contains("<td class=\"n\">0.630 %</td>"), "the worst error of the base");
    for map in &study.sweeps[0].maps {
        assert!(map.values.iter().flatten().all(|step| page.contains(&format!("{step:.2}"))));
    }
}

#[test]
fn what_is_undecided_looks_so() {
    let bars = |decided| {
        let mut study = invented::study();
        study.proposals.truncate(1);
        if let ProposalResult::Ran(ran) = &mut study.proposals[0].result {
            ran.decided = Some(decided);
        }
        let figure = report::figures::intervals(&study.proposals, &study.measure).expect("a figure");
        (figure.svg.matches("fill=\"#1B7F8C\"").count(), figure.svg.contains("undecided"))
    };
    // One is the legend's.
    assert_eq!((bars(true), bars(false)), ((2, false), (1, true)));
}

#[test]
fn twice_is_the_same_bytes() {
    assert_eq!(made(&nasty()), made(&nasty()));
}

#[test]
fn a_number_that_is_none_is_refused_with_its_place() {
    let base = StudyBase { value: f64::NAN, ..StudyBase::default() };
    let error = made(&StudySummary { base, ..invented::study() }).expect_err("not a number");
    assert_eq!(error, ReportError::NotFinite { path: "base.value".into() });
}
