//! `validate`.

use std::collections::BTreeSet;

use crate::{json, number, refused, windtunnel};

/// A few facts of small questions, so that the tests are quick.
const FACTS: &str = r#"
[families.steps]
about = "a step"
group = "steps"

[families.kernels]
about = "kernels"
group = "kernels"
unpredicted = "a reason of the family"

[units]
s = 1.0
us = 1e6
TFLOPS = 1e-12

["one.step"]
family = "steps"
quantity = "time of a step"
value = 0.02
unit = "s"
conditions = "invented"
source = "a test"
kind = "measured"
ask = "run tiny-moe"
answer = "step_seconds"

["one.query_up"]
family = "kernels"
quantity = "an op in pairs"
value = 300.0
unit = "us"
conditions = "invented"
source = "a test"
kind = "measured"
ask = "run tiny-moe"
ops = "query-up forward"

["one.product"]
family = "kernels"
quantity = "rate of two products"
value = 500.0
unit = "TFLOPS"
conditions = "invented"
source = "a test"
kind = "measured"
ask = [
    "probe kernel gemm --hardware h100-sxm5 --m 4096 --n 4096 --k 4096 --dtype bf16",
    "probe kernel gemm --hardware h100-sxm5 --m 4096 --n 4096 --k 4096 --dtype bf16",
]
answer = "seconds"
over = 274877906944.0

["one.duration"]
family = "kernels"
quantity = "the same again"
value = 300.0
unit = "us"
conditions = "invented"
source = "a test"
kind = "measured"
ask = "run tiny-moe"
pair = "duration"
repeats = "one.query_up"

["one.other"]
family = "kernels"
quantity = "beyond the model"
value = 1.0
unit = "us"
conditions = "invented"
source = "a test"
kind = "measured"
"#;

fn with_facts(text: &str, check: impl FnOnce(&str)) {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("facts.toml");
    std::fs::write(&path, text).expect("written");
    check(path.to_str().expect("a path"));
}

fn case<'a>(validation: &'a serde_json::Value, list: &str, id: &str) -> &'a serde_json::Value {
    let rows = validation[list].as_array().expect("rows");
    rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no `{id}` among {list}"))
}

#[test]
fn answers_are_those_of_the_commands() {
    with_facts(FACTS, |path| {
        let validation = json(&["validate", "--published", path, "--json"]);
        let step = number(&json(&["run", "tiny-moe", "--json"]), "/step_seconds");
        assert_eq!(number(case(&validation, "cases", "one.step"), "/simulated"), step);
        let product = json(&[
            "probe",
            "kernel",
            "gemm",
            "--hardware",
            "h100-sxm5",
            "--m",
            "4096",
            "--n",
            "4096",
            "--k",
            "4096",
            "--dtype",
            "bf16",
            "--json",
        ]);
        let row = case(&validation, "cases", "one.product");
        let expected = 2.0 * 4096_f64.powi(3) / number(&product, "/seconds") / 1e12;
        let actual = number(row, "/simulated");
        assert!((actual / expected - 1.0).abs() < 1e-9, "expected {expected}, actual {actual}");
        let error = actual / number(row, "/published") - 1.0;
        assert!((error - number(row, "/error")).abs() < 1e-12);
        assert_eq!((&validation["n_cases"], &validation["n_used"]), (&3.into(), &0.into()));
        assert!(number(case(&validation, "repeats", "one.duration"), "/simulated") > 0.0);
        assert_eq!(validation["uncovered"][0]["reason"], "a reason of the family");
    });
}

/// A time has the interval of what answers it, a rate the same turned over, an op of a step none.
#[test]
fn intervals_are_those_of_the_answers() {
    with_facts(FACTS, |path| {
        let validation = json(&["validate", "--published", path, "--json"]);
        let run = json(&["run", "tiny-moe", "--json"]);
        let product = "probe kernel gemm --hardware h100-sxm5 --m 4096 --n 4096 --k 4096 --dtype bf16 --json";
        let product = json(&product.split(' ').collect::<Vec<_>>());
        let rate = |end: &str| 2.0 * 4096_f64.powi(3) / number(&product, end) / 1e12;
        let step = [number(&run, "/interval/0"), number(&run, "/interval/1")];
        for (id, expected) in [("one.step", step), ("one.product", [rate("/high"), rate("/low")])] {
            let row = case(&validation, "cases", id);
            for (place, expected) in ["/interval/0", "/interval/1"].into_iter().zip(expected) {
                let actual = number(row, place);
                assert!((actual / expected - 1.0).abs() < 1e-9, "{id}{place}: expected {expected}, actual {actual}");
            }
        }
        assert!(case(&validation, "cases", "one.query_up")["interval"].is_null());
        assert_eq!(validation["n_with_interval"], 2);
        let cases = validation["cases"].as_array().expect("cases");
        let is_inside = |row: &&serde_json::Value| {
            let published = number(row, "/published");
            number(row, "/interval/0") <= published && published <= number(row, "/interval/1")
        };
        let n_inside = cases.iter().filter(|row| !row["interval"].is_null()).filter(is_inside).count();
        assert_eq!(number(&validation, "/coverage"), n_inside as f64 / 2.0);
    });
}

