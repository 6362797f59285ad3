//! Disks that are full and folders that cannot be made: a message and a code, and no result that looks whole.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::refused;

#[test]
fn a_full_disk_behind_stdout_is_said() {
    let full = fs::File::create("/dev/full").expect("Linux has it");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("windtunnel"));
    let child = command.args(["run", "tiny-moe", "--json"]).stdout(full).stderr(Stdio::piped()).spawn();
    let output = child.expect("it starts").wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot write to stdout") && text.contains("space"), "{text}");
}

#[test]
fn a_full_disk_behind_out_is_said_and_nothing_looks_whole() {
    let root = tempfile::tempdir().expect("a folder");
    // What a killed run left may be written over; here it leads to a disk that is full.
    symlink("/dev/full", root.path().join("trace.pftrace.partial")).expect("a link");
    let (code, text) = refused(&["run", "tiny-moe", "--out", root.path().to_str().expect("a path")]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("cannot write") && text.contains("trace.pftrace") && text.contains("space"), "{text}");
    let names = fs::read_dir(root.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let whole: Vec<_> =
        names.filter(|name| !name.to_string_lossy().ends_with(".partial") && name != "figures").collect();
    assert!(whole.is_empty(), "{whole:?}");
}

/// What has no end, or no size, is refused before it is read; nothing waits for a writer that never comes.
#[test]
fn what_is_no_file_is_refused_by_every_verb_that_reads_one() {
    let root = tempfile::tempdir().expect("a folder");
    let pipe = root.path().join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("Linux has it");
    assert!(made.success());
    let folder = root.path().join("folder.toml");
    fs::create_dir(&folder).expect("a folder");
    let out = root.path().join("out.jsonl");
    let [pipe, folder, out] = [&pipe, &folder, &out].map(|path| path.to_str().expect("a path"));
    for file in ["/dev/zero", pipe, folder] {
        let model = format!("use.model={file}");
        for args in [
            &["run", file][..],
            &["run", "tiny-moe", "--set", &model],
            &["study", file],
            &["replay", file, "--cluster", "h800-64-mpft"],
            &["replay", file, "--cluster", "h800-64-mpft", "--format", "simai"],
            &["calibrate", "import", file, "--source", "nobody", "--out", out],
            &["validate", "--baseline", file],
        ] {
            let (code, text) = refused(args);
            assert_eq!(code, 2, "{args:?}: {text}");
            assert!(text.contains(file) && text.contains("not a file"), "{args:?}: {text}");
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_with_both_sizes() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("huge.toml");
    // A hole: it takes no space, and is not read.
    fs::File::create(&path).and_then(|file| file.set_len(20 << 30)).expect("a hole");
    let huge = path.to_str().expect("a path");
    for args in [&["run", huge][..], &["replay", huge, "--cluster", "h800-64-mpft"]] {
        let (code, text) = refused(args);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("huge.toml") && text.contains("20480 MiB") && text.contains("at most"), "{text}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    for verb in [&["run", "tiny-moe"][..], &["plan", "tiny-moe"], &["topology", "h800-64-mpft"]] {
        let (code, text) = refused(&[verb, &["--out", "/proc/nowhere/run"]].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("/proc/nowhere/run"), "{text}");
    }
}
