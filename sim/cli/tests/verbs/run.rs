//! `check`, `plan` and `run`.

use serde_json::Value;

use crate::{assert_near, json, number, stdout, windtunnel};

const PHASES: [&str; 6] = ["forward", "bubble", "backward", "weight_gradient", "overlapped", "optimizer"];

fn sum_of_phases(phases: &Value) -> f64 {
    PHASES.iter().map(|phase| number(phases, &format!("/{phase}"))).sum()
}

/// Every key of objects, at any depth.
fn keys(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, field)| std::iter::once(key.as_str()).chain(keys(field))).collect()
        }
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn keys_and_what_names_one_are_snake_case_and_the_screen_has_words() {
    let summary = json(&["run", "tiny-moe", "--json"]);
    let is_snake = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let rows = |list: &str, key: &str| -> Vec<String> {
        let rows = summary[list].as_array().expect("rows").iter();
        rows.map(|row| row[key].as_str().expect("a word").to_owned()).collect()
    };
    let mut names: Vec<String> = keys(&summary).into_iter().map(str::to_owned).collect();
    names.push(summary["binding"].as_str().expect("a word").to_owned());
    names.extend(rows("links", "kind").into_iter().chain(rows("ops", "binding")));
    let odd: Vec<&String> = names.iter().filter(|name| !is_snake(name)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let binding = summary["binding"].as_str().expect("a word");
    assert!(summary["binding_shares"].get(binding).is_some(), "{binding}");
    let screen = stdout(&["run", "tiny-moe"]);
    assert!(screen.contains("scale-out send") && screen.contains("kernel latency"), "{screen}");
    assert!(!screen.contains("scale_out") && !screen.contains("kernel_latency"), "{screen}");
}

fn sum_of(shares: &Value) -> f64 {
    shares.as_object().expect("shares").values().filter_map(Value::as_f64).sum()
}

#[test]
fn json_has_the_keys_others_rely_on() {
    let summary = json(&["run", "tiny-moe", "--json"]);
    for key in [
        "step_seconds",
        "phases",
        "phases_by_rank",
        "tokens_per_day",
        "tflops_per_gpu",
        "mfu",
        "gpu_hours_per_trillion_tokens",
        "exposed_communication_seconds",
        "memory_bytes_max",
        "basis",
        "binding",
        "binding_shares",
        "basis_shares",
        "n_ranks",
        "n_tasks",
    ] {
        assert!(summary.get(key).is_some(), "`{key}` is missing");
    }
    for key in ["basis", "binding"] {
        assert!(summary[key].is_string(), "{key}");
    }
    assert!(summary["n_tasks"].is_u64());
    assert_eq!(summary["schema_version"], 1);
    assert!(stdout(&["run", "tiny-moe", "--json"]).starts_with("{\n  \"schema_version\": 1,\n"));
    assert_eq!(summary["n_ranks"], 64);
    assert_eq!(summary["phases_by_rank"].as_array().map(Vec::len), Some(4));
    for key in ["tflops_per_gpu", "mfu"] {
        let (causal, non_causal) = (number(&summary[key], "/causal"), number(&summary[key], "/non_causal"));
        assert!(0.0 < causal && causal < non_causal, "{key}: {causal} {non_causal}");
    }
}

#[test]
fn phases_add_up_to_the_step_and_shares_to_one() {
    // A dense model has collectives on its compute stream instead of all-to-alls.
    // Spread weights and gathered tokens have them beside it.
    let two = ["policy.devices-per-node=2", "job.global-batch=8", "parallel.sharding=zero-3"];
    for (scenario, sets) in [
        ("tiny-moe", &[][..]),
        ("tiny-moe", &["policy.dispatcher=nccl-all-gather"][..]),
        ("llama-3.1-405b-8192", &[]),
        ("decoder-350m-h200", &two),
    ] {
        let sets = sets.iter().chain(&["gpu.memory.capacity-per-stack=64 GiB"]).flat_map(|set| ["--set", *set]);
        let asked: Vec<&str> = ["run", scenario, "--json"].into_iter().chain(sets).collect();
        let summary = json(&asked);
        let step = number(&summary, "/step_seconds");
        assert_near("mean", step, sum_of_phases(&summary["phases"]));
        for rank in summary["phases_by_rank"].as_array().expect("ranks") {
            assert_near("rank", step, sum_of_phases(rank));
            assert!(number(rank, "/bubble") >= 0.0, "{rank}");
        }
        assert_near("binding", 1.0, sum_of(&summary["binding_shares"]));
        assert_near("basis", 1.0, sum_of(&summary["basis_shares"]));
    }
}

#[test]
fn rates_follow_from_the_step() {
    let summary = json(&["run", "tiny-moe", "--json"]);
    let step = number(&summary, "/step_seconds");
    let tokens = 4096.0 * 160.0;
    assert_near("tokens a day", tokens * 86_400.0 / step, number(&summary, "/tokens_per_day"));
    let gpu_hours = 64.0 * step / 3600.0 * 1e12 / tokens;
    assert_near("GPU-hours", gpu_hours, number(&summary, "/gpu_hours_per_trillion_tokens"));
}

#[test]
fn all_to_alls_are_ops_and_their_times_are_the_totals() {
    for folding in ["auto", "none"] {
        let folding = format!("policy.folding={folding}");
        let args = ["run", "tiny-moe", "--set", "traffic.router=skewed", "--set", &folding, "--json"];
        let summary = json(&args);
        let ops = summary["ops"].as_array().expect("ops");
        let of = |name: &str| ops.iter().find(|row| row["op"] == name).expect("a row");
        assert_eq!(of("dispatch")["count"], of("combine")["count"]);
        let both = number(of("dispatch"), "/seconds") + number(of("combine"), "/seconds");
        assert_near("transferred", number(&summary, "/all_to_all_transferred_seconds"), both);
        assert!(number(&summary, "/all_to_all_waited_seconds") > 0.0, "{folding}");
    }
}

#[test]
fn within_one_node_all_to_alls_are_bound_by_the_scale_up_fabric() {
    let binding = |set: &str| {
        let summary = json(&["run", "tiny-moe", "--set", set, "--json"]);
        let ops = summary["ops"].as_array().expect("ops").clone();
        ops.into_iter().find(|row| row["op"] == "dispatch").expect("a row")["binding"].clone()
    };
    assert_eq!(binding("parallel.ep=8"), "scale_up");
    assert_eq!(binding("node.nic.rate=10 GB/s"), "scale_out");
}

#[test]
fn quotes_around_a_value_are_optional() {
    let digest = |set: &str| json(&["check", "tiny-moe", "--set", set, "--json"])["digest"].clone();
    assert_eq!(digest("parallel.dp=auto"), digest("parallel.dp=\"auto\""));
}

#[test]
fn only_the_job_itself_stands_beside_what_was_published() {
    let is_beside = |args: &[&str]| stdout(args).contains("nothing fitted to it");
    assert!(is_beside(&["run", "deepseek-v3-2048"]));
    assert!(!is_beside(&["run", "deepseek-v3-2048", "--set", "gpu.sms=144"]));
    assert!(!is_beside(&["run", "tiny-moe"]));
}

#[test]
fn two_runs_print_the_same_bytes() {
    for folding in ["policy.folding=auto", "policy.folding=none"] {
        let args = ["run", "tiny-moe", "--set", folding, "--set", "traffic.router=skewed", "--json"];
        assert_eq!(stdout(&args), stdout(&args), "{folding}");
    }
}

#[test]
fn a_run_of_every_rank_says_what_folding_would_change() {
    let text = |router: &str| {
        let router = format!("traffic.router={router}");
        stdout(&["run", "tiny-moe", "--set", "policy.folding=none", "--set", &router]).replace("\n    ", " ")
    };
    assert!(text("balanced").contains("the step is the same, to the picosecond"));
    assert!(text("skewed").contains("folded to one rank per stage"));
}

#[test]
fn a_line_of_hardware_moves_the_step() {
    let step = |set: &str| number(&json(&["run", "tiny-moe", "--set", set, "--json"]), "/step_seconds");
    assert!(step("gpu.sms=144") < step("gpu.sms=132"));
    assert!(step("node.nic.rate=25 GB/s") > step("node.nic.rate=50 GB/s"));
}

#[test]
fn a_screen_says_the_answer_first() {
    let text = stdout(&["run", "tiny-moe"]);
    assert!(text.lines().nth(1).is_some_and(|line| line.contains("per step")), "{text}");
    assert!(!text.contains('\u{1b}'), "colors are for terminals");
}

#[test]
fn check_says_ok_and_the_digest_of_the_run() {
    let digest = json(&["run", "tiny-moe", "--json"])["digest"].as_str().expect("a digest").to_owned();
    let text = stdout(&["check", "tiny-moe"]);
    assert!(text.starts_with("ok: tiny-moe") && text.contains(&digest), "{text}");
    assert_eq!(json(&["check", "tiny-moe", "--json"])["digest"], digest.as_str());
}

#[test]
fn a_printed_plan_is_a_scenario_of_the_same_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, stdout(&["plan", "tiny-moe", "--set", "gpu.sms=120"])).expect("written");
    let path = path.to_str().expect("a path");
    let direct = json(&["check", "tiny-moe", "--set", "gpu.sms=120", "--json"]);
    assert_eq!(json(&["check", path, "--json"])["digest"], direct["digest"]);
}

