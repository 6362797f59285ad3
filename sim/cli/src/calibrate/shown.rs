//! A fit on the screen.

use std::fmt::Write;
use std::path::Path;

use calibrate::EstimateKey;
use calibrate::fit::{Errors, Miss};
use report::format::{percent, percent_signed, seconds};
use report::{Column, Row, Table};
use tunnel::fit::{FittedPart, Ground, ProfileFit, table};

use super::text as spelled;

/// Misses named one by one of each family.
const N_WORST: usize = 3;
/// Letters of a question that are shown.
const N_LETTERS: usize = 110;

/// The families with their errors, their worst misses, and what is not measured.
pub(super) fn text(fit: &ProfileFit, n_samples: usize, ground: &Ground<'_>, out: &Path) -> String {
    let mut text = format!("{n_samples} samples\n\n{}\n", families(fit));
    let _ = writeln!(text, "\nFurthest off");
    for FittedPart { fitted, .. } in &fit.parts {
        for miss in worst(&fitted.misses) {
            let _ = writeln!(text, "  {}", line(miss));
        }
    }
    let notes = fit.parts.iter().flat_map(|part| part.notes.iter().map(|note| format!("{}: {note}", part.fitted.name)));
    let notes: Vec<String> = notes.chain(fit.left_out.iter().cloned()).collect();
    if !notes.is_empty() {
        let _ = writeln!(text, "\nNotes");
        notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
    }
    let n_unused: usize = fit.unused.values().sum();
    let _ = writeln!(text, "\n{} samples used, {n_unused} not", fit.n_used);
    fit.unused.iter().for_each(|(reason, n)| text.push_str(&format!("  {n:>6}  {reason}\n")));
    let _ = writeln!(text, "\nFrom `{}`: {}", ground.prior, from_prior(fit).join(", "));
    let _ = writeln!(text, "`{}` is written, for `{}`", out.display(), ground.hardware);
    text
}

fn families(fit: &ProfileFit) -> Table {
    let names = [
        ("family", false),
        ("kernels", false),
        ("fitted", true),
        ("median", true),
        ("90 %", true),
        ("held out", true),
        ("median", true),
        ("90 %", true),
        ("bias", true),
    ];
    let column = |(name, numeric): (&str, bool)| Column { name: name.to_owned(), numeric };
    let mut table = Table { columns: names.map(column).to_vec(), rows: Vec::new() };
    for FittedPart { fitted, .. } in &fit.parts {
        let (seen, unseen) = (fitted.errors(true), fitted.errors(false));
        let share = |errors: &Errors, share: f64| if errors.n == 0 { "-".to_owned() } else { percent(share) };
        let bias = if unseen.n == 0 { "-".to_owned() } else { percent_signed(unseen.bias) };
        let cells = vec![
            fitted.name.to_owned(),
            fitted.implementation.clone(),
            seen.n.to_string(),
            share(&seen, seen.median),
            share(&seen, seen.p90),
            unseen.n.to_string(),
            share(&unseen, unseen.median),
            share(&unseen, unseen.p90),
            bias,
        ];
        table.rows.push(Row { cells, strong: false });
    }
    table
}

/// The samples furthest from their answers; equal ones in their order.
fn worst(misses: &[Miss]) -> Vec<&Miss> {
    let mut worst: Vec<&Miss> = misses.iter().collect();
    worst.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
    worst.truncate(N_WORST);
    worst
}

fn line(miss: &Miss) -> String {
    let whether = if miss.fitted { "" } else { ", held out" };
    let [measured, predicted] = [miss.measured, miss.predicted].map(seconds);
    let error = percent_signed(miss.error());
    format!("{}: {measured} measured, {predicted} predicted, {error}{whether}", sizes(miss))
}

/// A question without the marks of its file.
fn sizes(miss: &Miss) -> String {
    let text: String = spelled(&miss.question)
        .replace("\"kernel\":", "")
        .replace(",\"sms\":null", "")
        .chars()
        .filter_map(|letter| match letter {
            '"' | '{' | '}' => None,
            ':' | ',' => Some(' '),
            letter => Some(letter),
        })
        .collect();
    match text.char_indices().nth(N_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Tables of which an estimate is the prior's.
fn from_prior(fit: &ProfileFit) -> Vec<String> {
    let is_found = |key: &EstimateKey| fit.parts.iter().any(|part| part.fitted.estimates.contains_key(key));
    let mut tables: Vec<(&str, bool)> = Vec::new();
    for key in EstimateKey::ALL {
        let (name, is_prior) = (table(*key), !is_found(key));
        match tables.iter_mut().find(|(table, _)| *table == name) {
            Some((_, is_whole)) => *is_whole &= is_prior,
            None => tables.push((name, is_prior)),
        }
    }
    let is_of_prior = |name: &str| EstimateKey::ALL.iter().any(|key| table(*key) == name && !is_found(key));
    let tables = tables.into_iter().filter(|(name, _)| is_of_prior(name));
    tables.map(|(name, is_whole)| if is_whole { name.to_owned() } else { format!("part of {name}") }).collect()
}
