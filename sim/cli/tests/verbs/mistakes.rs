//! What goes wrong, and with which code.

use crate::{refused, stdout, windtunnel};

#[test]
fn every_mistake_of_a_file_is_told_at_once_with_its_place() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("two.toml");
    let text = "\
use = { cluster = \"h800-64-mpft\", model = \"deepseek-v3\", profiles = [\"h800-published\"] }
job = { sequence = 4096, global-batch = 160, micro-batch = 1, precision = \"fp9\" }
parallel = { pp = 4, ep = 16 }
policy = { schedule = \"dualpipe\" }
";
    std::fs::write(&path, text).expect("written");
    let (code, text) = refused(&["run", path.to_str().expect("a path")]);
    assert_eq!(code, 2, "{text}");
    for part in ["`\"fp9\"`", "two.toml:2:", "did you mean `dual-pipe`", "two.toml:4:", "^^^"] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn a_misspelt_patch_names_the_key_that_exists() {
    let (code, text) = refused(&["check", "tiny-moe", "--set", "gpu.smz=120"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("did you mean `gpu.sms`"), "{text}");
}

#[test]
fn a_scenario_that_is_not_there_lists_those_that_are() {
    let (code, text) = refused(&["run", "tiny-moo"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("did you mean `tiny-moe`"), "{text}");
}

#[test]
fn a_plan_that_does_not_fit_shows_what_takes_what() {
    for verb in ["check", "run"] {
        let (code, text) = refused(&[verb, "tiny-moe", "--set", "gpu.memory.capacity-per-stack=4 GiB"]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("pipeline rank") && text.contains("capacity") && text.contains("free"), "{text}");
    }
}

/// What is said to fit does, and the other lines say that they do not.
#[test]
fn the_ways_out_of_a_plan_that_does_not_fit_are_ways_out() {
    let small = "gpu.memory.capacity-per-stack=8.2 GB";
    let (_, text) = refused(&["check", "tiny-moe", "--set", small]);
    let ways: Vec<&str> = text.lines().filter(|line| line.starts_with("  `")).collect();
    assert!(ways.len() > 4, "{text}");
    for way in ways {
        let (change, rest) = way.trim().trim_start_matches('`').split_once('`').expect("a change");
        let args = ["check", "tiny-moe", "--set", small, "--set", change];
        if rest.ends_with(": fits") {
            windtunnel(&args).assert().success();
        } else {
            assert!(rest.ends_with(": does not fit"), "{way}");
            assert_eq!(refused(&args).0, 3, "{way}");
        }
    }
}

#[test]
fn a_plan_that_cannot_be_placed_is_refused() {
    let (code, text) = refused(&["run", "tiny-moe", "--set", "cluster.nodes=4", "--set", "parallel.dp=16"]);
    assert!([2, 3].contains(&code) && text.contains("devices"), "{code} {text}");
}

#[test]
fn usage_is_a_mistake_too() {
    for args in [&["fly"][..], &["run"], &["run", "tiny-moe", "--fast"], &["probe", "schedule"]] {
        assert_eq!(refused(args).0, 2, "{args:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let text = stdout(&["--help"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("  windtunnel ")).count(), 3, "{text}");
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "70 "] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(code)), "no exit code {code}in\n{text}");
    }
    windtunnel(&["--version"]).assert().success();
}
