//! Estimates keep their basis on the machine they were measured on, whatever it is called, and on no other.

mod memory;

use std::collections::BTreeSet;

use calibrate::{Basis, EstimateKey, MachineKey, MachinePart, Profile};
use memory::Memory;
use scenario::{Kind, Leaf, Library, Loaded, Software, load, load_device, plan_toml};

/// A job on the machine that its profile was measured on.
const MEASURED: &str = "llama-3.1-8b-8";

fn patched(name: &str, sets: &[&str]) -> Loaded {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(name, &sets, &Library::built_in()).unwrap_or_else(|mistakes| panic!("{sets:?}: {mistakes}"))
}

/// Estimates at least as firm as published.
fn firm(profile: &Profile) -> BTreeSet<EstimateKey> {
    profile.iter().filter(|(_, estimate)| estimate.basis < Basis::Extrapolated).map(|(key, _)| key).collect()
}

fn bases(profile: &Profile) -> Vec<Basis> {
    profile.iter().map(|(_, estimate)| estimate.basis).collect()
}

fn of_machine(loaded: &Loaded) -> impl Iterator<Item = &Leaf> {
    loaded.leaves.iter().filter(|leaf| leaf.key.starts_with("gpu.") || leaf.key.starts_with("node."))
}

/// Half and twice a number of a file, with its unit.
fn halved_and_doubled(value: &str) -> Vec<String> {
    let text = value.trim_matches('"');
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: f64 = number.parse().expect("a number");
    [0.5, 2.0].iter().map(|factor| format!("{} {unit}", (number * factor).ceil()).trim().to_owned()).collect()
}

