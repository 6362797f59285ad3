//! The one arrow of this crate: files, patches, a library in; a plan out.

use std::collections::BTreeMap;

use calibrate::Profile;
use plan::{CostTerms, Folding, Job, Plan, Recording, Simulation, Site, Train};
use topology::Machine;
use workloads::model::Model;
use workloads::recipe::Recipe;

use crate::cost;
use crate::diagnostic::Mistakes;
use crate::framework::{self, Framework, KernelsOf};
use crate::job::{self, JobKeys};
use crate::kind::Kind;
use crate::layers::{self, DeviceNames, Layers, NAMESPACES};
use crate::layout;
use crate::library::Library;
use crate::machine;
use crate::model;
use crate::origin::Origin;
use crate::policy;
use crate::profile;
use crate::reader::{Decided, Reader, each_leaf};
use crate::serve::{self, SERVING_NAMESPACES};
use crate::tree::Table;

/// A scenario that became a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Everything decided.
    pub plan: Plan,
    /// Every value that went in, by dotted key, in the order of `plan.toml`.
    pub leaves: Vec<Leaf>,
    /// Where each value was written, by dotted key.
    pub origins: BTreeMap<String, Origin>,
}

/// A machine without a job.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedMachine {
    /// The name of the cluster or scenario.
    pub name: String,
    /// The machine.
    pub machine: Machine,
    /// Every value that went in, by dotted key.
    pub leaves: Vec<Leaf>,
}

/// A machine of some hardware, and what is known of its kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedDevice {
    /// One node without a network, or a cluster.
    pub machine: Machine,
    /// Every estimate.
    pub profile: Profile,
    /// Which kernels the software stack runs; each op as one where none is named.
    pub recipe: Recipe,
    /// Every value that went in, by dotted key.
    pub leaves: Vec<Leaf>,
}

/// A cluster, what is known of its kernels, and what is taken for granted about money.
#[derive(Clone, Debug)]
pub struct LoadedSite {
    /// Where jobs run.
    pub site: Site,
    /// What money buys.
    pub cost: CostTerms,
    /// Every value that went in, by dotted key.
    pub leaves: Vec<Leaf>,
}

/// One value of the merged files.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Dotted key, for example `gpu.memory.stacks`.
    pub key: String,
    /// As TOML; an automatic value as it was decided.
    pub value: String,
    /// As TOML; an automatic value as it was written.
    pub written: String,
    /// In base units at full precision: equal for two spellings of one value.
    pub canonical: String,
    /// Where it was written.
    pub origin: Origin,
}

impl Leaf {
    /// The key without its last part.
    pub(crate) fn table(&self) -> &str {
        self.key.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// The last part of the key.
    pub(crate) fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(self.key.as_str(), |(_, name)| name)
    }

    /// Whether the value is for people only, or is seen in others: two plans that differ in nothing else are the same plan. Whose kernels a
    /// framework runs is seen in the bases of the estimates.
    #[must_use]
    pub fn is_label(&self) -> bool {
        let labels = [".source", ".implementation"];
        ["model.name", "framework.name"].contains(&self.key.as_str())
            || self.key.starts_with("framework.implementations.")
            || (self.key.starts_with("profile.") && labels.iter().any(|label| self.key.ends_with(label)))
    }
}

/// Loads a scenario: a preset name or a path, with `sets` (`dotted.key=value`, as after `--set`) laid over it.
///
/// # Errors
/// Every mistake of every file and patch, at once.
pub fn load(reference: &str, sets: &[String], library: &Library) -> Result<Loaded, Mistakes> {
    let (layers, mistakes) = layers::read(Kind::Scenario, reference, sets, library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    if layers.is_service {
        return service(&layers, reader, library);
    }
    let machine = machine::machine(&mut reader);
    let model = model::model(&mut reader);
    let job = job::job(&mut reader);
    job::check_arithmetic(&mut reader, &job, &machine.device);
    let mut policy = policy::policies(&mut reader, &machine);
    let simulation = policy::simulation(&mut reader);
    let parallel = layout::parallel(&mut reader, &machine, &model, &job, &policy);
    policy::decide_comm_sms(&mut reader, &machine, &model, &parallel, &mut policy);
    policy::check_tensor_collectives(&mut reader, &parallel, &policy);
    let traffic = job::traffic(&mut reader, &model);
    let cost = cost::terms(&mut reader);
    let Framework { name: framework, timed: is_stack_timed, recipe, host, kernels_of } =
        framework::framework(&mut reader, layers.implementations);
    let profile = profile::profile(&mut reader, &layers.profiles, &layers.departures, &kernels_of);
    let decided = reader.finish(&NAMESPACES).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &NAMESPACES, &decided);
    let origins = leaves.iter().map(|leaf| (leaf.key.clone(), leaf.origin.clone())).collect();
    // A missing estimate is a mistake, and with a mistake `finish` has returned.
    let profile = profile.ok_or_else(Mistakes::default)?;
    let JobKeys { sequence, global_batch, micro_batch, precision, lora, documents } = job;
    let train = Train {
        model,
        parallel,
        sequence,
        global_batch,
        micro_batch,
        precision,
        lora,
        documents,
        framework,
        is_stack_timed,
        recipe,
        host,
        policy,
        traffic,
    };
    let (site, job) = (Site { machine, profile }, Job::Train(Box::new(train)));
    Ok(Loaded { plan: Plan { name: layers.name, site, job, simulation, cost }, leaves, origins })
}

