//! The profile as TOML: the same bytes for the same samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use calibrate::fit::Fitted;
use calibrate::{Estimate, EstimateKey, Fingerprint};
use scenario::write::{TomlText, inline, list, number, text};

use super::ground::Ground;
use super::{FittedPart, ProfileFit, span, spell};

/// The whole file: where it holds, what it is based on, the machines, the errors, the estimates.
pub(super) fn profile(
    fit: &ProfileFit,
    (n_samples, machines): (usize, &BTreeMap<String, Fingerprint>),
    ground: &Ground<'_>,
    out: &Path,
) -> String {
    let mut file = TomlText::default();
    file.line("about", text(&about(n_samples, machines)));
    let hardware = list([text(&ground.hardware_from(out))]);
    file.noted("hardware", hardware, "on other values the basis falls to `extrapolated`");
    let base = list([text(&ground.prior_from(out))]);
    file.noted("base", base, "gives every estimate that has no samples of its own");
    measured_on(&mut file, machines);
    fit.parts.iter().for_each(|part| held_out(&mut file, part));
    estimates(&mut file, fit);
    file.finish()
}

fn about(n_samples: usize, machines: &BTreeMap<String, Fingerprint>) -> String {
    let devices: BTreeSet<&str> = machines.values().map(|machine| machine.device.as_str()).collect();
    let devices: Vec<&str> = devices.into_iter().collect();
    if devices.is_empty() {
        format!("{n_samples} samples of imported measurements, fitted by `windtunnel calibrate`")
    } else {
        format!("{n_samples} samples, measured on {} and fitted by `windtunnel calibrate`", devices.join(", "))
    }
}

/// One table of each machine that the samples come from; several are a list.
fn measured_on(file: &mut TomlText, machines: &BTreeMap<String, Fingerprint>) {
    for (id, machine) in machines {
        let Fingerprint { device, n_devices, sms, clock_max, l2, memory, memory_peak, power_limit, versions, settings } =
            machine;
        let words =
            |pairs: &BTreeMap<String, String>| inline(pairs.iter().map(|(name, value)| (text(name), text(value))));
        if machines.len() > 1 {
            file.item("machine");
        } else {
            file.table("machine");
        }
        file.line("id", text(id));
        file.line("device", text(device));
        file.line("n-devices", n_devices);
        file.line("sms", sms);
        file.noted("clock-max", number(*clock_max, 6), "hertz");
        file.noted("l2", l2, "bytes");
        file.noted("memory", memory, "bytes");
        file.noted("memory-peak", number(*memory_peak, 6), "bytes per second");
        file.noted("power-limit", number(*power_limit, 6), "watts");
        file.line("versions", words(versions));
        file.line("settings", words(settings));
    }
}

/// Errors of a family, as shares of what was measured, and the sizes that were fitted.
fn held_out(file: &mut TomlText, FittedPart { fitted, notes }: &FittedPart) {
    if fitted.misses.is_empty() {
        return;
    }
    let (seen, unseen) = (fitted.errors(true), fitted.errors(false));
    file.table(&format!("held-out.{}", fitted.name));
    file.line("n-fitted", seen.n);
    file.line("n-held-out", unseen.n);
    for (errors, name) in [(&seen, "fitted"), (&unseen, "held-out")].into_iter().filter(|(errors, _)| errors.n > 0) {
        let shares = [("median", errors.median), ("p90", errors.p90), ("bias", errors.bias)];
        file.line(name, inline(shares.map(|(name, share)| (name.to_owned(), number(share, 3)))));
    }
    let spans = span::spans(&fitted.misses).into_iter();
    let spans = inline(spans.map(|(name, (low, high))| (name, list([low.to_string(), high.to_string()]))));
    file.line("sizes", spans);
    if !notes.is_empty() {
        file.line("notes", list(notes.iter().map(|note| text(note))));
    }
}

/// One table a family of keys, in the order of [`EstimateKey::ALL`].
fn estimates(file: &mut TomlText, fit: &ProfileFit) {
    let of = |key: &EstimateKey| {
        fit.parts.iter().find_map(|FittedPart { fitted, .. }| Some((fitted, fitted.estimates.get(key)?)))
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
        file.table(&format!("profile.{name}"));
        if let Some(implementation) = implementation(name, &rows, &written) {
            file.line("implementation", text(implementation));
        }
        for (key, _, Estimate { value, spread, basis, source, .. }) in rows {
            let leaf = key.name().rsplit_once('.').map_or(key.name(), |(_, leaf)| leaf);
            let fields = [
                ("value", spell::value(key, *value)),
                ("spread", number(*spread, 3)),
                ("basis", text(basis.name())),
                ("source", text(source)),
            ];
            file.line(leaf, inline(fields.map(|(name, value)| (name.to_owned(), value))));
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
#[must_use]
pub fn table(key: EstimateKey) -> &'static str {
    key.name().rsplit_once('.').map_or("", |(table, _)| table)
}
