//! Laws of everything a report writes: well formed, escaped, the same twice, with no way out to a network.

mod markup;

use report::figures::{self, Figure};
use report::{
    Common, Comparison, JobResult, LinkRow, MemoryRow, PageInput, Phase, Phases, ReportError, Span, SpanKind,
    StepResult, Summary, Timeline, Track,
};
use topology::Picture;

use markup::{NASTY, assert_no_way_out, assert_page, well_formed};

fn summary() -> Summary {
    let phase = |name, kind, seconds| Phase { name, kind, seconds };
    let phases = Phases(vec![
        phase("forward", Some(SpanKind::Forward), 1.0),
        phase("overlapped", Some(SpanKind::Overlapped), 6.0),
        phase("backward", Some(SpanKind::Backward), 2.0),
        phase("a_phase_nobody_knows", Some(SpanKind::Transfer), 0.75),
        phase("bubble", None, 0.25),
    ]);
    let gibibyte = f64::from(1 << 30);
    let memory = MemoryRow {
        rank: 0,
        items: vec![(NASTY.into(), 3.0 * gibibyte)],
        total: 3.0 * gibibyte,
        capacity: 4.0 * gibibyte,
    };
    let link = LinkRow { kind: NASTY.into(), count: 8, bytes: 1e3, utilization_mean: 0.5, utilization_max: 0.75 };
    let result = JobResult::Step(StepResult { step_seconds: phases.sum(), ..StepResult::default() });
    let common = Common {
        name: NASTY.into(),
        digest: "0123456789abcdef".into(),
        n_ranks: 2,
        n_ranks_simulated: 2,
        phases: phases.clone(),
        phases_by_rank: vec![phases.clone(), phases],
        memory_by_rank: vec![memory],
        links: vec![link],
        basis_shares: [(NASTY.to_owned(), 1.0)].into(),
        binding_shares: [(NASTY.to_owned(), 1.0)].into(),
        notes: vec![NASTY.into()],
        ..Common::default()
    };
    Summary { common, result, ..Summary::default() }
}

fn timeline() -> Timeline {
    let span = |kind, start, end| Span { name: NASTY.into(), kind, start, end };
    let lane = |thread: &str, spans| Track { process: NASTY.into(), thread: thread.into(), spans };
    let chunks = vec![span(SpanKind::Forward, 0.0, 0.0), span(SpanKind::Overlapped, 0.0, 10.0)];
    Timeline {
        lanes: vec![
            lane("chunks", chunks),
            lane("compute", vec![span(SpanKind::Tensor, 0.0, 6.0)]),
            lane("communication", vec![span(SpanKind::Transfer, 1.0, 9.0)]),
        ],
    }
}

fn page(summary: &Summary, timeline: &Timeline) -> Result<String, ReportError> {
    let comparison = Comparison {
        id: "a.b".into(),
        family: "a".into(),
        quantity: NASTY.into(),
        unit: "s".into(),
        published: 0.0,
        simulated: 1.0,
        source: NASTY.into(),
        key: None,
        used: false,
    };
    report::page(&PageInput {
        summary,
        timeline,
        variants: &[],
        comparisons: &[comparison],
        picture: None,
        command: NASTY,
        plan_toml: NASTY,
    })
}

fn all_figures(summary: &Summary, timeline: &Timeline) -> Vec<Figure> {
    let picture = Picture { n_columns: 0, tiers: Vec::new(), boxes: Vec::new(), lines: Vec::new() };
    let mut all = vec![
        figures::phases(&summary.common).expect("phases"),
        figures::pipeline(timeline).expect("pipeline"),
        figures::links(&summary.common.links).expect("links"),
        figures::memory(&summary.common.memory_by_rank).expect("memory"),
        figures::machine(&picture).expect("machine"),
    ];
    all.extend(figures::pair(timeline).expect("pair"));
    all
}

#[test]
fn figures_are_well_formed_with_names_that_break_markup() {
    let figures = all_figures(&summary(), &timeline());
    assert_eq!(figures.len(), 6);
    for figure in figures {
        for svg in [&figure.svg, &figure.file()] {
            well_formed(svg).unwrap_or_else(|error| panic!("{}: {error}\n{svg}", figure.name));
            assert!(!svg.contains("<script"), "{}", figure.name);
        }
    }
}

#[test]
fn an_empty_run_still_draws() {
    let (summary, timeline) = (Summary::default(), Timeline::default());
    for figure in all_figures(&summary, &timeline) {
        well_formed(&figure.svg).unwrap_or_else(|error| panic!("{}: {error}", figure.name));
        assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf"), "{}", figure.name);
    }
    let page = page(&summary, &timeline).expect("a page");
    assert!(page.contains("</html>") && !page.contains("NaN"));
    assert!(report::terminal(&summary, &[], false).contains("0 s per step"));
}

#[test]
fn names_cannot_steer_a_terminal() {
    let screen = report::terminal(&summary(), &[], false);
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{0}'));
}

