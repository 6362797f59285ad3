//! `replay`: jobs that other tools wrote.

use std::fs;
use std::path::Path;

use workloads::import::chakra::wire::{self, Attribute, Value, WireNode};

use crate::{assert_near, json, number, refused, stdout};

const LAYOUT: &str = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 8 ep: 1 pp: 1 vpp: 1 ga: 1 all_gpus: 64 \
                      checkpoints: 0 checkpoint_initiates: 0";
const MACHINE: [&str; 4] = ["--cluster", "h800-64-mpft", "--profile", "h800-published"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A file of rank `rank` that computes for `micros` and then reduces with kind `comm_type`.
fn trace(folder: &Path, rank: u32, micros: u64, comm_type: i64) -> String {
    let attribute = |name: &str, value| Attribute { name: name.to_owned(), value: Some(value) };
    let compute =
        WireNode { id: 1, name: "product".to_owned(), kind: 4, duration_micros: micros, ..WireNode::default() };
    let attr = vec![attribute("comm_type", Value::Int64(comm_type)), attribute("comm_size", Value::Uint64(1 << 20))];
    let reduce =
        WireNode { id: 2, name: "reduce".to_owned(), kind: 7, data_deps: vec![1], attr, ..WireNode::default() };
    let path = folder.join(format!("job.{rank}.et"));
    fs::write(&path, wire::write(&[compute, reduce])).expect("written");
    text(&path).to_owned()
}

#[test]
fn a_chakra_trace_runs_on_a_cluster() {
    let root = tempfile::tempdir().expect("a folder");
    let files = [trace(root.path(), 0, 1000, 0), trace(root.path(), 1, 3000, 0)];
    let args = [&["replay", &files[0], &files[1], "--json"][..], &MACHINE].concat();
    let value = json(&args);
    assert_eq!(value["format"], "chakra");
    let makespan = number(&value, "/makespan_seconds");
    let early = number(&value, "/ranks/0/exposed_seconds");
    assert!((early - number(&value, "/ranks/1/exposed_seconds") - 2e-3).abs() < 1e-12, "{value:#}");
    assert!((makespan - 1e-3 - early).abs() < 1e-12, "{value:#}");
    assert_eq!(stdout(&args), stdout(&args));
    let lockstep = json(&[&["replay", &files[1], "--json", "--ranks", "2"][..], &MACHINE].concat());
    assert!((number(&lockstep, "/makespan_seconds") - makespan).abs() < 1e-12, "{lockstep:#}");
    let shown = stdout(&[&args[..3], &MACHINE].concat());
    assert!(shown.contains("2 of 2 ranks simulated on h800-64-mpft"), "{shown}");
}

#[test]
fn a_simai_workload_runs_on_a_cluster() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("w.txt");
    let row = "a -1 1000000 ALLGATHER 16777216 2000000 NONE 0 3000000 ALLREDUCE 16777216 100";
    fs::write(&path, format!("{LAYOUT}\n1\n{row}\n")).expect("written");
    let value = json(&[&["replay", text(&path), "--json"][..], &MACHINE].concat());
    assert_eq!((value["format"].as_str(), value["n_ranks"].as_u64()), (Some("simai"), Some(64)));
    assert!((number(&value, "/ranks/0/device_seconds") - 6.0001e-3).abs() < 1e-12, "{value:#}");
    let quicker = [&["replay", text(&path), "--json", "--set", "gpu.scale-up.links=18"][..], &MACHINE].concat();
    assert!(number(&json(&quicker), "/makespan_seconds") < number(&value, "/makespan_seconds"));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let root = tempfile::tempdir().expect("a folder");
    let file = trace(root.path(), 0, 1, 4);
    let (code, message) = refused(&[&["replay", &file][..], &MACHINE].concat());
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("job.0.et: node 2 `reduce`: the collective `SCATTER` is not modeled"), "{message}");
    let path = root.path().join("w.txt");
    fs::write(&path, format!("{}\n0\n", LAYOUT.replace("pp: 1 ", "pp: 4 "))).expect("written");
    let (code, message) = refused(&[&["replay", text(&path)][..], &MACHINE].concat());
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("`pp: 4`") && message.contains("--one-pipeline-rank"), "{message}");
    let (code, message) = refused(&[&["replay", "/nowhere/a.0.et"][..], &MACHINE].concat());
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("`/nowhere/a.0.et` cannot be read"), "{message}");
    let (code, message) =
        refused(&["replay", &trace(root.path(), 0, 1, 0), "--ranks", "2", "--cluster", "h800-64-mtfp"]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("h800-64-mpft"), "{message}");
}

/// The last of two groups of one name would count, and nobody would know.
#[test]
fn a_group_that_stands_twice_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let files = [trace(root.path(), 0, 1000, 0), trace(root.path(), 1, 3000, 0)];
    let groups = root.path().join("groups.json");
    fs::write(&groups, r#"{"a": [0, 1], "a": [1, 0]}"#).expect("written");
    let (code, said) = refused(&[&["replay", &files[0], &files[1], "--groups", text(&groups)][..], &MACHINE].concat());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`a` stands there twice") && said.contains("hint"), "{said}");
}

/// What a patch changes is read somewhere: money is of a job that runs, and no question on one collective has any.
#[test]
fn money_is_counted_where_it_is_asked_for_and_refused_elsewhere() {
    let root = tempfile::tempdir().expect("a folder");
    let file = trace(root.path(), 0, 1000, 0);
    let job = |sets: &[&str]| json(&[&["replay", &file, "--ranks", "2", "--json"][..], &MACHINE, sets].concat());
    let plain = job(&[]);
    // 64 devices at 2 USD per hour, whether the two ranks use them or not.
    let hours = number(&plain, "/makespan_seconds") / 3600.0;
    assert_near("rented", 64.0 * 2.0 * hours, number(&plain, "/cost/rental_usd"));
    let energy = number(&plain, "/energy/power_watts") * number(&plain, "/energy/pue") * hours;
    assert_near("energy", energy / 1e6, number(&plain, "/energy/mwh"));
    for (set, key) in [
        ("cost.rental=4 USD/h", "/cost/rental_usd"),
        ("cost.electricity=1 USD/kWh", "/cost/electricity_usd"),
        ("cost.lifetime=100 d", "/cost/owned_usd"),
        ("cost.pue=2", "/energy/mwh"),
    ] {
        let dearer = job(&["--set", set]);
        assert!(number(&dearer, key) > number(&plain, key), "{set} moves {key}");
        assert_ne!(dearer["digest"], plain["digest"], "{set}");
    }
    let collective = ["probe", "collective", "all-reduce", "--cluster", "h800-64-mpft", "--ranks", "16"];
    let (code, said) = refused(&[&collective[..], &["--bytes", "1000", "--set", "cost.rental=4 USD/h"]].concat());
    assert!(code == 2 && said.contains("cost.rental"), "{said}");
}

#[test]
fn the_screen_has_what_the_time_rests_on() {
    let root = tempfile::tempdir().expect("a folder");
    let file = trace(root.path(), 0, 1000, 0);
    let shown = stdout(&[&["replay", &file, "--ranks", "2"][..], &MACHINE].concat());
    assert!(shown.contains("of the time rests on durations in the trace"), "{shown}");
}
