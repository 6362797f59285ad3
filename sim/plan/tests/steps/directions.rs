//! Every knob moves the DeepSeek-V3 step the way physics says.

use plan::{Label, PhaseSpans};
use units::SimSpan;

use crate::flight::{BALANCED, Flight, TINY, V3, fly};

/// The balanced V3 step with patches.
fn v3(sets: &[&str]) -> Flight {
    fly(V3, &[&[BALANCED], sets].concat())
}

fn seconds(set: &str) -> f64 {
    v3(&[set]).seconds()
}

/// Each patch alone takes longer than the one before, by more than `least` of it.
fn slower_and_slower(sets: &[&str], least: f64) {
    let times: Vec<f64> = sets.iter().map(|set| seconds(set)).collect();
    for (pair, set) in times.windows(2).zip(sets.windows(2)) {
        let (quick, slow) = (pair[0], pair[1]);
        assert!(slow > quick * (1.0 + least), "expected `{}` above `{}`, actual {slow} and {quick} s", set[1], set[0]);
    }
}

/// Nearly equal: within `most` of each other.
fn close(a: f64, b: f64, most: f64, what: &str) {
    assert!((a / b - 1.0).abs() < most, "{what}: expected within {most}, actual {a} and {b} s");
}

#[test]
fn fewer_sms_are_slower() {
    slower_and_slower(&["gpu.sms=144", "gpu.sms=132", "gpu.sms=120"], 0.03);
}

#[test]
fn a_slower_clock_is_slower_but_not_in_proportion() {
    let [fast, slow] = ["gpu.clock='2000 MHz'", "gpu.clock='1600 MHz'"].map(seconds);
    let ratio = slow / fast;
    assert!(1.05 < ratio && ratio < 2000.0 / 1600.0, "networks and memory keep their clocks: actual ratio {ratio}");
}

#[test]
fn slower_memory_is_slower() {
    let key = "gpu.memory.rate-per-stack";
    slower_and_slower(
        &[&format!("{key}='900 GB/s'"), &format!("{key}='670 GB/s'"), &format!("{key}='450 GB/s'")],
        0.01,
    );
}

#[test]
fn a_slower_nic_is_slower_most_where_nothing_hides_it() {
    let [fast, nominal, slow] = ["800", "400", "200"].map(|rate| v3(&[&format!("node.nic.rate='{rate} Gbit/s'")]));
    assert!(fast.seconds() * 1.02 < nominal.seconds() && nominal.seconds() * 1.1 < slow.seconds());
    // At the nominal rate pairs hide the network and lone chunks wait for it.
    let growth = |phase: fn(&PhaseSpans) -> units::SimSpan| nominal.mean(phase) / fast.mean(phase) - 1.0;
    let (pairs, lone) = (growth(|p| p[Label::OVERLAPPED]), growth(|p| p[Label::FORWARD]));
    assert!(pairs < 0.02 && 0.1 < lone, "pairs grow by {pairs}, lone chunks by {lone}");
    // A weight gradient sends nothing.
    assert_eq!(slow.phases()[3][Label::WEIGHT_GRADIENT], fast.phases()[3][Label::WEIGHT_GRADIENT]);
}

#[test]
fn fewer_scale_up_links_are_slower() {
    let [many, h800, few] = ["18", "8", "2"].map(|links| v3(&[&format!("gpu.scale-up.links={links}")]));
    assert!(many.seconds() < h800.seconds() && h800.seconds() * 1.05 < few.seconds());
    // Eight links outrun the network, so more of them do not quicken dispatch and combine.
    close(many.mean(|p| p[Label::OVERLAPPED]), h800.mean(|p| p[Label::OVERLAPPED]), 1e-3, "pairs with 18 and 8 links");
}

#[test]
fn hashed_routes_meet_where_planes_join() {
    let step = |planes: u32, routing: &str| {
        v3(&[&format!("fabric.planes={planes}"), &format!("policy.routing={routing}")]).seconds()
    };
    let (adaptive, fixed, hashed) = (step(8, "adaptive"), step(8, "static"), step(8, "ecmp"));
    assert!(adaptive <= fixed * 1.001 && adaptive <= hashed * 1.001, "{adaptive}, {fixed}, {hashed}");
    let (adaptive_in_one, hashed_in_one) = (step(1, "adaptive"), step(1, "ecmp"));
    close(adaptive_in_one, adaptive, 1e-3, "spread routes do not care for planes");
    // With a plane a rail, expert-parallel groups stay below a leaf; in one plane they cross spines by chance.
    assert!(hashed_in_one > hashed * 1.005, "expected more collisions in one plane: {hashed_in_one} and {hashed} s");
}

