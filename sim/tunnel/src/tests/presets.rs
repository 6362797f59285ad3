//! Every leaf of every preset is part of the plan: another value is another digest. Datasheet totals are none.

use std::fmt::Write;

use rayon::prelude::*;
use scenario::{Kind, Leaf, Library, Loaded, load};

use super::perturb::others;
use super::scenes::{Scene, library};

/// A preset, and a scenario text that loads it. Degrees are 1 so that any number of devices fits, and the batch is a multiple of
/// every number of replicas that comes of it.
struct Carrier {
    file: String,
    text: String,
}

impl Carrier {
    fn new(kind: Kind, name: &str) -> Self {
        let machine = |hardware: &str, fabric: &str| {
            let nodes = if fabric == "none" { 1 } else { 8 };
            format!("[cluster]\nnodes = {nodes}\n[use]\nhardware = \"{hardware}\"\nfabric = \"{fabric}\"\n")
        };
        let small = || machine("h800-sxm5", "mpft-8-plane");
        let (mut text, mut model, mut profile) = (small(), "deepseek-v3", "h800-published");
        match kind {
            Kind::Hardware => text = machine(name, "mpft-8-plane"),
            Kind::Fabric => text = machine("h800-sxm5", name),
            Kind::Cluster => text = format!("[use]\ncluster = \"{name}\"\n"),
            Kind::Model => model = name,
            Kind::Profile => profile = name,
            _ => {}
        }
        if (kind, name) == (Kind::Defaults, "serve") {
            let text = format!("{text}model = \"{model}\"\nprofiles = [\"{profile}\"]\n[serve]\ntp = 1\n");
            return Self { file: "scenarios/defaults/serve.toml".to_owned(), text };
        }
        let _ = write!(
            text,
            "model = \"{model}\"\nprofiles = [\"{profile}\", \"h800-published\"]\n[job]\nsequence = 4096\n\
             global-batch = 294912\nmicro-batch = 1\nprecision = \"fp8-block\"\n[parallel]\npp = 1\n"
        );
        let carrier = Self { file: format!("scenarios/{}/{name}.toml", kind.folder()), text };
        // What a device lacks is refused; all have BF16.
        let lacks_fp8 = carrier.load(&[]).is_err_and(|mistakes| mistakes.contains("has no FP8"));
        if lacks_fp8 { Self { text: carrier.text.replace("fp8-block", "bf16"), ..carrier } } else { carrier }
    }

    /// Of all presets of a machine, a model or measurements, and of the defaults.
    fn all() -> Vec<Self> {
        let kinds = [Kind::Hardware, Kind::Fabric, Kind::Cluster, Kind::Model, Kind::Profile, Kind::Defaults];
        let named = |kind| Library::built_in().names(kind).into_iter().map(move |name| Self::new(kind, &name));
        kinds.into_iter().flat_map(named).collect()
    }

    fn load(&self, sets: &[String]) -> Result<Loaded, String> {
        let library = library(&[("train/carrier.toml", &self.text)]);
        load("carrier", sets, &library).map_err(|mistakes| mistakes.to_string())
    }
}

fn loaded(result: Result<Loaded, String>, what: &str) -> Loaded {
    result.unwrap_or_else(|mistakes| panic!("{what}: {mistakes}"))
}

/// The leaves that a preset gives, but for those of spreads and bases, of which there are hundreds: they are changed together.
fn own(base: &Loaded, file: &str) -> Vec<Leaf> {
    let own = base.leaves.iter().filter(|leaf| leaf.origin.file() == file && !leaf.is_label());
    own.filter(|leaf| !leaf.key.starts_with("profile.") || leaf.key.ends_with(".value")).cloned().collect()
}

/// Whether some other legal value of a leaf is another plan; `None` where no other value is legal.
fn moves(leaf: &Leaf, base: &Loaded, load: &dyn Fn(&[String]) -> Result<Loaded, String>) -> Option<bool> {
    let mut legal = None;
    for set in others(&leaf.key, &leaf.value, &|set| load(&[set.to_owned()]).err()) {
        let Ok(other) = load(std::slice::from_ref(&set)) else { continue };
        if other.plan != base.plan {
            return Some(true);
        }
        legal = Some(false);
    }
    legal
}

/// Leaves that another key makes mute, as `policy.virtual-stages` is under `1f1b`: alive if some scene's plan moves.
fn moves_in_a_scene(key: &str, scenes: &[Scene]) -> bool {
    scenes.iter().any(|scene| {
        let leaf = scene.base.leaves.iter().find(|leaf| leaf.key == key);
        leaf.is_some_and(|leaf| moves(leaf, &scene.base, &|sets| scene.with(&sets[0])) == Some(true))
    })
}

/// Keys that have no other legal value while everything else stays.
const SETTLED: [&str; 3] = ["model.attention.kind", "model.experts", "requests.trace"];

