//! Values to try and limits to meet, as people write them.

use report::Measure;
use report::measure::MeasureUnit;
use study::{Limit, StudyError};
use toml::{Table, Value};
use units::Seconds;

/// `KEY=VALUE,VALUE`: values as TOML; text that is none is a string.
///
/// # Errors
/// [`StudyError::File`] for what has no key or no value.
pub fn values(text: &str) -> Result<(String, Vec<Value>), StudyError> {
    let refused = |what: &str| {
        let hint = "write `--over KEY=VALUE,VALUE`, for example `--over parallel.tp=1,2,4`";
        StudyError::file(format!("--over {text}"), what, hint)
    };
    let (key, values) = text.split_once('=').ok_or_else(|| refused("it has no `=`"))?;
    let each = || {
        let one = |value: &str| {
            listed(value).and_then(|mut one| one.pop()).unwrap_or_else(|| Value::String(value.trim().to_owned()))
        };
        values.split(',').map(one).collect()
    };
    let all: Vec<Value> = listed(values).unwrap_or_else(each);
    let is_blank = |value: &Value| value.as_str().is_some_and(str::is_empty);
    if key.trim().is_empty() || all.is_empty() || all.iter().any(is_blank) {
        return Err(refused("it has no key, or a value is missing"));
    }
    Ok((key.trim().to_owned(), all))
}

/// Values of a list of TOML.
fn listed(values: &str) -> Option<Vec<Value>> {
    let mut table = toml::from_str::<Table>(&format!("values = [{values}]")).ok()?;
    match table.remove("values") {
        Some(Value::Array(values)) if table.is_empty() => Some(values),
        _ => None,
    }
}

/// `NUMBER<=VALUE`, the value bare or a time.
///
/// # Errors
/// [`StudyError::File`] for what is no limit.
pub fn limit(text: &str) -> Result<Limit, StudyError> {
    let refused = || {
        let hint = "write a number of `run --json`, `<=` and a value, for example `--meet 'serving.tpot.p99<=50 ms'`";
        StudyError::file(format!("--meet {text}"), "it is no limit", hint)
    };
    let (number, most) = text.split_once("<=").ok_or_else(refused)?;
    let number = number.trim().to_owned();
    let most = of_number(&number, most).ok_or_else(refused)?;
    if number.is_empty() { Err(refused()) } else { Ok(Limit { number, most }) }
}

/// An amount of an objective: a bare number in base units, or a time. `place` is where it stands.
///
/// # Errors
/// [`StudyError::File`] for what is none above zero.
pub fn amount(place: &str, text: &str, measure: Option<&Measure>) -> Result<f64, StudyError> {
    let hint = "write a time, for example `18 s`, where the objective is one, or a bare number in base units";
    let name = measure.map_or("", |measure| measure.name.as_str());
    let amount = if measure.is_none() { bare_or_time(text) } else { of_number(name, text) };
    amount
        .filter(|amount| *amount > 0.0)
        .ok_or_else(|| StudyError::file(place, "it is no amount above zero of the objective", hint))
}

/// A time of a number that is one, and of every other a bare number.
fn of_number(name: &str, text: &str) -> Option<f64> {
    let is_time = Measure::of(name).map_or_else(
        || name.ends_with("seconds") || name.starts_with("phases."),
        |measure| measure.unit == MeasureUnit::Seconds,
    );
    if is_time { bare_or_time(text) } else { bare(text) }
}

fn bare_or_time(text: &str) -> Option<f64> {
    bare(text).or_else(|| text.trim().parse::<Seconds>().ok().map(Seconds::get)).filter(|amount| amount.is_finite())
}

fn bare(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|amount| amount.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_or_text() {
        let of = |text: &str| values(text).expect("values").1;
        assert_eq!(of("parallel.tp=1,2"), [Value::Integer(1), Value::Integer(2)]);
        assert_eq!(of("policy.schedule=1f1b, zb1p"), [Value::from("1f1b"), Value::from("zb1p")]);
        assert_eq!(of("node.nic.rate=400 Gbit/s,800 Gbit/s"), [Value::from("400 Gbit/s"), Value::from("800 Gbit/s")]);
        assert_eq!(of("parallel.stages=[1, 2],[2, 1]").len(), 2);
        for text in ["", "tp", "=1", "tp=", "tp=,1"] {
            assert!(values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_have_units_of_time_or_none() {
        let of = |text: &str| limit(text).map(|limit| (limit.number, limit.most)).ok();
        assert_eq!(of("serving.tpot.p99<=50 ms"), Some(("serving.tpot.p99".to_owned(), 0.05)));
        assert_eq!(of("a <= 3e2"), Some(("a".to_owned(), 300.0)));
        assert_eq!(of("serving.usd_per_million_tokens<=5"), Some(("serving.usd_per_million_tokens".to_owned(), 5.0)));
        for text in ["serving.usd_per_million_tokens<=5 ms", "memory_bytes_max<=80 s"] {
            assert_eq!(of(text), None, "{text}");
        }
        for text in ["", "a", "a<=", "a<=b", "<=1", "a>=1", "a<=inf", "a<=nan"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
