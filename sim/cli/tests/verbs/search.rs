//! `search`, `solve`, `diff`, `study compare`, `list` and `show`.

use std::fs;

use serde_json::Value;

use crate::{json, number, stdout};

const GRID: [&str; 7] =
    ["search", "tiny-moe", "--over", "parallel.pp=1,2,4", "--over", "policy.recompute.full=false,true", "--only"];

/// What is said of a mistake on the command line.
fn refused(args: &[&str]) -> String {
    let (code, text) = crate::refused(args);
    assert_eq!(code, 2, "{text}");
    text
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&GRID[..], more].concat()
}

#[test]
fn what_is_ranked_runs_to_the_same_number_and_what_is_not_has_a_reason() {
    let found = json(&with(&["--json", "--top", "2"]));
    let points = found["points"].as_array().expect("points");
    assert_eq!(points.len(), 2);
    for point in points {
        let patch = point["patch"].as_object().expect("a patch");
        let sets: Vec<String> =
            patch.iter().flat_map(|(key, value)| ["--set".into(), format!("{key}={value}")]).collect();
        let args: Vec<&str> =
            ["run", "tiny-moe", "--json"].into_iter().chain(sets.iter().map(String::as_str)).collect();
        assert_eq!(number(&json(&args), "/step_seconds"), number(point, "/objective"));
        assert!(number(point, "/memory_bytes_max") > 0.0 && point["binding"].is_string());
    }
    let rejected = found["rejected"].as_array().expect("rejected");
    assert!(rejected.iter().all(|row| row["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    let ran = number(&found, "/n_simulated") as usize;
    assert!(rejected.len() + points.len() <= number(&found, "/n_candidates") as usize + ran);
}

#[test]
fn the_best_is_written_as_a_scenario_that_runs_to_the_same_step() {
    let root = tempfile::tempdir().expect("a folder");
    let file = root.path().join("best.toml").display().to_string();
    let found = json(&with(&["--json", "--write", &file]));
    assert_eq!(number(&json(&["run", &file, "--json"]), "/step_seconds"), number(&found["points"][0], "/objective"));
    assert!(refused(&with(&["--write", &file])).contains("name a new one"));
}

#[test]
fn limits_reject_and_mistakes_have_a_way_out() {
    let none = json(&with(&["--json", "--meet", "step_seconds<=1 ns"]));
    assert!(none["points"].as_array().is_some_and(Vec::is_empty));
    assert!(none["rejected"].as_array().expect("rows").iter().any(|row| row["by"] == "limit"));
    for (args, word) in [
        (vec!["--meet", "step_seconds"], "it is no limit"),
        (vec!["--over", "parallel.tp"], "it has no `=`"),
        (vec!["--objective", "speed"], "serving.tpot.p99"),
    ] {
        let text = refused(&with(&args));
        assert!(text.contains(word) && text.contains("hint"), "{args:?}: {text}");
    }
    let unknown = json(&["search", "tiny-moe", "--json", "--only", "--over", "parallel.tpp=2"]);
    assert_eq!(unknown["rejected"][0]["by"], "plan");
}

#[test]
fn answers_stand_side_by_side() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = |name: &str| root.path().join(name).display().to_string();
    let study = |name: &str, base: &str| {
        let file = root.path().join(format!("{name}.toml"));
        let proposal = "about = \"quicker memory\"\nsource = \"a wish\"\nassumes = \"nothing\"\npatch.gpu.memory.rate-per-stack = \"1.2 TB/s\"\n\
                        hand-calculation = { text = \"less\", low = -0.9, high = 0.0 }\n";
        let text = format!(
            "base = \"{base}\"\ndraws = 0\nproposals = [\"quick-memory\"]\n[proposal.quick-memory]\n{proposal}"
        );
        fs::write(&file, text).expect("a study");
        stdout(&["study", &file.display().to_string(), "--out", &folder(name)])
    };
    study("training", "tiny-moe");
    study("serving", "llama-3.1-8b-1xh200");
    let compared = json(&["study", "compare", &folder("training"), &folder("serving"), "--json"]);
    let outcomes = compared["proposals"][0]["outcomes"].as_array().expect("outcomes").clone();
    assert!(outcomes.iter().all(|outcome| number(outcome, "/ran/share") < 0.0), "{outcomes:?}");
    assert_eq!(compared["studies"][1]["objective"], "serving.gpu_seconds_per_token");
    let markdown = stdout(&["study", "compare", &folder("training"), &folder("serving"), "--markdown"]);
    assert!(markdown.contains("| quick-memory |"), "{markdown}");
    assert!(refused(&["study", "compare", &folder("nowhere")]).contains("--out"));
}

#[test]
fn every_preset_is_listed_and_shown_and_a_name_of_another_kind_names_its_verb() {
    let all = json(&["list", "--json"]);
    let rows = all.as_array().expect("rows");
    assert!(rows.iter().any(|row| row["name"] == "h800-2048-mpft" && row["about"].is_string()));
    let hardware = json(&["list", "hardware", "--json"]);
    assert!(hardware.as_array().expect("rows").iter().all(|row: &Value| row["figures"]["gpu.sms"].is_string()));
    assert!(stdout(&["ls", "models"]).contains("deepseek-v3"));
    assert!(stdout(&["show", "deepseek-v3-2048"]).contains("[use]"));
    assert!(refused(&["show", "h200-sxm5"]).contains("--kind profiles"));
    assert!(refused(&["show", "nothing"]).contains("windtunnel list"));
    for (verb, name, way) in [
        ("run", "wish-list", "windtunnel study wish-list"),
        ("run", "deepseek-v3", "windtunnel probe model deepseek-v3"),
        ("study", "deepseek-v3-2048", "windtunnel run deepseek-v3-2048"),
    ] {
        assert!(refused(&[verb, name]).contains(way), "{verb} {name}");
    }
}

#[test]
fn a_value_that_is_found_gives_the_goal_and_one_that_is_not_is_an_answer() {
    let solve = |args: &[&str]| json(&[&["solve"], args, &["--json"]].concat());
    let base = number(&json(&["run", "tiny-moe", "--json"]), "/step_seconds");
    let target = base * 0.98;
    let found = solve(&["gpu.memory.rate-per-stack", "tiny-moe", "--for", &target.to_string()]);
    assert_eq!(found["reached"], true);
    let set = format!("gpu.memory.rate-per-stack={}", found["value"].as_str().expect("a rate"));
    let step = number(&json(&["run", "tiny-moe", "--json", "--set", &set]), "/step_seconds");
    assert_eq!(step, number(&found, "/objective"));
    assert!(step <= target && step > target * 0.999, "{step} for {target}");
    let never = solve(&["gpu.memory.rate-per-stack", "tiny-moe", "--for", "1 ns"]);
    assert!(never["reached"] == false && number(&never, "/objective") < base);
    let knee = solve(&["node.nic.rate", "deepseek-v3-decode-144", "--stops-binding"]);
    assert!(knee["reached"] == true && number(&knee, "/objective") <= number(&knee, "/target"));
    for (args, word) in [
        (["solve", "gpu.smz", "tiny-moe", "--for=1 s"], "windtunnel plan"),
        (["solve", "gpu.cast", "tiny-moe", "--for=1 s"], "no number above zero"),
        (["solve", "gpu.sms", "tiny-moe", "--for=soon"], "a time"),
    ] {
        let text = refused(&args);
        assert!(text.contains(word) && text.contains("hint"), "{text}");
    }
}

#[test]
fn two_jobs_differ_in_what_was_changed_and_in_what_follows() {
    let found = json(&["diff", "tiny-moe", "--set", "gpu.sms=144", "--json"]);
    let keys = found["keys"].as_array().expect("keys");
    assert!(keys.iter().any(|row| row["key"] == "gpu.sms" && row["values"][1] == "144"));
    let step = found["numbers"].as_array().expect("numbers").iter().find(|row| row["name"] == "step_seconds");
    let step = step.expect("the step differs");
    assert_eq!(number(step, "/values/0"), number(&json(&["run", "tiny-moe", "--json"]), "/step_seconds"));
    let same = json(&["diff", "tiny-moe", "tiny-moe", "--json"]);
    assert!(
        same["keys"].as_array().is_some_and(Vec::is_empty) && same["numbers"].as_array().is_some_and(Vec::is_empty)
    );
    assert!(stdout(&["diff", "tiny-moe", "llama-3.1-8b-1xh200"]).contains("different kinds"));
    assert!(refused(&["diff", "tiny-moe"]).contains("--set"));
}
