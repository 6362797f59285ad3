//! A summary as numbers by name, and the one that matters most.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::error::{ReportError, finite};
use crate::summary::{JobResult, Summary};

/// What a job is judged by unless it is asked otherwise ([`crate::Measure`]): less of it is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Its key in the JSON.
    pub name: &'static str,
    /// Its value, in base units.
    pub value: f64,
}

impl Summary {
    /// What the job is judged by: of a training step and of an imported graph its duration, of a service the time of its devices per token.
    #[must_use]
    pub fn objective(&self) -> Objective {
        match &self.result {
            JobResult::Step(step) => Objective { name: "step_seconds", value: step.step_seconds },
            JobResult::Service(service) => {
                let value = service.serving.gpu_seconds_per_token;
                Objective { name: "serving.gpu_seconds_per_token", value }
            }
            JobResult::Imported(imported) => Objective { name: "makespan_seconds", value: imported.makespan_seconds },
        }
    }

    /// Every number that stands under a name, by its key in the JSON with dots between levels: `phases.bubble`. What stands in
    /// a list (ranks, ops, links) has no name of its own and is left out, and so is the version of the form.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`] with the path of a number that JSON cannot hold.
    pub fn numbers(&self) -> Result<BTreeMap<String, f64>, ReportError> {
        let mut numbers = BTreeMap::new();
        add(&self.common, &mut numbers)?;
        add(&self.result, &mut numbers)?;
        Ok(numbers)
    }
}

fn add<T: Serialize>(part: &T, numbers: &mut BTreeMap<String, f64>) -> Result<(), ReportError> {
    finite("", part)?;
    collect(String::new(), &serde_json::to_value(part).map_err(ReportError::library)?, numbers);
    Ok(())
}

fn collect(key: String, value: &Value, numbers: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => numbers.extend(number.as_f64().map(|number| (key, number))),
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect(key, field, numbers);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::{Phase, Phases};
    use crate::summary::{Common, StepResult};

    #[test]
    fn numbers_have_the_keys_of_the_json() {
        let phases = Phases(vec![Phase { name: "bubble", kind: None, seconds: 0.5 }]);
        let common = Common { phases: phases.clone(), phases_by_rank: vec![phases], ..Common::default() };
        let result = JobResult::Step(StepResult { step_seconds: 3.0, ..StepResult::default() });
        let summary = Summary { common, result, ..Summary::default() };
        let (numbers, json) = (summary.numbers().expect("finite"), serde_json::to_value(&summary).expect("JSON"));
        for (key, number) in &numbers {
            let value = json.pointer(&format!("/{}", key.replace('.', "/"))).and_then(Value::as_f64);
            assert_eq!(value, Some(*number), "{key}");
        }
        assert_eq!(numbers["phases.bubble"], 0.5);
        assert!(numbers.contains_key("mfu.causal") && !numbers.contains_key("schema_version"));
        let objective = summary.objective();
        assert_eq!(numbers.get(objective.name), Some(&objective.value));
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        let result = JobResult::Step(StepResult { load_cv: f64::NAN, ..StepResult::default() });
        let summary = Summary { result, ..Summary::default() };
        assert_eq!(summary.numbers(), Err(ReportError::NotFinite { path: "load_cv".into() }));
    }
}
