//! A job that another tool wrote, on a machine of ours.
//!
//! The way of a job: [`JobFiles`] holds the text of its files; `workloads::import` reads them; `plan::replay` runs what they say;
//! [`ReplayReply`] has what its ranks did.

use std::collections::BTreeMap;

use plan::{RankReplay, Replayed};
use scenario::Library;
use serde_json::{Value, json};
use workloads::import::chakra::{self, File};
use workloads::import::simai::{self, Pipeline};
use workloads::import::{ImportError, Job};

use crate::error::TunnelError;

/// A job and the machine that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayQuery {
    /// What other tools wrote.
    pub job: JobFiles,
    /// A cluster preset's name or a file.
    pub cluster: String,
    /// Profiles, an earlier one before a later; none: the one named like the hardware.
    pub profiles: Vec<String>,
    /// Patches, `KEY=VALUE`.
    pub sets: Vec<String>,
}

/// The files of a job, by the tool that wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFiles {
    /// MLCommons Chakra execution traces.
    Chakra {
        /// Names and contents, one file per rank.
        files: Vec<(String, Vec<u8>)>,
        /// The ranks of each process group by its name.
        groups: BTreeMap<String, Vec<u32>>,
        /// Ranks that all run the one trace given, in lockstep.
        n_ranks: Option<u32>,
    },
    /// A SimAI workload file.
    Simai {
        /// Its name.
        name: String,
        /// What it holds.
        text: String,
        /// What a file of several pipeline ranks is taken for.
        pipeline: Pipeline,
    },
}

/// How long a job takes, and what its ranks do meanwhile.
#[derive(Clone, Debug)]
pub struct ReplayReply {
    /// Which tool wrote the files.
    pub format: &'static str,
    /// The job as it was read.
    pub job: Job,
    /// What happened.
    pub replayed: Replayed,
}

/// Reads a job and runs it.
///
/// # Errors
/// Files that cannot be read as a job, mistakes in the machine's files, a job that the machine cannot run.
pub fn replay(query: &ReplayQuery, library: &Library) -> Result<ReplayReply, TunnelError> {
    let (format, job) = (query.job.format(), query.job.read()?);
    let site = scenario::load_cluster(&query.cluster, &query.profiles, &query.sets, library)?;
    let replayed = plan::replay(&job, &site.machine, &site.profile)?;
    Ok(ReplayReply { format, job, replayed })
}

impl JobFiles {
    fn format(&self) -> &'static str {
        match self {
            Self::Chakra { .. } => "chakra",
            Self::Simai { .. } => "simai",
        }
    }

    fn read(&self) -> Result<Job, ImportError> {
        match self {
            Self::Chakra { files, groups, n_ranks } => {
                let files: Vec<File<'_>> = files.iter().map(|(name, bytes)| File { name, bytes }).collect();
                chakra::read(&files, groups, *n_ranks)
            }
            Self::Simai { name, text, pipeline } => simai::read(name, text, *pipeline),
        }
    }
}

impl ReplayReply {
    /// Communication exposed, seconds, mean over the ranks simulated.
    #[must_use]
    pub fn exposed_seconds(&self) -> f64 {
        let ranks = &self.replayed.ranks;
        ranks.iter().map(|spent| spent.exposed.seconds()).sum::<f64>() / ranks.len().max(1) as f64
    }

    /// By the names that files use.
    #[must_use]
    pub fn json(&self) -> Value {
        let rank = |(rank, spent): (usize, &RankReplay)| {
            json!({
                "rank": rank,
                "device_seconds": spent.device.seconds(),
                "exposed_seconds": spent.exposed.seconds(),
                "idle_seconds": spent.idle.seconds(),
                "communication_seconds": spent.communication.seconds(),
                "host_seconds": spent.host.seconds(),
            })
        };
        let Self { format, job, replayed } = self;
        json!({
            "format": format,
            "n_ranks": job.n_ranks,
            "n_simulated": replayed.ranks.len(),
            "n_nodes": replayed.n_nodes,
            "n_tasks": replayed.n_tasks,
            "makespan_seconds": replayed.makespan.get(),
            "exposed_seconds": self.exposed_seconds(),
            "ranks": replayed.ranks.iter().enumerate().map(rank).collect::<Vec<_>>(),
            "notes": job.notes,
        })
    }
}
