//! Every number among the presets has a source that exists, and datasheet totals agree with the primitives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scenario::{FactFamily, Kind, Library, Published, Standing, load_machine, published};
use units::{Bytes, BytesPerSec, FlopsPerSec};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn ids(names: &[String]) -> BTreeSet<String> {
    let facts = names.iter().flat_map(|name| published(name, &Library::built_in()).expect("it can be read").facts);
    facts.map(|fact| fact.id).collect()
}

/// What was published about the training that is compared with first of all.
const COMPARED: &str = "deepseek-v3-training";

/// Words of a source that name a fact: a family, a dot, a name.
fn named(source: &str) -> impl Iterator<Item = &str> {
    let words = source.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')' | '"'));
    let is_family = |family: &str| {
        [
            "hw",
            "net",
            "lat",
            "v3",
            "fp8",
            "num",
            "topo",
            "dgemm",
            "gemm",
            "moe",
            "sdpa",
            "deepep",
            "deepep_ll",
            "aic",
            "nccl",
            "step",
            "trace",
            "llama3",
            "cost",
            "a100",
            "seqpar",
            "mpft",
            "bridge",
            "fold",
            "zb",
        ]
        .contains(&family)
    };
    words.filter(move |word| word.split_once('.').is_some_and(|(family, _)| is_family(family)))
}

#[test]
fn every_leaf_of_hardware_fabrics_and_clusters_has_a_source() {
    for folder in ["hardware", "fabrics", "clusters"] {
        for path in files(folder) {
            let text = fs::read_to_string(&path).expect("a file of the repository");
            for line in text.lines().filter(|line| line.contains(" = ")) {
                let excused = line.starts_with("about =") || line.starts_with("use.");
                let sourced = line.contains(" # source: ") || line.contains(" # assumed: ");
                assert!(excused || sourced, "{}: no source: {line}", path.display());
            }
        }
    }
}

#[test]
fn every_fact_that_is_named_exists_and_none_is_of_the_training() {
    let (compared, inputs): (Vec<String>, Vec<String>) =
        Library::built_in().names(Kind::Published).into_iter().partition(|name| name == COMPARED);
    let [compared, inputs] = [compared, inputs].map(|names| ids(&names));
    for folder in ["hardware", "fabrics", "clusters", "profiles", "train", "defaults"] {
        for path in files(folder) {
            let text = fs::read_to_string(&path).expect("a file of the repository");
            let sources = text.lines().filter_map(|line| line.split_once("source").map(|(_, source)| source));
            for name in sources.flat_map(named) {
                // One profile may rest on single kernels of the training's trace; a result on it is reported apart.
                let used = path.ends_with("h800-trace-kernels.toml") && is_single_kernel(name);
                assert!(used || !compared.contains(name), "{}: `{name}` is only compared with", path.display());
                assert!(used || inputs.contains(name), "{}: there is no fact `{name}`", path.display());
            }
        }
    }
}

fn is_single_kernel(name: &str) -> bool {
    ["trace.k_", "trace.g_", "trace.expand", "trace.reduce"].iter().any(|family| name.starts_with(family))
}

#[test]
fn datasheet_totals_agree_with_the_primitives() {
    for path in files("hardware") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let sets = [format!("use.hardware={name}"), "use.fabric=none".to_owned(), "cluster.nodes=1".to_owned()];
        let loaded = load_machine("h800-64-mpft", &sets, &Library::built_in());
        let device = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).machine.device;
        let table: toml::Table = fs::read_to_string(&path).expect("a preset").parse().expect("it is TOML");
        let total = |key: &str| table["check"][key].as_str().expect("a quantity").to_owned();
        let rate = |key: &str| total(key).parse::<BytesPerSec>().expect("a rate").get();
        let flops = |key: &str| total(key).parse::<FlopsPerSec>().expect("a rate of arithmetic").get();
        let pairs = [
            ("BF16 peak", flops("bf16-peak"), device.peak_bf16().get()),
            ("memory rate", rate("memory-rate"), device.memory_rate().get()),
            (
                "memory",
                total("memory-capacity").parse::<Bytes>().expect("a size").get(),
                device.memory_capacity().get(),
            ),
            ("scale-up, both ways", rate("scale-up-two-way"), 2.0 * device.scale_up_rate().get()),
        ];
        // A device without FP8 has no peak to compare.
        let fp8 = table["check"].get("fp8-peak").map(|_| ("FP8 peak", flops("fp8-peak"), device.peak_fp8().get()));
        assert_eq!(fp8.is_some(), device.peak_fp8().get() > 0.0, "{name}: an FP8 peak without its datasheet total");
        for (what, expected, actual) in pairs.into_iter().chain(fp8) {
            assert!((actual / expected - 1.0).abs() < 1e-3, "{name}: {what}: expected {expected:e}, actual {actual:e}");
        }
    }
}

#[test]
fn every_file_of_published_facts_can_be_read() {
    for path in files("published") {
        let facts = published(&path.display().to_string(), &Library::built_in());
        assert!(!facts.unwrap_or_else(|mistakes| panic!("{mistakes}")).facts.is_empty());
    }
}

#[test]
fn every_cluster_can_be_wired() {
    let library = Library::built_in();
    for name in library.names(Kind::Cluster) {
        let machine = load_machine(&name, &[], &library).unwrap_or_else(|mistakes| panic!("{mistakes}")).machine;
        let network = topology::Network::build(&machine).unwrap_or_else(|error| panic!("{name}: {error}"));
        network.survey().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_fact_is_of_a_family_and_asked_or_left_out_for_a_reason() {
    let library = Library::built_in();
    let files: Vec<Published> = library
        .names(Kind::Published)
        .iter()
        .map(|name| published(name, &library).unwrap_or_else(|mistakes| panic!("{mistakes}")))
        .collect();
    let families: BTreeMap<&str, &FactFamily> =
        files.iter().flat_map(|file| &file.families).map(|family| (family.name.as_str(), family)).collect();
    for fact in files.iter().flat_map(|file| &file.facts) {
        let id = &fact.id;
        let family = families.get(fact.family.as_str()).unwrap_or_else(|| panic!("{id}: no family `{}`", fact.family));
        match &fact.standing {
            Standing::Asked(ask) => {
                assert!(!family.group.is_empty(), "{id}: `{}` has facts that are asked and no group", fact.family);
                assert!(files.iter().any(|file| file.units.contains_key(&fact.unit)), "{id}: unit `{}`", fact.unit);
                assert!(!ask.commands.is_empty(), "{id}: asks nothing");
            }
            Standing::Unpredicted(reason) => {
                assert!(!(reason.is_empty() && family.unpredicted.is_empty()), "{id}: left out without a reason");
            }
        }
    }
}
