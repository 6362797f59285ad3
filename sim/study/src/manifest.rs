//! The manifest: all that a study decides before anything is run. Every shard works it out alike, so that none must ask another.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use scenario::{Loaded, Mistakes};
use serde::{Deserialize, Serialize};

use crate::arithmetic::ProductSums;
use crate::draws::departing;
use crate::file::Study;
use crate::knob::Change;
use crate::point::{Point, PointKind};
use crate::proposal::Proposal;
use crate::refusal::caught;
use crate::tunnel::Tunnel;
use crate::{Draws, StudyError};

/// A study, decided: points with the identity of their plans. Holds no path, time or count of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The study's name.
    pub name: String,
    /// The question.
    pub about: String,
    /// The base's name.
    pub base: String,
    /// The number that all are judged by, where the study names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Who computes: results of another build of the program are not mixed with these.
    pub build: String,
    /// Draws of the estimates.
    pub draws: u32,
    /// Their seed.
    pub seed: u64,
    /// Whether its page also says what moves the base.
    pub sensitivity: bool,
    /// The proposal whose timelines its page sets beside the base's; `None`: the one that surely saves most.
    pub timeline: Option<String>,
    /// What to ask of several proposals at once.
    pub together: Option<TogetherEntry>,
    /// What is laid over the base everywhere.
    pub patch: Vec<Change>,
    /// Proposals by name.
    pub proposals: BTreeMap<String, Proposal>,
    /// Points in their order.
    pub points: Vec<Entry>,
    /// How far each estimate of the base is off in each draw; see [`Draws::deviations`].
    pub deviations: BTreeMap<String, Vec<f64>>,
}

/// What to ask of several proposals at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TogetherEntry {
    /// Names, in the order of the file.
    pub proposals: Vec<String>,
    /// Orders that were sampled, as indices of proposals; empty where all subsets are run.
    pub orders: Vec<Vec<usize>>,
    /// Objective to reach.
    pub target: Option<f64>,
}

/// A point, and who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// The point.
    #[serde(flatten)]
    pub point: Point,
    /// Digest of its plan; empty where it has none.
    pub digest: String,
    /// What it is kept under: a hash of plan, build, draws and seed.
    pub key: String,
    /// Why it has no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistake: Option<String>,
    /// How its FP8 products are added, where the study compares arithmetic: of the base, and of proposals that add otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<ProductSums>,
    /// Keys of the machine whose change makes estimates unsure that the base has measured, or the other way round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub departing: Vec<String>,
    /// Every knob of the study at this point, in base units.
    pub knobs: BTreeMap<String, String>,
}

impl Manifest {
    /// Loads every point of a study on `tunnel`, on the threads of the current pool. `build` names the program that computes.
    ///
    /// # Errors
    /// [`StudyError::Base`] where the base is no scenario, and as [`Study::points`]. A point that is none keeps its mistake.
    pub fn new(study: &Study, tunnel: &dyn Tunnel, build: &str) -> Result<Self, StudyError> {
        let points = study.points()?;
        let base = tunnel.load(&sets(&study.patch, &[])).map_err(StudyError::Base)?;
        let knobs: BTreeSet<&String> = points.iter().flat_map(|point| &point.patch).map(|change| &change.key).collect();
        let entry = |point: &Point| {
            let load = || Ok(tunnel.load(&sets(&study.patch, &point.patch)));
            // Where loading is a fault, running says so.
            let loaded = caught(load).unwrap_or_else(|_| Err(Mistakes::default()));
            let departing = match &loaded {
                Ok(loaded) => departing(&base.plan.site.profile, &loaded.plan.site.profile),
                Err(_) => Vec::new(),
            };
            let entry = Entry::new(point, &knobs, loaded, build, study.draws.seed);
            Entry { departing, ..entry }
        };
        let together = study.together.as_ref().map(|asked| TogetherEntry {
            proposals: asked.proposals.clone(),
            orders: crate::subsets::orders(asked),
            target: asked.target.map(units::Seconds::get),
        });
        let mut points: Vec<Entry> = points.par_iter().map(entry).collect();
        keep_sums_that_differ(&mut points);
        Ok(Self {
            name: study.name.clone(),
            about: study.about.clone(),
            base: base.plan.name,
            objective: study.objective.clone(),
            build: build.to_owned(),
            draws: study.draws.n,
            seed: study.draws.seed,
            sensitivity: study.sensitivity,
            timeline: study.timeline.clone(),
            together,
            patch: study.patch.clone(),
            proposals: study.proposals.iter().cloned().collect(),
            points,
            deviations: study.draws.deviations(&base.plan.site.profile),
        })
    }

