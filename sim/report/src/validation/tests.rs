//! Scores from invented cases.

use super::*;

fn case(id: &str, family: &str, published: f64, simulated: f64, used: bool) -> Case {
    let row = Comparison {
        id: id.into(),
        family: family.into(),
        quantity: "a time".into(),
        unit: "us".into(),
        published,
        simulated,
        source: "invented".into(),
        key: None,
        used,
    };
    Case::new(row, "invented".into(), vec!["probe nothing".into()])
}

fn validation() -> Validation {
    let family = |name: &str, group: &str| FamilyOf { name: name.into(), about: "x".into(), group: group.into() };
    Validation {
        families: vec![family("one", "kernels"), family("two", "steps")],
        cases: vec![
            case("a", "one", 100.0, 110.0, false),
            case("b", "one", 100.0, 80.0, false),
            case("c", "one", 100.0, 500.0, true),
            case("d", "two", 0.0, 1.0, false),
            case("e", "two", 10.0, 10.5, false),
        ],
        repeats: vec![case("f", "one", 1.0, 9.0, false)],
        uncovered: vec![Uncovered { family: "three".into(), n: 4, reason: "serving | later".into() }],
    }
}

#[test]
fn used_cases_repeats_and_published_zeros_judge_nothing() {
    let score = validation().score();
    assert_eq!((score.n, score.n_used), (3, 1));
    let close = |actual: Option<f64>, expected: f64| (actual.expect("a number") - expected).abs() < 1e-12;
    assert!(close(score.median_absolute_error, 0.1));
    // Between 0.1 and 0.2, four fifths of the way.
    assert!(close(score.p90_absolute_error, 0.18));
    assert!(close(score.bias, (0.1 - 0.2 + 0.05) / 3.0));
    assert_eq!(score.worst.map(|worst| worst.id).as_deref(), Some("b"));
}

#[test]
fn families_and_groups_have_scores_of_their_own() {
    let validation = validation();
    let n: Vec<usize> = validation.scores().map(|(_, score)| score.n).collect();
    assert_eq!(n, [2, 1]);
    assert_eq!(
        validation.groups().iter().map(|(name, score)| (*name, score.n)).collect::<Vec<_>>(),
        [("kernels", 2), ("steps", 1)]
    );
    assert_eq!(Score::of([]).median_absolute_error, None);
}

/// What is published lies inside of one interval of two: used cases, and those without an interval, count in neither.
#[test]
fn coverage_counts_cases_that_judge_and_have_an_interval() {
    let mut validation = validation();
    let intervals = [Some([100.0, 121.0]), Some([70.0, 90.0]), Some([1.0, 1000.0]), Some([0.5, 2.0]), None];
    for (case, interval) in validation.cases.iter_mut().zip(intervals) {
        case.interval = interval;
    }
    let Coverage { n_with_interval, share, median_half_width } = validation.score().coverage;
    assert_eq!((n_with_interval, share), (2, Some(0.5)));
    let expected = (0.105 + 1.0 / 7.0) / 2.0;
    assert!((median_half_width.expect("widths") - expected).abs() < 1e-12, "{median_half_width:?}");
    let of_families: Vec<Option<f64>> = validation.scores().map(|(_, score)| score.coverage.share).collect();
    assert_eq!(of_families, [Some(0.5), None]);
    let json = validation_json(&validation).expect("finite");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for (place, expected) in [("", 0.5), ("/families/0", 0.5), ("/groups/0", 0.5)] {
        assert_eq!(json.pointer(&format!("{place}/coverage")), Some(&expected.into()), "{place}");
    }
    assert_eq!(json["cases"][0]["interval"], serde_json::json!([100.0, 121.0]));
    assert!(validation_text(&validation, false).contains("50.0 % of 2"));
    assert!(validation_page(&validation, "windtunnel validate").expect("a page").contains("lies inside 50.0 %"));
}

#[test]
fn without_an_interval_nothing_is_covered() {
    let coverage = validation().score().coverage;
    assert_eq!(coverage, Coverage { n_with_interval: 0, share: None, median_half_width: None });
    assert!(!validation_text(&validation(), false).contains("median half-width"));
}

#[test]
fn json_has_the_promised_keys() {
    let text = validation_json(&validation()).expect("finite");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["n_cases"], 3);
    assert_eq!(json["n_used"], 1);
    assert_eq!(json["families"][1]["family"], "two");
    assert_eq!(json["cases"][2]["used"], true);
    assert_eq!(json["cases"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_simulated_nothing_is_an_error() {
    let mut odd = validation();
    odd.cases[0].row.simulated = f64::NAN;
    assert!(validation_json(&odd).is_err());
}

#[test]
fn text_page_and_picture_say_the_same() {
    let validation = validation();
    let text = validation_text(&validation, true).to_string();
    let markdown = validation_markdown(&validation, "windtunnel validate");
    let page = validation_page(&validation, "windtunnel validate").expect("a page");
    for shown in [&text, &markdown, &page] {
        assert!(shown.contains("15.0 %") && shown.contains("three"), "{shown}");
    }
    assert!(markdown.contains("serving \\| later"));
    assert!(!page.contains("http://") || page.contains("www.w3.org"));
    let figure = crate::figures::parity(&validation).expect("a figure");
    assert!(figure.svg.starts_with("<svg") && page.contains(&figure.svg));
}
