//! What we choose: `policy.*`.

use plan::{
    ContextParallel, DataParallel, DispatchFormat, Ema, Folding, ForwardSums, KeepActivations, Layout, PointToPoint,
    Policies, Recording, Simulation, TensorCollectives,
};
use platform::{Delivery, ExchangeCopies, comm_sms, needs_comm_sms};
use topology::{CommEngine, Device, Machine, Routing};
use workloads::model::Model;
use workloads::parallel::Parallelism;
use workloads::schedule::Schedule;
use workloads::step::{AttentionKernel, Dispatcher, Gradients, Moments, OptimizerState, Recompute};

use crate::reader::{Reader, WordOr};

/// SMs, products, pieces: counts that are stored in 32 bits.
const N_PARTS_MAX: u64 = 1 << 20;

/// All choices but the SMs of communication, which [`decide_comm_sms`] fills in once the layout is known.
pub(crate) fn policies(reader: &mut Reader<'_>, machine: &Machine) -> Policies {
    let dispatcher = dispatcher(reader);
    let (exchange, exchange_copies) = exchange(reader, dispatcher);
    Policies {
        dispatcher,
        schedule: schedule(reader),
        devices_per_node: devices_per_node(reader, machine),
        comm_sms: 0,
        lone_comm_sms: 0,
        exchange,
        dispatch_format: reader
            .choice("policy.dispatch-format", &[("fp8", DispatchFormat::Fp8), ("bf16", DispatchFormat::Bf16)]),
        exchange_copies,
        point_to_point: reader
            .choice("policy.point-to-point", &[("hidden", PointToPoint::Hidden), ("waited", PointToPoint::Waited)]),
        data_parallel: reader
            .choice("policy.data-parallel", &[("waited", DataParallel::Waited), ("hidden", DataParallel::Hidden)]),
        context_parallel: reader
            .choice("policy.context-parallel", &[("gather", ContextParallel::Gather), ("ring", ContextParallel::Ring)]),
        tensor_collectives: reader.choice(
            "policy.tensor-collectives",
            &[("waited", TensorCollectives::Waited), ("overlapped", TensorCollectives::Overlapped)],
        ),
        routing: reader.choice("policy.routing", &Routing::ALL.map(|routing| (routing.name(), routing))),
        promote: promote(reader, &machine.device),
        forward_sums: reader
            .choice("policy.forward-sums", &[("promoted", ForwardSums::Promoted), ("left", ForwardSums::Left)]),
        recompute: recompute(reader),
        attention: reader
            .choice("policy.attention", &[("fused", AttentionKernel::Fused), ("unfused", AttentionKernel::Unfused)]),
        sequence_parallel: reader.flag("policy.sequence-parallel"),
        dropout: reader.flag("policy.dropout"),
        gradients: reader.choice("policy.gradients", &[("fp32", Gradients::Fp32), ("bf16", Gradients::Bf16)]),
        optimizer: OptimizerState {
            moments: reader.choice("policy.moments", &[("bf16", Moments::Bf16), ("fp32", Moments::Fp32)]),
            master_weights: reader.choice("policy.master-weights", &[("fp32", true), ("none", false)]),
        },
        keep: reader
            .choice("policy.keep-activations", &[("fp8", KeepActivations::Fp8), ("bf16", KeepActivations::Bf16)]),
        keep_bf16_weights: reader.flag("policy.keep-bf16-weights"),
        reserved: reader.quantity_or_zero("policy.memory-reserved"),
        logit_pieces: reader.count("policy.logit-pieces", 1..=N_PARTS_MAX),
        ema: reader.choice("policy.ema", &[("host", Ema::Host), ("none", Ema::None)]),
    }
}

