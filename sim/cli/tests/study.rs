//! `study`, `study merge` and `sensitivity` from outside, on a job of a few milliseconds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

const STUDY: &str = r#"
about = "Small"
base = "tiny-moe"
draws = 4
proposals = ["sms", "too-small"]
sweep.links = { order = "grid", knobs.gpu.scale-up.links = [4, 8] }

[proposal.sms]
about = "more SMs"
source = "this test"
assumes = "nothing"
patch.gpu.sms = 264
hand-calculation = { text = "at most half", low = -0.5, high = 0.0 }

[proposal.too-small]
about = "memory that holds nothing"
source = "this test"
assumes = "nothing"
patch.gpu.memory.capacity-per-stack = "512 MiB"
hand-calculation = { text = "cannot be", low = 0.0, high = 0.0 }
"#;

fn windtunnel(args: &[&str]) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("windtunnel");
    command.args(args);
    for name in ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "HQ_TASK_ID", "JOB_COMPLETION_INDEX"] {
        command.env_remove(name);
    }
    command
}

fn stdout(args: &[&str]) -> String {
    String::from_utf8(windtunnel(args).assert().success().get_output().stdout.clone()).expect("text")
}

/// The code it ends with and what it says.
fn refused(command: &mut Command) -> (i32, String) {
    let assert = command.assert().failure();
    let output = assert.get_output();
    (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A folder with the study, and paths in it.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a folder"));
        fs::write(scene.0.path().join("s.toml"), STUDY).expect("written");
        scene
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Every file of a folder by its name, with those of folders in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            all.insert(name, fs::read(&path).expect("a file"));
        }
    }
    all
}

/// All that a study leaves but what it keeps to go on.
fn answers(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(Path::new(folder));
    all.retain(|name, _| !name.starts_with("points/"));
    all
}

#[test]
fn rows_have_what_was_asked_and_bad_ones_say_why() {
    let scene = Scene::new();
    let answer: Value = serde_json::from_str(&stdout(&["study", &scene.path("s.toml"), "--json"])).expect("JSON");
    let points = answer["points"].as_array().expect("points");
    let names: Vec<&str> = points.iter().filter_map(|point| point["name"].as_str()).collect();
    assert_eq!(names, ["sms", "too-small", "links-1", "links-2"]);
    assert_eq!(points[0]["patch"]["gpu.sms"], 264);
    let difference = &points[0]["difference"];
    let [mean, low, high] = ["mean", "low", "high"].map(|key| difference[key].as_f64().expect(key));
    assert!(low <= mean && mean <= high && high < 0.0 && difference["decided"] == true, "{difference}");
    assert!(points[0]["binding"].is_string() && points[0]["hand_calculation"]["agrees"].is_boolean());
    assert!(points[1]["error"].as_str().is_some_and(|error| error.contains("pipeline rank")), "{}", points[1]);
    assert!(points[1]["step_seconds"].is_null());
    assert!(answer["base"]["step_seconds"].as_f64().is_some_and(|step| step > 0.0));
    assert_eq!(fs::read_dir(scene.0.path()).expect("a folder").count(), 1, "without --out nothing is written");
}

#[test]
fn jobs_shards_and_resuming_change_no_byte() {
    let scene = Scene::new();
    let (study, whole, parts) = (scene.path("s.toml"), scene.path("whole"), scene.path("parts"));
    let one = stdout(&["study", &study, "--json", "--jobs", "1", "--out", &whole]);
    assert_eq!(one, stdout(&["study", &study, "--json", "--jobs", "2"]));
    assert_eq!(one.as_bytes(), answers(&whole)["study.json"]);
    windtunnel(&["study", &study, "--out", &parts, "--shard", "2/3"]).assert().success();
    let (code, message) = refused(&mut windtunnel(&["study", "merge", &parts]));
    assert!(code == 2 && message.contains("not finished"), "{message}");
    for index in ["0", "1"] {
        let mut shard = windtunnel(&["study", &study, "--out", &parts, "--shard", "auto/3"]);
        shard.env("SLURM_ARRAY_TASK_ID", index).env("SLURM_ARRAY_TASK_MIN", "0").assert().success();
    }
    assert_eq!(one, stdout(&["study", "merge", &parts, "--json"]));
    assert_eq!(answers(&whole), answers(&parts));
    // One point is lost; the rest is kept.
    let points = Path::new(&whole).join("points");
    let lost = fs::read_dir(&points).expect("points").next().expect("one").expect("an entry").path();
    fs::remove_file(&lost).expect("removed");
    let kept = fs::read_dir(&points).expect("points").next().expect("one").expect("an entry").path();
    let before = fs::metadata(&kept).expect("a file").modified().expect("a time");
    assert_eq!(one, stdout(&["study", &study, "--json", "--out", &whole, "--resume"]));
    assert!(lost.exists() && fs::metadata(&kept).expect("a file").modified().expect("a time") == before);
    assert_eq!(answers(&whole), answers(&parts));
}

