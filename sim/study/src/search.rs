//! A search: which of many patches of a scenario is best.
//!
//! Candidates are every combination of the options of the [`SearchAxis`]s. One is *rejected* where it cannot be loaded, cannot run, misses a
//! [`Limit`], or cannot be better than those already found: bounds come before runs ([`Tunnel::bound`]). All others run, and the best of them are ranked.
//!
//! Bounds come first, then runs in their order, in batches of a fixed size; the search ends where no bound is below the worst that is ranked. So the answer
//! does not depend on the number of threads, and on any space the first is the best of all candidates, as if each had been run.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use crate::StudyError;
use crate::criterion::Criterion;
use crate::json;
use crate::knob::{Change, plain};
use crate::manifest::sets;
use crate::point::Results;
use crate::refusal::{Refusal, caught};
use crate::run::StudyProgress;
use crate::tunnel::Tunnel;

/// Candidates of a search, at most.
pub const N_CANDIDATES_MAX: usize = 100_000;
/// Candidates that run before it is asked again whether the next can be better.
const N_BATCH: usize = 16;
/// The number of a run that says how much memory its fullest device holds.
const MEMORY: &str = "memory_bytes_max";

/// Options of which every candidate has one.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchAxis {
    /// What it is about: a key, or several that change together.
    pub name: String,
    /// Its options, each a patch; an empty one leaves the base as it is.
    pub options: Vec<Vec<Change>>,
}

/// What a result must meet: one of its numbers is at most so much.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The number, by its key in the JSON.
    pub number: String,
    /// The most it may be, in base units.
    pub most: f64,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What may change.
    pub dimensions: Vec<SearchAxis>,
    /// What every result must meet.
    pub limits: Vec<Limit>,
    /// How many of the best to rank.
    pub top: usize,
}

/// What a search found. Field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchAnswer {
    /// The scenario's name.
    pub name: String,
    /// By which number candidates are ranked, less of it first.
    pub objective: String,
    /// That of the scenario as it is; none where it does not run.
    pub base: Option<f64>,
    /// Candidates: combinations that are plans of their own, and those that are none.
    pub n_candidates: usize,
    /// Candidates that ran.
    pub n_simulated: usize,
    /// The best, the first first.
    pub points: Vec<SearchPoint>,
    /// Candidates that are out, in their order.
    pub rejected: Vec<RejectedPoint>,
}

/// A candidate that ran and meets all limits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchPoint {
    /// What it changes.
    pub patch: BTreeMap<String, toml::Value>,
    /// Its objective.
    pub objective: f64,
    /// What binds it.
    pub binding: String,
    /// Bytes that the fullest device holds.
    pub memory_bytes_max: Option<f64>,
    /// All its numbers.
    pub results: BTreeMap<String, f64>,
}

/// A candidate that is out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RejectedPoint {
    /// What it changes.
    pub patch: BTreeMap<String, toml::Value>,
    /// At which step it was rejected.
    pub by: RejectedBy,
    /// Why.
    pub reason: String,
    /// Whether that is a fault of the program.
    #[serde(skip_serializing_if = "crate::point::is_false")]
    pub fault: bool,
}

/// The step at which a candidate is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectedBy {
    /// It is no plan.
    Plan,
    /// It cannot run, for instance for want of memory.
    Run,
    /// It cannot be better than those that are ranked.
    Bound,
    /// It misses a limit.
    Limit,
}

impl SearchAnswer {
    /// Candidates without a result by a fault of the program.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.rejected.iter().filter(|row| row.fault).count()
    }

    /// Indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: it can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

impl SearchPoint {
    /// What it changes.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.patch.iter().map(|(key, value)| Change { key: key.clone(), value: value.clone() }).collect()
    }

    /// The same as people write it: `key=value`, text without its quotes.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        self.patch.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect()
    }
}

/// The digest of a candidate's plan, and what its objective cannot be below, or why it is out.
type Loading = (Option<String>, Result<Option<f64>, (RejectedBy, Refusal)>);