/// Where nothing is gathered, nothing runs beside products.
pub(crate) fn check_tensor_collectives(reader: &mut Reader<'_>, parallel: &Parallelism, policy: &Policies) {
    let keys = ["policy.tensor-collectives", "policy.sequence-parallel", "parallel.tp"];
    let overlapped = policy.tensor_collectives == TensorCollectives::Overlapped;
    if overlapped && !policy.sequence_parallel && parallel.tp > 1 && reader.sound(&keys) {
        reader.refuse(
            keys[0],
            "`overlapped` without `policy.sequence-parallel`: an all-reduce cannot begin before its product has ended",
            Some("take `policy.sequence-parallel = true`, or `waited`".to_owned()),
        );
    }
}

fn recompute(reader: &mut Reader<'_>) -> Recompute {
    Recompute {
        norm: reader.flag("policy.recompute.norm"),
        mla_up: reader.flag("policy.recompute.mla-up"),
        swiglu: reader.flag("policy.recompute.swiglu"),
        core: reader.flag("policy.recompute.core"),
        full: reader.flag("policy.recompute.full"),
        operations: reader.flag("policy.recompute.operations"),
    }
}

/// How tokens go under DeepEP's kernels, how SMs move them, and how many.
const OF_DEEPEP: [&str; 4] = ["policy.exchange", "policy.exchange-copies", "policy.comm-sms", "policy.lone-comm-sms"];

/// `auto`: the software stack's own; DeepEP where a choice of its kernels is made.
fn dispatcher(reader: &mut Reader<'_>) -> Dispatcher {
    let names = Dispatcher::ALL.map(|dispatcher| (dispatcher.name(), Some(dispatcher)));
    let of_stack = reader.choice("framework.dispatcher", &names);
    let mut choices = vec![("auto", None)];
    choices.extend(names);
    reader.choice("policy.dispatcher", &choices).unwrap_or_else(|| {
        let is_chosen = OF_DEEPEP.iter().any(|key| reader.has(key) && !reader.is_word(key, "auto"));
        let decided = if is_chosen { Dispatcher::DeepEp } else { of_stack.unwrap_or_default() };
        reader.decide("policy.dispatcher", format!("\"{}\"", decided.name()));
        decided
    })
}

/// How tokens get to their experts, and how SMs move them.
fn exchange(reader: &mut Reader<'_>, dispatcher: Dispatcher) -> (Delivery, ExchangeCopies) {
    let keys = ["policy.exchange", "policy.exchange-copies"];
    if dispatcher != Dispatcher::DeepEp {
        keys.into_iter().for_each(|key| refuse_of_kernels(reader, key, dispatcher));
        return (Delivery::Library, ExchangeCopies::Buffered);
    }
    let ways = [("forwarded", Delivery::Forwarded), ("direct", Delivery::Direct)];
    let copies = [("buffered", ExchangeCopies::Buffered), ("in-place", ExchangeCopies::InPlace)];
    (of_kernels(reader, keys[0], &ways), of_kernels(reader, keys[1], &copies))
}

/// A choice of kernels that dispatch and combine; `auto`: the first.
fn of_kernels<T: Copy>(reader: &mut Reader<'_>, key: &str, choices: &[(&'static str, T); 2]) -> T {
    let mut all = vec![("auto", None)];
    all.extend(choices.map(|(name, choice)| (name, Some(choice))));
    reader.choice(key, &all).unwrap_or_else(|| {
        reader.decide(key, format!("\"{}\"", choices[0].0));
        choices[0].1
    })
}

/// A collective library has no such choice.
fn refuse_of_kernels(reader: &mut Reader<'_>, key: &str, dispatcher: Dispatcher) {
    reader.text(key);
    refuse_given(reader, key, dispatcher);
}

fn refuse_given(reader: &mut Reader<'_>, key: &str, dispatcher: Dispatcher) {
    if !reader.is_word(key, "auto") && reader.sound(&[key, "policy.dispatcher"]) {
        let message =
            format!("`{key}` is of DeepEP's kernels, but tokens come by `{}` (`policy.dispatcher`)", dispatcher.name());
        reader.refuse(key, message, Some("leave it out, or take `policy.dispatcher = \"deepep\"`".to_owned()));
    }
}

