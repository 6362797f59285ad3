//! What would make a job fit that does not.
//!
//! Each way is one change of one key, with what must follow it, laid over the scenario as `--set` would lay it. The scenario is then loaded
//! and its memory planned anew by the code that refused it, so there is no second formula, and a change that the loader refuses or that cannot
//! be placed is no way. Nothing is simulated: a way says nothing of the time.

mod levers;
mod remedy;

use std::fmt;

use plan::{Layout, Plan, PlanError, RankMemory};
use scenario::{Library, Loaded};
use units::Bytes;

use crate::ask::ScenarioQuery;
use crate::panics::caught;
use crate::traffic::Traffic;

pub use remedy::Remedy;

/// Less than this share of what is needed is not worth a line.
const SHARE_MIN: f64 = 1e-3;
/// Pairs that are tried, those first whose halves free most alone.
const N_PAIRS_MAX: usize = 16;
/// The key that gives a device more memory.
const CAPACITY: &str = "gpu.memory.capacity-per-stack";

/// A change, and what the fullest rank then needs.
#[derive(Clone, Debug, PartialEq)]
pub struct WayOut {
    /// What is changed.
    pub remedy: Remedy,
    /// What the fullest rank needs then.
    pub needed: Bytes,
    /// What its device has.
    pub capacity: Bytes,
    /// What the fullest rank needs less than it did; nothing where the device is given more.
    pub freed: Bytes,
}

/// Ways out of a job that does not fit, the one that leaves least first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaysOut {
    /// Of one change each. The last may be a larger device.
    pub single: Vec<WayOut>,
    /// Of two together, where no single change of the job is enough.
    pub pair: Option<WayOut>,
}

/// The ways out of a scenario that does not fit; none of one that cannot be loaded or planned, or that fits.
#[must_use]
pub fn ways_out(query: &ScenarioQuery, library: &Library) -> WaysOut {
    let asker = Asker { query, library, traffic: Traffic::default(), needed: Bytes::ZERO };
    let Some(loaded) = asker.load(&Remedy::default()) else { return WaysOut::default() };
    match asker.fullest(&loaded.plan) {
        Ok((needed, capacity)) if needed > capacity => Asker { needed, ..asker }.ways_out(&loaded),
        Ok(_) | Err(_) => WaysOut::default(),
    }
}

/// Plans the memory of a scenario under changes.
struct Asker<'a> {
    query: &'a ScenarioQuery,
    library: &'a Library,
    /// Most changes leave the traffic alone.
    traffic: Traffic,
    /// What the fullest rank needs as it is.
    needed: Bytes,
}