#[test]
fn nothing_is_written_without_out() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["run", "tiny-moe"][..], &["plan", "tiny-moe"], &["topology", "h800-64-mpft"]] {
        windtunnel(args).current_dir(folder.path()).assert().success();
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// As `windtunnel plan | head -1`, where the reader goes away early.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let program = assert_cmd::cargo::cargo_bin!("windtunnel");
    let mut child = std::process::Command::new(program)
        .args(["plan", "tiny-moe"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}

#[test]
fn what_hides_beside_chunks_is_said_to_cost_them_nothing() {
    let notes = |set: &str| json(&["run", "tiny-moe", "--set", set, "--json"])["notes"].to_string();
    assert!(notes("policy.data-parallel=hidden").contains("takes no port"));
    assert!(!notes("policy.data-parallel=waited").contains("takes no port"));
}

#[test]
fn a_stream_that_experts_alone_use_is_told_where_there_are_none() {
    let set = "framework.streams.weight-gradients=alternating";
    let notes = |job: &str| json(&["run", job, "--set", set, "--json"])["notes"].to_string();
    assert!(notes("llama-3.1-8b-8").contains("alternating"));
    assert!(!notes("tiny-moe").contains("alternating"));
}

/// A published case names itself, a patched one says in what it differs; both on the screen and as numbers.
#[test]
fn a_run_names_the_published_steps_that_it_resembles() {
    let set = "gpu.sms=140";
    for (sets, is_published) in [(&[][..], true), (&["--set", set], false)] {
        let args = [&["run", "decoder-124m-h200"][..], sets].concat();
        let (screen, numbers) = (stdout(&args), json(&[&args[..], &["--json"]].concat()));
        let nearest = &numbers["nearest"];
        assert_eq!(
            (&nearest["is_published"], nearest["steps"].as_array().map(Vec::len)),
            (&is_published.into(), Some(3))
        );
        let (first, id) = (number(nearest, "/steps/0/distance"), nearest["steps"][0]["id"].as_str().expect("an id"));
        assert_eq!((first == 0.0, nearest["differs"].to_string().contains("gpu.sms")), (is_published, !is_published));
        let line = screen.lines().find(|line| line.starts_with("nearest ")).expect("a line");
        assert!(line.contains(&format!("`{id}`")), "{line}");
        assert_eq!(line.contains("this case itself was published"), is_published, "{line}");
    }
}

/// The README's one-line changes, digit by digit.
#[test]
fn the_one_liners_of_the_readme_save_what_it_has() {
    let readme = include_str!("../../../../README.md");
    let job = "deepseek-v3-2048";
    let base = number(&json(&["run", job, "--json"]), "/step_seconds");
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `--set "))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 5, "the README has its table: {rows:?}");
    for row in rows {
        let set = row[0].trim_end_matches('`').replace('"', "");
        let step = number(&json(&["run", job, "--json", "--set", &set]), "/step_seconds");
        let saved = 100.0 * (1.0 - step / base);
        assert_eq!(row[1..3], [format!("{step:.2} s"), format!("{saved:.1} %")], "{set}");
    }
}
