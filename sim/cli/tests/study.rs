//! `study`, `study merge` and `sensitivity` from outside, on a job of a few milliseconds.

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

fn answers(folder: &str) -> [Vec<u8>; 3] {
    ["study.json", "table.csv", "table.parquet"].map(|name| fs::read(Path::new(folder).join(name)).expect(name))
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
    assert_eq!(one.as_bytes(), answers(&whole)[0]);
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
