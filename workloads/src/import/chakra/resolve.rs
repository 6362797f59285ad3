//! Raw nodes into nodes with a meaning: kinds by name, dependencies by place, groups by their ranks.

use std::collections::{BTreeMap, BTreeSet};

use units::{Bytes, Flops, Seconds};

use super::Raw;
use super::sizes::Sizes;
use crate::import::{GraphNode, Mistake, Mistakes, ProcessGroup, Trace, Work, graph};
use crate::op::Collective;

/// Names of the kinds, by number.
const KINDS: [&str; 8] = [
    "INVALID_NODE",
    "METADATA_NODE",
    "MEM_LOAD_NODE",
    "MEM_STORE_NODE",
    "COMP_NODE",
    "COMM_SEND_NODE",
    "COMM_RECV_NODE",
    "COMM_COLL_NODE",
];
/// Names of the collectives, by number.
const COLLECTIVES: [&str; 10] = [
    "ALL_REDUCE",
    "REDUCE",
    "ALL_GATHER",
    "GATHER",
    "SCATTER",
    "BROADCAST",
    "ALL_TO_ALL",
    "REDUCE_SCATTER",
    "REDUCE_SCATTER_BLOCK",
    "BARRIER",
];
/// Longest chain of names that a circle is told by.
const N_SHOWN_MAX: usize = 6;

/// Ranks, and the groups that nodes have named so far.
pub(super) struct Ranks<'a> {
    n_ranks: u32,
    /// Whether one trace stands for all ranks.
    lockstep: bool,
    named: &'a BTreeMap<String, Vec<u32>>,
    index: BTreeMap<String, u32>,
    groups: Vec<ProcessGroup>,
    /// The ranks of each group; none: all.
    members: Vec<Option<BTreeSet<u32>>>,
    /// What messages give as their size at both ends.
    sizes: Sizes,
    n_empty: u64,
}