#[test]
fn communication_wants_enough_sms_and_compute_the_rest() {
    let [starved, few, many, most] = ["2", "8", "24", "48"].map(|sms| v3(&[&format!("policy.comm-sms={sms}")]));
    assert!(starved.seconds() > few.seconds() * 1.2, "two SMs cannot fill the ports");
    assert!(many.seconds() * 1.05 < most.seconds(), "48 SMs are missed by compute");
    let compute = |flight: &Flight| flight.outcome.ranks.iter().map(|rank| rank.compute.seconds()).sum::<f64>();
    assert!(compute(&few) < compute(&many) && compute(&many) < compute(&most));
}

#[test]
fn lone_chunks_have_sms_of_their_own() {
    let [few, enough] = ["2", "20"].map(|sms| v3(&[&format!("policy.lone-comm-sms={sms}")]));
    assert!(few.mean(|p| p[Label::FORWARD]) > enough.mean(|p| p[Label::FORWARD]) * 1.2);
    // The host comes to a pair at another moment: that moves a launch or two.
    let overlapped = |flight: &Flight| flight.phases()[3][Label::OVERLAPPED].seconds();
    close(overlapped(&few), overlapped(&enough), 1e-5, "pairs");
}

#[test]
fn more_nodes_a_token_are_more_bytes_and_never_faster() {
    let flights = [1, 2, 4, 8].map(|limit| v3(&[&format!("model.node-limit={limit}")]));
    for pair in flights.windows(2) {
        assert!(pair[0].outcome.ports.out_bytes < pair[1].outcome.ports.out_bytes);
        assert!(pair[0].seconds() <= pair[1].seconds());
    }
    // One node a token of eight: its seven eighths that are remote cross the network once.
    let ratio = flights[1].outcome.ports.out_bytes / flights[0].outcome.ports.out_bytes;
    close(ratio, 2.0, 0.01, "bytes of a limit of two over those of one");
}

#[test]
fn schedules_fill_bubbles_in_the_published_order() {
    let [plain, zero, dual] = ["1f1b", "zb1p", "dual-pipe"].map(|name| v3(&[&format!("policy.schedule={name}")]));
    assert!(dual.bubble() < zero.bubble() && zero.bubble() < plain.bubble());
    assert!(dual.seconds() < zero.seconds() && zero.seconds() < plain.seconds());
    // Only DualPipe hides communication.
    let busy = |flight: &Flight| {
        flight.mean(|p| p[Label::FORWARD] + p[Label::BACKWARD] + p[Label::WEIGHT_GRADIENT] + p[Label::OVERLAPPED])
    };
    assert!(busy(&dual) * 1.15 < busy(&plain));
    assert_eq!(
        dual.mean(|p| p[Label::FORWARD] + p[Label::OVERLAPPED]) > 0.0,
        plain.mean(|p| p[Label::OVERLAPPED]) == 0.0
    );
}

#[test]
fn more_micro_batches_dilute_the_bubble() {
    let flights = ["8192", "15360", "30720"].map(|batch| v3(&[&format!("job.global-batch={batch}")]));
    for pair in flights.windows(2) {
        assert!(pair[0].bubble() / pair[0].seconds() > pair[1].bubble() / pair[1].seconds());
        let sequences = |flight: &Flight| flight.plan.job.global_batch as f64 / flight.seconds();
        assert!(sequences(&pair[0]) < sequences(&pair[1]));
        assert_eq!(
            pair[0].mean(|p| p[Label::FORWARD]),
            pair[1].mean(|p| p[Label::FORWARD]),
            "warm-up does not know what follows"
        );
    }
}

#[test]
fn larger_micro_batches_compute_better_and_fill_worse() {
    let [one, two] = ["1", "2"].map(|n| v3(&[&format!("job.micro-batch={n}")]));
    let compute = |flight: &Flight| flight.outcome.ranks.iter().map(|rank| rank.compute.seconds()).sum::<f64>();
    assert!(compute(&two) < compute(&one), "fewer waves are cut off and experts are padded less");
    assert!(two.bubble() > one.bubble() * 1.2, "half as many micro-batches");
}

