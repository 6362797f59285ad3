//! `probe`.

use crate::{assert_near, json, number, refused, stdout, windtunnel};

fn schedule(name: &str, stages: &str, micro_batches: &str, costs: [&str; 4]) -> serde_json::Value {
    let [f, b, w, fb] = costs;
    json(&[
        "probe",
        "schedule",
        "--schedule",
        name,
        "--stages",
        stages,
        "--micro-batches",
        micro_batches,
        "--f",
        f,
        "--b",
        b,
        "--w",
        w,
        "--fb",
        fb,
        "--json",
    ])
}

#[test]
fn the_published_example_takes_59_and_idles_4_5() {
    let answer = schedule("dual-pipe", "8", "20", ["1", "2", "1", "2.5"]);
    assert_near("makespan", 59.0, number(&answer, "/makespan"));
    assert_near("bubble", 4.5, number(&answer, "/bubble"));
    assert_eq!(answer["idle"].as_array().map(Vec::len), Some(8));
}

/// F = B-W = W = 1 and F&B = F+B: R ranks idle as published.
#[test]
fn bubbles_are_those_of_the_closed_forms() {
    for (name, stages, expectation) in [
        ("1f1b", "8", 7.0 * 3.0),
        ("gpipe", "8", 7.0 * 3.0),
        ("zb1p", "8", 7.0),
        ("zb2p", "8", 7.0),
        ("dual-pipe", "8", 3.0 * 2.0),
        ("dual-pipe-v", "16", 7.0 * 2.0),
    ] {
        let answer = schedule(name, stages, "20", ["1", "2", "1", "3"]);
        assert_near(name, expectation, number(&answer, "/bubble"));
        assert_eq!(answer["idle"].as_array().map(Vec::len), Some(8), "{name} has 8 ranks");
        // Where steps follow each other without a barrier, the ranks of `zb2p` never wait.
        let without = if name == "zb2p" { 0.0 } else { expectation };
        assert_near(name, without, number(&answer, "/bubble_without_barrier"));
    }
}

#[test]
fn a_table_sets_the_formula_beside_the_replay() {
    let args =
        ["probe", "schedule", "--schedule", "1f1b", "--stages", "4", "--micro-batches", "8", "--f", "1", "--b", "2"];
    let text = stdout(&args);
    assert!(text.contains("expectation 9.000") && text.contains("actual      9.000"), "{text}");
}

#[test]
fn schedules_that_cannot_be_are_refused_with_the_way_out() {
    let costs = ["--micro-batches", "20", "--f", "1", "--b", "2"];
    for (schedule, stages, part) in [
        ("dual-pipe", "7", "take 6 or 8"),
        ("dual-pipe-v", "7", "even"),
        ("pipedream", "8", "`1f1b`"),
        ("1f1b", "0", "at least one"),
    ] {
        let (code, text) =
            refused(&[&["probe", "schedule", "--schedule", schedule, "--stages", stages], &costs[..]].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(part), "{text}");
    }
}

/// Balanced tokens over 2 nodes of 8: half of what a rank sends to nodes stays, so NIC bytes are tokens x ranks x size.
#[test]
fn an_all_to_all_alone_counts_what_leaves() {
    let answer = json(&["probe", "all-to-all", "tiny-moe", "--json"]);
    for kind in ["dispatch", "combine"] {
        for key in ["seconds", "scale_up_bytes", "scale_out_bytes", "algorithm_bandwidth"] {
            assert!(number(&answer, &format!("/{kind}/{key}")) > 0.0, "{kind} {key}");
        }
    }
    // BF16 back, FP8 with a scale per 128 there: 2 over 1 + 4/128.
    for key in ["scale_up_bytes", "scale_out_bytes"] {
        let ratio = number(&answer["combine"], &format!("/{key}")) / number(&answer["dispatch"], &format!("/{key}"));
        assert_near(key, 2.0 / (1.0 + 4.0 / 128.0), ratio);
    }
    let slow = json(&["probe", "all-to-all", "tiny-moe", "--set", "node.nic.rate=25 GB/s", "--json"]);
    assert!(number(&slow, "/dispatch/seconds") > number(&answer, "/dispatch/seconds"));
}

#[test]
fn a_dense_model_has_no_all_to_all() {
    let (code, text) = refused(&["probe", "all-to-all", "llama-3.1-405b-8192"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no all-to-all"), "{text}");
}

fn collective(what: &str, nodes: u32, bytes: &str) -> serde_json::Value {
    let nodes = nodes.to_string();
    json(&[
        "probe",
        "collective",
        what,
        "--nodes",
        &nodes,
        "--devices",
        "8",
        "--scale-up",
        "160 GB/s",
        "--nic",
        "40 GB/s",
        "--bytes",
        bytes,
        "--json",
    ])
}

/// The NIC binds: a rank sends its share to all ranks of other nodes through it.
#[test]
fn an_all_to_all_takes_what_the_nic_needs() {
    let bytes = 67_108_864.0;
    for nodes in [8, 32] {
        let answer = collective("all-to-all", nodes, "67108864");
        let ranks = f64::from(nodes * 8);
        let expectation = bytes * (ranks - 8.0) / ranks / 40e9;
        let actual = number(&answer, "/seconds");
        assert!((actual / expectation - 1.0).abs() < 1e-3, "expectation {expectation}, actual {actual}");
        assert_near("flows", ranks * (ranks - 1.0), number(&answer, "/n_flows"));
    }
}

#[test]
fn an_all_reduce_is_a_reduce_scatter_and_an_all_gather() {
    let seconds = |what| number(&collective(what, 4, "67108864"), "/seconds");
    let (both, whole) = (seconds("reduce-scatter") + seconds("all-gather"), seconds("all-reduce"));
    assert!((both / whole - 1.0).abs() < 1e-6, "{both} {whole}");
}

#[test]
fn a_rate_without_a_unit_is_refused_with_the_spelling() {
    let args = ["--nodes", "4", "--devices", "8", "--scale-up", "160", "--nic", "40 GB/s", "--bytes", "1"];
    let (code, text) = refused(&[&["probe", "collective", "all-to-all"], &args[..]].concat());
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("`160`") && text.contains("hint:"), "{text}");
    let (code, text) = refused(&["probe", "collective", "all-to-some"]);
    assert!(code == 2 && text.contains("all-to-all"), "{text}");
}

/// Sizes far beyond any machine: numbers, or a refusal with a way out; never a fault.
#[test]
fn a_kernel_beyond_all_sizes_is_a_time_or_a_refusal() {
    for size in [u64::MAX, 1 << 40, 1 << 32] {
        let size = size.to_string();
        let gemm = ["probe", "kernel", "gemm", "--hardware", "h100-sxm5", "--dtype", "bf16"];
        for args in [
            [&gemm[..], &["--m", &size, "--n", &size, "--k", &size]].concat(),
            [&gemm[..], &["--m", &size, "--n", "4096", "--k", "4096"]].concat(),
            ["probe", "kernel", "copy", "--hardware", "h100-sxm5", "--bytes", &size].to_vec(),
        ] {
            let output = windtunnel(&args).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {}
                Some(2) => assert!(said.contains(" s ") && said.contains("take "), "{args:?}: {said}"),
                code => panic!("{args:?}: {code:?}: {said}"),
            }
        }
    }
    let (code, said) = refused(&["probe", "model", "deepseek-v3", "--sequence", "0"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`--sequence 0`"), "{said}");
}