/// A service out of its merged files.
fn service(layers: &Layers, mut reader: Reader<'_>, library: &Library) -> Result<Loaded, Mistakes> {
    let machine = machine::machine(&mut reader);
    let model = model::model(&mut reader);
    let stack = framework::framework(&mut reader, layers.implementations.clone());
    let job = serve::serve(&mut reader, (&machine, model), &stack, library);
    let cost = cost::terms(&mut reader);
    let profile = profile::profile(&mut reader, &layers.profiles, &layers.departures, &stack.kernels_of);
    let decided = reader.finish(&SERVING_NAMESPACES).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &SERVING_NAMESPACES, &decided);
    let origins = leaves.iter().map(|leaf| (leaf.key.clone(), leaf.origin.clone())).collect();
    // A missing estimate is a mistake, and with a mistake `finish` has returned.
    let profile = profile.ok_or_else(Mistakes::default)?;
    let (site, job) = (Site { machine, profile }, Job::Serve(Box::new(job)));
    let simulation = Simulation { folding: Folding::Auto, record: Recording::None, scheduling_anomaly: 0.0 };
    Ok(Loaded { plan: Plan { name: layers.name.clone(), site, job, simulation, cost }, leaves, origins })
}

/// Loads the machine of a cluster or a scenario: the name of a cluster preset, else of a scenario, or a path to either.
///
/// # Errors
/// Every mistake in the keys of the machine, at once.
pub fn load_machine(reference: &str, sets: &[String], library: &Library) -> Result<LoadedMachine, Mistakes> {
    let kind = machine_kind(reference, library);
    let (layers, mistakes) = layers::read(kind, reference, sets, library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let machine = machine::machine(&mut reader);
    let decided = reader.finish(&machine::NAMESPACES).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &machine::NAMESPACES, &decided);
    Ok(LoadedMachine { name: layers.name, machine, leaves })
}

/// Whose kernels run on a device that is loaded alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Software<'a> {
    /// Families of these go before all others.
    pub implementations: &'a [String],
    /// The software stack; none: kernels as they were measured.
    pub framework: Option<&'a str>,
}

/// Loads hardware and profiles without a cluster or a job. Each is a preset name or a path; an earlier profile goes before a
/// later one, and without any the profile named like the hardware is taken. Families of an earlier one of `implementations`
/// go before all others. `sets` may patch `gpu.*`, `node.*` and `profile.*`.
///
/// # Errors
/// Every mistake in the names, their files and the patches, at once.
pub fn load_device(
    hardware: &str,
    profiles: &[String],
    software: Software<'_>,
    sets: &[String],
    library: &Library,
) -> Result<LoadedDevice, Mistakes> {
    let Software { implementations, framework } = software;
    let names = DeviceNames { hardware, profiles, implementations, framework };
    let (layers, mistakes) = layers::read_device(names, sets, library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let machine = machine::one_node(&mut reader);
    let stack =
        framework.map(|_| framework::framework(&mut reader, layers.implementations.clone())).unwrap_or_default();
    let profile = profile::profile(&mut reader, &layers.profiles, &layers.departures, &stack.kernels_of);
    let namespaces = ["gpu", "node", "framework", "profile"];
    let decided = reader.finish(&namespaces).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &namespaces, &decided);
    // A missing estimate is a mistake, and with a mistake `finish` has returned.
    let profile = profile.ok_or_else(Mistakes::default)?;
    Ok(LoadedDevice { machine, profile, recipe: stack.recipe, leaves })
}