#[test]
fn what_cannot_be_is_refused_with_a_way_out() {
    let scene = Scene::new();
    let (study, out) = (scene.path("s.toml"), scene.path("out"));
    let (code, message) = refused(
        windtunnel(&["study", &study, "--out", &out, "--shard", "auto/3"])
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("SLURM_ARRAY_TASK_MIN", "1"),
    );
    assert!(code == 2 && message.contains("starts at"), "{message}");
    for args in [&["study", &study, "--shard", "0/2"][..], &["study", &study, "--resume"], &["study"]] {
        assert_eq!(refused(&mut windtunnel(args)).0, 2, "{args:?}");
    }
    let (code, message) = refused(&mut windtunnel(&["study", "no-such-study"]));
    assert!(code == 2 && message.contains("scenarios/studies/no-such-study.toml"), "{message}");
    fs::create_dir(&out).expect("made");
    fs::write(Path::new(&out).join("thesis.tex"), "").expect("written");
    let (code, message) = refused(&mut windtunnel(&["study", &study, "--out", &out]));
    assert!(code == 2 && message.contains("thesis.tex"), "{message}");
    let (code, _) = refused(&mut windtunnel(&["study", &study, "--set", "gpu.memory.capacity-per-stack=512 MiB"]));
    assert_eq!(code, 3, "a base that cannot run ends as `run` does");
}

#[test]
fn parts_that_are_none_say_what_would_be_one() {
    let scene = Scene::new();
    let (study, out) = (scene.path("s.toml"), scene.path("out"));
    for (shard, said) in [
        ("3/3", "numbered from 0"),
        ("-1/3", "I from 0 to N - 1"),
        ("1/0", "I from 0 to N - 1"),
        ("one/3", "I from 0 to N - 1"),
        ("auto/3", "SLURM_ARRAY_TASK_ID, HQ_TASK_ID, JOB_COMPLETION_INDEX"),
    ] {
        let (code, message) = refused(&mut windtunnel(&["study", &study, "--out", &out, "--shard", shard]));
        assert!(code == 2 && message.contains(said), "--shard {shard}: {message}");
    }
    for jobs in ["0", "-1", "many"] {
        let (code, message) = refused(&mut windtunnel(&["study", &study, "--jobs", jobs]));
        assert!(code == 2 && message.contains("from 1 on"), "--jobs {jobs}: {message}");
    }
    assert!(!Path::new(&out).exists(), "what is refused leaves nothing");
}

#[test]
fn any_number_of_shards_merges_to_the_same_bytes() {
    let scene = Scene::new();
    let (study, whole) = (scene.path("s.toml"), scene.path("whole"));
    windtunnel(&["study", &study, "--out", &whole]).assert().success();
    for (of, variable) in [(1, "SLURM_ARRAY_TASK_ID"), (3, "HQ_TASK_ID"), (7, "JOB_COMPLETION_INDEX")] {
        let parts = scene.path(&format!("parts-{of}"));
        // Backwards, since no order is promised.
        for index in (0..of).rev() {
            let mut shard = windtunnel(&["study", &study, "--out", &parts, "--shard", &format!("auto/{of}")]);
            shard.env(variable, index.to_string()).assert().success();
        }
        windtunnel(&["study", "merge", &parts]).assert().success();
        assert_eq!(answers(&whole), answers(&parts), "{of} shards");
    }
}

