//! Sweeps: ranges of patches.
//!
//! - **grid**: every combination; knobs in the order of their names, the last one fastest.
//! - **latin-hypercube** (McKay, Beckman and Conover 1979): n points; each knob's range is cut in n equal parts, each part is used once,
//!   at a seeded place in it. It covers many knobs with few points; a grid of k knobs with m values has m^k.

use rand::RngExt;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use toml::{Table, Value};

use crate::knob::{Amount, Change, flatten};

/// Points of all sweeps of a study together: more is a slip of the pen.
pub(crate) const N_POINTS_MAX: usize = 100_000;

/// One `[sweep.NAME]` table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sweep {
    order: Order,
    /// Points of a Latin hypercube.
    points: Option<usize>,
    #[serde(default)]
    seed: u64,
    knobs: Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Grid,
    LatinHypercube,
}

/// What is wrong, and what would be right.
pub(crate) type Fault = (String, String);

impl Sweep {
    /// The patch of every point, in order.
    pub(crate) fn patches(&self) -> Result<Vec<Vec<Change>>, Fault> {
        let mut knobs = Vec::new();
        for (key, value) in flatten(&self.knobs, is_range) {
            knobs.push((key.clone(), Span::of(&key, &value)?));
        }
        if knobs.is_empty() {
            return Err((
                "`knobs` is empty".into(),
                "name at least one key, for example `knobs.gpu.sms = [96, 132]`".into(),
            ));
        }
        match (self.order, self.points) {
            (Order::Grid, Some(points)) => Err((
                format!("`points = {points}` says nothing about a grid"),
                "leave it out, or write `order = \"latin-hypercube\"`".into(),
            )),
            (Order::Grid, None) => grid(&knobs),
            (Order::LatinHypercube, Some(points)) if (1..=N_POINTS_MAX).contains(&points) => {
                Ok(latin_hypercube(&knobs, points, self.seed))
            }
            (Order::LatinHypercube, points) => Err((
                format!("a Latin hypercube of `points = {}`", points.unwrap_or(0)),
                format!("give `points` from 1 to {N_POINTS_MAX}"),
            )),
        }
    }
}

fn is_range(table: &Table) -> bool {
    table.contains_key("from") || table.contains_key("to")
}

/// The values of one knob.
#[derive(Clone, Debug)]
enum Span {
    List(Vec<Value>),
    Range(Range),
}

#[derive(Clone, Debug)]
struct Range {
    from: Amount,
    to: Amount,
    steps: Option<usize>,
    log: bool,
}

/// A range as a file writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RangeTable {
    from: Value,
    to: Value,
    steps: Option<usize>,
    #[serde(default)]
    scale: Scale,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scale {
    #[default]
    Linear,
    Log,
}

