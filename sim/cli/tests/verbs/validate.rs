//! `validate`.

use crate::{json, number, refused, windtunnel};

/// Predictions of a small scenario, so that the test is quick; the preset itself is read by a test beside its reader.
const PREDICTIONS: &str = "\
about = \"a test\"
scenario = \"tiny-moe\"
facts = \"deepseek-v3-training\"
units = { s = 1.0, us = 1e6 }

[family.step]
\"step.mpft_step\" = { summary = \"step_seconds\" }

[family.kernels]
\"trace.k_qup_fwd\" = { op = \"query-up forward\" }
\"trace.total\" = { pair = \"duration\" }
";

fn with_predictions(text: &str, check: impl FnOnce(&str)) {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("predictions.toml");
    std::fs::write(&path, text).expect("written");
    check(path.to_str().expect("a path"));
}

#[test]
fn answers_come_from_the_run() {
    with_predictions(PREDICTIONS, |path| {
        let validation = json(&["validate", "--predictions", path, "--json"]);
        let rows = validation["comparisons"].as_array().expect("rows");
        assert_eq!(rows.len(), 3);
        let of = |id: &str| rows.iter().find(|row| row["id"] == id).expect("a row");
        let step = number(&json(&["run", "tiny-moe", "--json"]), "/step_seconds");
        assert_eq!(number(of("step.mpft_step"), "/simulated"), step);
        let query_up = of("trace.k_qup_fwd");
        let error = number(query_up, "/simulated") / number(query_up, "/published") - 1.0;
        assert!((error - number(query_up, "/error")).abs() < 1e-12);
    });
}

#[test]
fn a_family_narrows_the_table() {
    with_predictions(PREDICTIONS, |path| {
        let validation = json(&["validate", "--predictions", path, "--family", "step", "--json"]);
        assert_eq!(validation["comparisons"].as_array().map(Vec::len), Some(1));
        let (code, text) = refused(&["validate", "--predictions", path, "--family", "steps"]);
        assert!(code == 2 && text.contains("kernels, step"), "{text}");
    });
}

#[test]
fn predictions_that_cannot_be_formed_say_why() {
    for (wrong, part) in [
        ("{ op = \"query-upp forward\" }", "no op `query-upp forward`"),
        ("{ summary = \"phases.nap\" }", "no number `phases.nap`"),
        ("{ summary = \"step_seconds\", pair = \"compute\" }", "exactly one"),
        ("{ sumary = \"step_seconds\" }", "unknown field `sumary`"),
    ] {
        let text = PREDICTIONS.replace("{ pair = \"duration\" }", wrong);
        with_predictions(&text, |path| {
            let (code, text) = refused(&["validate", "--predictions", path]);
            assert!(code == 2 && text.contains(part), "{text}");
        });
    }
}

#[test]
fn a_baseline_missed_is_exit_1_after_the_result() {
    with_predictions(PREDICTIONS, |path| {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("baseline.json");
        let baseline = file.to_str().expect("a path");
        let args = ["validate", "--predictions", path, "--family", "step", "--json"];
        let held = [&args[..], &["--baseline", baseline]].concat();
        let mut earlier = json(&args);
        std::fs::write(&file, earlier.to_string()).expect("written");
        assert_eq!(json(&held), earlier);
        let error = number(&earlier, "/families/step");
        earlier["families"]["step"] = (error - 0.03).into();
        std::fs::write(&file, earlier.to_string()).expect("written");
        let assert = windtunnel(&held).assert().code(1);
        let output = assert.get_output();
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("missed: "));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON"), json(&args));
    });
}

#[test]
fn what_was_named_and_is_absent_is_exit_4() {
    for args in [
        &["validate", "--baseline", "no/such/baseline.json"][..],
        &["run", "tiny-moe", "--library", "no/such/folder"],
        &["topology", "h800-64-mpft", "--library", "no/such/folder"],
    ] {
        let (code, text) = refused(args);
        assert!(code == 4 && text.contains("no/such/"), "{text}");
    }
}
