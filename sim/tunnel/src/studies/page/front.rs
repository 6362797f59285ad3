//! What a study judges by, against cost.

use report::study::{Front, FrontPoint};
use study::{Answer, PointKind};

/// Results that are costs, the first that the base has is taken; and what an axis calls them.
const COSTS: [(&str, &str); 2] = [
    ("cost.cluster_usd", "price of the cluster, US dollars"),
    ("cost.usd_per_trillion_tokens", "US dollars per trillion tokens"),
];
/// Points of sweeps up to which all are shown; of more, the front alone.
const N_SWEEP_MAX: usize = 300;

/// Every point with a cost; a note where there is none, or where some are left out.
pub(super) fn front(answer: &Answer, notes: &mut Vec<String>) -> Option<Front> {
    let priced = COSTS.iter().find(|(column, _)| answer.base.results.contains_key(*column));
    let (cost_name, mut points) = match priced {
        Some((column, name)) => ((*name).to_owned(), by_result(answer, column)),
        None => ("cost beyond the base, in the study's unit".to_owned(), by_proposal(answer)),
    };
    if points.len() < 2 {
        notes.push("cost is left out: results have no cost, and no proposal has a `cost` of its own".to_owned());
        return None;
    }
    mark(&mut points);
    let sweeps = points.iter().filter(|(_, kind)| *kind == PointKind::Sweep).count();
    if sweeps > N_SWEEP_MAX {
        points.retain(|(point, kind)| *kind != PointKind::Sweep || point.on_front);
        notes.push("the figure of costs shows only those points of sweeps that are on the front".to_owned());
    }
    Some(Front { cost_name, points: points.into_iter().map(|(point, _)| point).collect() })
}

fn point(name: &str, cost: f64, value: f64, is_base: bool) -> FrontPoint {
    FrontPoint { name: name.to_owned(), cost, value, on_front: false, is_base }
}

/// By a column of the results, which every point has.
fn by_result(answer: &Answer, column: &str) -> Vec<(FrontPoint, PointKind)> {
    let base = answer.base.results.get(column).map(|cost| point("base", *cost, answer.base.objective.value, true));
    let others = answer
        .points
        .iter()
        .filter_map(|row| Some((point(&row.name, *row.results.get(column)?, row.objective.value?, false), row.kind)));
    base.map(|base| (base, PointKind::Base)).into_iter().chain(others).collect()
}

/// By what proposals say of themselves, over a base that costs nothing more; sets of proposals cost their sum.
fn by_proposal(answer: &Answer) -> Vec<(FrontPoint, PointKind)> {
    let alone = answer.points.iter().filter(|row| row.kind == PointKind::Proposal).filter_map(|row| {
        let cost = row.proposal.as_ref()?.cost?;
        Some((point(&row.name, cost, row.objective.value?, false), PointKind::Proposal))
    });
    let sets = answer.together.iter().flat_map(|together| &together.sets).filter(|set| set.proposals.len() > 1);
    let sets = sets.filter_map(|set| {
        Some((point(&set.proposals.join(" + "), set.cost?, set.objective.value, false), PointKind::Together))
    });
    let base = (point("base", 0.0, answer.base.objective.value, true), PointKind::Base);
    std::iter::once(base).chain(alone).chain(sets).collect()
}

/// A point is on the front if no other is as cheap and as good, and better in one of the two; of equal ones the first.
fn mark(points: &mut [(FrontPoint, PointKind)]) {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let place = |index: &usize| (points[*index].0.cost, points[*index].0.value);
    order.sort_by(|a, b| place(a).0.total_cmp(&place(b).0).then(place(a).1.total_cmp(&place(b).1)));
    let mut least = f64::INFINITY;
    for index in order {
        let point = &mut points[index].0;
        point.on_front = point.value < least;
        least = least.min(point.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_no_other_beats_in_both() {
        let places = [(0.0, 10.0), (5.0, 8.0), (6.0, 8.0), (5.0, 9.0), (7.0, 7.0), (9.0, 7.5), (5.0, 8.0)];
        let mut points: Vec<(FrontPoint, PointKind)> =
            places.iter().map(|(cost, step)| (point("x", *cost, *step, false), PointKind::Proposal)).collect();
        mark(&mut points);
        let on_front: Vec<bool> = points.iter().map(|(point, _)| point.on_front).collect();
        assert_eq!(on_front, [true, true, false, false, true, false, false]);
    }
}