#[test]
fn longer_sequences_pay_for_attention() {
    let [short, long] = ["4096", "8192"].map(|n| v3(&[&format!("job.sequence={n}")]));
    assert!(long.seconds() > 2.0 * short.seconds(), "twice the tokens, four times the attention");
}

#[test]
fn coarser_arithmetic_is_faster() {
    slower_and_slower(&["job.precision=fp8-tensor", "job.precision=fp8-block", "job.precision=bf16"], 0.03);
}

#[test]
fn skew_is_slower() {
    let step = |skew: &str| {
        let sets = ["traffic.router=skewed", "traffic.samples=2", &format!("traffic.skew={skew}")];
        fly(V3, &sets).seconds()
    };
    let (balanced, none, some, much) = (seconds("traffic.skew=0"), step("0.0"), step("0.13"), step("0.4"));
    assert!(balanced <= none && none < some && some * 1.02 < much, "{balanced}, {none}, {some}, {much} s");
}

/// Beside all-to-alls a message has one share of the port among many, and arrives later than it would if both ends
/// waited for it: there hiding may cost as much as it saves. Without them it never costs.
#[test]
fn waiting_for_messages_never_pays_where_nothing_else_is_sent() {
    for (scenario, set) in [(TINY, "parallel.ep=1"), (TINY, "parallel.ep=8"), ("llama-3.1-405b-8192", BALANCED)] {
        let step = |policy: &str| fly(scenario, &[BALANCED, set, &format!("policy.point-to-point={policy}")]).seconds();
        let (hidden, waited) = (step("hidden"), step("waited"));
        assert!(hidden < waited, "{scenario} with {set}: expected hidden below waited, actual {hidden} and {waited} s");
    }
    let [hidden, waited] = ["hidden", "waited"].map(|policy| seconds(&format!("policy.point-to-point={policy}")));
    close(hidden, waited, 0.02, "beside the all-to-alls of V3");
}

#[test]
fn a_communication_engine_gives_its_sms_back() {
    let (software, copy, full) = (v3(&[]), v3(&["gpu.comm-engine=copy"]), v3(&["gpu.comm-engine=full"]));
    assert!(copy.seconds() * 1.02 < software.seconds() && full.seconds() * 1.02 < copy.seconds());
    assert_eq!([&software, &copy, &full].map(|flown| flown.program.comm_sms), [20, 10, 0]);
    for engine in [copy, full] {
        assert_eq!(engine.outcome.ports.out_bytes, software.outcome.ports.out_bytes, "the same bytes");
    }
}

/// Receivers get what they got, so where ports are full of it multicast saves no time of an exchange, only work at the sender.
#[test]
fn multicast_returns_no_bandwidth_where_traffic_is_balanced() {
    let (none, multicast) = (v3(&[]), v3(&["gpu.scale-up.in-network=multicast", "fabric.in-network=multicast"]));
    for (kind, name) in ["dispatch", "combine"].iter().enumerate() {
        let [before, after] = [&none, &multicast].map(|flown| &flown.program.exchanges[0][kind]);
        close(before.alone.get(), after.alone.get(), 1e-9, name);
    }
    let sent = |flown: &Flight| {
        flown.program.exchanges[0][0].flows.iter().map(|flow| flow.copied[0] * f64::from(flow.copies)).sum::<f64>()
    };
    assert!(sent(&multicast) < 0.7 * sent(&none), "{} and {}", sent(&multicast), sent(&none));
}

/// What an ability takes off somebody shortens the step or leaves it; none of them lengthens it.
#[test]
fn no_ability_costs_time() {
    let base = v3(&[]).seconds();
    for ability in [
        "gpu.cast=warp",
        "gpu.cast=near-memory",
        "gpu.cast=copy-engine",
        "gpu.tensor.transposed-reads=native",
        "node.nic.forwarding=hardware",
        "node.nic.ordering=native",
        "node.nic.compression=logfmt-10",
        "gpu.scale-up.in-network=reduce",
        "fabric.in-network=reduce",
    ] {
        let step = v3(&[ability]).seconds();
        assert!(step < base, "{ability}: expected below {base} s, actual {step} s");
    }
}

/// A combine of LogFMT-10 is 10.25 bits of 16 on the network and as much as before in memory.
#[test]
fn compression_squeezes_the_network_alone() {
    let (plain, squeezed) = (v3(&[]), v3(&["node.nic.compression=logfmt-10"]));
    let [before, after] = [&plain, &squeezed].map(|flown| &flown.program.exchanges[0][1]);
    close(after.out_bytes / before.out_bytes, 10.25 / 16.0, 1e-12, "bytes on the network");
    assert_eq!((after.up_bytes, &after.memory), (before.up_bytes, &before.memory), "and nowhere else");
    assert_eq!(plain.program.exchanges[0][0], squeezed.program.exchanges[0][0], "a dispatch is FP8 already");
}

