//! The program from outside: what it prints, what it writes, how it ends.

mod cost;
mod disk;
mod evidence;
mod folders;
mod mistakes;
mod probe;
mod replay;
mod run;
mod search;
mod serving;
mod study;
mod topology;
mod validate;

use assert_cmd::Command;
use serde_json::Value;

/// The program, ready to be given arguments.
fn windtunnel(args: &[&str]) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("windtunnel");
    command.args(args);
    command
}

/// What it prints when all is well.
fn stdout(args: &[&str]) -> String {
    let output = windtunnel(args).assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("text")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).expect("JSON")
}

/// The code it ends with and what it says on stderr when all is not well; nothing is on stdout then.
fn refused(args: &[&str]) -> (i32, String) {
    let assert = windtunnel(args).assert().failure();
    let output = assert.get_output();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {pointer} in {value:#}"))
}

fn assert_near(what: &str, expectation: f64, actual: f64) {
    assert!(
        (actual - expectation).abs() <= 1e-9 * expectation.abs().max(1.0),
        "{what}: expectation {expectation}, actual {actual}"
    );
}
