//! What a result rests on, and what it says of that.

use serde_json::Value;

use crate::{json, number, stdout};

fn notes(answer: &Value) -> Vec<&str> {
    answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn noted<'a>(answer: &'a Value, part: &str) -> Option<&'a str> {
    notes(answer).into_iter().find(|note| note.contains(part))
}

#[test]
fn another_machine_is_named_by_what_is_other() {
    let job = ["run", "llama-3.1-8b-8", "--json", "--set", "use.hardware=h200-sxm5", "--set", "use.profiles=h200-sxm5"];
    let base = json(&job);
    assert!(number(&base["basis_shares"], "/measured") > 0.5);
    assert_eq!(noted(&base, "extrapolated"), None);
    let patch = ["--set", "gpu.sms=78", "--set", "gpu.price=1 USD"];
    let fewer = json(&[&job[..], &patch].concat());
    assert_eq!(fewer["basis_shares"].get("measured"), None);
    let note = noted(&fewer, "extrapolated").expect("a note");
    assert!(note.starts_with("extrapolated: ") && note.ends_with(": `gpu.sms` 132 -> 78"), "{note}");
}

#[test]
fn a_kernel_and_a_collective_say_why_they_are_extrapolated() {
    let gemm = ["gemm", "--m", "4096", "--n", "4096", "--k", "4096", "--dtype", "bf16"];
    let of = |question: &[&str], sets: &[&str]| {
        json(&[&["probe"][..], question, &["--hardware", "h200-sxm5", "--json"], sets].concat())
    };
    let kernel = [&["kernel"][..], &gemm].concat();
    let base = of(&kernel, &[]);
    assert_eq!((base["basis"].as_str(), base.get("notes")), (Some("measured"), None));
    let faster = of(&kernel, &["--set", "gpu.clock=2 GHz"]);
    assert_eq!(faster["basis"], "extrapolated");
    assert!(noted(&faster, "`gpu.clock` 1.83 GHz -> 2 GHz").is_some(), "{faster}");
    // How it carries to another clock is one more doubt.
    let width = |exponent: &str| {
        let set = format!("profile.elsewhere.exponent.value={exponent}");
        let answer = of(&kernel, &["--set", "gpu.clock=900 MHz", "--set", &set]);
        number(&answer, "/high") / number(&answer, "/low")
    };
    assert!(width("0.0") < width("0.15") && width("0.15") < width("0.6"));
    // A kernel does not leave the device; a collective does.
    let network = ["--set", "node.nic.rate=800 Gbit/s"];
    assert_eq!(of(&kernel, &network), base);
    let collective = ["collective", "all-reduce", "--ranks", "2", "--bytes", "1048576"];
    assert_eq!(of(&collective, &network)["basis"], "extrapolated");
    let text = stdout(&[&["probe"][..], &kernel, &["--hardware", "h200-sxm5"], &["--set", "gpu.sms=120"]].concat());
    assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("`gpu.sms` 132 -> 120")), "{text}");
}

#[test]
fn an_interval_holds_its_answer() {
    for question in [
        &["kernel", "gemm", "--m", "64", "--n", "4096", "--k", "4096", "--dtype", "fp8-block"][..],
        &["kernel", "copy", "--bytes", "1000000"],
        &["collective", "all-gather", "--ranks", "8", "--bytes", "1000000"],
        &["collective", "all-gather", "--ranks", "8", "--bytes", "1000000000"],
    ] {
        let answer = json(&[&["probe"][..], question, &["--hardware", "h100-sxm5", "--json"]].concat());
        let [low, seconds, high] = ["/low", "/seconds", "/high"].map(|key| number(&answer, key));
        assert!(low <= seconds && seconds <= high, "{question:?}: {answer}");
    }
}

/// MFU is over the BF16 peak, so a run in FP8 may be above it: it then says over which peak it is not.
#[test]
fn an_mfu_above_one_has_its_reason() {
    for (scenario, rate) in [("llama-3.1-8b-8", "512"), ("llama-3.1-8b-8", "4096"), ("tiny-moe", "1")] {
        let set = format!("gpu.tensor.bf16.flops-per-sm-clock={rate}");
        let summary = json(&["run", scenario, "--json", "--set", &set]);
        let above = number(&summary["mfu"], "/non_causal") > 1.0;
        let note = noted(&summary, "MFU above 100 %");
        assert_eq!(note.is_some(), above, "{scenario} {rate}: {summary}");
        if let Some(note) = note {
            assert!(note.contains("over the BF16 peak of") && note.contains("FP8 products reach a peak of"), "{note}");
        }
    }
}
