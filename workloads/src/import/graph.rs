//! What every graph must fulfil.

use std::collections::BTreeMap;

use super::{Graph, GraphNode, Mistake, ProcessGroup, Trace, Work};

/// A node on a circle of dependencies; `None` where there is no circle.
pub(super) fn circle(nodes: &[GraphNode]) -> Option<Vec<u32>> {
    let mut missing: Vec<u32> = nodes.iter().map(|node| node.after.len() as u32).collect();
    let mut next: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for &before in &node.after {
            next[before as usize].push(index as u32);
        }
    }
    let mut ready: Vec<u32> = (0..nodes.len() as u32).filter(|&index| missing[index as usize] == 0).collect();
    let mut n_done = 0;
    while let Some(done) = ready.pop() {
        n_done += 1;
        for &index in &next[done as usize] {
            missing[index as usize] -= 1;
            if missing[index as usize] == 0 {
                ready.push(index);
            }
        }
    }
    if n_done == nodes.len() {
        return None;
    }
    // Every node left waits for another one left: going back for as long as there are nodes ends on a circle.
    let left = |index: &u32| missing[*index as usize] > 0;
    let back = |index: u32| nodes[index as usize].after.iter().copied().find(|before| left(before)).unwrap_or(index);
    let mut at = (0..nodes.len() as u32).find(left)?;
    for _ in 0..nodes.len() {
        at = back(at);
    }
    let mut circle = vec![at];
    while back(circle[circle.len() - 1]) != at {
        circle.push(back(circle[circle.len() - 1]));
    }
    circle.reverse();
    Some(circle)
}

/// Messages and collectives that have no partner, or one of another kind or size.
pub(super) fn partners(job: &Graph) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    collectives(job, &mut mistakes);
    messages(job, &mut mistakes);
    mistakes
}

/// The collectives of a trace, by group.
fn by_group(trace: &Trace) -> BTreeMap<u32, Vec<&GraphNode>> {
    let mut all: BTreeMap<u32, Vec<&GraphNode>> = BTreeMap::new();
    for node in &trace.nodes {
        if let Work::Collective { group, .. } = node.work {
            all.entry(group).or_default().push(node);
        }
    }
    all
}

/// The i-th collective of a group is the same on all its ranks.
fn collectives(job: &Graph, mistakes: &mut Vec<Mistake>) {
    let called: Vec<BTreeMap<u32, Vec<&GraphNode>>> = job.traces.iter().map(by_group).collect();
    for (index, group) in (0_u32..).zip(&job.groups) {
        let ProcessGroup::Ranks(ranks) = group else { continue };
        let traces: Vec<usize> =
            ranks.iter().map(|&rank| rank as usize).filter(|rank| *rank < job.traces.len()).collect();
        let Some((&first, others)) = traces.split_first() else { continue };
        let of = |rank: usize| called[rank].get(&index).map(Vec::as_slice).unwrap_or_default();
        let (expected, first) = (of(first), &job.traces[first]);
        for &rank in others {
            let (found, trace) = (of(rank), &job.traces[rank]);
            let differs = expected.iter().zip(found).position(|(a, b)| a.work != b.work);
            let (place, message) = match differs {
                Some(i) => (
                    format!("{}: {}", trace.name, found[i].name),
                    format!(
                        "{} here, but {} on {} ({})",
                        shown(&found[i].work),
                        shown(&expected[i].work),
                        first.name,
                        expected[i].name
                    ),
                ),
                None if found.len() != expected.len() => (
                    trace.name.clone(),
                    format!(
                        "{} collectives of a group of {} ranks, but {} on {}",
                        found.len(),
                        ranks.len(),
                        expected.len(),
                        first.name
                    ),
                ),
                None => continue,
            };
            let hint = "all ranks of a group call the same collectives in the same order; name the groups of a trace with its `pg_name`s".to_owned();
            mistakes.push(Mistake { place, message, hint });
        }
    }
}

fn shown(work: &Work) -> String {
    match work {
        Work::Collective { what, bytes, .. } => format!("{what:?} of {bytes}"),
        other => format!("{other:?}"),
    }
}

/// As many receives as sends between two ranks with a tag.
fn messages(job: &Graph, mistakes: &mut Vec<Mistake>) {
    let mut count: BTreeMap<(u32, u32, u64), [u64; 2]> = BTreeMap::new();
    for (rank, trace) in (0_u32..).zip(&job.traces) {
        for node in &trace.nodes {
            match node.work {
                Work::Send { to, tag, .. } => count.entry((rank, to, tag)).or_default()[0] += 1,
                Work::Receive { from, tag } => count.entry((from, rank, tag)).or_default()[1] += 1,
                _ => {}
            }
        }
    }
    for ((from, to, tag), [sent, received]) in count {
        if sent != received {
            mistakes.push(Mistake {
                place: job.traces.get(from as usize).map_or_else(|| format!("rank {from}"), |trace| trace.name.clone()),
                message: format!(
                    "rank {from} sends {sent} messages to rank {to} with tag {tag}, which receives {received}"
                ),
                hint: "every `COMM_SEND_NODE` needs its `COMM_RECV_NODE` with the same tag".to_owned(),
            });
        }
    }
}