#[test]
fn computing_again_is_slower() {
    let steps = ["norm=false", "norm=true", "full=true"].map(|set| seconds(&format!("policy.recompute.{set}")));
    assert!(steps[0] < steps[1] && steps[1] * 1.1 < steps[2], "{steps:?} s");
    for part in ["mla-up", "swiglu"] {
        let [kept, again] = ["false", "true"].map(|on| seconds(&format!("policy.recompute.{part}={on}")));
        assert!(kept < again, "{part}: {kept} and {again} s");
    }
}

#[test]
fn slower_kernels_are_slower() {
    let step = |set: &str| fly(TINY, &[BALANCED, set]).seconds();
    let nominal = step("policy.schedule=dual-pipe");
    for (estimate, worse) in [
        ("gemm.fp8-block.peak-fraction", "0.6"),
        ("gemm.fp8-tile.peak-fraction", "0.5"),
        ("attention.forward.peak-fraction", "0.4"),
        ("attention.backward.peak-fraction", "0.3"),
        ("memory.peak-fraction", "0.6"),
        ("all-to-all.dispatch.scale-up-fraction", "0.5"),
        ("all-to-all.combine.scale-up-fraction", "0.5"),
        ("all-to-all.notify-latency", "'200 us'"),
        ("kernel.latency", "'6 us'"),
        ("collective.reduce-scatter.scale-up-fraction", "0.4"),
        ("point-to-point.scale-out-fraction", "0.2"),
    ] {
        let slow = step(&format!("profile.{estimate}.value={worse}"));
        assert!(slow > nominal, "`{estimate}` = {worse}: expected above {nominal} s, actual {slow} s");
    }
}

/// A norm moves bytes and multiplies nothing: whatever bounds it, and on however many SMs, is memory.
#[test]
fn what_only_moves_bytes_is_bound_by_memory() {
    for set in ["gpu.comm-engine=none", "gpu.comm-engine=full"] {
        let flight = fly(TINY, &[BALANCED, set]);
        let named = flight.program.ops.iter().zip(&flight.outcome.ops);
        let norms: Vec<_> = named.filter(|(op, _)| op.name.ends_with("-norm")).collect();
        assert!(!norms.is_empty());
        for (op, total) in norms {
            assert_eq!(total.tensor, SimSpan::ZERO, "{} with {set}", op.name);
        }
    }
}

#[test]
fn grids_for_the_whole_device_end_later_but_where_waves_are_whole() {
    let norm = |sms: u32, grid: &str| {
        let flight = v3(&[&format!("policy.comm-sms={sms}"), &format!("framework.grids.norms={grid}")]);
        let is_it = |op: &plan::OpName| op.name == "mlp-norm" && op.overlapped;
        let index = flight.program.ops.iter().position(is_it).expect("pairs have norms");
        let total = flight.outcome.ops[index];
        total.span.seconds() / total.count as f64
    };
    // Half of 132 SMs: two waves of 66 blocks are what 66 SMs do of as many blocks as there are, but for what few SMs reach.
    close(norm(66, "whole"), norm(66, "free"), 0.15, "two whole waves");
    let (whole, free) = (norm(20, "whole"), norm(20, "free"));
    assert!(whole > free * 1.1 && whole < free * 2.0, "{whole} and {free} s");
}

#[test]
fn products_for_the_whole_device_are_slower_only_beside_others() {
    let product = |grid: &str| {
        let flight = v3(&["job.precision=bf16", &format!("framework.grids.products={grid}")]);
        let seconds = |overlapped| {
            let is_it = |op: &plan::OpName| op.name == "query-up" && op.overlapped == overlapped;
            let index = flight.program.ops.iter().position(is_it).expect("it runs in both");
            flight.outcome.ops[index].span.seconds() / flight.outcome.ops[index].count as f64
        };
        [seconds(false), seconds(true)]
    };
    let ([lone, beside], [lone_whole, beside_whole]) = (product("free"), product("whole"));
    close(lone, lone_whole, 1e-6, "nothing beside");
    assert!(beside_whole > beside * 1.05, "{beside_whole} and {beside} s");
}