#[test]
fn a_family_narrows_the_question() {
    with_facts(FACTS, |path| {
        let validation = json(&["validate", "--published", path, "--family", "steps", "--json"]);
        assert_eq!(validation["cases"].as_array().map(Vec::len), Some(1));
        assert_eq!(validation["families"][0]["family"], "steps");
        let (code, text) = refused(&["validate", "--published", path, "--family", "step"]);
        assert!(code == 2 && text.contains("kernels, steps"), "{text}");
    });
}

#[test]
fn predictions_that_cannot_be_formed_say_why() {
    for (right, wrong, part) in [
        ("\"query-up forward\"", "\"query-upp forward\"", "no op `query-upp forward`"),
        ("\"step_seconds\"", "\"phases.nap\"", "no number `phases.nap`"),
        ("answer = \"step_seconds\"", "answer = \"step_seconds\"\npair = \"compute\"", "exactly one"),
        ("answer = \"step_seconds\"", "anser = \"step_seconds\"", "did you mean"),
        ("ask = \"run tiny-moe\"\nanswer", "ask = \"run tiny-mo\"\nanswer", "tiny-moe"),
        ("ask = \"run tiny-moe\"\nanswer", "ask = \"plan tiny-moe\"\nanswer", "it predicts nothing"),
        ("pair = \"duration\"", "pair = \"nap\"", "`nap` is no figure of a pair"),
        ("repeats = \"one.query_up\"", "repeats = \"one.other\"", "`one.other`"),
        ("TFLOPS = 1e-12", "TFLOP = 1e-12", "unit `TFLOPS`"),
    ] {
        assert!(FACTS.contains(right), "{right}");
        with_facts(&FACTS.replacen(right, wrong, 1), |path| {
            let (code, text) = refused(&["validate", "--published", path]);
            assert!(code == 2 && text.contains(part), "{wrong}: no `{part}` in {text}");
        });
    }
}

#[test]
fn a_baseline_missed_is_exit_1_after_the_result() {
    with_facts(FACTS, |path| {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("baseline.json");
        let baseline = file.to_str().expect("a path");
        let args = ["validate", "--published", path, "--family", "steps", "--json"];
        let held = [&args[..], &["--baseline", baseline]].concat();
        let mut earlier = json(&args);
        std::fs::write(&file, earlier.to_string()).expect("written");
        assert_eq!(json(&held), earlier);
        let error = number(&earlier, "/families/0/median_absolute_error");
        earlier["families"][0]["median_absolute_error"] = (error - 0.03).into();
        std::fs::write(&file, earlier.to_string()).expect("written");
        let assert = windtunnel(&held).assert().code(1);
        let output = assert.get_output();
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("missed: "));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON"), json(&args));
    });
}

/// The facts that inputs of these predictions name as sources, by what the program says of itself elsewhere: the lines that
/// `plan` and files give. Agreement with any of them proves nothing.
#[test]
fn a_fact_that_a_prediction_rests_on_is_never_counted() {
    let families = ["nccl", "sdpa_cudnn", "deepgemm_grouped", "gemm_aic", "isca_topology_cost", "isca_latency"];
    let mut args = vec!["validate", "--json"];
    families.iter().for_each(|family| args.extend(["--family", family]));
    let validation = json(&args);
    let cases = validation["cases"].as_array().expect("cases");
    // Every value of a profile or a machine may have gone into any of these predictions.
    let mut n_used = 0;
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let command = case["commands"][0].as_str().expect("a command");
        let named = sources_of(command);
        let is_used = case["used"] == true;
        n_used += usize::from(is_used);
        assert!(is_used || !named.contains(id), "`{id}` is a source of `{command}` and counts");
        assert!(!is_used || named.contains(id), "`{id}` is no source of `{command}` and does not count");
    }
    assert!(n_used >= 8 && validation["n_used"] == n_used, "{n_used} used");
}

