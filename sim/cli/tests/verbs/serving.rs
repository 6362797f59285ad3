//! `run`, `check` and `probe iteration` of services.

use std::fs;

use crate::{assert_near, json, number, refused, stdout};

const SMALL: &str = "llama-3.1-8b-1xh200";

#[test]
fn presets_of_every_phase_have_their_figures() {
    for name in ["deepseek-r1-8xh200", "deepseek-v3-prefill-32", "deepseek-v3-decode-144", "sglang-96xh100-apart"] {
        let summary = json(&["run", name, "--json"]);
        let serving = &summary["serving"];
        let of = |key: &str| number(serving, &format!("/{key}"));
        for time in ["ttft", "e2e"] {
            let [p50, p90, p99] = ["p50", "p90", "p99"].map(|share| of(&format!("{time}/{share}")));
            assert!(0.0 < p50 && p50 <= p90 && p90 <= p99, "{name}: {time}");
        }
        assert_eq!(serving["tpot"].is_null(), name.contains("prefill"), "{name}");
        assert!(of("input_tokens_per_second_per_gpu") > 0.0 && of("kv_tokens_max") > 0.0 && of("admitted_max") > 0.0);
        assert_near(name, of("output_tokens_per_second"), of("output_tokens_per_second_per_gpu") * of("gpus"));
        assert!(of("transfer") > 0.0 || !name.contains("apart"), "{name}");
    }
}

#[test]
fn a_folder_has_a_line_per_request_and_its_times_give_the_summary() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path();
    let out = folder.join("out").display().to_string();
    stdout(&["run", SMALL, "--out", &out]);
    let text = fs::read_to_string(folder.join("out/requests.csv")).expect("requests");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("arrival,input,output,first_token,end"));
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|field| field.parse().expect("a number")).collect()).collect();
    let tpot: f64 = rows.iter().map(|row| (row[4] - row[3]) / (row[2] - 1.0)).sum::<f64>() / rows.len() as f64;
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("out/summary.json")).expect("a summary")).expect("JSON");
    assert_eq!(rows.len() as f64, number(&summary, "/serving/requests"));
    assert!((number(&summary, "/serving/tpot/mean") / tpot - 1.0).abs() < 1e-6);
    // The plan that was kept is the same service again.
    let plan = folder.join("out/plan.toml").display().to_string();
    assert_eq!(json(&["run", &plan, "--json"])["digest"], summary["digest"]);
}

#[test]
fn a_trace_comes_as_it_is_and_its_mistakes_have_a_line() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path();
    let file = folder.join("trace.jsonl");
    fs::write(
        &file,
        "{\"arrival\": 5, \"input\": 100, \"output\": 3}\n{\"arrival\": 7.5, \"input\": 50, \"output\": 1}\n",
    )
    .expect("a file");
    let set = format!("requests.trace={}", file.display());
    let summary = json(&["run", SMALL, "--json", "--set", &set]);
    assert_eq!(number(&summary, "/serving/requests"), 2.0);
    fs::write(&file, "{\"arrival\": 5, \"input\": 100, \"output\": 3}\n{\"arrival\": 7.5, \"inp").expect("a file");
    let (code, text) = refused(&["run", SMALL, "--set", &set]);
    assert!(code == 2 && text.contains("line 2") && text.contains("cut off"), "{text}");
}

#[test]
fn an_iteration_is_the_sum_of_its_parts_and_grows_with_what_it_is_asked() {
    let decode = |batch: &str, context: &str| {
        json(&["probe", "iteration", SMALL, "--phase", "decode", "--batch", batch, "--context", context, "--json"])
    };
    let reply = decode("8", "1000");
    let parts = reply["parts"].as_array().expect("parts").iter();
    assert_near("parts", number(&reply, "/seconds"), parts.map(|part| number(part, "/seconds")).sum());
    let [low, seconds, high] = ["/low", "/seconds", "/high"].map(|key| number(&reply, key));
    assert!(low < seconds && seconds < high && reply["binding"].is_string());
    for (batch, context) in [("16", "1000"), ("8", "20000")] {
        assert!(number(&decode(batch, context), "/seconds") > seconds, "{batch} {context}");
    }
    let (code, text) = refused(&["probe", "iteration", SMALL, "--phase", "decode", "--batch", "0"]);
    assert!(code == 2 && text.contains("batch"), "{text}");
    let (code, text) = refused(&["probe", "iteration", "tiny-moe", "--phase", "decode"]);
    assert!(code == 3 && text.contains("no service"), "{text}");
}

#[test]
fn a_service_is_studied_by_the_time_of_its_devices_and_by_any_latency() {
    let base = json(&["run", SMALL, "--json"]);
    for objective in ["serving.gpu_seconds_per_token", "serving.tpot.p50", "serving.usd_per_million_tokens"] {
        let found = json(&["sensitivity", SMALL, "--json", "--objective", objective]);
        let value = number(&base, &format!("/{}", objective.replace('.', "/")));
        assert_eq!(found[objective].as_f64(), Some(value));
        let knobs = found["knobs"].as_array().expect("knobs");
        let memory = knobs.iter().find(|knob| knob["key"] == "gpu.memory.rate-per-stack").expect("the memory's rate");
        assert!(number(memory, "/elasticity") < -0.3, "{objective}: {memory}");
    }
    let (output, gpus) = (number(&base, "/serving/output_tokens_per_second"), number(&base, "/serving/gpus"));
    assert_near("GPU time", gpus / output, number(&base, "/serving/gpu_seconds_per_token"));
}

#[test]
fn what_does_not_fit_or_never_comes_is_refused_with_the_way_out() {
    for (sets, part) in [
        (vec!["serve.tp=3"], "serve.tp"),
        (vec!["serve.ep=8"], "serve.ep"),
        (vec!["requests.arrivals=none"], "probe iteration"),
        (vec!["serve.units=9"], "serve.units"),
        (vec!["requests.output=9000000"], "serve.kv"),
        (vec!["serve.memory-share=0.05"], "serve.memory-share"),
        (vec!["serve.drafts.acceptance=[0.5]"], "mtp-modules"),
    ] {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["run", SMALL].into_iter().chain(sets).collect();
        let (_, text) = refused(&args);
        assert!(text.contains(part), "{args:?}: {text}");
    }
}
