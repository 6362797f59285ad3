//! An invented study.

use std::collections::BTreeMap;

use report::Measure;
use report::study::{
    ArithmeticRow, EstimateRow, Front, FrontPoint, Hand, HeatMap, KnobRow, MadeOf, MapAxis, PairRow, ProposalResult,
    ProposalRow, ProposalRun, SensitivitySummary, SetRow, StudyBase, StudySummary, SweepPoint, SweepSummary,
    TogetherSummary, WorthRow,
};

const STEP: f64 = 18.09;

/// Numbers made up to look like a wish list.
pub(crate) fn study() -> StudySummary {
    let proposals = vec![
        proposal("comm-coprocessor", -0.077, 0.011, (-0.13, -0.02), "tokens move without SMs"),
        proposal("nic-800g", -0.058, 0.009, (-0.08, 0.0), "twice the NIC"),
        proposal("native-scaling-accumulate-25", -0.031, 0.012, (-0.06, -0.01), "scales inside the tensor core"),
        proposal("memory-6-stacks", -0.012, 0.004, (-0.04, 0.0), "half again the memory rate"),
        proposal("full-nvlink", -0.004, 0.005, (-0.01, 0.001), "18 links in place of 8"),
        proposal("quick-switches", -0.000_2, 0.000_3, (-0.001, 0.001), "switches with half the latency"),
        proposal("accumulate-33", 0.0, 0.0, (-0.001, 0.001), "sums of 33 bits"),
        proposal("scale-up-72", 0.021, 0.014, (-0.5, 0.0), "a bold hope"),
        ProposalRow {
            hand: Hand { text: "it cannot run".into(), ..Hand::default() },
            result: ProposalResult::Failed("the plan needs 92.1 GiB, a device has 80 GiB".into()),
            ..proposal("too-small", 0.0, 0.0, (0.0, 0.0), "half the memory")
        },
    ];
    StudySummary {
        name: "sample".into(),
        about: "What would each hardware wish be worth? (an invented sample)".into(),
        measure: Measure::default(),
        draws: 64,
        base: StudyBase {
            name: "an-invented-job".into(),
            digest: "5f1d0e7c2ab94a3d8c6b".into(),
            patch: vec!["traffic.skew=0.12".into()],
            value: STEP,
            interval: Some([16.9, 20.3]),
            made_of: made_of(STEP, 0.0),
        },
        proposals,
        sweeps: vec![sweep()],
        together: Some(together()),
        front: Some(front()),
        sensitivity: Some(sensitivity()),
        arithmetic: vec![
            arithmetic("base", 0.0, 13, "every 128 products", 0.0021),
            arithmetic("accumulate-33", 0.0, 33, "never", 0.000_012),
        ],
        notes: vec!["nothing here was computed: `sample` is invented".into()],
    }
}

fn arithmetic(name: &str, change: f64, fraction_bits: u32, promotion: &str, error: f64) -> ArithmeticRow {
    let proposal = name.to_owned();
    let promotion = promotion.to_owned();
    ArithmeticRow { proposal, change, fraction_bits, promotion, error_median: error, error_worst: error * 3.0 }
}

fn made_of(step: f64, change: f64) -> MadeOf {
    let part = |name: &str, share: f64| (name.to_owned(), share);
    let shares = [
        part("tensor cores", 0.681),
        part("bubble", 0.115),
        part("memory", 0.105),
        part("all-to-all", 0.081 + change),
        part("optimizer", 0.013),
        part("kernel latency", 0.005 - change),
    ];
    MadeOf {
        binding: "tensor cores".into(),
        basis: "assumed".into(),
        binding_parts: shares.into_iter().map(|(name, share)| (name, share * step)).collect(),
        basis_shares: BTreeMap::from([part("published", 0.4), part("extrapolated", 0.37), part("assumed", 0.23)]),
    }
}

fn proposal(name: &str, change: f64, spread: f64, (low, high): (f64, f64), about: &str) -> ProposalRow {
    let interval = [change - spread, change + spread];
    let step_seconds = STEP * (1.0 + change);
    ProposalRow {
        name: name.into(),
        about: about.into(),
        source: "a publication & its section <3.5>".into(),
        assumes: "software keeps up, the clock stays".into(),
        patch: vec!["gpu.comm-engine=\"copy\"".into()],
        hand: Hand {
            text: "at most 20/132 of the time that SMs bind".into(),
            low,
            high,
            agrees: Some((low..=high).contains(&change)),
        },
        result: ProposalResult::Ran(ProposalRun {
            value: step_seconds,
            change,
            interval: Some(interval),
            decided: Some(spread == 0.0 || interval[1] < 0.0 || interval[0] > 0.0),
            decided_by: vec![("profile.memory.peak-fraction".into(), 0.62)],
            made_of: made_of(step_seconds, change / 2.0),
        }),
    }
}

