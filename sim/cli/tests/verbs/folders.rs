//! `--out`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{refused, stdout};

/// Files below a folder, by their path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.insert(name, fs::read(&path).expect("readable"));
        }
    }
    found
}

#[test]
fn a_folder_holds_a_whole_run_and_the_same_bytes_again() {
    let root = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| root.path().join(name));
    for out in [&first, &second, &first] {
        stdout(&["run", "tiny-moe", "--out", out.to_str().expect("a path")]);
    }
    let [first, second] = [files(&first), files(&second)];
    for name in [
        "plan.toml",
        "summary.json",
        "trace.pftrace",
        "report.html",
        "figures/phases.svg",
        "figures/pipeline.svg",
        "figures/pair.svg",
        "figures/links.svg",
        "figures/memory.svg",
        "figures/machine.svg",
    ] {
        assert!(first.get(name).is_some_and(|bytes| !bytes.is_empty()), "`{name}` is missing");
    }
    assert_eq!(first, second);
    let page = String::from_utf8(first["report.html"].clone()).expect("text");
    assert!(page.contains("windtunnel run tiny-moe --out DIR"));
    for outside in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(outside), "the page asks the network: {outside}");
    }
}

#[test]
fn other_stages_stand_beside_the_run() {
    let root = tempfile::tempdir().expect("a folder");
    let out = root.path().join("run");
    let uneven = "parallel.stages=[3, 3, 2, 1]";
    let text = stdout(&["run", "tiny-moe", "--set", uneven, "--out", out.to_str().expect("a path")]);
    assert!(text.contains("layers 3, 3 x 2") && text.contains("layers 2 x 3, 1, 2"), "{text}");
}

#[test]
fn the_folder_of_another_run_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let out = root.path().to_str().expect("a path");
    stdout(&["run", "tiny-moe", "--out", out]);
    let before = files(root.path());
    let (code, text) = refused(&["run", "tiny-moe", "--set", "gpu.sms=120", "--out", out]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("another run") && text.contains("hint:"), "{text}");
    assert_eq!(files(root.path()), before);
}

#[test]
fn the_folder_of_something_else_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("thesis.tex"), "chapter one").expect("written");
    let out = root.path().to_str().expect("a path");
    for verb in [&["run", "tiny-moe"][..], &["plan", "tiny-moe"], &["topology", "h800-64-mpft"]] {
        let (code, text) = refused(&[verb, &["--out", out]].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("thesis.tex"), "{text}");
    }
    assert_eq!(files(root.path()).len(), 1);
}

#[test]
fn a_file_is_no_folder() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("file");
    fs::write(&path, "").expect("written");
    let (code, text) = refused(&["run", "tiny-moe", "--out", path.to_str().expect("a path")]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("takes a folder"), "{text}");
}

#[test]
fn plan_and_run_share_a_folder() {
    let root = tempfile::tempdir().expect("a folder");
    let out = root.path().to_str().expect("a path");
    stdout(&["plan", "tiny-moe", "--out", out]);
    assert_eq!(files(root.path()).keys().collect::<Vec<_>>(), ["plan.toml"]);
    stdout(&["run", "tiny-moe", "--out", out]);
}
