//! Sweeps: their best points, and maps of two knobs at a time.

use std::collections::BTreeMap;

use report::study::{HeatMap, MapAxis, SweepPoint, SweepSummary};
use study::{Answer, PointKind, PointRow, plain};

use super::rows::patch;

/// Points that are shown: the best.
const N_BEST: usize = 10;
/// Values of a knob that a map has room for. A Latin hypercube has as many as points, and no two in a row.
const N_VALUES_MAX: usize = 16;

pub(super) fn sweeps(answer: &Answer) -> Vec<SweepSummary> {
    let mut sweeps: Vec<(&str, Vec<&PointRow>)> = Vec::new();
    for row in answer.points.iter().filter(|row| row.kind == PointKind::Sweep) {
        let name = row.name.rsplit_once('-').map_or(row.name.as_str(), |(name, _)| name);
        match sweeps.last_mut() {
            Some((last, rows)) if *last == name => rows.push(row),
            _ => sweeps.push((name, vec![row])),
        }
    }
    sweeps.into_iter().map(|(name, rows)| sweep(name, &rows, answer.base.objective.value)).collect()
}

fn sweep(name: &str, rows: &[&PointRow], base: f64) -> SweepSummary {
    let mut ran: Vec<(&PointRow, f64)> = rows.iter().filter_map(|row| Some((*row, row.objective.value?))).collect();
    let maps = maps(&ran, base);
    let n_failed = (rows.len() - ran.len()) as u64;
    ran.sort_by(|a, b| a.1.total_cmp(&b.1));
    let point = |(row, value): &(&PointRow, f64)| SweepPoint {
        name: row.name.clone(),
        patch: patch(&row.patch),
        value: *value,
        change: row.difference.as_ref().map_or(0.0, |difference| difference.share),
        binding: row.binding.as_deref().map(report::format::words).unwrap_or_default(),
    };
    let best = ran.iter().take(N_BEST).map(point).collect();
    SweepSummary { name: name.to_owned(), n_points: rows.len() as u64, n_failed, best, maps }
}

/// A map for each pair of knobs that has two values of each at least, not too many, and a result for every two of them.
fn maps(rows: &[(&PointRow, f64)], base: f64) -> Vec<HeatMap> {
    let knobs = knobs(rows);
    let mut maps = Vec::new();
    for (index, a) in knobs.iter().enumerate() {
        for b in &knobs[index + 1..] {
            // More values go to the right, where there is more room.
            let (x, y) = if a.values.len() >= b.values.len() { (a, b) } else { (b, a) };
            let others = knobs.iter().map(|knob| &knob.key).filter(|key| **key != x.key && **key != y.key);
            maps.extend(map(rows, x, y, base, others.cloned().collect()));
        }
    }
    maps
}

/// Knobs that a map has room for, each with its values in the order of the points.
fn knobs(rows: &[(&PointRow, f64)]) -> Vec<MapAxis> {
    let mut knobs: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for (key, value) in rows.iter().flat_map(|(row, _)| &row.patch) {
        let (values, value) = (knobs.entry(key).or_default(), plain(value));
        if !values.contains(&value) && values.len() <= N_VALUES_MAX {
            values.push(value);
        }
    }
    let fits = |values: &Vec<String>| (2..=N_VALUES_MAX).contains(&values.len());
    let knobs = knobs.into_iter().filter(|(_, values)| fits(values));
    knobs.map(|(key, values)| MapAxis { key: key.clone(), values }).collect()
}

fn map(rows: &[(&PointRow, f64)], x: &MapAxis, y: &MapAxis, base: f64, others: Vec<String>) -> Option<HeatMap> {
    let mut best = vec![vec![f64::INFINITY; x.values.len()]; y.values.len()];
    for (row, step) in rows {
        let place = |axis: &MapAxis| {
            let value = plain(row.patch.get(&axis.key)?);
            axis.values.iter().position(|known| *known == value)
        };
        if let (Some(column), Some(row)) = (place(x), place(y)) {
            best[row][column] = best[row][column].min(*step);
        }
    }
    let is_whole = best.iter().flatten().all(|step| step.is_finite());
    let changes = best.iter().map(|row| row.iter().map(|step| step / base - 1.0).collect()).collect();
    is_whole.then(|| HeatMap { x: x.clone(), y: y.clone(), values: best, changes, others })
}