impl Asker<'_> {
    fn ways_out(&self, loaded: &Loaded) -> WaysOut {
        let levers = levers::levers(&loaded.leaves);
        let mut single = beside(&levers, |lever| self.turned(lever));
        single.sort_by(by_needed);
        let pair = if single.iter().any(WayOut::fits) { None } else { self.pair(&single) };
        single.extend(self.larger_device(loaded));
        WaysOut { single, pair }
    }

    /// The first change of a lever that is enough, else the one that leaves least.
    fn turned(&self, lever: &levers::Lever) -> Option<WayOut> {
        let mut best: Option<WayOut> = None;
        for way in lever.iter().filter_map(|remedy| self.way(remedy)) {
            if way.fits() {
                return Some(way);
            }
            // As much again must be worth a line of its own.
            let worth = self.needed * SHARE_MIN;
            if best.as_ref().is_none_or(|best| way.needed + worth < best.needed) {
                best = Some(way);
            }
        }
        best
    }

    /// The two changes that together leave least.
    fn pair(&self, single: &[WayOut]) -> Option<WayOut> {
        let pairs = single.iter().enumerate().flat_map(|(at, first)| {
            let freed = move |second: &WayOut| (first.freed + second.freed).get();
            single[at + 1..].iter().filter_map(move |second| Some((freed(second), first.remedy.with(&second.remedy)?)))
        });
        let mut pairs: Vec<(f64, Remedy)> = pairs.collect();
        // Stable: of equal ones the first stays first.
        pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        pairs.truncate(N_PAIRS_MAX);
        beside(&pairs, |(_, remedy)| self.way(remedy)).into_iter().min_by(by_needed)
    }

    /// The least memory of a device that is enough, in three digits.
    fn larger_device(&self, loaded: &Loaded) -> Option<WayOut> {
        let stacks = f64::from(loaded.plan.site.machine.device.memory.stacks);
        let least = (self.needed / stacks).get();
        let digit = 10.0_f64.powi(least.log10().floor() as i32 - 2);
        let capacity = Bytes::new((least / digit).ceil() * digit);
        self.planned(&Remedy::one(CAPACITY, format!("\"{capacity}\"")))
    }

    /// What a change leaves, if it is legal and frees something.
    fn way(&self, remedy: &Remedy) -> Option<WayOut> {
        self.planned(remedy).filter(|way| way.freed > self.needed * SHARE_MIN)
    }

    fn planned(&self, remedy: &Remedy) -> Option<WayOut> {
        let (needed, capacity) = self.fullest(&self.load(remedy)?.plan).ok()?;
        Some(WayOut { remedy: remedy.clone(), needed, capacity, freed: self.needed - needed })
    }

    fn load(&self, remedy: &Remedy) -> Option<Loaded> {
        let ScenarioQuery { scenario, sets } = self.query;
        scenario::load(scenario, &[sets.as_slice(), &remedy.sets()].concat(), self.library).ok()
    }

    /// What the fullest rank needs, and what its device has.
    fn fullest(&self, plan: &Plan) -> Result<(Bytes, Bytes), PlanError> {
        let plan = plan.train()?;
        let layout = Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
        let experts = plan::expert_layout(plan, &layout);
        let sample = |experts| self.traffic.sample_by(&plan.job.traffic, &experts, plan::sampled);
        let pool = experts.map(sample).transpose()?;
        let ranks = plan::memory(plan, pool.as_ref())?;
        let fullest = ranks.iter().max_by(|a: &&RankMemory, b| a.total.get().total_cmp(&b.total.get()));
        fullest.map(|rank| (rank.total, rank.capacity)).ok_or_else(|| PlanError::Fault("no rank".to_owned()))
    }
}

/// Some work for each of a list, side by side on threads, in order. One that is a fault of the program has no answer, and the others stay.
fn beside<T: Sync>(all: &[T], work: impl Fn(&T) -> Option<WayOut> + Sync) -> Vec<WayOut> {
    let quietly = |one| caught(|| work(one)).ok().flatten();
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.iter().map(|one| scope.spawn(move || quietly(one))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    })
}

fn by_needed(a: &WayOut, b: &WayOut) -> std::cmp::Ordering {
    a.needed.get().total_cmp(&b.needed.get())
}

impl WayOut {
    /// Whether it is enough.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.needed <= self.capacity
    }
}

impl fmt::Display for WayOut {
    /// `` `policy.recompute.full = true` frees 94.10 GB, needs 41.20 GB: fits ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remedy, needed, capacity, freed } = self;
        let bytes = |size: &Bytes| report::format::bytes(size.get());
        let [frees, needs] = if remedy.is_several() { ["free", "need"] } else { ["frees", "needs"] };
        let (needed, verdict) = (bytes(needed), if self.fits() { "fits" } else { "does not fit" });
        if freed.get() > 0.0 {
            write!(f, "{remedy} {frees} {}, {needs} {needed}: {verdict}", bytes(freed))
        } else {
            write!(f, "{remedy} {needs} {needed} of {}: {verdict}", bytes(capacity))
        }
    }
}

impl fmt::Display for WaysOut {
    /// A line a way, the ones of a single change first; nothing where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { single, pair } = self;
        if !single.is_empty() {
            writeln!(f, "one change at a time, what it frees on the fullest rank and what that then needs:")?;
            single.iter().try_for_each(|way| writeln!(f, "  {way}"))?;
        }
        let Some(pair) = pair else { return Ok(()) };
        writeln!(f, "two together that leave least, as no single change of the job is enough:")?;
        writeln!(f, "  {pair}")
    }
}
