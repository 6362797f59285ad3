//! `probe kernel` and `probe collective` from outside: laws of their answers, and what they refuse.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const BASES: [&str; 5] = ["measured", "interpolated", "published", "extrapolated", "assumed"];
/// The device and the profile that every question here is asked of.
const OF: [&str; 4] = ["--hardware", "h100-sxm5", "--profile", "h100-published"];

struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program, with the words of `line` and then `more`.
fn windtunnel(line: &str, more: &[&str]) -> Ended {
    let mut command: Command = assert_cmd::cargo::cargo_bin_cmd!("windtunnel");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = command.current_dir(root).args(line.split(' ')).args(more).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}

fn refused(line: &str, parts: &[&str]) {
    let ended = windtunnel(line, &OF);
    assert_eq!(ended.code, 2, "{line}: {}", ended.err);
    assert!(ended.out.is_empty(), "{line}: {}", ended.out);
    for part in parts {
        assert!(ended.err.contains(part), "{line}: no `{part}` in\n{}", ended.err);
    }
}

struct Answer {
    seconds: f64,
    low: f64,
    high: f64,
    basis: String,
}

/// An answer, with the laws of every answer.
fn ask(line: &str) -> Answer {
    let ended = windtunnel(line, &[&OF[..], &["--json"]].concat());
    assert_eq!(ended.code, 0, "{line}: {}", ended.err);
    let answer: Value = serde_json::from_str(&ended.out).expect("JSON");
    let number = |name: &str| answer[name].as_f64().unwrap_or_else(|| panic!("{line}: no `{name}` in {answer}"));
    let [seconds, low, high] = ["seconds", "low", "high"].map(number);
    assert!(seconds.is_finite() && low > 0.0 && low <= seconds && seconds <= high, "{line}: {answer}");
    let basis = answer["basis"].as_str().unwrap_or_default().to_owned();
    assert!(BASES.contains(&basis.as_str()), "{line}: {answer}");
    assert!(answer["limit"].as_str().is_some_and(|limit| !limit.is_empty()), "{line}: {answer}");
    Answer { seconds, low, high, basis }
}

/// Sizes in place of `{}`; each answer is at least that before it, and the last above the first.
fn grows(line: &str, sizes: &[u64]) {
    let seconds: Vec<f64> = sizes.iter().map(|size| ask(&line.replace("{}", &size.to_string())).seconds).collect();
    assert!(seconds.is_sorted(), "{line}: {sizes:?} take {seconds:?}");
    assert!(seconds.last() > seconds.first(), "{line}: {sizes:?} take {seconds:?}");
}

#[test]
fn more_work_never_takes_less_time() {
    for line in [
        "gemm --m {} --n 7168 --k 2048 --dtype bf16",
        "gemm --m 4096 --n {} --k 2048 --dtype fp8-tensor",
        "gemm --m 4096 --n 7168 --k {} --dtype fp8-block",
        "gemm --m {} --n 4096 --k 4096 --dtype fp8-tensor-fast --sms 112",
        "grouped-gemm --tokens {} --groups 8 --n 4096 --k 7168 --dtype fp8-block",
        "attention --heads 128 --seq {} --dim-qk 192 --dim-v 128 --causal",
        "attention --heads 64 --kv-heads 8 --seq {} --dim-qk 128 --direction backward",
        "rmsnorm --tokens {} --dim 7168",
        "swiglu --tokens {} --dim 2048",
        "rope --tokens {} --dim 2048",
        "cast --tokens {} --dim 7168",
        "cast --tokens {} --dim 7168 --transposed",
        "permute --tokens {} --dim 7168 --top-k 8",
        "unpermute --tokens {} --dim 7168 --top-k 8",
    ] {
        grows(&format!("probe kernel {line}"), &[256, 1024, 4096, 16384]);
    }
    for line in ["copy --bytes {}", "copy --bytes {} --sms 20", "read --bytes {}", "write --bytes {}"] {
        grows(&format!("probe kernel {line}"), &[1 << 10, 1 << 20, 1 << 25, 1 << 30]);
    }
}

#[test]
fn fewer_sms_never_take_less_time() {
    for line in ["copy --bytes 1073741824", "gemm --m 4096 --n 7168 --k 2048 --dtype bf16"] {
        let seconds = [132, 112, 64, 20, 4].map(|sms| ask(&format!("probe kernel {line} --sms {sms}")).seconds);
        assert!(seconds.is_sorted() && seconds[0] < seconds[4], "{line}: {seconds:?}");
    }
}

/// Eight times the bytes of a copy that memory binds take eight times as long, once the latency is small.
#[test]
fn a_copy_that_memory_binds_is_in_step_with_its_bytes() {
    let seconds = [1_u64 << 30, 8 << 30].map(|bytes| ask(&format!("probe kernel copy --bytes {bytes}")).seconds);
    let actual = seconds[1] / seconds[0];
    assert!((actual / 8.0 - 1.0).abs() < 0.01, "expectation 8, actual {actual}");
}