/// How a run is simulated: keys of `policy` that change nothing of the job.
pub(crate) fn simulation(reader: &mut Reader<'_>) -> Simulation {
    Simulation {
        folding: reader.choice("policy.folding", &[("auto", Folding::Auto), ("none", Folding::None)]),
        record: reader.choice(
            "policy.record",
            &[("one-per-stage", Recording::OnePerStage), ("none", Recording::None), ("all", Recording::All)],
        ),
        scheduling_anomaly: reader.number("policy.scheduling-anomaly", 0.0..=1.0),
    }
}

fn schedule(reader: &mut Reader<'_>) -> Schedule {
    let choices = Schedule::NAMES.map(|name| (name, name));
    let name = reader.choice("policy.schedule", &choices);
    let virtual_stages: u8 = reader.count("policy.virtual-stages", 1..=u64::from(u8::MAX));
    if !reader.sound(&["policy.schedule", "policy.virtual-stages"]) {
        return Schedule::OneFOneB;
    }
    Schedule::from_name(name, virtual_stages).unwrap_or_else(|error| {
        reader.refuse("policy.virtual-stages", error.to_string(), None);
        Schedule::OneFOneB
    })
}

/// `auto`: all of them.
pub(crate) fn devices_per_node(reader: &mut Reader<'_>, machine: &Machine) -> u32 {
    let all = machine.node.devices;
    match reader.word_or_count("policy.devices-per-node", &["auto"], 1..=N_PARTS_MAX) {
        WordOr::Given(count) if reader.sound(&["node.devices", "policy.devices-per-node"]) && count > all => {
            let message = format!("{count} devices of a node that has {all}");
            reader.refuse("policy.devices-per-node", message, Some("give fewer, or \"auto\" for all".to_owned()));
            all
        }
        WordOr::Given(count) => count,
        WordOr::Word(_) => {
            reader.decide("policy.devices-per-node", all);
            all
        }
    }
}

/// SMs of communication, in pairs and alone. `auto`: of `policy.comm-sms-software` the share that the machine's abilities
/// leave to do ([`platform::comm_sms`]).
pub(crate) fn decide_comm_sms(
    reader: &mut Reader<'_>,
    machine: &Machine,
    model: &Model,
    parallel: &Parallelism,
    policy: &mut Policies,
) {
    let device = &machine.device;
    let software: u32 = reader.count("policy.comm-sms-software", 0..=N_PARTS_MAX);
    if policy.dispatcher != Dispatcher::DeepEp {
        // The library holds what it likes (`profile.collective.sms`).
        for key in ["policy.comm-sms", "policy.lone-comm-sms"] {
            reader.word_or_count::<u32>(key, &["auto"], 0..=N_PARTS_MAX);
            refuse_given(reader, key, policy.dispatcher);
        }
        return;
    }
    policy.comm_sms = match reader.word_or_count("policy.comm-sms", &["auto"], 0..=N_PARTS_MAX) {
        WordOr::Given(count) => count,
        WordOr::Word(_) => {
            // What cannot be laid out is refused elsewhere.
            let keys = ["parallel.ep", "policy.devices-per-node", "policy.exchange", "policy.exchange-copies"];
            let sound = reader.all_sound("model") && reader.sound(&keys);
            let layout = sound.then(|| Layout::new(parallel, machine, policy.devices_per_node).ok()).flatten();
            let count = match model.experts.as_ref().zip(layout) {
                Some((experts, layout)) => {
                    comm_sms(machine, experts, &layout.experts(), policy.exchange, policy.exchange_copies, software)
                }
                None => software,
            };
            reader.decide("policy.comm-sms", count);
            count
        }
    };
    refuse_too_many_sms(reader, "policy.comm-sms", policy.comm_sms, device);
    policy.lone_comm_sms = lone_comm_sms(reader, device, policy.comm_sms);
    refuse_no_sms(reader, machine, model, parallel, policy);
}

