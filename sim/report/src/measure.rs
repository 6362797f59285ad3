//! What jobs are judged by: its name in the JSON, and how people read and write it. Of each, less is better.

use serde::Serialize;

use crate::format::{seconds, significant};

/// What the values of a measure are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum MeasureUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// US dollars.
    Dollars,
    /// Joules.
    Joules,
}

/// A number of a summary that a job can be judged by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Its key in the JSON, dots between levels.
    pub name: String,
    /// What sentences call it: `step time`.
    pub noun: String,
    /// What stands above a column of it: `step`.
    pub column: String,
    /// What stands behind a value: `per step`.
    pub per: String,
    /// What it is counted in.
    pub unit: MeasureUnit,
}

/// Key, what sentences call it, what columns call it, what stands behind a value.
const WHOLE: [([&str; 4], MeasureUnit); 7] = [
    (["step_seconds", "step time", "step", "per step"], MeasureUnit::Seconds),
    (["makespan_seconds", "makespan", "makespan", "from start to end"], MeasureUnit::Seconds),
    (["serving.gpu_seconds_per_token", "GPU time per token", "GPU time", "of a GPU per token"], MeasureUnit::Seconds),
    (["serving.seconds", "time of the run", "run", "from the first arrival to the last end"], MeasureUnit::Seconds),
    (["serving.usd_per_million_tokens", "cost per million tokens", "cost", "per million tokens"], MeasureUnit::Dollars),
    (["serving.joules_per_token", "energy per token", "energy", "per token"], MeasureUnit::Joules),
    (["cost.usd_per_trillion_tokens", "cost per trillion tokens", "cost", "per trillion tokens"], MeasureUnit::Dollars),
];

/// Latencies of a service: their key, their name.
const LATENCIES: [[&str; 2]; 4] = [
    ["ttft", "time to first token"],
    ["tpot", "time per output token"],
    ["itl", "time between tokens"],
    ["e2e", "time from end to end"],
];
/// What is told of a latency: its key, its word.
const OVER_REQUESTS: [[&str; 2]; 4] = [["p50", "median"], ["p90", "p90"], ["p99", "p99"], ["mean", "mean"]];

impl Default for Measure {
    fn default() -> Self {
        let ([name, noun, column, per], unit) = WHOLE[0];
        Self::new([name, noun, column, per], unit)
    }
}

impl Measure {
    fn new(words: [&str; 4], unit: MeasureUnit) -> Self {
        let [name, noun, column, per] = words.map(str::to_owned);
        Self { name, noun, column, per, unit }
    }

    /// All there are.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let whole = WHOLE.into_iter().map(|(words, unit)| Self::new(words, unit));
        let latencies = LATENCIES.into_iter().flat_map(|[key, noun]| {
            OVER_REQUESTS.map(|[over, word]| {
                let (name, noun) = (format!("serving.{key}.{over}"), format!("{word} {noun}"));
                let column = format!("{} {over}", key.to_uppercase());
                Self { per: noun.clone(), name, noun, column, unit: MeasureUnit::Seconds }
            })
        });
        whole.chain(latencies).collect()
    }

    /// The one under a key of the JSON.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|measure| measure.name == name)
    }

    /// A value with its unit: `18.75 s`, `$0.405`.
    #[must_use]
    pub fn write(&self, value: f64) -> String {
        let amount = || significant(value.abs(), 3);
        let sign = if value < 0.0 { "-" } else { "" };
        match self.unit {
            MeasureUnit::Seconds => seconds(value),
            MeasureUnit::Dollars => format!("{sign}${}", amount()),
            MeasureUnit::Joules => format!("{sign}{} J", amount()),
        }
    }

    /// The unit of an axis that goes up to `most`, and its size.
    #[must_use]
    pub fn axis(&self, most: f64) -> (f64, &'static str) {
        let sizes = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us")];
        match self.unit {
            MeasureUnit::Seconds => sizes.into_iter().find(|(size, _)| most >= *size).unwrap_or(sizes[2]),
            MeasureUnit::Dollars => (1.0, "US dollars"),
            MeasureUnit::Joules => (1.0, "J"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_own_name() {
        let all = Measure::all();
        for measure in &all {
            assert_eq!(Measure::of(&measure.name).as_ref(), Some(measure));
        }
        assert_eq!(Measure::of("digest"), None);
        assert_eq!(all.len(), WHOLE.len() + LATENCIES.len() * OVER_REQUESTS.len());
    }

    #[test]
    fn values_have_the_unit_of_their_measure() {
        let write = |name: &str, value| Measure::of(name).map(|measure| measure.write(value)).unwrap_or_default();
        assert_eq!(write("step_seconds", 18.749), "18.75 s");
        assert_eq!(write("serving.usd_per_million_tokens", -0.4051), "-$0.405");
        assert_eq!(write("serving.joules_per_token", 1.184), "1.18 J");
        assert_eq!(Measure::default().axis(0.02), (1e-3, "ms"));
    }
}
