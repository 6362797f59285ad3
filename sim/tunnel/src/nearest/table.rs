//! Published whole steps that the model was held against, with what they are and how far off it was.

use std::collections::BTreeMap;

use report::Validation;
use scenario::{Ask, Fact, FactFigure, Library, Standing};
use serde::{Deserialize, Serialize};

use super::traits::{DeviceTraits, JobTraits, Traits};
use crate::ask::{Query, ScenarioQuery};
use crate::error::TunnelError;
use crate::validate::{FactBook, ReadQuery};

/// As `validate --out reports/validation` wrote it.
const TABLE: &str = include_str!("../../../../reports/validation/steps.json");
/// Keys of the time of a whole step, and of what is inverse to it.
const TIMES: [&str; 2] = ["step_seconds", "gpu_hours_per_trillion_tokens"];
const RATES: [&str; 3] = ["tokens_per_day", "tflops_per_gpu", "mfu"];
/// The group of families that are of whole steps.
const GROUP: &str = "steps";
/// Errors are kept to a hundredth of a percent.
const DIGITS: f64 = 1e4;

/// Steps that the model was held against, and the devices they ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckedSteps {
    /// By name, each once.
    pub devices: Vec<DeviceTraits>,
    /// One a job, by the identifiers of their facts.
    pub steps: Vec<CheckedStep>,
}

/// A published step that the model was held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedStep {
    /// The fact.
    pub id: String,
    /// The scenario that is run for it,
    pub scenario: String,
    /// and what is laid over it.
    pub sets: Vec<String>,
    /// By what share the simulated step takes longer than the published one.
    pub step_error: f64,
    /// The name of its device.
    pub device: String,
    /// What the job is.
    #[serde(flatten)]
    pub job: JobTraits,
}

impl CheckedSteps {
    /// Those of this version.
    ///
    /// # Errors
    /// A fault of the program: a table that cannot be read.
    pub fn embedded() -> Result<Self, TunnelError> {
        serde_json::from_str(TABLE).map_err(|error| TunnelError::Fault(format!("the table of checked steps: {error}")))
    }

    /// Those of a validation, whose scenarios had `sets` over them.
    ///
    /// # Errors
    /// A scenario that cannot be loaded, which the validation has found out before.
    pub fn of(
        (facts, validation): (&FactBook, &Validation),
        sets: &[String],
        library: &Library,
        reading: ReadQuery<'_>,
    ) -> Result<Self, TunnelError> {
        let mut all = Self::default();
        for (fact, ask) in of_jobs(facts) {
            let Some(error) = error(fact, ask, validation) else { continue };
            let Query::Run(query) = reading(&ask.commands[0])? else { continue };
            let ScenarioQuery { scenario, sets: own } = query.scenario;
            let loaded = scenario::load(&scenario, &[own.as_slice(), sets].concat(), library)?;
            let Traits { device, job } = Traits::of(&loaded)?;
            let (id, device) = (fact.id.clone(), all.name(device, &fact.id));
            let step_error = (error * DIGITS).round() / DIGITS;
            all.steps.push(CheckedStep { id, scenario, sets: own, step_error, device, job });
        }
        all.devices.sort_by(|a, b| a.name.cmp(&b.name));
        all.steps.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// As a file.
    ///
    /// # Errors
    /// A fault of the program: a number that is none.
    pub fn json(&self) -> Result<String, TunnelError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| TunnelError::Fault(error.to_string()))?;
        Ok(text + "\n")
    }

    /// Every step with its traits.
    pub(super) fn traits(&self) -> impl Iterator<Item = (&CheckedStep, Traits)> {
        self.steps.iter().filter_map(|step| {
            let device = self.devices.iter().find(|device| device.name == step.device)?.clone();
            Some((step, Traits { device, job: step.job.clone() }))
        })
    }

    /// The name by which a device is in the table, where it is put if it is new. Another of the same name has the fact behind it.
    fn name(&mut self, device: DeviceTraits, id: &str) -> String {
        if let Some(same) = self.devices.iter().find(|known| known.values == device.values) {
            return same.name.clone();
        }
        let is_taken = self.devices.iter().any(|known| known.name == device.name);
        let name = if is_taken { format!("{} as in `{id}`", device.name) } else { device.name.clone() };
        self.devices.push(DeviceTraits { name: name.clone(), ..device });
        name
    }
}

/// One fact for each job that runs a whole step, that of its time before others.
fn of_jobs(facts: &FactBook) -> Vec<(&Fact, &Ask)> {
    let mut by_job: BTreeMap<&str, (&Fact, &Ask)> = BTreeMap::new();
    for fact in facts.of_group(GROUP) {
        let Standing::Asked(ask) = &fact.standing else { continue };
        let ([command], None, Some(_)) = (&ask.commands[..], &ask.repeats, is_time(ask)) else { continue };
        let is_first_choice = matches!(&ask.figure, FactFigure::Key(key) if key == TIMES[0]);
        if is_first_choice || !by_job.contains_key(command.as_str()) {
            by_job.insert(command, (fact, ask));
        }
    }
    by_job.into_values().collect()
}

/// Whether a figure grows with the time of a step, or falls; none of one that is of a part of the step.
fn is_time(ask: &Ask) -> Option<bool> {
    let FactFigure::Key(key) = &ask.figure else { return None };
    let first = key.split('.').next().unwrap_or_default();
    let is_time = TIMES.contains(&first);
    // Work over a time is a rate.
    (is_time || RATES.contains(&first)).then(|| is_time == ask.over.is_none())
}

/// By what share the simulated step takes longer than the published one; none of a fact that an input rests on.
fn error(fact: &Fact, ask: &Ask, validation: &Validation) -> Option<f64> {
    let row = &validation.cases.iter().find(|case| case.row.id == fact.id && !case.row.used)?.row;
    let longer = if is_time(ask)? { row.simulated / row.published } else { row.published / row.simulated };
    longer.is_finite().then_some(longer - 1.0)
}
