//! Presets become plans; patches change them; what is written can be read again.

use std::collections::BTreeSet;

use plan::{Job, Plan, Train};
use scenario::{Kind, Library, Loaded, canonical_text, digest, load, load_machine, plan_toml};

fn loaded(name: &str, sets: &[&str]) -> Loaded {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(name, &sets, &Library::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mistakes(name: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    match load(name, &sets, &Library::built_in()) {
        Ok(_) => panic!("{sets:?} should be refused"),
        Err(mistakes) => mistakes.to_string(),
    }
}

#[test]
fn every_scenario_preset_becomes_a_plan() {
    for name in Library::built_in().names(Kind::Scenario) {
        let plan = loaded(&name, &[]).plan;
        let (job, machine) = (plan.train().expect("training").job, &plan.site.machine);
        assert_eq!(job.parallel.n_ranks(), machine.n_nodes * job.policy.devices_per_node, "{name}");
    }
}

#[test]
fn the_main_job_is_laid_out_as_published() {
    let Plan { job, site, .. } = loaded("deepseek-v3-2048", &[]).plan;
    let Job::Train(job) = job else { panic!("it is training") };
    let Train { parallel, policy, model, .. } = &*job;
    assert_eq!((parallel.pp, parallel.dp, parallel.ep, parallel.n_ranks()), (16, 128, 64, 2048));
    assert_eq!(parallel.stages.len(), 16);
    assert_eq!(parallel.stages.iter().sum::<u32>(), model.layers);
    assert_eq!(job.global_batch / u64::from(parallel.dp) / job.micro_batch, 120);
    assert_eq!((policy.comm_sms, policy.promote), (20, Some(128)));
    assert_eq!(site.machine.fabric.planes, 8);
}

#[test]
fn a_plan_that_is_written_and_read_again_is_the_same() {
    for name in Library::built_in().names(Kind::Scenario) {
        let first = loaded(&name, &["gpu.sms=144"]);
        let folder = std::env::temp_dir().join(format!("windtunnel-plan-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("plan.toml");
        std::fs::write(&path, plan_toml(&first)).expect("a temporary file");
        let second = loaded(&path.display().to_string(), &[]);
        std::fs::remove_dir_all(&folder).expect("it was made above");
        assert_eq!(first.plan, second.plan, "{name}");
        assert_eq!(canonical_text(&first), canonical_text(&second), "{name}");
    }
}

#[test]
fn the_last_patch_wins_and_says_so() {
    let loaded = loaded("tiny-moe", &["gpu.clock=1.5 GHz", "gpu.clock = \"1.6 GHz\"", "model.layers=17"]);
    assert_eq!(loaded.plan.site.machine.device.clock.to_string(), "1.6 GHz");
    assert_eq!(loaded.plan.train().expect("training").job.parallel.stages.iter().sum::<u32>(), 17);
    assert_eq!(loaded.origins["gpu.clock"].to_string(), "--set gpu.clock = \"1.6 GHz\"");
    assert!(loaded.origins["model.experts.routed"].to_string().starts_with("scenarios/train/tiny-moe.toml:"));
    assert!(loaded.origins["gpu.sms"].to_string().starts_with("scenarios/hardware/h800-sxm5.toml:"));
    assert!(loaded.origins["traffic.seed"].to_string().starts_with("scenarios/defaults/train.toml:"));
}

#[test]
fn two_spellings_of_a_value_are_one_plan() {
    let a = loaded("tiny-moe", &["node.nic.rate=400 Gbit/s", "gpu.clock=1830 MHz"]);
    let b = loaded("tiny-moe", &["node.nic.rate=50 GB/s", "gpu.clock=1.83 GHz"]);
    assert_eq!(a.plan, b.plan);
    assert_eq!(canonical_text(&a), canonical_text(&b));
    assert_ne!(plan_toml(&a), plan_toml(&b));
}

#[test]
fn the_canonical_text_changes_exactly_when_the_plan_does() {
    let values =
        ["0", "1", "2", "3", "0.25", "true", "false", "none", "1 GB/s", "1 GB", "1 us", "1 GHz", "bf16", "published"];
    let base = loaded("tiny-moe", &[]);
    let text = canonical_text(&base);
    let mut moved = 0;
    // What services alone read is no part of a training job's identity.
    let own = base.leaves.iter().filter(|leaf| !leaf.key.starts_with("profile.decode-attention."));
    // One estimate is read like another: of their hundreds every eighth.
    let (estimates, others): (Vec<_>, Vec<_>) = own.partition(|leaf| leaf.key.starts_with("profile."));
    for leaf in others.into_iter().chain(estimates.into_iter().step_by(8)).filter(|leaf| !leaf.is_label()) {
        let set = |value: &&str| format!("{}={value}", leaf.key);
        let legal = |set: String| Some((load("tiny-moe", std::slice::from_ref(&set), &Library::built_in()).ok()?, set));
        // Two values that a key may have are one that it had not.
        for (other, set) in values.iter().map(set).filter_map(legal).take(2) {
            let same = other.plan == base.plan;
            assert_eq!(same, canonical_text(&other) == text, "{set}");
            moved += usize::from(!same);
        }
    }
    assert!(moved > 150, "only {moved} values changed the plan");
}

#[test]
fn a_key_at_the_neutral_value_that_it_came_with_moves_no_identity() {
    let (base, other) = (loaded("tiny-moe", &[]), loaded("tiny-moe", &["fabric.oversubscription=2"]));
    assert!(!canonical_text(&base).contains("fabric.oversubscription"));
    assert!(canonical_text(&other).contains("fabric.oversubscription = 2.0\n"));
    assert_ne!(digest(&base), digest(&other));
}

#[test]
fn an_automatic_value_is_the_number_it_came_to() {
    let a = loaded("tiny-moe", &["policy.comm-sms=auto"]);
    let b = loaded("tiny-moe", &["policy.comm-sms=20"]);
    assert_eq!(canonical_text(&a), canonical_text(&b));
    assert!(plan_toml(&a).contains("comm-sms = 20 # --set policy.comm-sms=auto, \"auto\"\n"), "{}", plan_toml(&a));
}

#[test]
fn abilities_free_the_sms_of_communication() {
    // Ports of 200 and 50 GB/s; alone, SMs copy or sum what both ends of both fabrics carry. A copy engine leaves them the
    // receiving half of a combine, a full one nothing; hardware that forwards leaves a relay its sums and not their copies.
    for (sets, comm_sms) in [
        (vec!["gpu.comm-engine=none"], 20),
        (vec!["gpu.comm-engine=copy"], 10),
        (vec!["gpu.comm-engine=full"], 0),
        (vec!["node.nic.forwarding=hardware"], 18),
        (vec!["gpu.scale-up.in-network=multicast", "fabric.in-network=multicast"], 20),
        (vec!["gpu.comm-engine=copy", "gpu.scale-up.in-network=reduce", "fabric.in-network=reduce"], 0),
    ] {
        let plan = loaded("deepseek-v3-2048", &sets).plan;
        assert_eq!(
            (
                plan.train().expect("training").job.policy.comm_sms,
                plan.train().expect("training").job.policy.lone_comm_sms
            ),
            (comm_sms, comm_sms),
            "{sets:?}"
        );
    }
}

#[test]
fn spare_devices_hold_no_rank() {
    let rack = ["node.devices=72", "node.nic.count=72", "cluster.nodes=32", "policy.devices-per-node=64"];
    let plan = loaded("deepseek-v3-2048", &rack).plan;
    assert_eq!((plan.train().expect("training").job.parallel.n_ranks(), plan.site.machine.n_devices()), (2048, 2304));
    let layout =
        plan::Layout::new(&plan.train().expect("training").job.parallel, &plan.site.machine, 64).expect("a layout");
    let devices = [0, 63, 64, 127].map(|index| layout.placement.device(index).0);
    assert_eq!(devices, [0, 63, 72, 135], "the last eight of every node are spare");
}

#[test]
fn a_wider_accumulator_needs_no_promotion() {
    for (bits, promote) in [(13, Some(128)), (22, Some(128)), (23, None), (25, None)] {
        let plan = loaded("tiny-moe", &[&format!("gpu.tensor.fp8.accumulate={bits}")]).plan;
        assert_eq!(plan.train().expect("training").job.policy.promote, promote, "{bits} bits");
    }
    assert_eq!(loaded("tiny-moe", &["policy.promote=never"]).plan.train().expect("training").job.policy.promote, None);
    assert_eq!(loaded("tiny-moe", &["policy.promote=64"]).plan.train().expect("training").job.policy.promote, Some(64));
}

#[test]
fn a_reference_can_be_patched() {
    let plan = loaded("tiny-moe", &["use.hardware=h200-sxm5", "use.fabric=rail-ft3"]).plan;
    assert_eq!(plan.site.machine.device.memory.stacks, 6);
    assert_eq!((plan.site.machine.fabric.tiers, plan.site.machine.fabric.planes), (3, 1));
    // Nothing of the profile was measured on a B200: there no estimate is more than extrapolated.
    let plan = loaded("tiny-moe", &["use.hardware=b200-sxm"]).plan;
    assert!(plan.site.profile.iter().all(|(_, estimate)| estimate.basis >= calibrate::Basis::Extrapolated));
}

#[test]
fn the_first_profile_that_holds_an_estimate_gives_it() {
    let a = loaded("tiny-moe", &["use.profiles=[\"h100-published\", \"h800-published\"]"]);
    assert!(a.origins["profile.gemm.bf16.peak-fraction.value"].file().ends_with("h100-published.toml"));
}

#[test]
fn a_machine_loads_from_a_cluster_and_from_a_scenario() {
    let library = Library::built_in();
    for name in library.names(Kind::Cluster) {
        load_machine(&name, &[], &library).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
    let cluster = load_machine("h800-2048-mpft", &["fabric.planes=4".to_owned()], &library);
    let scenario = load_machine("deepseek-v3-2048", &["fabric.planes=4".to_owned()], &library);
    let (cluster, scenario) = (cluster.expect("a cluster"), scenario.expect("a scenario"));
    assert_eq!(cluster.machine, scenario.machine);
    assert_eq!(cluster.machine.fabric.planes, 4);
}

#[test]
fn every_promised_key_exists_once() {
    let loaded = loaded("deepseek-v3-2048", &[]);
    let keys: BTreeSet<&str> = loaded.leaves.iter().map(|leaf| leaf.key.as_str()).collect();
    assert_eq!(keys.len(), loaded.leaves.len());
    for key in include_str!("keys.txt").lines() {
        assert!(keys.contains(key), "`{key}` is promised and missing");
    }
}

#[test]
fn a_dense_model_refuses_what_only_experts_have() {
    let shown = mistakes("llama-3.1-405b-8192", &["model.node-limit=4", "parallel.ep=8"]);
    assert!(shown.contains("there is no key `model.node-limit`"), "{shown}");
    assert!(shown.contains("`parallel.ep` is 8, but the model is dense"), "{shown}");
}

#[test]
fn who_brings_tokens_is_the_stacks_own_or_what_a_choice_of_kernels_asks_for() {
    use workloads::step::Dispatcher;
    let of = |sets: &[&str]| loaded("mixtral-8x22b-128", sets).plan.train().expect("training").job.policy.dispatcher;
    assert_eq!(of(&[]), Dispatcher::NcclAllToAll);
    assert_eq!(of(&["use.framework=deepseek"]), Dispatcher::DeepEp);
    assert_eq!(of(&["policy.exchange=direct"]), Dispatcher::DeepEp);
    assert_eq!(of(&["policy.exchange-copies=in-place"]), Dispatcher::DeepEp);
    assert_eq!(of(&["policy.dispatcher=nccl-all-gather"]), Dispatcher::NcclAllGather);
    for key in
        ["policy.exchange=direct", "policy.exchange-copies=buffered", "policy.comm-sms=8", "policy.lone-comm-sms=8"]
    {
        let refused = mistakes("mixtral-8x22b-128", &["policy.dispatcher=nccl-all-to-all", key]);
        assert!(refused.contains("is of DeepEP's kernels") && refused.contains("deepep"), "{refused}");
    }
}

#[test]
fn sharding_is_the_stacks_own_unless_it_is_given() {
    use workloads::parallel::Sharding;
    let of = |sets: &[&str]| loaded("llama-3.1-8b-8", sets).plan.train().expect("training").job.parallel.sharding;
    assert_eq!(of(&[]), Sharding::Zero1);
    assert_eq!(of(&["use.framework=pytorch-eager", "job.precision=bf16"]), Sharding::None);
    assert_eq!(of(&["parallel.sharding=zero-2"]), Sharding::Zero2);
    let refused = mistakes("deepseek-v3-2048", &["parallel.sharding=zero-2"]);
    assert!(refused.contains("dual-pipe") && refused.contains("multi-token"), "{refused}");
}
