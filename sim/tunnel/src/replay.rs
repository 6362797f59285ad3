//! A job that another tool wrote, on a machine of ours.
//!
//! The way of a job: [`JobFiles`] holds the text of its files; `workloads::import` reads a graph from them; that and a
//! cluster are a plan; `plan::replay` runs it; a `report::Summary` has what its ranks did.

use std::collections::BTreeMap;
use std::fmt;

use plan::{Folding, Imported, Job, Plan, PlanError, Recording, Simulation};
use report::Summary;
use scenario::{Library, LoadedSite};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use topology::Routing;
use workloads::import::chakra::{self, File};
use workloads::import::simai::{self, Pipeline};
use workloads::import::{Graph, ImportError};

use crate::error::TunnelError;
use crate::summarize;

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
    /// Which of several equal paths a message takes.
    pub routing: Routing,
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

/// The ranks of each process group by its name, as they stand in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub BTreeMap<String, Vec<u32>>);

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(GroupsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = Groups;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    /// A map of the standard library would keep the last of two groups of one name, and nobody would know.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Groups, A::Error> {
        let mut groups = BTreeMap::new();
        while let Some((name, ranks)) = map.next_entry::<String, Vec<u32>>()? {
            if groups.contains_key(&name) {
                return Err(A::Error::custom(format!("the group `{name}` stands there twice")));
            }
            groups.insert(name, ranks);
        }
        Ok(Groups(groups))
    }
}

/// Reads a job and runs it.
///
/// # Errors
/// Files that cannot be read as a job, mistakes in the machine's files, a job that the machine cannot run.
pub fn replay(query: &ReplayQuery, library: &Library) -> Result<Summary, TunnelError> {
    let graph = query.job.read()?;
    let LoadedSite { site, cost, leaves } = scenario::load_site(&query.cluster, &query.profiles, &query.sets, library)?;
    let digest = scenario::digest_of(&leaves, &query.job.identity(query.routing));
    let job = Job::Imported(Box::new(Imported { graph, routing: query.routing }));
    // Every rank that a graph tells apart is simulated, and there are no intervals to keep.
    let simulation = Simulation { folding: Folding::None, record: Recording::None, scheduling_anomaly: 0.0 };
    let plan = Plan { name: query.cluster.clone(), site, job, simulation, cost };
    Ok(summary(&plan, (query.job.format(), &digest))?)
}

/// Runs the graph of a plan.
pub(crate) fn summary(plan: &Plan, head: (&str, &str)) -> Result<Summary, PlanError> {
    let imported = plan.imported()?;
    let replayed = plan::replay(&plan.site, imported)?;
    summarize::imported(plan, head, imported, &replayed)
}

impl JobFiles {
    fn format(&self) -> &'static str {
        match self {
            Self::Chakra { .. } => "chakra",
            Self::Simai { .. } => "simai",
        }
    }

    /// All that tells a job from another, for its digest.
    fn identity(&self, routing: Routing) -> Vec<u8> {
        let mut bytes = format!("{} {}\n", self.format(), routing.name()).into_bytes();
        match self {
            Self::Chakra { files, groups, n_ranks } => {
                for (_, file) in files {
                    bytes.extend(format!("file of {} bytes\n", file.len()).into_bytes());
                    bytes.extend(file);
                }
                for (name, ranks) in groups {
                    let ranks: Vec<String> = ranks.iter().map(u32::to_string).collect();
                    bytes.extend(format!("group {name} {}\n", ranks.join(" ")).into_bytes());
                }
                bytes.extend(format!("ranks {}", n_ranks.unwrap_or(0)).into_bytes());
            }
            Self::Simai { text, pipeline, .. } => {
                bytes.extend(format!("one pipeline rank {}\n{text}", *pipeline == Pipeline::OneRank).into_bytes());
            }
        }
        bytes
    }

    fn read(&self) -> Result<Graph, ImportError> {
        match self {
            Self::Chakra { files, groups, n_ranks } => {
                let files: Vec<File<'_>> = files.iter().map(|(name, bytes)| File { name, bytes }).collect();
                chakra::read(&files, groups, *n_ranks)
            }
            Self::Simai { name, text, pipeline } => simai::read(name, text, *pipeline),
        }
    }
}