impl<'a> Ranks<'a> {
    pub(super) fn new(
        n_ranks: u32,
        lockstep: bool,
        named: &'a BTreeMap<String, Vec<u32>>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        for (name, ranks) in named {
            let mut seen = BTreeSet::new();
            let twice = ranks.iter().copied().find(|rank| !seen.insert(*rank));
            let beyond = ranks.iter().find(|rank| **rank >= n_ranks);
            let message = match (ranks.is_empty(), twice, beyond) {
                (true, ..) => "has no ranks".to_owned(),
                (_, Some(rank), _) => format!("names rank {rank} twice"),
                (.., Some(rank)) => format!("names rank {rank}, but the job has ranks 0 to {}", n_ranks - 1),
                _ => continue,
            };
            let hint = "list each rank of the group once, as a file of its own has it".to_owned();
            mistakes.push(Mistake { place: format!("group `{name}`"), message, hint });
        }
        let (index, groups, members) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { n_ranks, lockstep, named, index, groups, members, sizes: Sizes::default(), n_empty: 0 }
    }

    pub(super) fn finish(self) -> (Vec<ProcessGroup>, Sizes, Vec<String>) {
        let mut notes = Vec::new();
        if self.lockstep {
            notes.push(format!("one trace stands for {} ranks in lockstep", self.n_ranks));
        }
        if self.n_empty > 0 {
            notes.push(format!("{} nodes have neither a duration nor arithmetic and take no time", self.n_empty));
        }
        (self.groups, self.sizes, notes)
    }

    pub(super) fn trace(&mut self, rank: u32, file: &str, raws: &[Raw], mistakes: &mut Mistakes<'_>) -> Trace {
        let mut at: BTreeMap<u64, u32> = BTreeMap::new();
        for (index, raw) in (0_u32..).zip(raws) {
            if at.insert(raw.id, index).is_some() {
                mistakes.add(&place(raw), "its identifier is taken", "every node of a file has one of its own");
            }
        }
        let before = mistakes.all.len();
        let nodes: Vec<GraphNode> = raws
            .iter()
            .map(|raw| GraphNode {
                name: place(raw),
                work: self.work(rank, raw, mistakes),
                after: after(raw, &at, mistakes),
            })
            .collect();
        self.note_sizes(rank, raws, &nodes);
        if mistakes.all.len() == before
            && let Some(circle) = graph::circle(&nodes)
        {
            let mut names: Vec<&str> =
                circle.iter().take(N_SHOWN_MAX).map(|&index| nodes[index as usize].name.as_str()).collect();
            if circle.len() > N_SHOWN_MAX {
                names.push("...");
            }
            let message = format!("dependencies go round: {}", names.join(" before "));
            mistakes.add("", message, "take one of them away");
        }
        Trace { name: file.to_owned(), nodes }
    }

    fn note_sizes(&mut self, rank: u32, raws: &[Raw], nodes: &[GraphNode]) {
        for (index, (raw, node)) in (0_u32..).zip(raws.iter().zip(nodes)) {
            match node.work {
                Work::Send { to, tag, .. } => self.sizes.sent((rank, to, tag), index, raw.comm_size),
                Work::Receive { from, tag } => self.sizes.received((from, rank, tag), index, raw.comm_size),
                Work::Mark | Work::Device(_) | Work::Host(_) | Work::Arithmetic { .. } | Work::Collective { .. } => {}
            }
        }
    }

    fn work(&mut self, rank: u32, raw: &Raw, mistakes: &mut Mistakes<'_>) -> Work {
        match KINDS.get(usize::try_from(raw.kind).unwrap_or(usize::MAX)).copied() {
            Some("COMP_NODE" | "COMM_COLL_NODE" | "COMM_SEND_NODE" | "COMM_RECV_NODE") if raw.is_cpu_op => {
                self.host(raw)
            }
            Some("METADATA_NODE") => Work::Mark,
            Some("COMP_NODE") => self.compute(raw),
            Some("COMM_COLL_NODE") => self.collective(rank, raw, mistakes),
            Some("COMM_SEND_NODE") => match self.peer(rank, raw, "comm_dst", raw.comm_dst, mistakes) {
                Some(to) => Work::Send { to, tag: raw.comm_tag, bytes: size(raw, mistakes) },
                None => Work::Mark,
            },
            Some("COMM_RECV_NODE") => match self.peer(rank, raw, "comm_src", raw.comm_src, mistakes) {
                Some(from) => Work::Receive { from, tag: raw.comm_tag },
                None => Work::Mark,
            },
            known => {
                let kind = known.map_or_else(|| format!("{}", raw.kind), str::to_owned);
                let hint = "known are METADATA_NODE, COMP_NODE, COMM_COLL_NODE, COMM_SEND_NODE and COMM_RECV_NODE";
                mistakes.add(&place(raw), format!("the node kind `{kind}` is not modeled"), hint);
                Work::Mark
            }
        }
    }

    fn host(&mut self, raw: &Raw) -> Work {
        if raw.duration_micros == 0 {
            return self.empty();
        }
        Work::Host(Seconds::new(raw.duration_micros as f64 / 1e6))
    }

    fn compute(&mut self, raw: &Raw) -> Work {
        if raw.duration_micros > 0 {
            return Work::Device(Seconds::new(raw.duration_micros as f64 / 1e6));
        }
        if raw.num_ops > 0 || raw.tensor_size > 0 {
            let [flops, bytes] = [raw.num_ops, raw.tensor_size].map(|count| count as f64);
            return Work::Arithmetic { flops: Flops::new(flops), bytes: Bytes::new(bytes) };
        }
        self.empty()
    }

    fn empty(&mut self) -> Work {
        self.n_empty += 1;
        Work::Mark
    }

    fn collective(&mut self, rank: u32, raw: &Raw, mistakes: &mut Mistakes<'_>) -> Work {
        let name = raw.comm_type.and_then(|kind| COLLECTIVES.get(usize::try_from(kind).ok()?).copied());
        let what = match name {
            Some("ALL_REDUCE" | "BARRIER") => Collective::AllReduce,
            Some("ALL_GATHER" | "BROADCAST") => Collective::AllGather,
            Some("ALL_TO_ALL") => Collective::AllToAll,
            Some("REDUCE_SCATTER" | "REDUCE") => Collective::ReduceScatter,
            other => {
                let kind = match (other, raw.comm_type) {
                    (Some(name), _) => format!("the collective `{name}` is not modeled"),
                    (None, Some(number)) => format!("the collective `{number}` is not known"),
                    (None, None) => "`comm_type` is missing".to_owned(),
                };
                let hint =
                    "known are ALL_REDUCE, ALL_GATHER, ALL_TO_ALL, REDUCE_SCATTER, BROADCAST, REDUCE and BARRIER";
                mistakes.add(&place(raw), kind, hint);
                return Work::Mark;
            }
        };
        if raw.involved_dim.contains(&false) {
            let hint = "name the ranks by a `pg_name`";
            mistakes.add(&place(raw), "`involved_dim` leaves dimensions out, which says no ranks", hint);
        }
        let group = self.group(rank, raw, mistakes);
        let own = if name == Some("BARRIER") { Bytes::ZERO } else { size(raw, mistakes) };
        let n = f64::from(self.groups.get(group as usize).map_or(1, ProcessGroup::n_ranks));
        let bytes = match name {
            Some("ALL_GATHER") => own * n,
            Some("BROADCAST" | "REDUCE") if n > 1.0 => own * (n / (n - 1.0)),
            _ => own,
        };
        Work::Collective { group, what, bytes }
    }

    /// The index of its group; one of all ranks where it names none.
    fn group(&mut self, rank: u32, raw: &Raw, mistakes: &mut Mistakes<'_>) -> u32 {
        let Some(index) = self.index_of(raw.pg_name.as_deref()) else {
            let message = format!("the group `{}` is not known", raw.pg_name.as_deref().unwrap_or_default());
            mistakes.add(&place(raw), message, "`--groups FILE` takes `{\"name\": [ranks]}`");
            return 0;
        };
        if self.n_ranks == 1 {
            let hint = "give the traces of all ranks, one file each, or `--ranks N` for N ranks that all do the same";
            mistakes.add(&place(raw), "a collective, but the job has one rank", hint);
        }
        if self.members[index as usize].as_ref().is_some_and(|members| !members.contains(&rank)) {
            let name = raw.pg_name.as_deref().unwrap_or_default();
            let message = format!("rank {rank} calls a collective of the group `{name}`, which it is not in");
            mistakes.add(&place(raw), message, "correct `pg_name` or the group");
        }
        index
    }

    /// The index of a group by its name; `None` where it is not known.
    fn index_of(&mut self, name: Option<&str>) -> Option<u32> {
        // A node without a name and one with an empty name are two groups.
        let key = name.map_or_else(String::new, |name| format!("={name}"));
        if let Some(index) = self.index.get(&key) {
            return Some(*index);
        }
        let ranks: Vec<u32> = match name {
            None => (0..self.n_ranks).collect(),
            Some(name) => self.named.get(name)?.clone(),
        };
        let index = self.groups.len() as u32;
        self.members.push(name.map(|_| ranks.iter().copied().collect()));
        self.groups.push(ProcessGroup::Ranks(ranks));
        self.index.insert(key, index);
        Some(index)
    }

    fn peer(&self, rank: u32, raw: &Raw, key: &str, peer: Option<u64>, mistakes: &mut Mistakes<'_>) -> Option<u32> {
        if self.lockstep {
            let hint = "give one file a rank";
            mistakes.add(&place(raw), "a message tells ranks apart that should be in lockstep", hint);
            return None;
        }
        let hint = format!("write the other rank as `{key}`");
        let Some(peer) = peer else {
            mistakes.add(&place(raw), format!("`{key}` is missing"), hint);
            return None;
        };
        let known = u32::try_from(peer).ok().filter(|peer| *peer < self.n_ranks && *peer != rank);
        if known.is_none() {
            let message = format!("`{key}` is {peer}, but rank {rank} is one of ranks 0 to {}", self.n_ranks - 1);
            mistakes.add(&place(raw), message, hint);
        }
        known
    }
}

fn place(raw: &Raw) -> String {
    format!("node {} `{}`", raw.id, raw.name)
}

fn size(raw: &Raw, mistakes: &mut Mistakes<'_>) -> Bytes {
    if raw.comm_size.is_none() {
        mistakes.add(&place(raw), "`comm_size` is missing", "write its bytes");
    }
    Bytes::new(raw.comm_size.unwrap_or(0) as f64)
}

fn after(raw: &Raw, at: &BTreeMap<u64, u32>, mistakes: &mut Mistakes<'_>) -> Vec<u32> {
    let mut after = Vec::new();
    for id in &raw.after {
        match at.get(id) {
            Some(&index) => after.push(index),
            None => {
                let message = format!("it waits for node {id}, which is not in the file");
                mistakes.add(&place(raw), message, "add the node or take the dependency away");
            }
        }
    }
    after.sort_unstable();
    after.dedup();
    after
}