    /// What every point's estimates are drawn from.
    #[must_use]
    pub fn drawing(&self) -> Draws {
        Draws { seed: self.seed, n: self.draws }
    }

    /// As a file.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: a manifest can always be written.
    pub fn to_toml(&self) -> Result<String, StudyError> {
        toml::to_string(self).map_err(|error| StudyError::Fault(error.to_string()))
    }

    /// From a file of [`Manifest::to_toml`]; `place` is what messages call it.
    ///
    /// # Errors
    /// [`StudyError::File`] for what is no manifest.
    pub fn from_toml(place: &str, text: &str) -> Result<Self, StudyError> {
        crate::parse::parse(place, text)
    }

    /// Points to compute, each plan once, in their order: indices into [`Manifest::points`].
    #[must_use]
    pub fn unique(&self) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        (0..self.points.len()).filter(|&index| seen.insert(&self.points[index].key)).collect()
    }
}

impl Entry {
    fn new(point: &Point, knobs: &BTreeSet<&String>, loaded: Result<Loaded, Mistakes>, build: &str, seed: u64) -> Self {
        let of_arithmetic = matches!(point.kind, PointKind::Base | PointKind::Proposal);
        let (digest, mistake, values, sums) = match loaded {
            Ok(loaded) => {
                let train = loaded.plan.train().ok().filter(|_| of_arithmetic);
                let sums = train.map(ProductSums::of);
                (scenario::digest(&loaded), None, values(&loaded, knobs), sums)
            }
            Err(mistakes) => {
                let mistake = Some(short(&mistakes)).filter(|mistake| !mistake.is_empty());
                (String::new(), mistake, BTreeMap::new(), None)
            }
        };
        // What cannot be loaded has no digest; its patch tells it from others.
        let who = if digest.is_empty() { format!("{:?}", point.patch) } else { digest.clone() };
        let seed = if point.n_draws == 0 { 0 } else { seed };
        let key = blake3::hash(format!("{build} {who} {} {seed}", point.n_draws).as_bytes()).to_hex().to_string();
        Self { point: point.clone(), digest, key, mistake, sums, departing: Vec::new(), knobs: values }
    }
}

/// A proposal that adds as the base does says nothing of arithmetic, and the base alone neither.
fn keep_sums_that_differ(points: &mut [Entry]) {
    let Some((base, others)) = points.split_first_mut() else { return };
    let how = base.sums.as_ref().map(|sums| sums.how.clone());
    for entry in others.iter_mut() {
        entry.sums.take_if(|sums| Some(&sums.how) == how.as_ref());
    }
    if others.iter().all(|entry| entry.sums.is_none()) {
        base.sums = None;
    }
}

/// A name for the program that computes, from its bytes: `build` of [`Manifest::new`].
#[must_use]
pub fn hash(program: &[u8]) -> String {
    blake3::hash(program).to_hex().to_string()
}

/// The arguments that lay a study's and a point's patch over the base.
pub(crate) fn sets(patch: &[Change], more: &[Change]) -> Vec<String> {
    patch.iter().chain(more).map(Change::set).collect()
}

fn values(loaded: &Loaded, knobs: &BTreeSet<&String>) -> BTreeMap<String, String> {
    let leaves = loaded.leaves.iter().filter(|leaf| knobs.contains(&leaf.key));
    leaves.map(|leaf| (leaf.key.clone(), leaf.canonical.clone())).collect()
}

/// Mistakes that a row names.
const N_TOLD_MAX: usize = 20;

/// Mistakes in one line, for a row.
pub(crate) fn short(mistakes: &Mistakes) -> String {
    let told = mistakes.diagnostics().iter().map(|mistake| match &mistake.hint {
        Some(hint) => format!("{} ({hint})", mistake.message),
        None => mistake.message.clone(),
    });
    let more = mistakes.diagnostics().len().saturating_sub(N_TOLD_MAX);
    let more = (more > 0).then(|| format!("and {more} more"));
    told.take(N_TOLD_MAX).chain(more).collect::<Vec<_>>().join("; ")
}
