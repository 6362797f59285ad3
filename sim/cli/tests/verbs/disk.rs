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

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    for verb in [&["run", "tiny-moe"][..], &["plan", "tiny-moe"], &["topology", "h800-64-mpft"]] {
        let (code, text) = refused(&[verb, &["--out", "/proc/nowhere/run"]].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("/proc/nowhere/run"), "{text}");
    }
}