fn sweep() -> SweepSummary {
    let axis = |key: &str, values: &[&str]| MapAxis {
        key: key.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let axes = [
        axis("node.nic.rate", &["100 Gbit/s", "200 Gbit/s", "400 Gbit/s", "800 Gbit/s", "1600 Gbit/s"]),
        axis("gpu.scale-up.links", &["4", "8", "12", "18"]),
        axis("gpu.sms", &["96", "112", "128", "144", "160"]),
    ];
    let map = |x: usize, y: usize| {
        let step = |row: usize, column: usize| {
            STEP * (1.25 - 0.06 * column as f64 * (1.0 + x as f64) / 2.0 - 0.05 * row as f64)
        };
        let rows = |of: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..axes[y].values.len())
                .map(|row| (0..axes[x].values.len()).map(|column| of(row, column)).collect())
                .collect()
        };
        HeatMap {
            x: axes[x].clone(),
            y: axes[y].clone(),
            values: rows(&step),
            changes: rows(&|row, column| step(row, column) / STEP - 1.0),
            others: vec!["the third".into()],
        }
    };
    let best = SweepPoint {
        name: "rates-100".into(),
        patch: vec!["node.nic.rate=\"1600 Gbit/s\"".into(), "gpu.sms=160".into()],
        value: 14.4,
        change: 14.4 / STEP - 1.0,
        binding: "tensor cores".into(),
    };
    let maps = vec![map(0, 1), map(0, 2), map(2, 1)];
    SweepSummary { name: "rates".into(), n_points: 100, n_failed: 2, best: vec![best], maps }
}

fn together() -> TogetherSummary {
    let names = ["comm-coprocessor", "nic-800g", "full-nvlink", "memory-6-stacks"];
    let alone = [1.4, 1.05, 0.07, 0.22];
    let share = |(name, alone): (&&str, &f64)| WorthRow {
        proposal: (*name).into(),
        alone: *alone,
        last: Some(alone * 0.7),
        shapley: alone * 0.85,
    };
    let pair = |a: usize, b: usize, seconds: f64, kind: &str| PairRow {
        first: names[a].into(),
        second: names[b].into(),
        interaction: seconds,
        kind: kind.into(),
    };
    let set = |proposals: &[&str], worth: f64| SetRow {
        proposals: proposals.iter().map(|name| (*name).to_owned()).collect(),
        value: STEP - worth,
        worth,
        cost: None,
    };
    TogetherSummary {
        sampled: false,
        shares: names.iter().zip(&alone).map(share).collect(),
        pairs: vec![
            pair(0, 1, -0.45, "substitutes"),
            pair(0, 2, 0.12, "complements"),
            pair(0, 3, -0.02, "substitutes"),
            pair(1, 2, 0.31, "complements"),
            pair(1, 3, 0.0, "independent"),
            pair(2, 3, -0.01, "substitutes"),
        ],
        sets: vec![set(&names, 2.1), set(&names[..2], 2.0), set(&names[..1], 1.4), set(&[], 0.0)],
        target: Some(16.5),
        cheapest: Some(set(&names[..2], 2.0)),
    }
}

fn front() -> Front {
    let point = |name: &str, cost: f64, step_seconds: f64, on_front, is_base| FrontPoint {
        name: name.into(),
        cost,
        value: step_seconds,
        on_front,
        is_base,
    };
    Front {
        cost_name: "cluster, US dollars".into(),
        points: vec![
            point("base", 61.2e6, 18.09, true, true),
            point("nic-800g", 66.0e6, 17.04, true, false),
            point("comm-coprocessor", 67.5e6, 16.69, true, false),
            point("full-nvlink", 63.0e6, 18.03, true, false),
            point("memory-6-stacks", 70.4e6, 17.87, false, false),
            point("scale-up-72", 74.9e6, 18.47, false, false),
        ],
    }
}

fn sensitivity() -> SensitivitySummary {
    let knob = |key: &str, elasticity: f64, ends: [f64; 2], unsure: Option<f64>| KnobRow {
        key: key.into(),
        value: "132".into(),
        elasticity: Some(elasticity),
        ends: Some(ends),
        estimate: unsure.map(|unsure| EstimateRow { basis: "assumed".into(), spread: 0.1, unsure: Some(unsure) }),
        note: None,
    };
    SensitivitySummary {
        name: "an-invented-job".into(),
        digest: "5f1d0e7c2ab94a3d8c6b".into(),
        measure: Measure::default(),
        value: STEP,
        knobs: vec![
            knob("gpu.clock", -0.71, [-0.76, -0.65], None),
            knob("profile.gemm.fp8-block.peak-fraction", -0.42, [-0.47, -0.38], Some(0.61)),
            knob("gpu.sms", -0.39, [-0.44, -0.31], None),
            knob("node.nic.rate", -0.16, [-0.34, -0.05], None),
            knob("profile.all-to-all.rate-per-sm", -0.09, [-0.2, 0.0], Some(0.22)),
            knob("gpu.memory.stacks", -0.07, [-0.08, -0.06], None),
            knob("profile.kernel.latency", 0.012, [0.011, 0.013], Some(0.03)),
            knob("fabric.switch.latency", 0.002, [0.002, 0.002], None),
        ],
    }
}