/// Words of the files below the hardware, profiles and fabrics that a command draws on, read as text: the estimate that a
/// profile takes from a base counts only where no file above holds it.
fn sources_of(command: &str) -> BTreeSet<String> {
    let scenarios = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let read = |file: &str| std::fs::read_to_string(scenarios.join(file)).expect("a preset");
    let mut named = BTreeSet::new();
    let mut add = |line: &str| {
        let said = line.find("source").into_iter().chain(line.find('#')).min().map_or("", |at| &line[at..]);
        let words = said.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        named.extend(words.map(|word| word.trim_matches('.').to_owned()).filter(|word| word.contains('.')));
    };
    if command.starts_with("topology") {
        let fabric = if command.contains("use.fabric=ft2") { "fabrics/ft2.toml" } else { "fabrics/mpft-8-plane.toml" };
        for file in ["hardware/h800-sxm5.toml", fabric, "clusters/h800-2048-mpft.toml"] {
            read(file).lines().filter(|line| line.contains(" = ")).for_each(&mut add);
        }
        return named;
    }
    let hardware = command.split("--hardware ").nth(1).and_then(|rest| rest.split(' ').next()).expect("hardware");
    read(&format!("hardware/{hardware}.toml")).lines().for_each(&mut add);
    let below = if hardware == "h800-sxm5" { "h800-published" } else { "h100-published" };
    let mut above = tables(&read("profiles/h200-sxm5.toml"));
    if command.contains("--profile deepgemm-feb25") {
        let laid_over = tables(&read("profiles/deepgemm-feb25.toml"));
        laid_over.iter().for_each(|(_, line)| add(line));
        above.extend(laid_over);
    }
    for (key, line) in tables(&read(&format!("profiles/{below}.toml"))) {
        let family = key.rsplit_once('.').expect("a table").0.to_owned();
        let is_above =
            above.iter().any(|(other, _)| *other == key || other.starts_with(&format!("{family}.implementation")));
        if !is_above {
            add(&line);
        }
    }
    named
}

/// Lines of values by their dotted keys.
fn tables(text: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            lines.push((format!("{table}.{key}"), line.to_owned()));
        }
    }
    lines
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

#[test]
fn a_folder_of_results_may_be_written_again_and_no_other() {
    with_facts(FACTS, |path| {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("validation");
        let out = out.to_str().expect("a path");
        let args = ["validate", "--published", path, "--family", "steps", "--out", out];
        for _ in 0..2 {
            windtunnel(&args).assert().success();
        }
        for file in ["validation.json", "validation.html", "cases.md", "parity.svg"] {
            assert!(std::path::Path::new(out).join(file).is_file(), "{file}");
        }
        std::fs::write(std::path::Path::new(out).join("thesis.tex"), "").expect("written");
        let (code, text) = refused(&args);
        assert!(code == 2 && text.contains("thesis.tex"), "{text}");
    });
}

/// A validation of nothing would be a validation that passes.
#[test]
fn files_without_a_fact_are_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("facts.toml");
    let name = path.to_str().expect("a path");
    for (text, parts) in [
        ("", &["no published fact", "hint"][..]),
        ("about = \"nothing\"\n[units]\ns = 1.0\n", &["no published fact", "hint"]),
        ("base = [\"facts.toml\"]\n", &["`base` does not belong", "facts.toml:1:1", "hint"]),
    ] {
        std::fs::write(&path, text).expect("written");
        let (code, said) = refused(&["validate", "--published", name]);
        assert_eq!(code, 2, "{text}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
    }
}

/// The steps that `run` looks among: one a job that runs a whole step, as much too long as its fact says.
#[test]
fn the_steps_that_were_checked_are_kept_with_what_they_are() {
    with_facts(FACTS, |path| {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("out");
        let validation =
            json(&["validate", "--published", path, "--json", "--out", out.to_str().expect("a path"), "--quiet"]);
        let text = std::fs::read_to_string(out.join("steps.json")).expect("steps");
        let steps: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let rows = steps["steps"].as_array().expect("steps");
        assert_eq!((rows.len(), &rows[0]["id"]), (1, &"one.step".into()));
        let error = number(case(&validation, "cases", "one.step"), "/error");
        assert!((number(&rows[0], "/step_error") - error).abs() <= 1e-4, "{error}: {text}");
        assert_eq!((&rows[0]["scenario"], &rows[0]["n_devices"]), (&"tiny-moe".into(), &64.into()));
        assert_eq!(rows[0]["device"], steps["devices"][0]["name"]);
    });
}