/// The launch of an isolated call comes on top of whatever runs, and the answer is no firmer for it.
#[test]
fn an_isolated_call_takes_its_launch_besides() {
    let on_top: Vec<f64> = [1_u64 << 20, 1 << 30]
        .map(|bytes| {
            let line = format!("probe kernel copy --bytes {bytes}");
            let (busy, alone) = (ask(&line), ask(&format!("{line} --launch")));
            let firmness = |basis: &str| BASES.iter().position(|name| *name == basis);
            assert!(firmness(&alone.basis) >= firmness(&busy.basis));
            assert!(alone.high - alone.low >= busy.high - busy.low, "the launch has a spread of its own");
            alone.seconds - busy.seconds
        })
        .to_vec();
    assert!(on_top[0] > 0.0 && (on_top[1] / on_top[0] - 1.0).abs() < 1e-6, "{on_top:?}");
}

#[test]
fn collectives_take_longer_with_bytes_and_ranks() {
    for what in ["all-to-all", "all-reduce", "all-gather", "reduce-scatter", "send-recv"] {
        let line = format!("probe collective {what} --ranks 8 --bytes {{}}");
        grows(&line, &[1 << 10, 1 << 20, 1 << 25, 1 << 28]);
        let few = [2, 4, 8].map(|ranks| ask(&format!("probe collective {what} --ranks {ranks} --bytes 1024")).seconds);
        assert!(few.is_sorted(), "{what}: latency of 2, 4 and 8 ranks: {few:?}");
        let line = format!("probe collective {what} --ranks 8 --bytes 268435456");
        let (free, bounded) = (ask(&line).seconds, ask(&format!("{line} --sms 4")).seconds);
        assert!(bounded >= free, "{what}: {free} on the library's SMs, {bounded} on four");
        // The profile's all-to-all is answered by the protocol for small sizes, which SMs do not bound.
        assert!(bounded > free || what == "all-to-all", "{what}: four SMs do not fill a port");
    }
}

/// An all-reduce moves twice what an all-gather does: of large sizes none is faster than the port allows.
#[test]
fn no_collective_beats_its_port() {
    let (bytes, port) = (f64::from(1_u32 << 30), 450e9);
    for (what, share) in [("all-reduce", 7.0 / 4.0), ("all-gather", 7.0 / 8.0), ("all-to-all", 7.0 / 8.0)] {
        let seconds = ask(&format!("probe collective {what} --ranks 8 --bytes 1073741824")).seconds;
        let bound = share * bytes / port;
        assert!(seconds >= bound, "{what}: at least {bound}, actual {seconds}");
    }
}

#[test]
fn what_the_device_has_not_is_refused() {
    let gemm = "probe kernel gemm --m 4096 --n 7168 --k 2048";
    refused(&format!("{gemm} --dtype bf16 --sms 500"), &["`--sms 500`", "132"]);
    refused(&format!("{gemm} --dtype bf16 --sms 0"), &["`--sms 0`"]);
    refused(&format!("{gemm} --dtype fp4"), &["fp4", "fp8-tensor-fast"]);
    refused(&format!("{gemm} --dtype bf16 --set gpu.smz=3"), &["did you mean `gpu.sms`"]);
    refused("probe kernel copy --bytes 0", &["`--bytes 0`"]);
    refused("probe kernel copy --bytes -1", &["-1"]);
    refused("probe kernel rmsnorm --tokens 0 --dim 128", &["`--tokens 0`"]);
    refused("probe kernel permute --tokens 8 --dim 128 --top-k 0", &["`--top-k 0`"]);
    refused("probe kernel sort --tokens 8 --dim 128", &["sort"]);
    refused("probe kernel copy --bytes 1024 --implementation cudnn", &["`cudnn`", "deepgemm"]);
    let ended = windtunnel("probe kernel copy --bytes 1024 --hardware h1000 --profile h100-published", &[]);
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("there is no hardware preset `h1000`"), "{}", ended.err);
    let ended = windtunnel("probe kernel copy --bytes 1024 --hardware h100-sxm5 --profile h1000", &[]);
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("there is no profile preset `h1000`"), "{}", ended.err);
}

#[test]
fn collectives_stay_on_the_node() {
    let all_reduce = "probe collective all-reduce";
    refused(&format!("{all_reduce} --bytes 1024 --ranks 9"), &["`--ranks 9`", "2 to 8"]);
    refused(&format!("{all_reduce} --bytes 1024 --ranks 1"), &["`--ranks 1`", "2 to 8"]);
    refused(&format!("{all_reduce} --bytes 0 --ranks 8"), &["`--bytes 0`"]);
    refused(&format!("{all_reduce} --bytes 1024 --ranks 8 --sms 133"), &["`--sms 133`", "132"]);
    refused(&format!("{all_reduce} --bytes 1024"), &["`--ranks` is missing"]);
    refused("probe collective broadcast --bytes 1024 --ranks 8", &["broadcast"]);
}

#[test]
fn the_two_forms_of_a_collective_do_not_mix() {
    let ask = |more: &str, parts: &[&str]| {
        let ended = windtunnel(&format!("probe collective all-reduce --bytes 1024{more}"), &[]);
        assert_eq!(ended.code, 2, "{}", ended.err);
        parts.iter().for_each(|part| assert!(ended.err.contains(part), "no `{part}` in {}", ended.err));
    };
    ask("", &["the machine is missing", "--hardware", "--nodes"]);
    ask(" --nodes 2 --ranks 8", &["`--nodes`", "`--ranks`", "use one"]);
    ask(" --nodes 2 --devices 8", &["`--scale-up` is missing"]);
}
