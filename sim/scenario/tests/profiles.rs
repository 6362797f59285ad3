//! Which file's estimates are taken, and what is known of a device alone.

mod memory;

use calibrate::{Basis, Dimension, EstimateKey};
use memory::Memory;
use scenario::{Library, LoadedDevice, Mistakes, Software, load_device};

const FAMILY: &str = "gemm.bf16";

/// A profile of every estimate, each with `source`; some families with an implementation.
fn profile(source: &str, head: &str, families: &[(&str, &str)]) -> String {
    let named = |(family, name): &(&str, &str)| format!("profile.{family}.implementation = \"{name}\"\n");
    let names: String = families.iter().map(named).collect();
    let estimates: String = EstimateKey::ALL.iter().map(|key| estimate(*key, source)).collect();
    format!("{head}\n{names}{estimates}")
}

/// The estimates of one family, of an implementation.
fn family(source: &str, head: &str, implementation: &str) -> String {
    let keys = EstimateKey::ALL.iter().filter(|key| table(**key) == FAMILY);
    let estimates: String = keys.map(|key| estimate(*key, source)).collect();
    format!("{head}\nprofile.{FAMILY}.implementation = \"{implementation}\"\n{estimates}")
}

fn estimate(key: EstimateKey, source: &str) -> String {
    let value = match key.dimension() {
        Dimension::Seconds => "\"1 us\"",
        Dimension::BytesPerSec => "\"1 GB/s\"",
        Dimension::Fraction
        | Dimension::Share
        | Dimension::Count
        | Dimension::CountAboveZero
        | Dimension::CountFromOne
        | Dimension::Tile => "1",
    };
    format!(
        "profile.{} = {{ value = {value}, spread = 0.0, basis = \"measured\", source = \"{source}\" }}\n",
        key.name()
    )
}

fn table(key: EstimateKey) -> &'static str {
    key.name().rsplit_once('.').map_or("", |(table, _)| table)
}

fn of_family() -> EstimateKey {
    EstimateKey::ALL.iter().copied().find(|key| table(*key) == FAMILY).expect("an estimate of the family")
}

fn lone() -> EstimateKey {
    EstimateKey::from_name("memory.peak-fraction").expect("a key of the model")
}

