//! `calibrate import` from outside: logs of several hosts, from a file to a profile.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

/// Runs the program in a folder; its code, and all that it printed.
fn windtunnel(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command: Command = assert_cmd::cargo::cargo_bin_cmd!("windtunnel");
    let output = command.current_dir(folder).args(args).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("a code"), String::from_utf8(text).expect("text"))
}

/// A log of a gather over `n_hosts` hosts of eight GPUs each, of a network that leaves each GPU `rate` after `latency`.
fn gather(n_hosts: u32, [latency, rate]: [f64; 2]) -> String {
    let n = n_hosts * 8;
    let ranks = (0..n).map(|rank| {
        format!(
            "#  Rank {rank:>2} Group  0 Pid 77 on  node{:02} device  {} [0000:0{}:00] A GPU\n",
            rank / 8,
            rank % 8,
            rank % 8
        )
    });
    let row = |power: u32| {
        let bytes = f64::from(2.0_f32.powi(power as i32));
        let micros = 1e6 * (latency + bytes * f64::from(n - 1) / f64::from(n) / 8.0 / rate);
        let side = format!("{micros:>9.3}   1.00    1.00      0");
        format!("{bytes:>14} {:>12}     float    none      -1 {side} {side}\n", bytes / 4.0)
    };
    let head = "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong\n";
    let (ranks, rows) = (ranks.collect::<String>(), (10..=33).map(row).collect::<String>());
    format!("# Collective test starting: all_gather_perf\n{ranks}{head}{rows}")
}

#[test]
fn rings_over_hosts_give_the_share_of_the_nics_once_somebody_says_what_a_node_is() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    for n_hosts in [2, 4] {
        fs::write(root.join(format!("{n_hosts}.txt")), gather(n_hosts, [60e-6, 35e9])).expect("written");
    }
    let import = ["calibrate", "import", "2.txt", "4.txt", "--source", "a test", "--out", "all.jsonl"];
    let (code, text) = windtunnel(root, &import);
    assert!(code == 2 && text.contains("16 ranks on 2 hosts") && text.contains("--hosts-per-node 1"), "{text}");
    assert!(!root.join("all.jsonl").exists());
    let (code, text) = windtunnel(root, &[&import[..], &["--hosts-per-node", "1"]].concat());
    assert!(code == 0 && text.contains("48 samples"), "{text}");
    let fit = [
        "calibrate",
        "--out",
        "p.toml",
        "--hardware",
        "h100-sxm5",
        "--cluster",
        "h100-8192",
        "--fit-only",
        "all.jsonl",
    ];
    let (code, text) = windtunnel(root, &fit);
    assert!(code == 0 && text.contains("48 samples used, 0 not"), "{text}");
    let profile: toml::Table = fs::read_to_string(root.join("p.toml")).expect("a profile").parse().expect("TOML");
    let value = &profile["profile"]["collective"]["scale-out-fraction"]["value"];
    let share = value.as_float().expect("a share");
    // The model's rings pass on pieces and take a step for each node; this network does neither.
    assert!((share / (35.0 / 50.0) - 1.0).abs() < 0.1, "expectation 0.7, actual {share}");
    // As one domain, the same ranks are more than a node of the hardware has.
    let one = ["calibrate", "import", "2.txt", "--source", "a test", "--out", "one.jsonl", "--hosts-per-node", "18"];
    assert_eq!(windtunnel(root, &one).0, 0);
    let (code, text) =
        windtunnel(root, &["calibrate", "--out", "q.toml", "--hardware", "h100-sxm5", "--fit-only", "one.jsonl"]);
    assert!(code == 4 && text.contains("16 ranks on a node, and a node of `--hardware` has 8"), "{text}");
}