fn faults(
    file: &str,
    base: &Loaded,
    scenes: &[Scene],
    load: &(dyn Fn(&[String]) -> Result<Loaded, String> + Sync),
) -> Vec<String> {
    let fault = |leaf: &Leaf| match moves(leaf, base, load) {
        Some(true) => None,
        _ if SETTLED.contains(&leaf.key.as_str()) || moves_in_a_scene(&leaf.key, scenes) => None,
        Some(false) => Some(format!("{file}: `{}`: other values are the same plan: put it into the plan", leaf.key)),
        None => Some(format!("{file}: `{}`: no other value is legal", leaf.key)),
    };
    own(base, file).par_iter().filter_map(fault).collect()
}

#[test]
fn every_leaf_of_every_preset_is_another_plan() {
    let scenes = Scene::all();
    let mut all = Vec::new();
    for carrier in Carrier::all() {
        let base = loaded(carrier.load(&[]), &carrier.file);
        // A profile may be nothing but a union of others.
        let gives = base.leaves.iter().any(|leaf| leaf.origin.file() == carrier.file);
        assert!(gives || carrier.file.contains("/profiles/"), "{} gives nothing", carrier.file);
        all.extend(faults(&carrier.file, &base, &scenes, &|sets| carrier.load(sets)));
    }
    let built_in = Library::built_in();
    let of_kind = |kind: Kind| built_in.names(kind).into_iter().map(move |name| (kind, name));
    for (kind, name) in of_kind(Kind::Scenario).chain(of_kind(Kind::Service)) {
        let load = |sets: &[String]| load(&name, sets, &Library::built_in()).map_err(|mistakes| mistakes.to_string());
        let base = loaded(load(&[]), &name);
        all.extend(faults(&format!("scenarios/{}/{name}.toml", kind.folder()), &base, &scenes, &load));
    }
    assert!(all.is_empty(), "{} leaves\n{}\n", all.len(), all.join("\n"));
}

#[test]
fn every_spread_and_basis_of_every_profile_is_in_the_plan() {
    for name in Library::built_in().names(Kind::Profile) {
        let carrier = Carrier::new(Kind::Profile, &name);
        let base = loaded(carrier.load(&[]), &name);
        let of = |end: &str| base.leaves.iter().filter(|leaf| leaf.key.ends_with(end)).collect::<Vec<_>>();
        let spreads = of(".spread").into_iter().map(|leaf| (leaf, format!("{}=1.5", leaf.key)));
        let bases = of(".basis").into_iter().map(|leaf| {
            let other = calibrate::Basis::ALL.into_iter().find(|basis| !leaf.value.contains(basis.name()));
            (leaf, format!("{}={}", leaf.key, other.expect("five of them").name()))
        });
        let (leaves, sets): (Vec<&Leaf>, Vec<String>) = spreads.chain(bases).unzip();
        assert!(!leaves.is_empty(), "{name}");
        let other = loaded(carrier.load(&sets), &name);
        for (key, estimate) in base.plan.site.profile.iter() {
            let now = other.plan.site.profile.get(key);
            // What stands for an estimate that the files leave out has no leaf of its own; what stands in for another is assumed anyway.
            if !base.leaves.iter().any(|leaf| leaf.key == format!("profile.{}.basis", key.name())) {
                continue;
            }
            let is_assumed = estimate.stands_for.is_some() && now.basis == calibrate::Basis::Assumed;
            let moved = now.spread != estimate.spread && (is_assumed || now.basis != estimate.basis);
            assert!(moved, "{name}: {}", key.name());
        }
    }
}

/// A `[check]` table is for the test that compares it: no plan and no leaf knows it.
#[test]
fn datasheet_totals_change_nothing_but_the_check() {
    let built_in = Library::built_in();
    for name in built_in.names(Kind::Hardware) {
        let text = built_in.text(Kind::Hardware, &name, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut table: toml::Table = text.as_str().parse().expect("a preset");
        let check =
            table.get_mut("check").and_then(toml::Value::as_table_mut).unwrap_or_else(|| panic!("{name}: no `check`"));
        for (key, value) in check.iter_mut() {
            let other = others(key, &value.to_string(), &|_| None).into_iter().next().expect("a quantity");
            let other: toml::Table = other.parse().expect("TOML");
            *value = other[key].clone();
        }
        let carrier = Carrier::new(Kind::Hardware, &name);
        let file = format!("hardware/{name}.toml");
        let changed = library(&[("train/carrier.toml", &carrier.text), (&file, &table.to_string())]);
        let other = loaded(load("carrier", &[], &changed).map_err(|mistakes| mistakes.to_string()), &name);
        let base = loaded(carrier.load(&[]), &name);
        assert_eq!(scenario::digest(&other), scenario::digest(&base), "{name}");
        assert!(other.origins["gpu.sms"].file().starts_with("/scenes"), "the changed file was read");
        let keys = |loaded: &Loaded| loaded.leaves.iter().map(|leaf| leaf.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&other), keys(&base), "{name}");
    }
}