fn is_number(leaf: &Leaf) -> bool {
    leaf.value.trim_matches('"').starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn a_patch_to_what_is_there_changes_nothing() {
    for name in [MEASURED, "deepseek-v3-2048", "deepseek-v3-gb200-256"] {
        let base = patched(name, &[]);
        for leaf in of_machine(&base) {
            let other = patched(name, &[&format!("{}={}", leaf.key, leaf.value)]);
            assert_eq!(other.plan, base.plan, "{name}: {}", leaf.key);
        }
    }
    assert_eq!(patched(MEASURED, &["gpu.clock=1.83 GHz"]).plan, patched(MEASURED, &[]).plan, "another spelling");
}

#[test]
fn a_rate_clock_or_count_of_the_device_leaves_nothing_measured_and_one_of_the_node_no_transfer() {
    let base = patched(MEASURED, &[]);
    for leaf in of_machine(&base).filter(|leaf| is_number(leaf)) {
        let key = MachineKey::from_name(&leaf.key).filter(|key| key.part() != MachinePart::Ability);
        for value in halved_and_doubled(&leaf.value) {
            let set = format!("{}={value}", leaf.key);
            // Eight ranks need their devices, and a job its memory of FP8 sums.
            let Ok(other) = load(MEASURED, std::slice::from_ref(&set), &Library::built_in()) else { continue };
            let (before, after) = (firm(&base.plan.site.profile), firm(&other.plan.site.profile));
            assert!(after.is_subset(&before), "{set} made something firmer");
            let Some(key) = key else { continue };
            let still: Vec<&str> = after.iter().map(|key| key.name()).collect();
            if key.is_of_device() {
                assert!(still.is_empty(), "{set} leaves {still:?}");
            } else {
                let transfers = ["collective.", "all-to-all.", "point-to-point.", "host."];
                let left = still.iter().find(|name| transfers.iter().any(|family| name.starts_with(family)));
                assert_eq!(left, None, "{set}");
                let kernels =
                    before.iter().filter(|key| !transfers.iter().any(|family| key.name().starts_with(family)));
                assert!(kernels.clone().all(|key| after.contains(key)), "{set} lowers kernels");
            }
        }
    }
}

#[test]
fn prices_power_and_sizes_lower_nothing() {
    let base = patched("deepseek-v3-2048", &[]);
    let mut idle = Vec::new();
    for leaf in of_machine(&base).filter(|leaf| MachineKey::from_name(&leaf.key).is_none()) {
        idle.push(leaf.key.as_str());
        let value = halved_and_doubled(&leaf.value).pop().expect("two");
        let other = patched("deepseek-v3-2048", &[&format!("{}={value}", leaf.key)]);
        assert_eq!(other.plan.site.profile, base.plan.site.profile, "{}", leaf.key);
    }
    idle.sort_unstable();
    let expectation = [
        "gpu.l2",
        "gpu.memory.capacity-per-stack",
        "gpu.power",
        "gpu.price",
        "node.host.memory-capacity",
        "node.host.memory-rate",
        "node.nic.power",
        "node.nic.price",
        "node.power",
        "node.price",
    ];
    assert_eq!(idle, expectation, "all other keys of a machine are ones that estimates depend on");
    let known: Vec<&str> = of_machine(&base).map(|leaf| leaf.key.as_str()).collect();
    assert!(MachineKey::ALL.iter().all(|key| known.contains(&key.name())), "every machine key is a key of files");
}

#[test]
fn an_ability_lowers_only_what_reads_it_and_has_no_ratio() {
    let base = patched("tiny-moe", &[]);
    for (set, lowered, kept) in [
        ("gpu.comm-engine=copy", "all-to-all.dispatch.scale-up-fraction", "gemm.fp8-block.peak-fraction"),
        ("gpu.tensor.fp8.accumulate=25", "gemm.fp8-block.peak-fraction", "gemm.bf16.tile-rows"),
        (
            "node.nic.compression=logfmt-10",
            "all-to-all.combine.scale-out-fraction",
            "all-to-all.combine.scale-up-fraction",
        ),
    ] {
        let other = patched("tiny-moe", &[set]);
        let of =
            |loaded: &Loaded, name| loaded.plan.site.profile.get(EstimateKey::from_name(name).expect("a key")).clone();
        assert_eq!(of(&base, lowered).basis, Basis::Published, "{lowered}");
        assert_eq!(of(&other, lowered).basis, Basis::Extrapolated, "{set}: {lowered}");
        assert_eq!(of(&other, kept), of(&base, kept), "{set}: {kept}");
        let key = EstimateKey::from_name(lowered).expect("a key");
        assert_eq!(other.plan.site.profile.spread(key), base.plan.site.profile.spread(key), "{set}");
    }
}

#[test]
fn equal_values_are_one_machine_by_any_name_and_other_values_another_by_the_same() {
    let text = Library::built_in().text(Kind::Hardware, "h100-sxm5", None).expect("a preset");
    let fewer = text.as_str().replace("sms = 132", "sms = 120");
    assert_ne!(text.as_str(), fewer, "the preset has a line for its SMs");
    let files = [
        ("parts/mine.toml", text.as_str()),
        ("parts/h100-sxm5.toml", fewer.as_str()),
        ("lib/hardware/h100-sxm5.toml", fewer.as_str()),
    ];
    let bases_on = |hardware: &str, library: &Library| {
        let profiles = ["h100-sxm5".to_owned()];
        let loaded = load_device(hardware, &profiles, Software::default(), &[], library)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        bases(&loaded.profile)
    };
    let library = Memory::library(&[], &files);
    let measured = bases_on("h100-sxm5", &library);
    assert!(measured.contains(&Basis::Measured));
    assert_eq!(bases_on("parts/mine.toml", &library), measured, "a copy under another name");
    let others = bases_on("parts/h100-sxm5.toml", &library);
    assert!(others.iter().all(|basis| *basis >= Basis::Extrapolated), "a changed file of the same name");
    let library = Memory::library(&["lib"], &files);
    assert_eq!(bases_on("h100-sxm5", &library), others, "a preset of the same name in another library");
    // An H800 is an H100 with 8 of its 18 links.
    let more = patched("deepseek-v3-2048", &["gpu.scale-up.links=18"]);
    let key = EstimateKey::from_name("all-to-all.bulk-rate-per-sm").expect("a key");
    assert_eq!(more.plan.site.profile.get(key).basis, Basis::Measured);
}

#[test]
fn hardware_that_no_library_has_is_known_by_the_file_in_use_or_not_at_all() {
    let hardware = Library::built_in().text(Kind::Hardware, "h100-sxm5", None).expect("a preset");
    let estimate = |hardware: &str| {
        format!(
            "hardware = [\"{hardware}\"]\nbase = [\"h100-published\"]\nprofile.memory.peak-fraction = \
             {{ value = 0.9, spread = 0.1, basis = \"measured\", source = \"mine\" }}\n"
        )
    };
    let files = [
        ("lib/profiles/mine.toml", estimate("mine")),
        ("lib/profiles/gone.toml", estimate("gone")),
        ("parts/mine.toml", hardware.as_str().to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let library = Memory::library(&["lib"], &files);
    let basis = |profile: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let loaded = load_device("parts/mine.toml", &[profile.to_owned()], Software::default(), &sets, &library);
        loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).profile.get(EstimateKey::MemoryFraction).basis
    };
    assert_eq!(basis("mine", &[]), Basis::Measured);
    assert_eq!(basis("mine", &["gpu.memory.stacks=6"]), Basis::Extrapolated);
    assert_eq!(basis("gone", &[]), Basis::Extrapolated);
}

#[test]
fn what_is_written_down_remembers_where_it_was_measured() {
    let library = |text: &str| Memory::library(&["lib"], &[("lib/train/written.toml", text)]);
    let again = |text: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        load("written", &sets, &library(text)).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    };
    let first = patched(MEASURED, &["gpu.sms=78"]);
    let text = plan_toml(&first);
    assert!(text.contains("measured-with = [\"gpu.sms=132\"] # scenarios/profiles/h100-sxm5.toml:"), "{text}");
    assert_eq!(again(&text, &[]).plan, first.plan);
    assert_eq!(
        again(&text, &["gpu.memory.stacks=6"]).plan,
        patched(MEASURED, &["gpu.sms=78", "gpu.memory.stacks=6"]).plan
    );
    // As written, and patched back.
    let leaves = first.leaves.iter().map(|leaf| format!("{} = {}\n", leaf.key, leaf.written));
    let written: String = leaves.collect();
    assert_eq!(again(&written, &["gpu.sms=132"]).plan.site.profile, patched(MEASURED, &[]).plan.site.profile);
    let text = text.replace("measured-with = [\"gpu.sms=132\"]", "measured-with = [\"gpu.smz=132\"]");
    let mistakes = load("written", &[], &library(&text)).expect_err("no such key").to_string();
    assert!(mistakes.contains("`measured-with` is [\"gpu.smz=132\"]"), "{mistakes}");
}

#[test]
fn a_patched_basis_is_of_the_machine_as_it_is() {
    let sets = ["gpu.sms=78", "profile.memory.peak-fraction.basis=measured"];
    let plan = patched(MEASURED, &sets).plan;
    let estimate = plan.site.profile.get(EstimateKey::MemoryFraction);
    assert_eq!((estimate.basis, estimate.departures.len()), (Basis::Measured, 0));
    assert_eq!(plan.site.profile.get(EstimateKey::KernelLatency).basis, Basis::Extrapolated);
}
