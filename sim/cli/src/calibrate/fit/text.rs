//! The profile as TOML: the same bytes for the same samples.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use calibrate::fit::Fitted;
use calibrate::{Estimate, EstimateKey, Fingerprint};
use toml::Value;

use super::super::samples::Known;
use super::ground::Ground;
use super::{Found, Part, span, spell};
use crate::exit::Failure;

/// The whole file: where it holds, what it is based on, the machines, the errors, the estimates.
///
/// # Errors
/// Where the library cannot be read.
pub(super) fn profile(found: &Found, known: &Known, ground: &Ground, out: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let _ = writeln!(text, "about = {}", quoted(&about(known)));
    let hardware = quoted(&ground.hardware_from(out)?);
    let _ = writeln!(text, "hardware = [{hardware}] # on other values the basis falls to `extrapolated`");
    let base = quoted(&ground.prior_from(out));
    let _ = writeln!(text, "base = [{base}] # gives every estimate that no sample speaks of");
    machines(&mut text, known);
    found.parts.iter().for_each(|part| held_out(&mut text, part));
    estimates(&mut text, found);
    Ok(text)
}

fn about(known: &Known) -> String {
    let devices: BTreeSet<&str> = known.machines.values().map(|machine| machine.device.as_str()).collect();
    let n_samples = known.samples.len();
    let devices: Vec<&str> = devices.into_iter().collect();
    if devices.is_empty() {
        format!("{n_samples} samples of imported measurements, fitted by `windtunnel calibrate`")
    } else {
        format!("{n_samples} samples, measured on {} and fitted by `windtunnel calibrate`", devices.join(", "))
    }
}

/// One table of each machine that the samples come from; several are a list.
fn machines(text: &mut String, known: &Known) {
    let header = if known.machines.len() > 1 { "[[machine]]" } else { "[machine]" };
    for (id, machine) in &known.machines {
        let Fingerprint { device, n_devices, sms, clock_max, l2, memory, memory_peak, power_limit, versions, settings } =
            machine;
        let inline = |pairs: &std::collections::BTreeMap<String, String>| {
            let pairs: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        };
        let _ = write!(
            text,
            "\n{header}\nid = {}\ndevice = {}\nn-devices = {n_devices}\nsms = {sms}\n\
             clock-max = {} # hertz\nl2 = {l2} # bytes\nmemory = {memory} # bytes\n\
             memory-peak = {} # bytes a second\npower-limit = {} # watts\nversions = {}\nsettings = {}\n",
            quoted(id),
            quoted(device),
            spell::number(*clock_max, 6),
            spell::number(*memory_peak, 6),
            spell::number(*power_limit, 6),
            inline(versions),
            inline(settings),
        );
    }
}

/// Errors of a family, as shares of what was measured, and the sizes that were fitted.
fn held_out(text: &mut String, Part { fitted, notes }: &Part) {
    if fitted.misses.is_empty() {
        return;
    }
    let (seen, unseen) = (fitted.errors(true), fitted.errors(false));
    let _ = writeln!(text, "\n[held-out.{}]", fitted.name);
    let _ = writeln!(text, "n-fitted = {}\nn-held-out = {}", seen.n, unseen.n);
    for (errors, name) in [(&seen, "fitted"), (&unseen, "held-out")].into_iter().filter(|(errors, _)| errors.n > 0) {
        let [median, p90, bias] = [errors.median, errors.p90, errors.bias].map(|share| spell::number(share, 3));
        let _ = writeln!(text, "{name} = {{ median = {median}, p90 = {p90}, bias = {bias} }}");
    }
    let spans = span::spans(&fitted.misses).into_iter();
    let spans: Vec<String> = spans.map(|(name, (low, high))| format!("{name} = [{low}, {high}]")).collect();
    let _ = writeln!(text, "sizes = {{ {} }}", spans.join(", "));
    if !notes.is_empty() {
        let notes: Vec<String> = notes.iter().map(|note| quoted(note)).collect();
        let _ = writeln!(text, "notes = [{}]", notes.join(", "));
    }
}

/// One table a family of keys, in the order of [`EstimateKey::ALL`].
fn estimates(text: &mut String, found: &Found) {
    let of = |key: &EstimateKey| {
        found.parts.iter().find_map(|Part { fitted, .. }| Some((fitted, fitted.estimates.get(key)?)))
    };
    let written: Vec<EstimateKey> = EstimateKey::ALL.iter().copied().filter(|key| of(key).is_some()).collect();
    let mut tables: Vec<&str> = Vec::new();
    for table in written.iter().map(|key| table(*key)) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for name in tables {
        let rows = written.iter().filter(|key| table(**key) == name);
        let rows: Vec<(EstimateKey, &Fitted, &Estimate)> =
            rows.filter_map(|key| of(key).map(|(fitted, estimate)| (*key, fitted, estimate))).collect();
        let _ = writeln!(text, "\n[profile.{name}]");
        if let Some(implementation) = implementation(name, &rows, &written) {
            let _ = writeln!(text, "implementation = {}", quoted(implementation));
        }
        for (key, _, Estimate { value, spread, basis, source, .. }) in rows {
            let leaf = key.name().rsplit_once('.').map_or(key.name(), |(_, leaf)| leaf);
            let (value, spread) = (spell::value(key, *value), spell::number(*spread, 3));
            let (basis, source) = (quoted(basis.name()), quoted(source));
            let _ =
                writeln!(text, "{leaf} = {{ value = {value}, spread = {spread}, basis = {basis}, source = {source} }}");
        }
    }
}

/// Whose kernels a table is of. Only a table with every key of its own and of those below may say so: a table that names
/// its implementation is taken whole, and nothing of the base is laid under it.
fn implementation<'a>(
    name: &str,
    rows: &[(EstimateKey, &'a Fitted, &'a Estimate)],
    written: &[EstimateKey],
) -> Option<&'a str> {
    let below = format!("{name}.");
    let is_complete =
        EstimateKey::ALL.iter().filter(|key| key.name().starts_with(&below)).all(|key| written.contains(key));
    let (_, _, first) = rows.first()?;
    let is_one = rows.iter().all(|(_, _, estimate)| estimate.implementation == first.implementation);
    if is_complete && is_one { first.implementation.as_deref() } else { None }
}

/// The table that a key stands in.
pub(super) fn table(key: EstimateKey) -> &'static str {
    key.name().rsplit_once('.').map_or("", |(table, _)| table)
}

/// Text as TOML quotes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