/// What became of a candidate.
enum Fate {
    Ran(SearchPoint, Criterion),
    Out(RejectedBy, Refusal),
}

impl Fate {
    fn bounded(bound: f64) -> Self {
        Self::Out(RejectedBy::Bound, format!("it is {bound:.4e} at least, and those that are ranked are less").into())
    }

    const fn has_run(&self) -> bool {
        match self {
            Self::Ran(..) | Self::Out(RejectedBy::Limit, _) => true,
            Self::Out(RejectedBy::Plan | RejectedBy::Run | RejectedBy::Bound, _) => false,
        }
    }
}

/// Searches on `tunnel`, on the threads of the current pool.
///
/// # Errors
/// [`StudyError::Base`] where the scenario cannot be loaded, [`StudyError::Store`] for more candidates than [`N_CANDIDATES_MAX`].
pub fn search(tunnel: &dyn Tunnel, asked: &Search, progress: &StudyProgress) -> Result<SearchAnswer, StudyError> {
    let base = tunnel.load(&[]).map_err(StudyError::Base)?;
    let patches = candidates(&asked.dimensions)?;
    progress.expect(patches.len() as u64);
    let load = |patch: Vec<Change>| {
        let loading = loading(tunnel, &patch);
        progress.step();
        (patch, loading)
    };
    let loaded: Vec<(Vec<Change>, Loading)> = patches.into_par_iter().map(load).collect();
    let of_base = caught(|| tunnel.run(&base.plan)).ok();
    let mut found =
        Found { ranked: Ranked::new(asked.top), rejected: BTreeMap::new(), n_candidates: 0, n_simulated: 0 };
    let open = found.open(&loaded);
    for batch in open.chunks(N_BATCH) {
        let most = found.ranked.most().unwrap_or(f64::INFINITY);
        let fate = |(bound, index): &(f64, usize)| {
            if *bound > most { Fate::bounded(*bound) } else { fate(tunnel, asked, &loaded[*index].0) }
        };
        let fates: Vec<Fate> = batch.par_iter().map(fate).collect();
        for ((_, index), fate) in batch.iter().zip(fates) {
            found.add((*index, &loaded[*index].0), fate);
        }
    }
    let Found { ranked, rejected, n_candidates, n_simulated } = found;
    Ok(SearchAnswer {
        name: base.plan.name,
        objective: ranked.criterion.name,
        base: of_base.as_ref().and_then(Results::objective),
        n_candidates,
        n_simulated,
        points: ranked.points,
        rejected: rejected.into_values().collect(),
    })
}

/// What a search has found so far.
struct Found {
    ranked: Ranked,
    /// By the place of the candidate.
    rejected: BTreeMap<usize, RejectedPoint>,
    n_candidates: usize,
    n_simulated: usize,
}

impl Found {
    /// Candidates that may run, the lowest bound first. Two patches of one plan are one candidate.
    fn open(&mut self, loaded: &[(Vec<Change>, Loading)]) -> Vec<(f64, usize)> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<(f64, usize)> = Vec::new();
        for (index, (patch, (digest, bound))) in loaded.iter().enumerate() {
            if digest.as_ref().is_some_and(|digest| !seen.insert(digest)) {
                continue;
            }
            self.n_candidates += 1;
            match bound {
                Ok(bound) => open.push((bound.unwrap_or(0.0), index)),
                Err((by, why)) => self.add((index, patch), Fate::Out(*by, why.clone())),
            }
        }
        open.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        open
    }

    fn add(&mut self, (index, patch): (usize, &[Change]), fate: Fate) {
        self.n_simulated += usize::from(fate.has_run());
        match fate {
            Fate::Ran(point, criterion) => self.ranked.add(point, criterion),
            Fate::Out(by, why) => {
                let row = RejectedPoint { patch: table(patch), by, reason: why.reason, fault: why.is_fault };
                self.rejected.insert(index, row);
            }
        }
    }
}

