//! Output of nccl-tests, as text and as JSON.
//!
//! A sample is the out-of-place time (in place where there is no other), its median and percentiles where times of single
//! calls were written (`-I 1 -J`), else the mean over the calls for all three. Sizes are those of nccl-tests, as ours. The
//! time in place stands among the extras as `in-place-seconds`. Results that the tool itself found wrong are left out.
//!
//! Ranks of several hosts lie on as many nodes as there are domains of the scale-up fabric, which a list of hosts does not say: it is
//! taken from what the library says of itself, or told beside the file. How bytes moved is taken from the library's words and
//! settings ([`said`]) and from nothing else.

mod columns;
mod json;
mod lines;
mod said;
mod text;

pub(super) use json::samples as samples_of_json;
pub(super) use text::samples as samples_of_text;

use std::collections::BTreeMap;

use self::said::Said;
use super::{Hints, ImportMistake, ImportedSamples};
use workloads::op::Collective;

use crate::question::Question;
use crate::sample::{Reading, Sample};

/// Calls a mean is over where the file does not say: the tool's default.
const N_ITERATIONS: u32 = 20;

/// What a file says about all of its rows.
#[derive(Clone, Debug, Default)]
struct Head {
    program: Option<String>,
    ranks: Option<u32>,
    /// Ranks of each host.
    hosts: BTreeMap<String, u32>,
    iterations: Option<u32>,
    library: Option<u64>,
    /// What was said of algorithms and nodes.
    said: Said,
    /// Whether every setting of the run is known.
    is_listed: bool,
}

/// One size, times in seconds: fifth percentile, median, ninety-fifth.
#[derive(Clone, Copy, Debug)]
struct Row {
    bytes: u64,
    out_of_place: Option<Times>,
    in_place: Option<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    seconds: [f64; 3],
    runs: u32,
    wrong: bool,
}

impl Head {
    /// Which collective; none where it is one that we do not ask, which is left out and no mistake. What is told beside the
    /// file must not contradict it.
    fn collective(&self, hints: &Hints) -> Result<Option<Collective>, ImportMistake> {
        let Some(program) = &self.program else {
            let missing = "the file does not say which collective it is of: give `--collective`";
            return hints.collective.map(Some).ok_or_else(|| ImportMistake::whole(missing));
        };
        let stem = program.rsplit(['/', '\\']).next().unwrap_or(program);
        let stem = stem.trim_end_matches(".exe").trim_end_matches("_mpi").trim_end_matches("_perf");
        let named = match stem {
            "all_reduce" => Some(Collective::AllReduce),
            "all_gather" => Some(Collective::AllGather),
            "reduce_scatter" => Some(Collective::ReduceScatter),
            "alltoall" => Some(Collective::AllToAll),
            "sendrecv" => Some(Collective::SendRecv),
            "broadcast" | "reduce" | "gather" | "scatter" | "hypercube" => None,
            // No program of the tool's own: what it does is known to who ran it.
            _ => return Ok(hints.collective),
        };
        match hints.collective {
            Some(told) if named != Some(told) => {
                let message =
                    format!("the file is of `{program}`, and `--collective` says another: leave `--collective` out");
                Err(ImportMistake::whole(message))
            }
            _ => Ok(named),
        }
    }

    fn ranks(&self, hints: &Hints) -> Result<u32, ImportMistake> {
        match (hints.ranks, self.ranks) {
            // What a run of one rank timed is its own memory, whoever ran beside it.
            (_, Some(1)) => Err(ImportMistake::whole(
                "the file lists one rank, and a collective of one rank moves nothing: processes built without MPI each run alone; \
                 build nccl-tests with `MPI=1`, or give it several GPUs (`-g`), and run it again",
            )),
            (Some(told), Some(listed)) if told != listed => Err(ImportMistake::whole(format!(
                "the file lists {listed} ranks, and `--ranks` says {told}: leave `--ranks` out"
            ))),
            (told, listed) => told
                .or(listed)
                .filter(|ranks| *ranks > 1)
                .ok_or_else(|| ImportMistake::whole("the file does not list two ranks or more: give `--ranks`")),
        }
    }

    /// Library with its version: its code is major x 10000 + minor x 100 + patch.
    fn implementation(&self) -> String {
        let version = match self.library {
            Some(code) => format!("nccl {}.{}.{}", code / 10000, code / 100 % 100, code % 100),
            None => "nccl of no stated version".to_owned(),
        };
        match self.said.switches() {
            Ok(Some(false)) => format!("{version}, NVLS off"),
            Ok(Some(true)) => format!("{version}, NVLS allowed"),
            _ if self.is_listed => format!("{version}, NVLS not off"),
            _ => version,
        }
    }

