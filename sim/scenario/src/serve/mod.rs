//! A service: `serve.*`, `scheduler.*`, `simulation.*`, and what of a framework is of services alone.

mod prefill;
mod requests;

use calibrate::{Lacking, lacking};
use plan::{
    AllReduces, Drafts, IterationOverlap, Iterations, Launches, OverlapPolicy, PrefillUnits, SchedulerKind,
    SchedulerSpec, Serve, ServedPhase, ServingStack,
};
use topology::{Machine, Routing};
use workloads::iteration::{Popularity, UnitLayout};
use workloads::model::Model;
use workloads::op::{LinearPrecision, Pass};
use workloads::step::Dispatcher;

use crate::framework::Framework;
use crate::library::Library;
use crate::policy;
use crate::reader::{Reader, WordOr};

/// Namespaces of a service, in the order of `plan.toml`.
pub(crate) const SERVING_NAMESPACES: [&str; 14] = [
    "cluster",
    "gpu",
    "node",
    "fabric",
    "model",
    "framework",
    "serve",
    "scheduler",
    "requests",
    "policy",
    "traffic",
    "simulation",
    "cost",
    "profile",
];

/// Ranks, slots and SMs that are kept in lists.
const N_PARTS_MAX: u64 = 1 << 16;
/// Tokens of an iteration or a length.
const TOKENS_MAX: u64 = 1 << 32;

/// The service of a scenario; `stack` is what its framework decides.
pub(crate) fn serve(
    reader: &mut Reader<'_>,
    (machine, model): (&Machine, Model),
    stack: &Framework,
    library: &Library,
) -> Serve {
    let devices_per_node = policy::devices_per_node(reader, machine);
    let layout = layout(reader, machine, &model, stack);
    let (phase, is_apart) = phase(reader);
    let prefill = prefill::prefill(reader, &model, &layout);
    let prefill = is_apart.then_some(prefill);
    let units = units(reader, (machine, devices_per_node), &layout, prefill.as_ref());
    Serve {
        layout,
        units,
        prefill: prefill.map(Box::new),
        phase,
        devices_per_node,
        routing: reader.choice("policy.routing", &Routing::ALL.map(|routing| (routing.name(), routing))),
        promote: policy::promote(reader, &machine.device),
        overlap: overlap(reader, machine),
        popularity: Popularity {
            skew: reader.number("traffic.skew", 0.0..=8.0),
            seed: reader.count("traffic.seed", 0..=i64::MAX.unsigned_abs()),
        },
        drafts: drafts(reader, &model),
        stack: serving_stack(reader, stack),
        memory_share: reader.number("serve.memory-share", 0.01..=1.0),
        scheduler: scheduler(reader),
        requests: requests::requests(reader, library),
        iterations: reader.choice(
            "simulation.iterations",
            &[("tabulated", Iterations::Tabulated), ("detailed", Iterations::Detailed)],
        ),
        model,
    }
}

/// What a unit does of a request, and whether others compute the prompts.
fn phase(reader: &mut Reader<'_>) -> (ServedPhase, bool) {
    let phases = [
        ("both", (ServedPhase::Both, false)),
        ("prefill", (ServedPhase::Prefill, false)),
        ("decode", (ServedPhase::Decode, false)),
        ("apart", (ServedPhase::Both, true)),
    ];
    reader.choice("serve.phase", &phases)
}