impl Span {
    fn of(key: &str, value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Array(values) if !values.is_empty() => Ok(Self::List(values.clone())),
            Value::Table(table) => Range::of(key, table).map(Self::Range),
            _ => Err((
                format!("`knobs.{key} = {value}` is no range"),
                "write a list of values, or `{ from = 96, to = 160, steps = 5, scale = \"log\" }`".into(),
            )),
        }
    }

    /// Every value, for a grid.
    fn values(&self, key: &str) -> Result<Vec<Value>, Fault> {
        let range = match self {
            Self::List(values) => return Ok(values.clone()),
            Self::Range(range) => range,
        };
        let Some(steps) = range.steps.filter(|steps| (2..=N_POINTS_MAX).contains(steps)) else {
            return Err((
                format!("the range of `knobs.{key}` has no number of values"),
                format!("give `steps` from 2 to {N_POINTS_MAX}"),
            ));
        };
        let mut values: Vec<Value> = (0..steps).map(|step| range.at(step as f64 / (steps - 1) as f64)).collect();
        // Whole numbers are rounded, so neighbors may be equal.
        values.dedup();
        Ok(values)
    }

    /// The value at a share of the way, from 0 to below 1.
    fn at(&self, share: f64) -> Value {
        match self {
            Self::List(values) => values[((share * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Self::Range(range) => range.at(share),
        }
    }
}

impl Range {
    fn of(key: &str, table: &Table) -> Result<Self, Fault> {
        let fault = |message: String| {
            (
                format!("`knobs.{key}`: {message}"),
                "for example `{ from = \"200 Gbit/s\", to = \"800 Gbit/s\", steps = 3 }`".to_owned(),
            )
        };
        let RangeTable { from, to, steps, scale } =
            table.clone().try_into().map_err(|error: toml::de::Error| fault(error.message().to_owned()))?;
        let (Some(mut start), Some(mut end)) = (Amount::of(&from), Amount::of(&to)) else {
            return Err(fault(format!("{from} to {to} are not both numbers")));
        };
        if !start.is_like(&end) {
            return Err(fault(format!("{from} and {to} have different units")));
        }
        if start.is_whole() != end.is_whole() {
            (start, end) = (start.bare(), end.bare());
        }
        let log = scale == Scale::Log;
        if log && (start.number <= 0.0 || end.number <= 0.0) {
            return Err(fault(format!("{from} to {to} on a logarithmic scale must be above zero")));
        }
        Ok(Self { from: start, to: end, steps, log })
    }

    fn at(&self, share: f64) -> Value {
        let (from, to) = (self.from.number, self.to.number);
        // The ends as they were written, not as a logarithm comes back.
        let number = match share {
            0.0 => from,
            1.0 => to,
            _ if self.log => from * (to / from).powf(share),
            _ => from + (to - from) * share,
        };
        self.from.with(number)
    }
}

fn grid(knobs: &[(String, Span)]) -> Result<Vec<Vec<Change>>, Fault> {
    let mut points = vec![Vec::new()];
    for (key, span) in knobs {
        let values = span.values(key)?;
        if points.len().saturating_mul(values.len()) > N_POINTS_MAX {
            return Err((
                format!("the grid has more than {N_POINTS_MAX} points"),
                "take fewer values, or `order = \"latin-hypercube\"`".into(),
            ));
        }
        let longer = |point: &Vec<Change>| {
            let point = point.clone();
            let last = |value: &Value| Change { key: key.clone(), value: value.clone() };
            values.iter().map(move |value| point.iter().cloned().chain([last(value)]).collect()).collect::<Vec<_>>()
        };
        points = points.iter().flat_map(longer).collect();
    }
    Ok(points)
}

fn latin_hypercube(knobs: &[(String, Span)], n: usize, seed: u64) -> Vec<Vec<Change>> {
    let mut points = vec![Vec::new(); n];
    for (index, (key, span)) in knobs.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        let mut parts: Vec<usize> = (0..n).collect();
        parts.shuffle(&mut rng);
        for (point, part) in points.iter_mut().zip(parts) {
            let share = (part as f64 + rng.random::<f64>()) / n as f64;
            point.push(Change { key: key.clone(), value: span.at(share) });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Sweep {
        toml::from_str(text).expect("a sweep")
    }

    fn sets(text: &str) -> Vec<String> {
        let patches = sweep(text).patches().expect("patches");
        patches.iter().map(|patch| patch.iter().map(Change::set).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_grid_has_every_combination_the_last_knob_fastest() {
        let text =
            "order = \"grid\"\nknobs.gpu.sms = [96, 132]\nknobs.traffic.skew = { from = 0.0, to = 0.2, steps = 3 }";
        let expectation = [
            "gpu.sms=96 traffic.skew=0.0",
            "gpu.sms=96 traffic.skew=0.1",
            "gpu.sms=96 traffic.skew=0.2",
            "gpu.sms=132 traffic.skew=0.0",
            "gpu.sms=132 traffic.skew=0.1",
            "gpu.sms=132 traffic.skew=0.2",
        ];
        assert_eq!(sets(text), expectation);
    }

    #[test]
    fn a_log_range_keeps_its_ratio_its_ends_and_its_unit() {
        let text = "order = \"grid\"\n[knobs.node.nic.rate]\nfrom = \"100 Gbit/s\"\nto = \"1600 Gbit/s\"\nsteps = 3\nscale = \"log\"";
        let rates = ["100", "400", "1600"].map(|rate| format!("node.nic.rate=\"{rate} Gbit/s\""));
        assert_eq!(sets(text), rates);
    }

    #[test]
    fn whole_numbers_stay_whole_and_equal_neighbors_count_once() {
        let text = "order = \"grid\"\nknobs.gpu.scale-up.links = { from = 1, to = 3, steps = 5 }";
        assert_eq!(sets(text), [1, 2, 3].map(|links| format!("gpu.scale-up.links={links}")));
    }

    #[test]
    fn a_latin_hypercube_uses_every_part_of_every_range_once() {
        let text = "order = \"latin-hypercube\"\npoints = 50\nseed = 7\nknobs.a = { from = 0.0, to = 50.0 }\nknobs.b = { from = 0.0, to = 50.0 }";
        let patches = sweep(text).patches().expect("patches");
        for knob in 0..2 {
            let mut parts: Vec<usize> =
                patches.iter().map(|patch| patch[knob].value.as_float().expect("a number") as usize).collect();
            parts.sort_unstable();
            assert_eq!(parts, (0..50).collect::<Vec<_>>());
        }
        assert_eq!(patches, sweep(text).patches().expect("patches"), "the same seed, the same points");
        assert_ne!(patches, sweep(&text.replace("seed = 7", "seed = 8")).patches().expect("patches"));
    }

    #[test]
    fn a_wrong_range_says_what_would_be_right() {
        for (text, says) in [
            ("order = \"grid\"\nknobs.a = 5", "no range"),
            ("order = \"grid\"\nknobs.a = []", "no range"),
            ("order = \"grid\"\n[knobs]", "empty"),
            ("order = \"grid\"\npoints = 3\nknobs.a = [1]", "says nothing about a grid"),
            ("order = \"grid\"\nknobs.a = { from = 1, to = 2 }", "no number of values"),
            ("order = \"grid\"\nknobs.a = { from = 1, to = \"2 s\", steps = 2 }", "different units"),
            ("order = \"grid\"\nknobs.a = { from = 0, to = 2, steps = 2, scale = \"log\" }", "above zero"),
            ("order = \"grid\"\nknobs.a = { from = 0, too = 2, steps = 2 }", "too"),
            ("order = \"latin-hypercube\"\nknobs.a = [1]", "Latin hypercube"),
            (
                "order = \"grid\"\nknobs.a = { from = 1, to = 9000, steps = 9000 }\nknobs.b = { from = 1, to = 900, steps = 900 }",
                "more than",
            ),
        ] {
            let (message, hint) = sweep(text).patches().expect_err(text);
            assert!(message.contains(says) && !hint.is_empty(), "{text}: {message}");
        }
    }
}