    /// Nodes that the ranks lie on; none where they lie unevenly.
    fn nodes(&self, ranks: u32, hints: &Hints) -> Result<Option<u32>, ImportMistake> {
        let n_hosts = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        if n_hosts < 2 {
            // Ranks that no file lists are told as those of a node.
            return Ok(Some(1));
        }
        let said = self.nodes_said(ranks, n_hosts)?;
        let told = hints.hosts_per_node.map(|hosts| nodes_told(n_hosts, hosts)).transpose()?;
        let nodes = match (said, told) {
            (Some(said), Some(told)) if said != told => Err(format!(
                "the library says that {n_hosts} hosts are {said} nodes, and `--hosts-per-node` makes them {told}: leave it out"
            )),
            (Some(nodes), _) | (None, Some(nodes)) => Ok(nodes),
            (None, None) => Err(format!(
                "{ranks} ranks on {n_hosts} hosts, and nothing says whether hosts share a scale-up fabric (NVLink): give `--hosts-per-node 1` where each host has its own, as many as one fabric joins where it joins several (18 of an NVL72), or run with `NCCL_DEBUG=INFO`"
            )),
        };
        let nodes = nodes.map_err(ImportMistake::whole)?;
        let mut counts = self.hosts.values();
        let first = counts.next().copied().unwrap_or_default();
        let is_even = counts.all(|count| *count == first) && ranks.is_multiple_of(nodes);
        Ok(is_even.then_some(nodes))
    }

    /// Nodes by the words of the library.
    fn nodes_said(&self, ranks: u32, n_hosts: u32) -> Result<Option<u32>, ImportMistake> {
        let mut found = None;
        for communicator in self.said.communicators_of(ranks) {
            let nodes = match communicator.shared {
                // Hosts that share nothing are nodes.
                Some(false) => n_hosts,
                // As many nodes as hosts, though hosts share a fabric: whose count that is, versions differ.
                Some(true) if communicator.nodes == n_hosts => continue,
                Some(true) => communicator.nodes,
                None => continue,
            };
            if found.is_some_and(|before| before != nodes) {
                let message = "communicators of as many ranks lie on different nodes: give each run a file of its own";
                return Err(ImportMistake::whole(message));
            }
            found = Some(nodes);
        }
        Ok(found)
    }

    fn samples(&self, rows: &[Row], hints: &Hints, imported: &mut ImportedSamples) -> Result<(), ImportMistake> {
        let Some(what) = self.collective(hints)? else {
            let program = self.program.as_deref().unwrap_or_default();
            let reason = format!("sizes of `{program}`: no collective we ask");
            *imported.left_out.entry(reason).or_default() += rows.len() as u64;
            return Ok(());
        };
        let ranks = self.ranks(hints)?;
        self.said.switches()?;
        let nodes = self.nodes(ranks, hints)?;
        for row in rows {
            match self.sample((what, ranks, nodes), row, hints) {
                Ok(sample) => imported.samples.push(sample),
                Err(reason) => imported.leave_out(reason),
            }
        }
        Ok(())
    }

    /// A size as a sample; in words why it is none.
    fn sample(&self, of: (Collective, u32, Option<u32>), row: &Row, hints: &Hints) -> Result<Sample, String> {
        let (what, ranks, nodes) = of;
        let n_hosts = self.hosts.len();
        let nodes = nodes.ok_or_else(|| format!("sizes of {ranks} ranks that lie unevenly on {n_hosts} hosts"))?;
        if row.bytes == 0 {
            return Err("sizes of zero bytes".to_owned());
        }
        let times = row.out_of_place.or(row.in_place).ok_or("sizes without a time")?;
        if times.wrong {
            return Err("sizes with wrong results".to_owned());
        }
        let [low, seconds, high] = times.seconds;
        let in_place = row.in_place.filter(|_| row.out_of_place.is_some());
        let reading = Reading {
            implementation: self.implementation(),
            seconds,
            low,
            high,
            runs: times.runs,
            clock: None,
            power: None,
            extras: in_place.map(|times| ("in-place-seconds".to_owned(), times.seconds[1])).into_iter().collect(),
        };
        let by = self.said.by(what, row.bytes)?;
        let question = Question::Collective { what, ranks, bytes: row.bytes, sms: None, nodes, by };
        match reading.fault(&question) {
            Some(fault) => Err(format!("sizes with an impossible time: {fault}")),
            None => Ok(Sample { question, reading, machine: hints.source.clone() }),
        }
    }
}

/// Nodes of so many hosts each.
fn nodes_told(n_hosts: u32, each: u32) -> Result<u32, ImportMistake> {
    match each {
        0 => Err(ImportMistake::whole("`--hosts-per-node` is 0: a node has one host or more")),
        _ if n_hosts <= each => Ok(1),
        _ if n_hosts.is_multiple_of(each) => Ok(n_hosts / each),
        _ => Err(ImportMistake::whole(format!(
            "{n_hosts} hosts do not fill nodes of {each} (`--hosts-per-node`): how they lie on nodes is not known"
        ))),
    }
}
