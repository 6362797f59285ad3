//! Another legal value of any key, without knowing the key: numbers and quantities are scaled, words and their closed lists
//! are learned from what the loader says of a word that is none.

use toml::Value;

/// No word of any key.
const NONSENSE: &str = "no-such-word";
/// What numbers are multiplied by, in the order tried.
const FACTORS: [f64; 6] = [0.5, 2.0, 0.8, 1.25, 4.0, 0.1];

/// Patches (`key=value`) that give a key another value, as far as the kind of its value tells; not all need be legal.
/// `value` is what stands there, as TOML; `refused` loads with a patch and returns what the loader says against it.
pub(super) fn others(key: &str, value: &str, refused: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let values = match parse(value) {
        Value::Boolean(flag) => vec![Value::Boolean(!flag)],
        Value::Integer(number) => whole(number),
        Value::Float(number) => bare(number),
        Value::Array(items) => lists(&items),
        Value::String(text) => match amount(&text) {
            Some((number, unit)) => scaled(number).into_iter().map(|n| Value::String(format!("{n} {unit}"))).collect(),
            None => words(key, &text, refused),
        },
        Value::Datetime(_) | Value::Table(_) => Vec::new(),
    };
    values.into_iter().map(|value| format!("{key}={value}")).collect()
}

fn parse(value: &str) -> Value {
    let table: toml::Table = format!("value = {value}").parse().unwrap_or_else(|error| panic!("{value}: {error}"));
    table["value"].clone()
}

fn whole(number: i64) -> Vec<Value> {
    let scaled = FACTORS.map(|factor| (number as f64 * factor).round() as i64);
    let all = scaled.into_iter().chain([number + 1, number - 1, number + 8, 1, 128]).filter(|other| *other != number);
    // A share may be written as a whole number too.
    all.map(Value::Integer).chain([0.5, 0.02].map(Value::Float)).collect()
}

fn bare(number: f64) -> Vec<Value> {
    scaled(number).into_iter().chain([0.25, 1.0]).filter(|other| *other != number).map(Value::Float).collect()
}

/// What is zero cannot be scaled.
fn scaled(number: f64) -> Vec<f64> {
    if number == 0.0 { vec![1.0, 0.5, 1000.0] } else { FACTORS.map(|factor| number * factor).to_vec() }
}

/// A number and its unit.
fn amount(text: &str) -> Option<(f64, &str)> {
    let (number, unit) = text.trim().split_once(char::is_whitespace)?;
    Some((number.parse().ok()?, unit.trim()))
}

/// The same items in another order, and one more here for one less there; of words, none and all twice.
fn lists(items: &[Value]) -> Vec<Value> {
    let floats: Vec<f64> = items.iter().filter_map(Value::as_float).collect();
    if !floats.is_empty() {
        return vec![Value::Array(floats.iter().map(|number| Value::Float(number / 2.0)).collect())];
    }
    let numbers: Vec<i64> = items.iter().filter_map(Value::as_integer).collect();
    if items.iter().any(Value::is_str) {
        return vec![Value::Array(Vec::new()), Value::Array([items, items].concat())];
    }
    if numbers.len() < 2 {
        return Vec::new();
    }
    let reversed: Vec<i64> = numbers.iter().rev().copied().collect();
    let (mut up, mut down) = (numbers.clone(), numbers.clone());
    (up[0], up[1]) = (up[0] + 1, up[1] - 1);
    (down[0], down[1]) = (down[0] - 1, down[1] + 1);
    let lists = [reversed, up, down].into_iter().filter(|other| *other != numbers);
    lists.map(|list| Value::Array(list.into_iter().map(Value::Integer).collect())).collect()
}

/// The words that the loader names in place of one that is none; counts, where it takes them.
fn words(key: &str, text: &str, refused: &dyn Fn(&str) -> Option<String>) -> Vec<Value> {
    let said = refused(&format!("{key}={NONSENSE}")).unwrap_or_default();
    let Some(expected) = said.split("it should be ").nth(1).and_then(|rest| rest.lines().next()) else {
        return Vec::new();
    };
    let words = expected.split('`').skip(1).step_by(2).filter(|word| *word != text);
    let counts: &[i64] = if expected.contains("whole number") { &[1, 2, 4, 8, 16, 64, 128] } else { &[] };
    words.map(|word| Value::String(word.to_owned())).chain(counts.iter().copied().map(Value::Integer)).collect()
}
