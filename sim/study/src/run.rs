//! Running points: each once, kept when it is finished.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use calibrate::Profile;
use plan::Plan;
use rayon::prelude::*;

use crate::manifest::{Entry, Manifest, sets};
use crate::point::{FinishedPoint, Results};
use crate::refusal::{Refusal, caught};
use crate::tunnel::Tunnel;
use crate::{Shard, StudyError};

/// Where finished points are kept, by key. Another shard may keep points at the same time.
pub trait Store: Sync {
    /// A finished point; `None` where there is none yet.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn get(&self, key: &str) -> Result<Option<FinishedPoint>, StudyError>;

    /// Whether a point is finished.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn has(&self, key: &str) -> Result<bool, StudyError> {
        Ok(self.get(key)?.is_some())
    }

    /// Keeps a finished point, wholly or not at all.
    ///
    /// # Errors
    /// It cannot be kept.
    fn put(&self, key: &str, finished: &FinishedPoint) -> Result<(), StudyError>;
}

/// Keeps points as long as it lives.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<BTreeMap<String, FinishedPoint>>);

impl InMemory {
    fn points(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, FinishedPoint>> {
        // Whole entries are inserted, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Store for InMemory {
    fn get(&self, key: &str) -> Result<Option<FinishedPoint>, StudyError> {
        Ok(self.points().get(key).cloned())
    }

    fn put(&self, key: &str, finished: &FinishedPoint) -> Result<(), StudyError> {
        self.points().insert(key.to_owned(), finished.clone());
        Ok(())
    }
}

/// How far a study is; may be read from another thread while it goes on.
#[derive(Debug, Default)]
pub struct StudyProgress {
    done: AtomicU64,
    of: AtomicU64,
}

impl StudyProgress {
    /// Runs done, draws counted.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Runs there are; zero while that is not known.
    #[must_use]
    pub fn of(&self) -> u64 {
        self.of.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn expect(&self, runs: u64) {
        self.of.store(runs, Ordering::Relaxed);
    }
}

/// Runs what a shard holds and `store` lacks (or all of it, without `resume`), on the threads of the current pool; the number of points run.
/// What is kept does not depend on the number of threads, of shards, or on where an earlier run was interrupted.
///
/// # Errors
/// [`StudyError::BaseRun`] where the base cannot run: no point could be compared. A point that cannot run, or whose run is a fault
/// of the program, is kept with its reason. What the store says.
pub fn run(
    manifest: &Manifest,
    tunnel: &dyn Tunnel,
    store: &dyn Store,
    shard: Shard,
    resume: bool,
    progress: &StudyProgress,
) -> Result<usize, StudyError> {
    let mut open = Vec::new();
    for (position, index) in manifest.unique().into_iter().enumerate() {
        let entry = &manifest.points[index];
        if shard.holds(position) && !(resume && store.has(&entry.key)?) {
            open.push(entry);
        }
    }
    progress.expect(open.iter().map(|entry| 1 + u64::from(entry.point.n_draws)).sum());
    // The base first: without it nothing else says anything.
    let (base, others): (Vec<&Entry>, Vec<&Entry>) =
        open.into_iter().partition(|entry| entry.key == manifest.points[0].key);
    for entry in &base {
        let finished = finish(manifest, entry, tunnel, progress);
        if let Some(error) = finished.error {
            return Err(if finished.fault { StudyError::Fault(error) } else { StudyError::BaseRun(error) });
        }
        store.put(&entry.key, &finished)?;
    }
    let keep = |entry: &&Entry| store.put(&entry.key, &finish(manifest, entry, tunnel, progress));
    others.par_iter().try_for_each(keep)?;
    Ok(base.len() + others.len())
}

fn finish(manifest: &Manifest, entry: &Entry, tunnel: &dyn Tunnel, progress: &StudyProgress) -> FinishedPoint {
    if let Some(mistake) = &entry.mistake {
        return FinishedPoint::failed(mistake.clone());
    }
    let run = || {
        let sets = sets(&manifest.patch, &entry.point.patch);
        let plan = tunnel.load(&sets).map_err(|mistakes| mistakes.to_string())?.plan;
        let results = caught(|| tunnel.run(&plan));
        progress.step();
        let results = results?;
        Ok(FinishedPoint {
            results,
            draws: drawn(manifest, entry, &plan, tunnel, progress)?,
            ..FinishedPoint::default()
        })
    };
    caught(run).unwrap_or_else(FinishedPoint::failed)
}

/// The numbers of every draw, by name. Only estimates differ, so traffic and routes are those of the plan.
fn drawn(
    manifest: &Manifest,
    entry: &Entry,
    plan: &Plan,
    tunnel: &dyn Tunnel,
    progress: &StudyProgress,
) -> Result<BTreeMap<String, Vec<f64>>, Refusal> {
    let draws = manifest.drawing();
    let one = |draw: u32| {
        let profile: Profile = draws.profile(&plan.site.profile, draw);
        let results = caught(|| tunnel.run(&plan.with_profile(profile)));
        progress.step();
        results.map_err(|why| why.within(&format!("draw {draw}")))
    };
    let results: Vec<Results> = (0..entry.point.n_draws).into_par_iter().map(one).collect::<Result<_, _>>()?;
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in results.iter().flat_map(|results| &results.numbers) {
        columns.entry(name.clone()).or_default().push(*value);
    }
    // What only some draws have is no column.
    columns.retain(|_, column| column.len() == results.len());
    Ok(columns)
}

/// Does some work on `n` threads, or on one a processor; what it comes to must not depend on which.
///
/// # Errors
/// [`StudyError::Fault`] where the machine gives no threads.
pub fn on_threads<T: Send>(n: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T, StudyError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n.unwrap_or(0)).build();
    pool.map(|pool| pool.install(work)).map_err(|error| StudyError::Fault(error.to_string()))
}