/// Every combination of options, the last dimension fastest.
fn candidates(dimensions: &[SearchAxis]) -> Result<Vec<Vec<Change>>, StudyError> {
    let n = dimensions.iter().try_fold(1_usize, |n, dimension| n.checked_mul(dimension.options.len()));
    if n.is_none_or(|n| n > N_CANDIDATES_MAX) {
        let sizes: Vec<String> =
            dimensions.iter().map(|dimension| format!("{} x {}", dimension.name, dimension.options.len())).collect();
        let message = format!("the search has more than {N_CANDIDATES_MAX} candidates: {}", sizes.join(", "));
        return Err(StudyError::Store(format!("{message}\nhint: give fewer values, `--over KEY=VALUE,VALUE`")));
    }
    let mut patches = vec![Vec::new()];
    for dimension in dimensions {
        let with = |patch: &Vec<Change>| -> Vec<Vec<Change>> {
            dimension.options.iter().map(|option| [patch.as_slice(), option].concat()).collect()
        };
        patches = patches.iter().flat_map(with).collect();
    }
    Ok(patches)
}

fn loading(tunnel: &dyn Tunnel, patch: &[Change]) -> Loading {
    let loaded = caught(|| tunnel.load(&sets(&[], patch)).map_err(|mistakes| crate::manifest::short(&mistakes).into()));
    match loaded {
        Err(why) => (None, Err((RejectedBy::Plan, why))),
        Ok(loaded) => {
            let bound = caught(|| tunnel.bound(&loaded.plan)).map_err(|why| (RejectedBy::Run, why));
            (Some(scenario::digest(&loaded)), bound)
        }
    }
}

fn fate(tunnel: &dyn Tunnel, asked: &Search, patch: &[Change]) -> Fate {
    let run = || {
        let plan = tunnel.load(&sets(&[], patch)).map_err(|mistakes| crate::manifest::short(&mistakes))?.plan;
        tunnel.run(&plan)
    };
    let results = match caught(run) {
        Ok(results) => results,
        Err(why) => return Fate::Out(RejectedBy::Run, why),
    };
    for Limit { number, most } in &asked.limits {
        let why = match results.numbers.get(number) {
            Some(value) if value <= most => continue,
            Some(value) => format!("`{number}` is {value:.4e}, over {most:.4e}"),
            None => format!("its results have no `{number}`"),
        };
        return Fate::Out(RejectedBy::Limit, why.into());
    }
    let Some(objective) = results.objective() else {
        return Fate::Out(RejectedBy::Run, format!("its results have no `{}`", results.criterion.name).into());
    };
    let point = SearchPoint {
        patch: table(patch),
        objective,
        binding: results.words.get("binding").cloned().unwrap_or_default(),
        memory_bytes_max: results.numbers.get(MEMORY).copied(),
        results: results.numbers,
    };
    Fate::Ran(point, results.criterion)
}

fn table(patch: &[Change]) -> BTreeMap<String, toml::Value> {
    patch.iter().map(|change| (change.key.clone(), change.value.clone())).collect()
}

/// The best so far.
struct Ranked {
    top: usize,
    criterion: Criterion,
    points: Vec<SearchPoint>,
}

impl Ranked {
    fn new(top: usize) -> Self {
        Self { top, criterion: Criterion::default(), points: Vec::new() }
    }

    /// What another must be better than; none while there is room.
    fn most(&self) -> Option<f64> {
        self.points.get(self.top.checked_sub(1)?).map(|worst| worst.objective)
    }

    /// Equal ones in the order in which they came.
    fn add(&mut self, point: SearchPoint, criterion: Criterion) {
        let at = self.points.partition_point(|other| criterion.order(other.objective, point.objective).is_le());
        self.points.insert(at, point);
        self.points.truncate(self.top);
        self.criterion = criterion;
    }
}