#[test]
fn a_page_escapes_what_it_is_given() {
    let page = page(&summary(), &timeline()).expect("a page");
    assert_page(&page);
    assert!(!page.contains("<script"), "markup came through");
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
}

#[test]
fn nothing_reaches_for_a_network() {
    let (summary, timeline) = (summary(), timeline());
    let mut texts: Vec<String> = all_figures(&summary, &timeline).iter().map(Figure::file).collect();
    texts.push(page(&summary, &timeline).expect("a page"));
    texts.iter().for_each(|text| assert_no_way_out(text));
}

#[test]
fn twice_is_the_same_bytes() {
    let once = || {
        let (summary, timeline) = (summary(), timeline());
        let figures = all_figures(&summary, &timeline);
        let traces = (report::trace::perfetto("run", &timeline), report::trace::chrome(&timeline));
        (
            page(&summary, &timeline),
            figures,
            traces,
            report::summary_json(&summary),
            report::terminal(&summary, &[], true),
        )
    };
    assert_eq!(once(), once());
}

#[test]
fn phases_shown_add_up_to_the_step() {
    let summary = summary();
    let table = report::table::phases_table(&summary.common);
    for row in &table.rows {
        let numbers: Vec<f64> = row.cells[1..].iter().map(|cell| cell.parse().expect("a number")).collect();
        let (sum, parts) = numbers.split_last().expect("a sum");
        assert!((parts.iter().sum::<f64>() - sum).abs() < 0.004, "{row:?}");
        assert!((sum - summary.seconds()).abs() < 0.001);
    }
    assert!(page(&summary, &timeline()).expect("a page").contains("10.00 s"));
}

#[test]
fn a_number_that_is_none_is_refused_with_its_place() {
    let result = JobResult::Step(StepResult { load_cv: f64::INFINITY, ..StepResult::default() });
    let odd = Summary { result, ..summary() };
    let error = page(&odd, &timeline()).expect_err("infinite");
    assert_eq!(error.to_string(), "`load_cv` of the result is not a finite number");
    let row = MemoryRow { total: f64::NAN, ..MemoryRow::default() };
    let error = figures::memory(&[row]).expect_err("not a number");
    assert_eq!(error, ReportError::NotFinite { path: "memory_by_rank[0].total".into() });
}

#[test]
fn what_does_not_fit_is_below_zero_and_stands_out() {
    let gibibyte = f64::from(1 << 30);
    let row = |rank, gib: f64| MemoryRow {
        rank,
        items: vec![("weights".into(), gib * gibibyte)],
        total: gib * gibibyte,
        capacity: 80.0 * gibibyte,
    };
    let table = report::table::memory_table(&[row(0, 60.0), row(1, 83.5), row(2, 90.0)]);
    let free: Vec<&String> = table.rows.iter().filter_map(|row| row.cells.last()).collect();
    assert_eq!(free, ["20.00", "-3.50", "-10.00"]);
    assert_eq!(table.rows.iter().map(|row| row.strong).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn errors_are_grouped_by_source_with_their_medians() {
    let row = |published: f64, simulated: f64, source: &str| Comparison {
        id: "x".into(),
        family: "x".into(),
        quantity: "time".into(),
        unit: "s".into(),
        published,
        simulated,
        source: source.into(),
        key: None,
        used: false,
    };
    let rows = [row(10.0, 11.0, "one"), row(2.0, 1.0, "two"), row(10.0, 7.0, "one"), row(0.0, 1.0, "two")];
    let table = report::table::comparison_table(&rows);
    let shown: Vec<String> = table.rows.iter().map(|row| row.cells.join(" ")).collect();
    let expected = [
        "one",
        "time, x 10.00 11.00 +10.0 % s",
        "time, x 10.00 7.000 -30.0 % s",
        "median |error|   20.0 % ",
        "two",
        "time, x 2.000 1.000 -50.0 % s",
        "time, x 0 1.000 - s",
        "median |error|   50.0 % ",
        "median |error|, all   30.0 % ",
    ];
    assert_eq!(shown, expected);
    assert!(table.to_string().lines().any(|line| line == "one"), "{table}");
}

#[test]
fn facts_an_estimate_rests_on_are_marked_and_prove_nothing() {
    let row = |simulated: f64, used: bool| Comparison {
        id: format!("{simulated}"),
        family: "x".into(),
        quantity: format!("time {simulated}"),
        unit: "s".into(),
        published: 10.0,
        simulated,
        source: "one".into(),
        key: None,
        used,
    };
    let rows = [row(10.0, true), row(12.0, false)];
    assert_eq!(Comparison::median_error(&rows), Some(0.2));
    assert_eq!(Comparison::median_error(&rows[..1]), None);
    let text = report::table::comparison_table(&rows).to_string();
    assert!(text.contains("time 10 (used)") && !text.contains("time 12 (used)"), "{text}");
}
