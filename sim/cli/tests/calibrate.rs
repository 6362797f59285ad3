//! `calibrate` from outside, on the mock machine.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in a folder.
fn windtunnel(folder: &Path, args: &[&str]) -> Ended {
    let mut command: Command = assert_cmd::cargo::cargo_bin_cmd!("windtunnel");
    let output = command.current_dir(folder).args(args).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}

fn refused(folder: &Path, args: &[&str], code: i32, parts: &[&str]) {
    let ended = windtunnel(folder, args);
    assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
    assert!(ended.out.is_empty(), "{args:?}: {}", ended.out);
    for part in parts {
        assert!(ended.err.contains(part), "{args:?}: no `{part}` in\n{}", ended.err);
    }
}

fn done(folder: &Path, args: &[&str]) -> Ended {
    let ended = windtunnel(folder, args);
    assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
    ended
}

/// A folder with a file of the device that the mock is.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("gpu.toml"), GPU).expect("written");
    root
}

const GPU: &str = r#"
about = "the invented device of the mock"

[gpu]
sms = 128
clock = "1.073741824 GHz"
l2 = "32 MiB"
comm-engine = "none"
cast = "kernel"
price = "0 USD"
power = "0 W"

[gpu.tensor]
bf16.flops-per-sm-clock = 8192
fp8.flops-per-sm-clock = 16384
fp8.accumulate = 13
fp8.block-scaling = "none"
transposed-reads = "none"

[gpu.vector]
flops-per-sm-clock = 256

[gpu.memory]
stacks = 4
rate-per-stack = "1099511627776 B/s"
capacity-per-stack = "16 GiB"

[gpu.scale-up]
links = 16
rate-per-link = "17179869184 B/s"
latency = "8 us"
in-network = "none"

[node]
devices = 2
price = "0 USD"
power = "0 W"

[node.nic]
count = 2
rate = "400 Gbit/s"
forwarding = "kernel"
ordering = "fence"
compression = "none"
price = "0 USD"
power = "0 W"

[node.host]
pcie-rate = "64 GB/s"
pcie-latency = "0.5 us"
memory-rate = "500 GB/s"
memory-capacity = "1 TB"
"#;
/// Of the mock, in bytes and operations a second and in seconds.
const MEMORY_RATE: f64 = (1_u64 << 42) as f64;
const BF16_PEAK: f64 = (1_u64 << 50) as f64;
const KERNEL_LATENCY: f64 = 2e-6;

/// Samples of a file: lines that are one.
fn samples(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line.get("sample").is_some()).collect()
}

const MOCK: [&str; 9] =
    ["calibrate", "--mock", "--quick", "--out", "mine.toml", "--hardware", "gpu.toml", "--only", "memory,accumulate"];