fn lone_too() -> EstimateKey {
    EstimateKey::from_name("memory.rate-per-sm").expect("a key of the model")
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn device(library: &Library, profiles: &[&str], implementations: &[&str]) -> Result<LoadedDevice, Mistakes> {
    let software = Software { implementations: &strings(implementations), framework: None };
    load_device("h800-sxm5", &strings(profiles), software, &[], library)
}

fn load(library: &Library, profiles: &[&str], implementations: &[&str]) -> LoadedDevice {
    device(library, profiles, implementations).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn refused(library: &Library, profiles: &[&str], implementations: &[&str]) -> String {
    device(library, profiles, implementations).expect_err("it should be refused").to_string()
}

/// Whose estimate of a key is taken.
fn source(loaded: &LoadedDevice, key: EstimateKey) -> &str {
    &loaded.profile.get(key).source
}

#[test]
fn bases_lie_under_all_that_is_named_level_by_level() {
    let mine = format!("base = [\"under\"]\n{}", estimate(lone(), "mine"));
    let files = [
        ("lib/profiles/mine.toml", mine.as_str()),
        ("lib/profiles/under.toml", &family("under", "base = \"../bottom.toml\"", "a")),
        ("lib/bottom.toml", &profile("bottom", "", &[(FAMILY, "b")])),
        ("lib/profiles/next.toml", &format!("base = [\"beside\"]\n{}", estimate(EstimateKey::KernelLatency, "next"))),
        ("lib/profiles/beside.toml", &estimate(EstimateKey::HostFraction, "beside")),
    ];
    let loaded = load(&Memory::library(&["lib"], &files), &["mine", "next"], &[]);
    // `bottom` holds everything, and is two levels down.
    let keys = [lone(), EstimateKey::KernelLatency, of_family(), EstimateKey::HostFraction, lone_too()];
    assert_eq!(keys.map(|key| source(&loaded, key)), ["mine", "next", "under", "beside", "bottom"]);
    assert_eq!(loaded.profile.get(of_family()).implementation.as_deref(), Some("a"));
}

#[test]
fn two_ways_to_one_base_are_one() {
    let files = [
        ("lib/profiles/top.toml", "base = [\"left\", \"./right.toml\"]"),
        ("lib/profiles/left.toml", "base = [\"whole\"]"),
        ("lib/profiles/right.toml", "base = [\"../profiles/whole.toml\"]"),
        ("lib/profiles/whole.toml", &profile("whole", "", &[])),
    ];
    assert_eq!(source(&load(&Memory::library(&["lib"], &files), &["top"], &[]), lone()), "whole");
}

#[test]
fn a_profile_based_on_itself_is_refused_by_whatever_name() {
    let files = [
        ("lib/profiles/a.toml", "base = [\"./b.toml\"]"),
        ("lib/profiles/b.toml", "base = [\"../profiles/a.toml\"]"),
        ("lib/profiles/whole.toml", &profile("whole", "base = [\"whole\"]", &[])),
    ];
    let library = Memory::library(&["lib"], &files);
    let text = refused(&library, &["a", "whole"], &[]);
    assert!(text.contains("`lib/profiles/a.toml` is based on itself, through `lib/profiles/b.toml`"), "{text}");
    assert!(text.contains("`lib/profiles/whole.toml` is based on itself\n"), "{text}");
}

#[test]
fn a_family_of_an_implementation_is_taken_whole() {
    let below = profile("below", "", &[(FAMILY, "b")]);
    let part = |head: &str| format!("{head}\n{}", estimate(of_family(), "part"));
    let named = format!("profile.{FAMILY}.implementation = \"a\"");
    let files = [
        ("lib/profiles/whole.toml", family("whole", "base = \"below\"", "a")),
        ("lib/profiles/named.toml", part(&format!("base = \"below\"\n{named}"))),
        ("lib/profiles/nameless.toml", part("base = \"below\"")),
        ("lib/profiles/below.toml", below),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let library = Memory::library(&["lib"], &files);
    let loaded = load(&library, &["whole"], &[]);
    for key in EstimateKey::ALL.iter().filter(|key| table(**key) == FAMILY) {
        assert_eq!(source(&loaded, *key), "whole", "{}", key.name());
    }
    let text = refused(&library, &["named"], &[]);
    assert!(text.contains("`profile.gemm.bf16` is of one implementation and lacks"), "{text}");
    let text = refused(&library, &["nameless"], &[]);
    assert!(text.contains("holds others of the family without an `implementation`"), "{text}");
}

#[test]
fn a_preferred_implementation_goes_before_the_order_of_files() {
    let files = [
        ("lib/profiles/first.toml", profile("first", "", &[(FAMILY, "a")])),
        ("lib/profiles/second.toml", family("second", "", "b")),
        ("lib/profiles/third.toml", family("third", "", "c")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let library = Memory::library(&["lib"], &files);
    let profiles = ["first", "second", "third"];
    for (implementations, expectation) in
        [(&[][..], "first"), (&["b"], "second"), (&["c"], "third"), (&["c", "b"], "third"), (&["a", "c"], "first")]
    {
        let loaded = load(&library, &profiles, implementations);
        assert_eq!(source(&loaded, of_family()), expectation, "{implementations:?}");
        assert_eq!(source(&loaded, lone()), "first", "a preference is for families alone");
    }
    let text = refused(&library, &profiles, &["d"]);
    assert!(text.contains("`d`") && text.contains("--implementation:1:1"), "{text}");
    let files = [("lib/profiles/only.toml", profile("only", "", &[(FAMILY, "library")]))];
    let library = Memory::library(&["lib"], &[(files[0].0, files[0].1.as_str())]);
    assert!(refused(&library, &["only"], &["libary"]).contains("did you mean `library`?"));
    assert!(refused(&library, &["only"], &["zzz"]).contains("they hold `library`"));
}

#[test]
fn what_a_calibration_says_of_itself_is_no_estimate() {
    let tables = "[held-out]\nmedian = 0.03\n\n[machine]\ndevice = \"some\"\n";
    let text = format!("{}\n{tables}", profile("whole", "hardware = [\"h800-sxm5\"]", &[]));
    let loaded = load(&Memory::library(&["lib"], &[("lib/profiles/whole.toml", &text)]), &["whole"], &[]);
    assert!(loaded.leaves.iter().all(|leaf| !leaf.key.contains("held-out") && !leaf.key.contains("machine")));
    let odd = format!("{}\n[held-in]\nmedian = 0.03\n", profile("odd", "", &[]));
    let text = refused(&Memory::library(&["lib"], &[("lib/profiles/odd.toml", &odd)]), &["odd"], &[]);
    assert!(text.contains("`held-in` does not belong in a profile file"), "{text}");
}

#[test]
fn a_base_keeps_its_basis_on_its_own_hardware_only() {
    let top = format!("base = \"other\"\nhardware = [\"h800-sxm5\"]\n{}", estimate(lone(), "top"));
    let files = [
        ("lib/profiles/top.toml", top.as_str()),
        ("lib/profiles/other.toml", &profile("other", "hardware = [\"h100-sxm5\"]", &[])),
    ];
    let loaded = load(&Memory::library(&["lib"], &files), &["top"], &[]);
    let basis = |key| loaded.profile.get(key).basis;
    assert_eq!([basis(lone()), basis(EstimateKey::KernelLatency)], [Basis::Measured, Basis::Extrapolated]);
}

#[test]
fn a_device_has_the_profile_named_like_it_and_may_be_patched() {
    let hardware = include_str!("../../../scenarios/hardware/h800-sxm5.toml");
    let files = [("parts/mine.toml", hardware), ("lib/profiles/mine.toml", &profile("named alike", "", &[]))];
    let library = Memory::library(&["lib"], &files);
    let load = |sets: &[&str]| load_device("parts/mine.toml", &[], Software::default(), &strings(sets), &library);
    let loaded = load(&["gpu.sms=66", "profile.kernel.latency.value=9 us"]).expect("a device");
    assert_eq!((loaded.machine.n_nodes, loaded.machine.device.sms), (1, 66));
    assert_eq!(source(&loaded, lone()), "named alike");
    assert!((loaded.profile.value(EstimateKey::KernelLatency) - 9e-6).abs() < 1e-12);
    let text = load(&["gpu.smz=66", "policy.schedule=1f1b"]).expect_err("no such keys").to_string();
    assert!(text.contains("did you mean `gpu.sms`?") && text.contains("no key `policy.schedule`"), "{text}");
    let text =
        load_device("h800-sxm", &[], Software::default(), &[], &library).expect_err("no such hardware").to_string();
    assert!(text.contains("did you mean `h800-sxm5`?") && text.contains("--> --hardware:1:1"), "{text}");
}