/// What no SM copies or sums costs nothing: without an engine for it there must be SMs.
fn refuse_no_sms(reader: &mut Reader<'_>, machine: &Machine, model: &Model, parallel: &Parallelism, policy: &Policies) {
    let keys =
        ["parallel.ep", "policy.devices-per-node", "policy.exchange", "policy.exchange-copies", "gpu.comm-engine"];
    let counts = ["policy.comm-sms", "policy.comm-sms-software", "policy.lone-comm-sms"];
    let exchanges = model.experts.as_ref().filter(|_| parallel.ep > 1 && reader.all_sound("model"));
    let Some(experts) = exchanges.filter(|_| reader.sound(&keys) && reader.sound(&counts)) else { return };
    let Ok(layout) = Layout::new(parallel, machine, policy.devices_per_node) else { return };
    if !needs_comm_sms(machine, experts, &layout.experts(), policy.exchange, policy.exchange_copies) {
        return;
    }
    let key = match (policy.comm_sms, policy.lone_comm_sms) {
        (0, _) if reader.is_word("policy.comm-sms", "auto") => "policy.comm-sms-software",
        (0, _) => "policy.comm-sms",
        (_, 0) => "policy.lone-comm-sms",
        _ => return,
    };
    let what = match machine.device.comm_engine {
        CommEngine::None => "SMs copy what dispatch and combine move",
        CommEngine::Copy | CommEngine::Full => "SMs sum what a combine brings",
    };
    reader.refuse(
        key,
        format!("`{key}` is 0, but on this machine {what}: without any, nothing arrives"),
        Some("give at least 2, or a device whose `gpu.comm-engine` does it".to_owned()),
    );
}

/// `auto`: as many as in an overlapped pair.
fn lone_comm_sms(reader: &mut Reader<'_>, device: &Device, comm_sms: u32) -> u32 {
    match reader.word_or_count("policy.lone-comm-sms", &["auto"], 0..=N_PARTS_MAX) {
        WordOr::Given(count) => {
            if reader.sound(&["gpu.sms", "policy.lone-comm-sms"]) && count > device.sms {
                let message = format!("{count} SMs for communication, but the device has {} (`gpu.sms`)", device.sms);
                reader.refuse("policy.lone-comm-sms", message, Some(format!("take {} at most", device.sms)));
            }
            count
        }
        WordOr::Word(_) => {
            reader.decide("policy.lone-comm-sms", comm_sms);
            comm_sms
        }
    }
}

fn refuse_too_many_sms(reader: &mut Reader<'_>, key: &str, count: u32, device: &Device) {
    if reader.sound(&["gpu.sms", "gpu.comm-engine", "policy.comm-sms-software", key]) && count >= device.sms {
        reader.refuse(
            key,
            format!("{count} SMs for communication leave none of {} (`gpu.sms`) for compute", device.sms),
            Some(format!("take fewer than {}, or a device of more", device.sms)),
        );
    }
}

/// `auto`: every `policy.promote-every` products where the accumulator keeps fewer than `policy.promote-below` fraction
/// bits, never from there on.
pub(crate) fn promote(reader: &mut Reader<'_>, device: &Device) -> Option<u32> {
    let every: u32 = reader.count("policy.promote-every", 1..=N_PARTS_MAX);
    let below: u32 = reader.count("policy.promote-below", 0..=64);
    match reader.word_or_count("policy.promote", &["auto", "never"], 1..=N_PARTS_MAX) {
        WordOr::Given(count) => Some(count),
        WordOr::Word("auto") if device.tensor.fp8.accumulate < below => {
            reader.decide("policy.promote", every);
            Some(every)
        }
        WordOr::Word(_) => {
            reader.decide("policy.promote", "\"never\"");
            None
        }
    }
}