fn layout(reader: &mut Reader<'_>, machine: &Machine, model: &Model, stack: &Framework) -> UnitLayout {
    let linear = [
        ("bf16", LinearPrecision::Bf16),
        ("fp8", LinearPrecision::Fp8Block),
        ("fp8-block", LinearPrecision::Fp8Block),
        ("fp8-tensor", LinearPrecision::Fp8Tensor),
    ];
    let layout = UnitLayout {
        tp: reader.count("serve.tp", 1..=N_PARTS_MAX),
        dp: reader.count("serve.dp", 1..=N_PARTS_MAX),
        ep: reader.count("serve.ep", 1..=N_PARTS_MAX),
        redundant: reader.count("serve.redundant-experts", 0..=N_PARTS_MAX),
        weights: reader.choice("serve.weights", &linear),
        cached_width: reader.choice("serve.kv", &[("bf16", 2), ("fp8", 1)]),
        dispatcher: dispatcher(reader),
        casting: plan::casting(machine.device.cast),
        recipe: stack.recipe.clone(),
    };
    let keys = ["serve.tp", "serve.dp", "serve.ep"];
    if reader.sound(&keys) && reader.all_sound("model") {
        for error in layout.check(model) {
            reader.refuse(error.key(), error.to_string(), Some(error.way_out()));
        }
    }
    if let Some(Lacking { format, key }) = lacking(&machine.device, layout.weights.product(Pass::Forward, false))
        && reader.sound(&["serve.weights", key])
    {
        let message = format!("`serve.weights` is FP8, but this device has no {format} (`{key}` is 0)");
        reader.refuse("serve.weights", message, Some("take `serve.weights = \"bf16\"`".to_owned()));
    }
    layout
}

/// `auto`: the software stack's own.
fn dispatcher(reader: &mut Reader<'_>) -> Dispatcher {
    let names = Dispatcher::ALL.map(|dispatcher| (dispatcher.name(), Some(dispatcher)));
    let of_stack = reader.choice("framework.dispatcher", &names).unwrap_or_default();
    let mut choices = vec![("auto", None)];
    choices.extend(names);
    reader.choice("serve.dispatcher", &choices).unwrap_or_else(|| {
        reader.decide("serve.dispatcher", format!("\"{}\"", of_stack.name()));
        of_stack
    })
}

fn units(
    reader: &mut Reader<'_>,
    (machine, devices): (&Machine, u32),
    layout: &UnitLayout,
    prefill: Option<&PrefillUnits>,
) -> u32 {
    let units: u32 = reader.count("serve.units", 1..=N_PARTS_MAX);
    let keys = ["serve.units", "serve.tp", "serve.dp", "cluster.nodes", "node.devices", "policy.devices-per-node"];
    if !reader.sound(&keys) {
        return units;
    }
    let n_devices = u64::from(machine.n_nodes) * u64::from(devices);
    let n_ranks = layout.n_ranks();
    let of_prompts = prefill.map_or(0, |prefill| prefill.layout.n_ranks() * u64::from(prefill.units));
    if u64::from(units) * n_ranks + of_prompts > n_devices {
        let error = plan::Contradiction::TooManyUnits { units, n_ranks, of_prompts, n_devices };
        reader.refuse("serve.units", error.to_string(), None);
    }
    on_nodes(reader, layout, devices, "serve");
    if let Some(prefill) = prefill {
        on_nodes(reader, &prefill.layout, devices, "serve.prefill");
    }
    units
}

/// Refuses a unit that nodes of so many devices cannot hold evenly; its keys begin with `place`.
fn on_nodes(reader: &mut Reader<'_>, layout: &UnitLayout, devices: u32, place: &str) {
    let (ranks, devices) = (layout.n_ranks().max(1), u64::from(devices.max(1)));
    let [tp, dp] = ["tp", "dp"].map(|key| format!("{place}.{key}"));
    if !ranks.is_multiple_of(devices) && !devices.is_multiple_of(ranks) {
        let message = format!("a unit of {ranks} ranks neither fills nodes of {devices} devices nor shares one evenly");
        let hint =
            format!("take ranks (`{tp}` by `{dp}`) or `policy.devices-per-node` such that one divides the other");
        reader.refuse(&dp, message, Some(hint));
    }
    if layout.tp > devices {
        let message = format!("`{tp}` is {}, over nodes of {devices} devices", layout.tp);
        let hint = format!("take at most {devices}: tensor parallelism within a node is modeled");
        reader.refuse(&tp, message, Some(hint));
    }
}

