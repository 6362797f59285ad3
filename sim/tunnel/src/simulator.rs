//! Points of a study through the model: load, lower, memory, run, sum up.

use plan::{Keep, Plan, PlanError, Recording};
use report::{Summary, Timeline};
use scenario::{Library, Loaded, Mistakes};
use study::{Change, Refusal, Results, Tunnel};

use crate::summarize::{self, Finished};
use crate::traffic::Traffic;

/// The model, for points over one base.
pub struct Simulator<'a> {
    library: &'a Library,
    base: &'a str,
    sets: &'a [String],
    traffic: Traffic,
}

impl<'a> Simulator<'a> {
    /// `base` is a preset's name or a path.
    #[must_use]
    pub fn new(library: &'a Library, base: &'a str) -> Self {
        Self { library, base, sets: &[], traffic: Traffic::default() }
    }

    /// With `sets` over the base, below every point's patch.
    #[must_use]
    pub fn under(self, sets: &'a [String]) -> Self {
        Self { sets, ..self }
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
        let keep = Keep { ranks: plan.policy.record, streams: true };
        self.simulate(plan, keep, |finished| {
            Ok((summarize::timeline(finished).timeline, summarize::summary(finished)?.notes))
        })
    }

    fn simulate<T>(
        &self,
        plan: &Plan,
        keep: Keep,
        seen: impl FnOnce(&Finished<'_>) -> Result<T, PlanError>,
    ) -> Result<T, PlanError> {
        let program = plan::lower_with(plan, &|spec, layout| self.traffic.sample(spec, layout))?;
        let memory = plan::check_memory(plan, program.pool.as_ref())?;
        let outcome = plan::run(&program, keep, &plan::Progress::default())?;
        seen(&Finished { plan, digest: "", program: &program, memory: &memory, outcome: &outcome })
    }
}

impl Tunnel for Simulator<'_> {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        scenario::load(self.base, &[self.sets, sets].concat(), self.library)
    }

    fn run(&self, plan: &Plan) -> Result<Results, Refusal> {
        let keep = Keep { ranks: Recording::None, streams: false };
        Ok(self.simulate(plan, keep, |finished| Ok(results(&summarize::summary(finished)?)))?)
    }
}

/// A summary as a row: names are the keys of its JSON.
fn results(summary: &Summary) -> Results {
    let phases = summary.phases.named().into_iter().map(|(name, seconds)| (format!("phases.{name}"), seconds));
    let counted = [("tflops_per_gpu", summary.tflops_per_gpu), ("mfu", summary.mfu)];
    let counted = counted.into_iter().flat_map(|(name, counted)| {
        [(format!("{name}.causal"), counted.causal), (format!("{name}.non_causal"), counted.non_causal)]
    });
    let plain = [
        ("step_seconds", summary.step_seconds),
        ("tokens_per_day", summary.tokens_per_day),
        ("gpu_hours_per_trillion_tokens", summary.gpu_hours_per_trillion_tokens),
        ("exposed_communication_seconds", summary.exposed_communication_seconds),
        ("all_to_all_waited_seconds", summary.all_to_all_waited_seconds),
        ("all_to_all_transferred_seconds", summary.all_to_all_transferred_seconds),
        ("memory_bytes_max", summary.memory_bytes_max),
        ("load_cv", summary.load_cv),
        ("sampling_error", summary.sampling_error),
        ("scheduling_anomaly", summary.scheduling_anomaly),
        ("cost.cluster_usd", summary.cost.cluster_usd),
        ("cost.usd_per_device", summary.cost.usd_per_device),
        ("cost.usd_per_trillion_tokens", summary.cost.usd_per_trillion_tokens),
        ("cost.rental_usd_per_trillion_tokens", summary.cost.rental_usd_per_trillion_tokens),
        ("energy.power_watts", summary.energy.power_watts),
        ("energy.mwh_per_trillion_tokens", summary.energy.mwh_per_trillion_tokens),
    ];
    let plain = plain.into_iter().map(|(name, value)| (name.to_owned(), value));
    let bound = summary.binding_shares.iter().map(|(name, share)| (format!("binding_shares.{name}"), *share));
    let rests = summary.basis_shares.iter().map(|(name, share)| (format!("basis_shares.{name}"), *share));
    let words = [("binding", &summary.binding), ("basis", &summary.basis)];
    let numbers = plain.chain(phases).chain(counted).chain(bound).chain(rests);
    Results {
        numbers: numbers.map(|(name, value)| (name.replace(' ', "_"), value)).collect(),
        words: words.into_iter().map(|(name, word)| (name.to_owned(), word.clone())).collect(),
    }
}
