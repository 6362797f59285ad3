//! Output of nccl-tests, as text and as JSON.
//!
//! A sample is the out-of-place time (in place where there is no other), its median and percentiles where times of single
//! calls were written (`-I 1 -J`), else the mean over the calls for all three. Sizes are those of nccl-tests, as ours. The
//! time in place stands among the extras as `in-place-seconds`. Ranks of more than one host are left out: a sample is of one
//! node. So are results that the tool itself found wrong.

mod json;
mod text;

pub(super) use json::samples as samples_of_json;
pub(super) use text::{is_text, samples as samples_of_text};

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
    hosts: usize,
    iterations: Option<u32>,
    library: Option<u64>,
    /// Whether multicast within the node was off; unknown from text.
    nvls_off: Option<bool>,
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
        match self.nvls_off {
            Some(true) => format!("{version}, NVLS off"),
            Some(false) => format!("{version}, NVLS not off"),
            None => version,
        }
    }

    fn samples(&self, rows: &[Row], hints: &Hints, imported: &mut ImportedSamples) -> Result<(), ImportMistake> {
        let Some(what) = self.collective(hints)? else {
            let program = self.program.as_deref().unwrap_or_default();
            imported.left_out.insert(format!("sizes of `{program}`: no collective we ask"), rows.len() as u64);
            return Ok(());
        };
        let ranks = self.ranks(hints)?;
        for row in rows {
            if self.hosts > 1 {
                imported.leave_out(format!("sizes over {} hosts: a sample is of one node", self.hosts));
            } else if row.bytes == 0 {
                imported.leave_out("sizes of zero bytes");
            } else if let Some(times) = row.out_of_place.or(row.in_place) {
                self.sample(what, ranks, row, times, hints, imported);
            } else {
                imported.leave_out("sizes without a time");
            }
        }
        Ok(())
    }

    fn sample(
        &self,
        what: Collective,
        ranks: u32,
        row: &Row,
        times: Times,
        hints: &Hints,
        imported: &mut ImportedSamples,
    ) {
        if times.wrong {
            imported.leave_out("sizes with wrong results");
            return;
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
        let question = Question::Collective { what, ranks, bytes: row.bytes, sms: None };
        match reading.fault(&question) {
            Some(fault) => imported.leave_out(format!("sizes with an impossible time: {fault}")),
            None => imported.samples.push(Sample { question, reading, machine: hints.source.clone() }),
        }
    }
}