const OVERLAPS: [(&str, IterationOverlap); 3] = [
    ("none", IterationOverlap::None),
    ("shared-expert", IterationOverlap::SharedExpert),
    ("two-batches", IterationOverlap::TwoBatches),
];

fn overlap(reader: &mut Reader<'_>, machine: &Machine) -> OverlapPolicy {
    let policy = OverlapPolicy {
        kind: reader.choice("serve.overlap", &OVERLAPS),
        moe_sms: reader.count("serve.moe-sms", 0..=N_PARTS_MAX),
        comm_sms: reader.count("serve.comm-sms", 1..=N_PARTS_MAX),
    };
    for (key, count) in [("serve.moe-sms", policy.moe_sms), ("serve.comm-sms", policy.comm_sms)] {
        if reader.sound(&[key, "gpu.sms"]) && count >= machine.device.sms {
            let message = format!("{count} SMs leave none of {} (`gpu.sms`)", machine.device.sms);
            reader.refuse(key, message, Some(format!("take fewer than {}", machine.device.sms)));
        }
    }
    policy
}

/// Guesses of a draft module; more than this many are a mistake.
const N_DRAFTS_MAX: usize = 16;

fn drafts(reader: &mut Reader<'_>, model: &Model) -> Drafts {
    let acceptance = reader.numbers("serve.drafts.acceptance", 0.0..=1.0);
    let key = "serve.drafts.acceptance";
    if acceptance.len() > N_DRAFTS_MAX {
        reader.refuse(key, format!("{} drafts; {N_DRAFTS_MAX} are the most", acceptance.len()), None);
    }
    if !acceptance.is_empty() && model.mtp_modules == 0 && reader.sound(&["model.mtp-modules", key]) {
        let message = "drafts of a model that has no module to make them (`model.mtp-modules` is 0)";
        reader.refuse(key, message, Some("take `[]`, or a model with one".to_owned()));
    }
    Drafts { acceptance }
}

fn serving_stack(reader: &mut Reader<'_>, stack: &Framework) -> ServingStack {
    let launches = [("graphs", Launches::Graphs), ("each", Launches::Each)];
    // What is of training alone.
    reader.expect("framework.sharding");
    ServingStack {
        name: stack.name.clone(),
        is_timed: stack.timed,
        decode: reader.choice("framework.serve.decode", &launches),
        prefill: reader.choice("framework.serve.prefill", &launches),
        launch: match reader.word_or_quantity("framework.serve.launch", &["auto"]) {
            WordOr::Given(seconds) => Some(seconds),
            WordOr::Word(_) => None,
        },
        all_reduce: reader
            .choice("framework.serve.all-reduce", &[("library", AllReduces::Library), ("own", AllReduces::Own)]),
        front: reader.quantity_or_zero("framework.serve.front"),
        step: reader.quantity_or_zero("framework.serve.step"),
        request: reader.quantity_or_zero("framework.serve.request"),
        memory: reader.quantity_or_zero("framework.serve.memory"),
    }
}

fn scheduler(reader: &mut Reader<'_>) -> SchedulerSpec {
    let sizes = reader.counts_or("scheduler.batch-sizes", "none", 1..=N_PARTS_MAX).unwrap_or_default();
    if !sizes.is_sorted() {
        let message = "the sizes are not in ascending order".to_owned();
        reader.refuse("scheduler.batch-sizes", message, Some("sort them".to_owned()));
    }
    SchedulerSpec {
        kind: reader.choice("scheduler.kind", &SchedulerKind::ALL),
        slots: reader.count("scheduler.slots", 1..=N_PARTS_MAX),
        tokens: match reader.word_or_count("scheduler.tokens", &["none"], 1..=TOKENS_MAX) {
            WordOr::Given(tokens) => tokens,
            WordOr::Word(_) => TOKENS_MAX,
        },
        block: reader.count("scheduler.block", 1..=N_PARTS_MAX),
        batch_sizes: sizes.into_iter().map(u64::from).collect(),
    }
}
