//! What an imported graph came to.

use std::collections::BTreeMap;

use calibrate::{Basis, Profile};
use plan::{Evidence, Imported, Plan, PlanError, RankReplay, Replayed};
use report::{Common, ImportedRank, ImportedResult, JobResult, Phase, Phases, SpanKind, Summary};
use workloads::import::Work;

use super::expenses::{self, Held};
use super::rest;
use super::shares::SHARE_MIN;
use crate::fabric;

/// What a node's time rests on where the graph holds it.
const TRACED: &str = "traced";

/// The numbers of a graph that ran; `format` is the tool that wrote it.
///
/// Shares of bases are of the time that all nodes would take one after the other.
///
/// # Errors
/// When the machine cannot be wired.
pub fn imported(
    plan: &Plan,
    (format, digest): (&str, &str),
    job: &Imported,
    replayed: &Replayed,
) -> Result<Summary, PlanError> {
    let makespan = replayed.makespan.get();
    let phases_by_rank: Vec<Phases> = replayed.ranks.iter().map(|spent| phases(spent, makespan)).collect();
    let phases = mean(&phases_by_rank);
    let binding_shares: BTreeMap<String, f64> =
        phases.0.iter().map(|phase| (phase.name.to_owned(), share(phase.seconds, makespan))).collect();
    let largest = phases.0.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (basis_shares, basis) = bases(&replayed.evidence, &plan.site.profile);
    let (cost, energy) = expenses::expenses(&plan.site.machine, &plan.cost, Held::Run(makespan))?;
    let result = ImportedResult {
        format: format.to_owned(),
        n_simulated: replayed.ranks.len() as u32,
        n_nodes: replayed.n_nodes,
        makespan_seconds: makespan,
        exposed_seconds: phases.of(EXPOSED),
        ranks: (0..).zip(&replayed.ranks).map(|(rank, spent)| row(rank, spent)).collect(),
    };
    let common = Common {
        name: plan.name.clone(),
        digest: digest.to_owned(),
        n_ranks: job.graph.n_ranks,
        n_ranks_simulated: replayed.ranks.len() as u32,
        n_tasks: replayed.n_tasks,
        binding: largest.map_or_else(String::new, |phase| phase.name.to_owned()),
        phases,
        phases_by_rank,
        basis,
        basis_shares,
        binding_shares,
        cost,
        energy,
        notes: notes(plan, job),
        ..Common::default()
    };
    Ok(Summary { common, result: JobResult::Imported(result), ..Summary::default() })
}

/// What the files leave open, what a reader must know of the network, and what of it slows nobody.
fn notes(plan: &Plan, Imported { graph, .. }: &Imported) -> Vec<String> {
    let does = |is: fn(&Work) -> bool| graph.traces.iter().flat_map(|trace| &trace.nodes).any(|node| is(&node.work));
    let both = does(|work| matches!(work, Work::Collective { .. })) && does(|work| matches!(work, Work::Send { .. }));
    let spans_nodes = graph.n_ranks > plan.site.machine.node.devices;
    let beside = (both && spans_nodes).then(|| {
        "messages share the trunks between leaves with each other, collectives share them within the bound of their group: \
         on a trunk the two do not slow each other"
            .to_owned()
    });
    graph.notes.iter().cloned().chain(fabric::notes(&plan.site.machine)).chain(beside).collect()
}

const DEVICE: &str = "device";
const EXPOSED: &str = "exposed_communication";
const IDLE: &str = "idle";

/// How a rank spends the makespan.
fn phases(spent: &RankReplay, makespan: f64) -> Phases {
    let (device, exposed) = (spent.device.seconds(), spent.exposed.seconds());
    of([device, exposed, rest(makespan, device + exposed)])
}

fn of([device, exposed, idle]: [f64; 3]) -> Phases {
    Phases(vec![
        Phase { name: DEVICE, kind: Some(SpanKind::Tensor), seconds: device },
        Phase { name: EXPOSED, kind: Some(SpanKind::Transfer), seconds: exposed },
        Phase { name: IDLE, kind: None, seconds: idle },
    ])
}

fn mean(ranks: &[Phases]) -> Phases {
    let mean = |name| ranks.iter().map(|phases| phases.of(name)).sum::<f64>() / ranks.len().max(1) as f64;
    of([DEVICE, EXPOSED, IDLE].map(mean))
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Shares of the nodes' time by what it rests on, and the weakest basis of those that are of estimates.
fn bases(evidence: &Evidence, profile: &Profile) -> (BTreeMap<String, f64>, String) {
    let all: f64 = evidence.values().sum();
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    let mut weakest: Option<Basis> = None;
    for (key, &seconds) in evidence.iter().filter(|(_, seconds)| **seconds > 0.0) {
        let basis = key.map(|key| profile.get(key).basis);
        if share(seconds, all) > SHARE_MIN {
            weakest = weakest.max(basis);
        }
        let name = basis.map_or(TRACED, Basis::name);
        *shares.entry(name.to_owned()).or_default() += share(seconds, all);
    }
    (shares, weakest.map_or(TRACED, Basis::name).to_owned())
}

fn row(rank: u32, spent: &RankReplay) -> ImportedRank {
    ImportedRank {
        rank,
        device_seconds: spent.device.seconds(),
        exposed_seconds: spent.exposed.seconds(),
        idle_seconds: spent.idle.seconds(),
        communication_seconds: spent.communication.seconds(),
        host_seconds: spent.host.seconds(),
    }
}
