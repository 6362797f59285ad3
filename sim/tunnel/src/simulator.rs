//! Points of a study through the model: load, lower, memory, run, sum up.

use std::sync::{Arc, Mutex, PoisonError};

use calibrate::Profile;
use plan::{ExchangeMemo, Job, Keep, Plan, PlanError, Program, RankMemory, Recording, Shared, TrainPlan};
use report::{Measure, Summary, Timeline};
use scenario::{Library, Loaded, Mistakes};
use study::{Change, Criterion, Refusal, Results, Tunnel};
use topology::{Machine, Network};

use crate::replay;
use crate::summarize::{self, FinishedRun};
use crate::traffic::Traffic;

/// The model, for points over one base.
pub struct Simulator<'a> {
    library: &'a Library,
    base: &'a str,
    sets: &'a [String],
    measure: Option<&'a Measure>,
    traffic: Traffic,
    known: Mutex<Option<Arc<Known>>>,
}

/// What plans of one machine have in common, and of one profile too.
struct Known {
    machine: Machine,
    profile: Profile,
    network: Arc<Network>,
    exchanges: Arc<ExchangeMemo>,
}

impl<'a> Simulator<'a> {
    /// `base` is a preset's name or a path.
    #[must_use]
    pub fn new(library: &'a Library, base: &'a str) -> Self {
        Self { library, base, sets: &[], measure: None, traffic: Traffic::default(), known: Mutex::default() }
    }

    /// With `sets` over the base, below every point's patch.
    #[must_use]
    pub fn under(self, sets: &'a [String]) -> Self {
        Self { sets, ..self }
    }

    /// Judging by another number than jobs of a kind are judged by.
    #[must_use]
    pub fn judging(self, measure: Option<&'a Measure>) -> Self {
        Self { measure, ..self }
    }

    /// The base of a study with what the study lays over it.
    ///
    /// # Errors
    /// All mistakes of files and patches together.
    pub fn base(&self, patch: &[Change]) -> Result<Loaded, Mistakes> {
        self.load(&patch.iter().map(Change::set).collect::<Vec<_>>())
    }

    /// The intervals of a run, and what a reader must know of it.
    ///
    /// # Errors
    /// A plan that cannot run.
    pub fn record(&self, plan: &Plan) -> Result<(Timeline, Vec<String>), PlanError> {
        let keep = Keep { ranks: plan.simulation.record, streams: true };
        self.simulate(plan, keep, |finished| {
            Ok((summarize::timeline(finished).timeline, summarize::summary(finished)?.common.notes))
        })
    }

    /// A program that fits in memory, and what its ranks hold.
    fn lower(&self, plan: TrainPlan<'_>) -> Result<(Program, Vec<RankMemory>), PlanError> {
        let sample = &|spec: &_, layout: &_| self.traffic.sample(spec, layout);
        let (machine, profile) = (&plan.site.machine, &plan.site.profile);
        let last = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = last.filter(|known| known.machine == *machine);
        let network = last.as_ref().map(|known| Arc::clone(&known.network));
        let same = last.filter(|known| known.profile == *profile);
        let exchanges = same.as_ref().map_or_else(Arc::default, |known| Arc::clone(&known.exchanges));
        let shared = Shared { network, sample, exchanges: Some(&exchanges) };
        let (program, memory) = plan::lower_fitting(plan, &shared)?;
        if same.is_none() {
            let network = Arc::clone(&program.network);
            let known = Known { machine: machine.clone(), profile: profile.clone(), network, exchanges };
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(known));
        }
        Ok((program, memory))
    }

    fn simulate<T>(
        &self,
        plan: &Plan,
        keep: Keep,
        seen: impl FnOnce(&FinishedRun<'_>) -> Result<T, PlanError>,
    ) -> Result<T, PlanError> {
        let plan = plan.train()?;
        let (program, memory) = self.lower(plan)?;
        let outcome = plan::run(&program, keep, &plan::Progress::default())?;
        seen(&FinishedRun { plan, digest: "", program: &program, memory: &memory, outcome: &outcome })
    }
}

impl Tunnel for Simulator<'_> {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        scenario::load(self.base, &[self.sets, sets].concat(), self.library)
    }

    fn run(&self, plan: &Plan) -> Result<Results, Refusal> {
        let keep = Keep { ranks: Recording::None, streams: false };
        let results = |summary: &Summary| results(summary, self.measure);
        match &plan.job {
            Job::Train(_) => Ok(self.simulate(plan, keep, |finished| results(&summarize::summary(finished)?))?),
            Job::Serve(_) => Ok(results(&summarize::service(plan, "")?)?),
            Job::Imported(_) => Ok(results(&replay::summary(plan, ("", ""))?)?),
        }
    }

    fn bound(&self, plan: &Plan) -> Result<Option<f64>, Refusal> {
        let is_of_steps = self.measure.is_none_or(|measure| *measure == Measure::default());
        match plan.train() {
            Ok(train) => {
                let (program, _) = self.lower(train)?;
                Ok(is_of_steps.then(|| plan::least_step(&program).seconds()))
            }
            Err(_) => Ok(None),
        }
    }
}

/// A summary as a row: names are the keys of its JSON.
fn results(summary: &Summary, measure: Option<&Measure>) -> Result<Results, PlanError> {
    let numbers = summary.numbers().map_err(|error| PlanError::Fault(error.to_string()))?;
    let words = [("binding", &summary.common.binding), ("basis", &summary.common.basis)];
    let words = words.into_iter().map(|(name, word)| (name.to_owned(), word.clone())).collect();
    let name = measure.map_or_else(|| summary.objective().name, |measure| measure.name.as_str());
    Ok(Results { criterion: Criterion::less(name), numbers, words })
}