fn text(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn table(root: &Path, name: &str) -> toml::Table {
    text(root, name).parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn samples_are_kept_beside_the_profile_and_not_measured_twice() {
    let root = folder();
    let first = done(root.path(), &MOCK);
    let kept = samples(&root.path().join("mine.jsonl"));
    assert!(first.err.contains(&format!("{} measured, 0 known before", kept.len())), "{}", first.err);
    let again = done(root.path(), &MOCK);
    assert!(again.err.contains(&format!("0 measured, {} known before", kept.len())), "{}", again.err);
    assert_eq!(samples(&root.path().join("mine.jsonl")), kept);
    assert_eq!(first.out, again.out, "stdout is the result, and the result is the same");
}

#[test]
fn a_file_that_was_cut_is_gone_on_with() {
    let root = folder();
    done(root.path(), &MOCK);
    let path = root.path().join("mine.jsonl");
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, &whole[..whole.len() * 2 / 3]).expect("written");
    let again = done(root.path(), &MOCK);
    assert!(again.err.contains("was cut while it was written"), "{}", again.err);
    // The order of the questions is one of the seed, so even the bytes are those of a session never stopped.
    assert_eq!(fs::read(&path).expect("a file"), whole);
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let root = folder();
    fs::write(root.path().join("mine.jsonl"), "{\"fingerprint\": 3}\nhello\n").expect("written");
    refused(root.path(), &MOCK, 2, &["`mine.jsonl`, line 1, column"]);
    assert_eq!(fs::read_to_string(root.path().join("mine.jsonl")).expect("a file"), "{\"fingerprint\": 3}\nhello\n");
}

#[test]
fn what_cannot_be_measured_says_why() {
    let root = folder();
    let with = |more: &[&'static str]| [&["calibrate", "--out", "mine.toml"], more].concat();
    refused(root.path(), &with(&["--only", "gemms"]), 2, &["there is no section `gemms`", "grouped"]);
    refused(root.path(), &with(&["--mock", "--only", "attention"]), 2, &["sdpa.py", "calibrate import"]);
    refused(root.path(), &["calibrate"], 2, &["--out"]);
    refused(root.path(), &with(&["--fit-only", "none.jsonl"]), 4, &["`none.jsonl` cannot be read"]);
    refused(root.path(), &with(&["--fit-only", "a.jsonl", "--quick"]), 2, &["cannot be used with"]);
}

/// Only where there is no GPU; where there is one, this would measure it.
#[test]
fn no_gpu_is_an_absence_and_no_fault() {
    if Path::new("/dev/nvidiactl").exists() {
        return;
    }
    let root = folder();
    refused(root.path(), &["calibrate", "--out", "mine.toml"], 4, &["there is no GPU to measure", "driver"]);
    assert!(!root.path().join("mine.jsonl").exists(), "nothing was begun");
}

#[test]
fn samples_of_several_files_are_fitted_together() {
    let root = folder();
    done(root.path(), &MOCK);
    fs::write(root.path().join("mine.csv"), CSV).expect("written");
    let import = ["calibrate", "import", "mine.csv", "--source", "a lab", "--out", "other.jsonl"];
    assert_eq!(done(root.path(), &import).out, "2 samples in `other.jsonl`\n");
    let fit = [&FIT[..], &["mine.jsonl", "other.jsonl", "mine.jsonl"]].concat();
    let n_samples = samples(&root.path().join("mine.jsonl")).len() + 2;
    let out = done(root.path(), &fit).out;
    assert!(out.starts_with(&format!("{n_samples} samples\n")), "each sample counts once: {out}");
    assert!(out.contains("attention.forward: ") && out.contains(" samples to fit are too few"), "{out}");
}

const CSV: &str = "\
kernel,heads,kv-heads,queries,keys,qk,value,causal,direction,tokens,dim,seconds,low,high,runs,implementation,extra.best
attention,128,128,4096,4096,192,128,true,forward,,,2.0e-3,1.9e-3,2.2e-3,20,torch 2.9 cudnn,1
rmsnorm,,,,,,,,,4096,7168,5.0e-5,4.9e-5,5.5e-5,20,torch 2.9,
";

#[test]
fn imports_count_what_they_leave_out_and_write_no_half() {
    let root = folder();
    fs::write(root.path().join("good.csv"), CSV).expect("written");
    fs::write(root.path().join("bad.csv"), CSV.replace("forward", "foreward").replace("4.9e-5", "x")).expect("written");
    let import =
        |file: &'static str| ["calibrate", "import", "good.csv", file, "--source", "a lab", "--out", "all.jsonl"];
    let parts = ["`bad.csv`, line 2, column `direction`: unknown variant `foreward`", "line 3, column `low`: `x`"];
    refused(root.path(), &import("bad.csv"), 2, &parts);
    assert!(!root.path().join("all.jsonl").exists());
    fs::write(root.path().join("nccl.txt"), NCCL).expect("written");
    let ended = done(root.path(), &import("nccl.txt"));
    assert_eq!(ended.out, "4 samples in `all.jsonl`\n");
    assert!(ended.err.contains("sizes of zero bytes"), "{}", ended.err);
    let kept = samples(&root.path().join("all.jsonl"));
    assert!(kept.iter().all(|line| line["sample"]["machine"] == "a lab"));
    refused(root.path(), &import("nccl.txt"), 2, &["`all.jsonl` is there already"]);
    refused(root.path(), &["calibrate", "import", "good.csv", "--out", "b.jsonl"], 2, &["--source"]);
}

const NCCL: &str = "\
# Collective test starting: all_reduce_perf
#  Rank  0 Group  0 Pid     12 on  some-node device  0 [0000:18:00] A GPU
#  Rank  1 Group  0 Pid     12 on  some-node device  1 [0000:2a:00] A GPU
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
           0             0     float     sum      -1     5.00    0.00    0.00       0     5.00    0.00    0.00       0
        1024           256     float     sum      -1    10.00    0.10    0.10       0    10.10    0.10    0.10       0
     1048576        262144     float     sum      -1    20.00   52.43   52.43       0    20.20   51.91   51.91       0
";

const FIT: [&str; 6] = ["calibrate", "--out", "mine.toml", "--hardware", "gpu.toml", "--fit-only"];

/// What the mock answers to an empty kernel in a graph; every kernel begins with it.
const PRIOR: &str = r#"
hardware = ["gpu"]
base = ["h100-published"]

[profile.kernel]
latency = { value = "2 us", spread = 0.0, basis = "measured", source = "the mock's graph of empty kernels" }
"#;

/// The mock is a closed form, so what is asked of its profile has a known answer, at sizes that were not measured.
#[test]
fn a_profile_that_was_fitted_answers_as_the_machine_does() {
    let root = folder();
    fs::write(root.path().join("prior.toml"), PRIOR).expect("written");
    let calibrate = ["calibrate", "--mock", "--out", "mine.toml", "--hardware", "gpu.toml", "--prior", "prior.toml"];
    let told = done(root.path(), &[&calibrate[..], &["--only", "memory,gemm"]].concat()).out;
    assert!(told.contains("stream.copy") && told.contains("gemm.bf16") && told.contains("held out"), "{told}");
    let ask = |kernel: &[&'static str]| {
        let of = ["--hardware", "gpu.toml", "--profile", "mine.toml", "--json"];
        let ended = done(root.path(), &[&["probe", "kernel"], kernel, &of].concat());
        let answer: Value = serde_json::from_str(&ended.out).expect("JSON");
        assert_eq!(answer["basis"], "measured", "{answer}");
        answer["seconds"].as_f64().expect("a number")
    };
    let copy = ask(&["copy", "--bytes", "3221225472"]);
    assert_near("a copy", KERNEL_LATENCY + 2.0 * 3_221_225_472.0 / MEMORY_RATE, copy, 0.05);
    let product = ask(&["gemm", "--m", "6144", "--n", "6144", "--k", "6144", "--dtype", "bf16"]);
    assert_near("a product", KERNEL_LATENCY + 2.0 * 6144_f64.powi(3) / BF16_PEAK, product, 0.1);
}

fn assert_near(what: &str, expectation: f64, actual: f64, share: f64) {
    assert!((actual / expectation - 1.0).abs() <= share, "{what}: expectation {expectation:e}, actual {actual:e}");
}

/// A file that is called like a preset and is none must not be taken for it.
#[test]
fn what_was_measured_on_a_file_is_measured_on_it_whatever_it_is_called() {
    let root = folder();
    fs::rename(root.path().join("gpu.toml"), root.path().join("h100-sxm5.toml")).expect("renamed");
    let of = ["--hardware", "h100-sxm5.toml"];
    let calibrate = ["calibrate", "--mock", "--out", "mine.toml", "--only", "memory", "--quick"];
    done(root.path(), &[&calibrate[..], &of].concat());
    assert_eq!(table(root.path(), "mine.toml")["hardware"][0].as_str(), Some("h100-sxm5.toml"));
    let notes = |of: &[&str]| {
        let ask = ["probe", "kernel", "copy", "--bytes", "3221225472", "--profile", "mine.toml", "--json"];
        let answer: Value = serde_json::from_str(&done(root.path(), &[&ask[..], of].concat()).out).expect("JSON");
        answer["notes"].to_string()
    };
    // What only the prior has is of the preset.
    assert!(!notes(&of).contains("`gpu.sms` 128"), "{}", notes(&of));
    assert!(notes(&["--hardware", "h100-sxm5"]).contains("`gpu.sms` 128 -> 132"));
}

#[test]
fn a_profile_says_where_it_holds_what_it_is_based_on_and_how_far_off_it_is() {
    let root = folder();
    done(root.path(), &MOCK);
    let file = table(root.path(), "mine.toml");
    assert_eq!(file["hardware"].as_array().map(Vec::len), Some(1));
    assert_eq!(file["hardware"][0].as_str(), Some("gpu"));
    assert_eq!(file["machine"]["device"].as_str(), Some("Mock"));
    assert_eq!(file["machine"]["versions"]["driver"].as_str(), Some("1"));
    let copy = &file["held-out"]["stream"]["copy"];
    let count = |name: &str| copy[name].as_integer().unwrap_or_else(|| panic!("no `{name}` in {copy}"));
    let path = root.path().join("mine.jsonl");
    let copies = samples(&path).iter().filter(|line| line["sample"]["question"]["kernel"] == "copy").count();
    assert_eq!(usize::try_from(count("n-fitted") + count("n-held-out")), Ok(copies), "each is fitted or held out");
    let errors = ["fitted", "held-out"].map(|name| copy[name]["median"].as_float().expect("a share"));
    assert!(
        errors.iter().all(|median| (0.0..0.05).contains(median)),
        "the mock's own noise is a hundredth: {errors:?}"
    );
}

/// What no sample speaks of stays with the base, and what is written was measured.
#[test]
fn no_estimate_of_the_prior_is_copied() {
    let root = folder();
    let out = done(root.path(), &MOCK).out;
    let file = text(root.path(), "mine.toml");
    let profile = table(root.path(), "mine.toml")["profile"].as_table().expect("tables").clone();
    assert!(profile.contains_key("stream") && !profile.contains_key("all-to-all"), "{file}");
    for line in file.lines().filter(|line| line.contains("basis = ")) {
        assert!(line.contains("basis = \"measured\"") || line.contains("no sample depends on it"), "{line}");
    }
    let from_prior = out.lines().find(|line| line.starts_with("From `")).expect("what is the prior's");
    assert!(from_prior.contains("all-to-all.dispatch"), "{from_prior}");
}

#[test]
fn the_same_samples_make_the_same_bytes_in_whatever_order_their_files_are() {
    let root = folder();
    done(root.path(), &MOCK);
    let all = text(root.path(), "mine.jsonl");
    let lines: Vec<&str> = all.lines().collect();
    let (machine, samples) = lines.split_first().expect("a machine");
    let (some, others) = samples.split_at(samples.len() / 3);
    for (name, part) in [("a.jsonl", some), ("b.jsonl", others)] {
        fs::write(root.path().join(name), format!("{machine}\n{}\n", part.join("\n"))).expect("written");
    }
    let first = text(root.path(), "mine.toml");
    for files in [["a.jsonl", "b.jsonl"], ["b.jsonl", "a.jsonl"]] {
        done(root.path(), &[&FIT[..], &files].concat());
        assert_eq!(text(root.path(), "mine.toml"), first, "{files:?}");
    }
}

#[test]
fn a_base_is_found_from_where_the_profile_stands() {
    let root = folder();
    done(root.path(), &MOCK);
    fs::write(root.path().join("mine-before.toml"), text(root.path(), "mine.toml")).expect("written");
    let fit = ["calibrate", "--out", "new/mine.toml", "--hardware", "gpu.toml", "--prior", "mine-before.toml"];
    done(root.path(), &[&fit[..], &["--fit-only", "mine.jsonl"]].concat());
    assert_eq!(table(root.path(), "new/mine.toml")["base"][0].as_str(), Some("../mine-before.toml"));
    let ask = ["probe", "kernel", "copy", "--hardware", "gpu.toml", "--profile", "new/mine.toml", "--bytes", "1024"];
    done(root.path(), &ask);
}

#[test]
fn without_hardware_samples_are_kept_and_not_fitted() {
    let root = folder();
    let calibrate = ["calibrate", "--mock", "--quick", "--out", "mine.toml", "--only", "memory"];
    refused(root.path(), &calibrate, 2, &["`--hardware` is missing", "no preset has 128 SMs"]);
    assert!(!samples(&root.path().join("mine.jsonl")).is_empty());
    assert!(!root.path().join("mine.toml").exists());
    let larger = text(root.path(), "mine.jsonl").replacen("\"sms\":128", "\"sms\":132", 1);
    fs::write(root.path().join("larger.jsonl"), larger).expect("written");
    let fit = ["calibrate", "--out", "mine.toml", "--fit-only", "larger.jsonl"];
    refused(root.path(), &fit, 2, &["`--hardware` is missing", "`h100-sxm5`", "`h200-sxm5`"]);
}

#[test]
fn hardware_that_was_not_measured_is_refused_before_anything_is() {
    let root = folder();
    let of = |hardware: &'static str| ["calibrate", "--mock", "--quick", "--out", "mine.toml", "--hardware", hardware];
    refused(root.path(), &of("h1000"), 2, &["there is no hardware preset `h1000`", "`h100-sxm5`"]);
    refused(root.path(), &of("h100-sxm5"), 2, &["has 132 SMs", "128"]);
    let prior = [&of("gpu.toml")[..], &["--prior", "h1000-published"]].concat();
    refused(root.path(), &prior, 2, &["there is no profile preset `h1000-published`"]);
    assert!(samples_or_none(&root.path().join("mine.jsonl")).is_empty(), "nothing was asked");
}

fn samples_or_none(path: &Path) -> Vec<Value> {
    if path.exists() { samples(path) } else { Vec::new() }
}

#[test]
fn a_profile_is_written_whole_or_not_at_all() {
    let root = folder();
    done(root.path(), &MOCK);
    let fit = |out: &'static str, file: &'static str| {
        ["calibrate", "--out", out, "--hardware", "gpu.toml", "--fit-only", file]
    };
    refused(root.path(), &fit("mine.jsonl/x.toml", "mine.jsonl"), 2, &["`mine.jsonl/x.toml` cannot be written"]);
    fs::create_dir(root.path().join("a-folder")).expect("made");
    refused(root.path(), &fit("a-folder", "mine.jsonl"), 2, &["`a-folder` cannot be written"]);
    fs::write(root.path().join("none.jsonl"), "").expect("written");
    refused(root.path(), &fit("new.toml", "none.jsonl"), 4, &["there is no sample to fit"]);
    let few = ["calibrate", "--mock", "--out", "few.toml", "--hardware", "gpu.toml", "--only", "accumulate"];
    refused(root.path(), &few, 4, &["none of the", "that can be fitted", "--only memory"]);
    let names = fs::read_dir(root.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let partial: Vec<_> = names.filter(|name| name.to_string_lossy().contains("partial")).collect();
    assert!(partial.is_empty(), "{partial:?}");
    assert!(!root.path().join("few.toml").exists() && !root.path().join("new.toml").exists());
}

/// The mock has no latency of a stream's own and its links are no slower than their rate, so some durations end near zero: on its own
/// file, and on files of devices that it is not, there is a profile or a refusal, and never a fault.
#[test]
fn a_fit_on_any_file_of_a_device_gives_a_profile_or_a_way_out() {
    let root = folder();
    let others = [
        ("1.073741824 GHz", "1.83 GHz"),
        ("1099511627776 B/s", "670 GB/s"),
        ("17179869184 B/s", "100 TB/s"),
        ("16 GiB", "16 GiB"),
    ];
    for (n, (is, other)) in others.into_iter().enumerate() {
        fs::write(root.path().join("other.toml"), GPU.replace(is, other)).expect("written");
        let (out, journal) = (format!("other-{n}.toml"), "all.jsonl");
        // Asked once, fitted on each.
        let ended = windtunnel(
            root.path(),
            &[
                "calibrate",
                "--mock",
                "--quick",
                "--quiet",
                "--samples",
                journal,
                "--out",
                &out,
                "--hardware",
                "other.toml",
            ],
        );
        assert!([0, 2, 4].contains(&ended.code), "{other}: {}: {}", ended.code, ended.err);
        if ended.code == 0 {
            let text = fs::read_to_string(root.path().join(&out)).expect("a profile");
            assert!(text.contains("[profile."), "{text}");
        } else {
            assert!(ended.err.contains("hint"), "{other}: {}", ended.err);
        }
    }
}

/// A table of nccl-tests of an all-reduce of eight ranks: `seconds` of each size.
fn eight_ranks(seconds: impl Fn(f64) -> f64) -> String {
    let ranks = (0..8).map(|rank| {
        format!(
            "#  Rank {rank:>2} Group  0 Pid  {} on  node001 device  {rank} [0x0{rank}] NVIDIA H100 80GB HBM3\n",
            4000 + rank
        )
    });
    let row = |power: u32| {
        let bytes = f64::from(2.0_f32.powi(power as i32));
        let (time, rate) = (seconds(bytes) * 1e6, bytes / seconds(bytes) / 1e9);
        let side = format!("{time:>9.3} {rate:>8.2} {:>8.2}      0", rate * 1.75);
        format!("{bytes:>14} {:>12}     float     sum      -1 {side} {side}\n", bytes / 4.0)
    };
    let head = "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong\n\
                #        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)\n";
    let head = format!("# nThread 1 nGpus 8\n#\n# Using devices\n{}#\n{head}", ranks.collect::<String>());
    format!("{head}{}# Out of bounds values : 0 OK\n", (10..=30).map(row).collect::<String>())
}

#[test]
fn samples_of_eight_ranks_alone_make_a_fit() {
    let root = folder();
    // A ring at 340 GB/s of what crosses a port, after 20 us.
    fs::write(root.path().join("ring.txt"), eight_ranks(|bytes| 20e-6 + 1.75 * bytes / 340e9)).expect("written");
    // More than a port of 450 GB/s sends.
    fs::write(root.path().join("switches.txt"), eight_ranks(|bytes| 1e-6 + 1.75 * bytes / 480e9)).expect("written");
    for name in ["ring", "switches"] {
        let (file, samples) = (format!("{name}.txt"), format!("{name}.jsonl"));
        let source = ["--collective", "all-reduce", "--source", "a test", "--out", &samples];
        done(root.path(), &[&["calibrate", "import", &file], &source[..]].concat());
    }
    let fit = |samples: &str| {
        ["calibrate", "--fit-only", samples, "--hardware", "h100-sxm5", "--out", "p.toml"].map(str::to_owned)
    };
    let all: Vec<String> = fit("ring.jsonl").into();
    done(root.path(), &all.iter().map(String::as_str).collect::<Vec<_>>());
    let ring = &table(root.path(), "p.toml")["profile"]["collective"]["all-reduce"];
    let share = ring["scale-up-fraction"]["value"].as_float().expect("a share");
    assert!((share / (340.0 / 450.0) - 1.0).abs() < 0.1, "{share}");
    let all: Vec<String> = fit("switches.jsonl").into();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    refused(root.path(), &all, 4, &["of all-reduce of 8 ranks", "NCCL_NVLS_ENABLE=0"]);
}