/// Loads one node of some hardware, without what is known of its kernels. `sets` may patch `gpu.*` and `node.*`.
///
/// # Errors
/// Every mistake in its keys and the patches, at once.
pub fn load_hardware(reference: &str, sets: &[String], library: &Library) -> Result<Machine, Mistakes> {
    let (layers, mistakes) = layers::read_hardware(reference, sets, library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let machine = machine::one_node(&mut reader);
    reader.finish(&["gpu", "node"]).map_err(Mistakes::new)?;
    Ok(machine)
}

/// Loads a model alone: a preset name, a path, or a path to a Hugging Face `config.json`. `sets` may patch `model.*`.
///
/// # Errors
/// Every mistake in its keys and the patches, at once.
pub fn load_model(reference: &str, sets: &[String], library: &Library) -> Result<Model, Mistakes> {
    let (layers, mistakes) = layers::read_model(reference, sets, library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let model = model::model(&mut reader);
    reader.finish(&["model"]).map_err(Mistakes::new)?;
    Ok(model)
}

/// Loads a cluster and profiles without a job. Each is a preset name or a path; an earlier profile goes before a later one, and
/// without any the profile named like the cluster's hardware is taken. `sets` may patch all of them.
///
/// # Errors
/// Every mistake in the names, their files and the patches, at once.
pub fn load_cluster(
    reference: &str,
    profiles: &[String],
    sets: &[String],
    library: &Library,
) -> Result<LoadedDevice, Mistakes> {
    let named = (reference, profiles);
    let (layers, mistakes) = layers::read_cluster(named, sets, &[], library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let machine = machine::machine(&mut reader);
    let profile = profile::profile(&mut reader, &layers.profiles, &layers.departures, &KernelsOf::default());
    let namespaces = ["cluster", "gpu", "node", "fabric", "profile"];
    let decided = reader.finish(&namespaces).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &namespaces, &decided);
    // A missing estimate is a mistake, and with a mistake `finish` has returned.
    let profile = profile.ok_or_else(Mistakes::default)?;
    Ok(LoadedDevice { machine, profile, recipe: Recipe::default(), leaves })
}

/// As [`load_cluster`], with what is taken for granted about money: for jobs that are no scenario. `sets` may patch `cost.*` too.
///
/// # Errors
/// As [`load_cluster`].
pub fn load_site(
    reference: &str,
    profiles: &[String],
    sets: &[String],
    library: &Library,
) -> Result<LoadedSite, Mistakes> {
    let named = (reference, profiles);
    let (layers, mistakes) = layers::read_cluster(named, sets, &["cost"], library).map_err(Mistakes::new)?;
    let mut reader = Reader::new(&layers.root, layers.file.clone(), mistakes);
    let machine = machine::machine(&mut reader);
    let profile = profile::profile(&mut reader, &layers.profiles, &layers.departures, &KernelsOf::default());
    let cost = cost::terms(&mut reader);
    let namespaces = ["cluster", "gpu", "node", "fabric", "profile", "cost"];
    let decided = reader.finish(&namespaces).map_err(Mistakes::new)?;
    let leaves = leaves(&layers.root, &namespaces, &decided);
    // A missing estimate is a mistake, and with a mistake `finish` has returned.
    let profile = profile.ok_or_else(Mistakes::default)?;
    Ok(LoadedSite { site: Site { machine, profile }, cost, leaves })
}

/// A file that has a job is a scenario; a name is first a cluster.
fn machine_kind(reference: &str, library: &Library) -> Kind {
    let is_cluster = match library.open(Kind::Cluster, reference, None) {
        Ok(source) => {
            let file = crate::parse::file(&source, &mut Vec::new()).unwrap_or_default();
            !["job", "parallel", "policy", "serve"].iter().any(|namespace| file.contains_key(*namespace))
        }
        Err(_) => library.open(Kind::Scenario, reference, None).is_err(),
    };
    if is_cluster { Kind::Cluster } else { Kind::Scenario }
}

fn leaves(root: &Table, namespaces: &[&str], decided: &BTreeMap<String, Decided>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    each_leaf(root, &mut |key, node| {
        if let Some(Decided { canonical, shown }) = decided.get(&key) {
            leaves.push(Leaf {
                value: shown.clone(),
                written: node.value.to_string(),
                canonical: canonical.clone(),
                origin: node.origin.clone(),
                key,
            });
        }
    });
    let namespace = |leaf: &Leaf| namespaces.iter().position(|name| leaf.key.split('.').next() == Some(name));
    // By table, so that each table stands in one piece.
    leaves.sort_by(|a, b| {
        let tables = namespace(a).cmp(&namespace(b)).then_with(|| a.table().cmp(b.table()));
        tables.then_with(|| a.name().cmp(b.name()))
    });
    leaves
}