#[test]
fn a_killed_study_goes_on_where_it_was() {
    let scene = Scene::new();
    let (study, out) = (scene.path("s.toml"), scene.path("out"));
    // Draws enough that it is still at work when the first point is finished.
    fs::write(&study, STUDY.replace("draws = 4", "draws = 64")).expect("written");
    let mut running = Process::new(assert_cmd::cargo::cargo_bin!("windtunnel"))
        .args(["study", &study, "--out", &out, "--jobs", "1", "--quiet"])
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let finished = || {
        let entries = fs::read_dir(Path::new(&out).join("points")).into_iter().flatten();
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
        names.filter(|name| name.ends_with(".toml")).collect::<Vec<_>>()
    };
    while finished().is_empty() && running.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.kill().expect("killed");
    running.wait().expect("ended");
    let kept = finished();
    assert!(!kept.is_empty() && kept.len() < 5 && !Path::new(&out).join("study.json").exists(), "{kept:?}");
    let time = |name: &String| fs::metadata(Path::new(&out).join("points").join(name)).and_then(|file| file.modified());
    let before: Vec<_> = kept.iter().map(|name| time(name).expect("a time")).collect();
    let resumed = stdout(&["study", &study, "--out", &out, "--resume", "--json"]);
    assert_eq!(resumed, stdout(&["study", &study, "--json"]));
    let after: Vec<_> = kept.iter().map(|name| time(name).expect("a time")).collect();
    assert_eq!(before, after, "what was finished is not run again");
    let names: Vec<String> = fs::read_dir(&out)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_before_anything_runs() {
    let scene = Scene::new();
    let study = scene.path("s.toml");
    let inside_a_file = format!("{study}/out");
    for out in [&study, &inside_a_file] {
        let (code, message) = refused(&mut windtunnel(&["study", &study, "--out", out]));
        assert!(code == 2 && message.contains(out.as_str()) && message.contains("hint: name a folder"), "{message}");
    }
}

#[test]
fn another_study_in_the_folder_is_refused_and_resumed() {
    let scene = Scene::new();
    let (study, out) = (scene.path("s.toml"), scene.path("out"));
    windtunnel(&["study", &study, "--out", &out]).assert().success();
    fs::write(&study, STUDY.replace("[4, 8]", "[4, 8, 16]")).expect("written");
    let (code, message) = refused(&mut windtunnel(&["study", &study, "--out", &out]));
    assert!(code == 2 && message.contains("--resume"), "{message}");
    let resumed = stdout(&["study", &study, "--out", &out, "--resume", "--json"]);
    assert_eq!(resumed, stdout(&["study", &study, "--json"]));
}

#[test]
fn knobs_have_an_elasticity_between_its_ends() {
    let found: Value = serde_json::from_str(&stdout(&["sensitivity", "tiny-moe", "--json"])).expect("JSON");
    let knobs = found["knobs"].as_array().expect("knobs");
    let knob = |key: &str| knobs.iter().find(|knob| knob["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    for key in ["gpu.sms", "gpu.memory.stacks", "node.nic.rate", "profile.memory.peak-fraction"] {
        let [size, low, high] = ["elasticity", "low", "high"].map(|name| knob(key)[name].as_f64().expect(name));
        assert!(low <= size && size <= high, "{key}: {low} {size} {high}");
    }
    assert!(knob("gpu.sms")["elasticity"].as_f64().is_some_and(|size| size < 0.0));
}

/// A sensitivity without its notes: of several mistakes they have the first, and the base as a file has other lines.
fn turned(json: &[u8]) -> Value {
    let mut found: Value = serde_json::from_slice(json).expect("JSON");
    for knob in found["knobs"].as_array_mut().expect("knobs") {
        knob.as_object_mut().expect("a knob").remove("note");
    }
    found
}

#[test]
fn the_page_says_what_the_json_says() {
    let scene = Scene::new();
    let study = scene.path("s.toml");
    // Keys of the file itself stand before its tables.
    fs::write(&study, STUDY.replacen("draws = 4", "draws = 4\nsensitivity = true\ntimeline = \"sms\"", 1))
        .expect("written");
    let (one, two, merged) = (scene.path("one"), scene.path("two"), scene.path("merged"));
    for (jobs, out) in [("1", &one), ("2", &two)] {
        windtunnel(&["study", &study, "--jobs", jobs, "--out", out]).assert().success();
    }
    assert_eq!(files(Path::new(&one)), files(Path::new(&two)));
    windtunnel(&["study", &study, "--shard", "0/1", "--out", &merged]).assert().success();
    windtunnel(&["study", "merge", &merged]).assert().success();
    assert_eq!(answers(&one), answers(&merged));
    let all = answers(&one);
    for name in ["intervals", "binding", "pipeline-before", "pipeline-after", "tornado"] {
        assert!(all.contains_key(&format!("figures/{name}.svg")), "{name}");
    }
    assert_eq!(turned(&all["sensitivity.json"]), turned(stdout(&["sensitivity", "tiny-moe", "--json"]).as_bytes()));
    let page = String::from_utf8(all["report.html"].clone()).expect("text");
    let answer: Value = serde_json::from_slice(&all["study.json"]).expect("JSON");
    let sms = &answer["points"][0];
    let share = sms["difference"]["share"].as_f64().expect("a share") * 100.0;
    let step = sms["step_seconds"].as_f64().expect("a step") * 1e3;
    assert!(page.contains(&format!("<td>sms</td><td class=\"n\">{step:.1} ms</td><td class=\"n\">{share:.1} %</td>")));
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for word in ["<script", "http", "NaN"] {
        assert!(!page.contains(word), "{word}");
    }
    // What is not asked for any more goes.
    fs::write(&study, STUDY).expect("written");
    windtunnel(&["study", &study, "--out", &one, "--resume"]).assert().success();
    let left = answers(&one);
    assert!(!left.contains_key("sensitivity.json") && !left.contains_key("figures/tornado.svg"), "{:?}", left.keys());
}

#[test]
fn maps_show_the_best_of_the_knobs_they_leave_out() {
    let scene = Scene::new();
    let (study, out) = (scene.path("grid.toml"), scene.path("out"));
    let knobs = "knobs.gpu.scale-up.links = [4, 8]\nknobs.gpu.sms = [100, 132]\nknobs.policy.comm-sms = [16, 20]\n";
    let text = format!("base = \"tiny-moe\"\ndraws = 0\n[sweep.grid]\norder = \"grid\"\n{knobs}");
    fs::write(&study, text).expect("written");
    windtunnel(&["study", &study, "--out", &out]).assert().success();
    let all = answers(&out);
    let answer: Value = serde_json::from_slice(&all["study.json"]).expect("JSON");
    let map = String::from_utf8(all["figures/sweep-1.svg"].clone()).expect("text");
    let points = answer["points"].as_array().expect("points");
    for pair in [["gpu.scale-up.links", "gpu.sms"], ["gpu.scale-up.links", "policy.comm-sms"]] {
        let mut best: BTreeMap<[u64; 2], f64> = BTreeMap::new();
        for point in points {
            let place = pair.map(|key| point["patch"][key].as_u64().expect(key));
            let least = best.entry(place).or_insert(f64::INFINITY);
            *least = least.min(point["step_seconds"].as_f64().expect("a step"));
        }
        assert_eq!(best.len(), 4);
        assert!(best.values().all(|step| map.contains(&format!(">{step:.3}</text>"))), "{best:?}");
    }
    let page = String::from_utf8(all["report.html"].clone()).expect("text");
    assert!(page.contains("8 points.") && all.contains_key("figures/front.svg"), "{:?}", all.keys());
}

#[test]
fn another_build_merges_without_what_it_would_have_to_run() {
    let scene = Scene::new();
    let (study, out) = (scene.path("s.toml"), scene.path("out"));
    windtunnel(&["study", &study, "--out", &out]).assert().success();
    let before = answers(&out);
    assert!(before.contains_key("figures/pair-after.svg"));
    let manifest = Path::new(&out).join("manifest.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let build = text.lines().find(|line| line.starts_with("build = ")).expect("a build");
    fs::write(&manifest, text.replace(build, "build = \"another\"")).expect("written");
    windtunnel(&["study", "merge", &out]).assert().success();
    let after = answers(&out);
    assert!(!after.contains_key("figures/pair-after.svg"));
    assert_eq!(before["study.json"], after["study.json"]);
    assert!(String::from_utf8_lossy(&after["report.html"]).contains("another build of the program"));
}

#[test]
fn a_timeline_of_nothing_known_is_refused() {
    let scene = Scene::new();
    let study = scene.path("s.toml");
    fs::write(&study, STUDY.replacen("draws = 4", "draws = 4\ntimeline = \"smz\"", 1)).expect("written");
    let (code, message) = refused(&mut windtunnel(&["study", &study]));
    assert!(code == 2 && message.contains("`smz`") && message.contains("hint:"), "{message}");
}

#[test]
fn a_sensitivity_is_kept_where_it_may_be() {
    let scene = Scene::new();
    let out = scene.path("out");
    let json = stdout(&["sensitivity", "tiny-moe", "--json"]);
    let mut kept = Vec::new();
    for _ in 0..2 {
        assert_eq!(json, stdout(&["sensitivity", "tiny-moe", "--json", "--out", &out]));
        kept.push(files(Path::new(&out)));
    }
    assert_eq!(kept[0], kept[1]);
    let names: Vec<&String> = kept[0].keys().collect();
    assert_eq!(names, ["report.html", "sensitivity.json", "tornado.svg"]);
    assert_eq!(kept[0]["sensitivity.json"], json.as_bytes());
    let other = ["sensitivity", "tiny-moe", "--set", "gpu.sms=144", "--out", &out];
    let (code, message) = refused(&mut windtunnel(&other));
    assert!(code == 2 && message.contains("another run"), "{message}");
    fs::write(Path::new(&out).join("thesis.tex"), "").expect("written");
    let (code, message) = refused(&mut windtunnel(&["sensitivity", "tiny-moe", "--out", &out]));
    assert!(code == 2 && message.contains("thesis.tex"), "{message}");
}

#[test]
fn money_and_energy_are_columns_of_the_table() {
    let scene = Scene::new();
    let out = scene.path("out");
    stdout(&["study", &scene.path("s.toml"), "--out", &out]);
    let table = fs::read_to_string(Path::new(&out).join("table.csv")).expect("a table");
    let columns: Vec<&str> = table.lines().next().expect("a head").split(',').collect();
    for name in [
        "cost.cluster_usd",
        "cost.usd_per_trillion_tokens",
        "cost.rental_usd_per_trillion_tokens",
        "energy.mwh_per_trillion_tokens",
    ] {
        assert!(columns.contains(&name), "{name}: {columns:?}");
    }
}
