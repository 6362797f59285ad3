//! Tables of a study.

use super::{ArithmeticRow, Front, MadeOf, ProposalResult, SetRow, StudySummary, SweepSummary, TogetherSummary};
use crate::format::{change, large, significant};
use crate::measure::Measure;
use crate::table::{Table, ratio};

/// Sets of proposals that are shown.
const N_SETS: usize = 24;

/// Base and proposals, what saves most first.
pub(super) fn ranked(summary: &StudySummary) -> Table {
    let (has_draws, measure) = (summary.draws > 0, &summary.measure);
    let column = measure.column.as_str();
    let numbers: &[&str] = if has_draws { &[column, "change", "5 %", "95 %"] } else { &[column, "change"] };
    let words: &[&str] = if has_draws {
        &["decided", "bound by", "evidence", "by hand", "as expected"]
    } else {
        &["bound by", "evidence", "by hand", "as expected"]
    };
    let mut table = Table::new(&["proposal"], numbers, words);
    let row = |name: &str, value: String, changes: Vec<String>, decided: &str, made_of: &MadeOf, hand: [String; 2]| {
        let mut cells = vec![name.to_owned(), value];
        cells.extend(changes.into_iter().take(numbers.len() - 1));
        cells.extend(has_draws.then(|| decided.to_owned()));
        cells.extend([made_of.binding.clone(), made_of.basis.clone()]);
        cells.into_iter().chain(hand).collect::<Vec<String>>()
    };
    let base = &summary.base;
    let empty = || vec![String::new(); 3];
    let nothing = || [String::new(), String::new()];
    table.push(true, row("base", measure.write(base.value), empty(), "", &base.made_of, nothing()));
    for proposal in &summary.proposals {
        let hand = &proposal.hand;
        let band = format!("{} to {}", change(hand.low), change(hand.high));
        let cells = match &proposal.result {
            ProposalResult::Failed(_) => {
                row(&proposal.name, "no result".to_owned(), empty(), "", &MadeOf::default(), [band, String::new()])
            }
            ProposalResult::Ran(ran) => {
                let [low, high] = ran.interval.map_or_else(nothing, |ends| ends.map(change));
                let decided = ran.decided.map_or("", |decided| if decided { "yes" } else { "undecided" });
                let agrees = hand.agrees.map_or("", |agrees| if agrees { "yes" } else { "no" }).to_owned();
                let changes = vec![change(ran.change), low, high];
                row(&proposal.name, measure.write(ran.value), changes, decided, &ran.made_of, [band, agrees])
            }
        };
        table.push(false, cells);
    }
    table
}

/// The best points of a sweep.
pub(super) fn best(sweep: &SweepSummary, measure: &Measure) -> Table {
    let mut table = Table::new(&["point"], &[&measure.column, "change"], &["bound by", "patch"]);
    for point in &sweep.best {
        let numbers = [measure.write(point.value), change(point.change)];
        let words = [point.binding.clone(), point.patch.join(", ")];
        table.push(false, std::iter::once(point.name.clone()).chain(numbers).chain(words).collect());
    }
    table
}

/// What each of several proposals is worth.
pub(super) fn worths(together: &TogetherSummary, base: f64) -> Table {
    let mut table = Table::new(&["proposal"], &["alone", "beside others", "Shapley share"], &[]);
    let share = |worth: f64| change(-ratio(worth, base));
    for row in &together.shares {
        let last = row.last.map(share).unwrap_or_default();
        table.push(false, vec![row.proposal.clone(), share(row.alone), last, share(row.shapley)]);
    }
    table
}

/// Sets of proposals, the best first.
pub(super) fn sets(together: &TogetherSummary, (base, measure): (f64, &Measure)) -> Table {
    let column = measure.column.as_str();
    let has_cost = together.sets.iter().any(|set| set.cost.is_some());
    let numbers: &[&str] = if has_cost { &[column, "change", "cost"] } else { &[column, "change"] };
    let mut table = Table::new(&["proposals"], numbers, &[]);
    let is_cheapest = |set: &SetRow| together.cheapest.as_ref().is_some_and(|best| best.proposals == set.proposals);
    for set in together.sets.iter().take(N_SETS) {
        let mut cells = vec![names(set), measure.write(set.value), change(-ratio(set.worth, base))];
        cells.extend(has_cost.then(|| set.cost.map(large).unwrap_or_default()));
        table.push(is_cheapest(set), cells);
    }
    let rest = together.sets.len().saturating_sub(N_SETS);
    if rest > 0 {
        table.push(false, vec![format!("{rest} more, none better")]);
    }
    table
}

/// The proposals of a set in words.
pub(super) fn names(set: &SetRow) -> String {
    if set.proposals.is_empty() { "none".to_owned() } else { set.proposals.join(" + ") }
}

/// Points of the measure against cost, the cheapest first.
pub(super) fn front(front: &Front, measure: &Measure) -> Table {
    let mut table = Table::new(&["point"], &["cost", &measure.column], &["on the front"]);
    let mut points: Vec<_> = front.points.iter().collect();
    points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.value.total_cmp(&b.value)));
    for point in points {
        let on_front = if point.on_front { "yes" } else { "" };
        let cells = vec![point.name.clone(), large(point.cost), measure.write(point.value), on_front.to_owned()];
        table.push(point.is_base, cells);
    }
    table
}

/// Speed and arithmetic side by side.
pub(super) fn arithmetic(rows: &[ArithmeticRow]) -> Table {
    let mut table =
        Table::new(&["proposal"], &["change", "fraction bits", "median error", "worst error"], &["sums are promoted"]);
    let error = |share: f64| format!("{} %", significant(share * 100.0, 3));
    for row in rows {
        let numbers = [change(row.change), row.fraction_bits.to_string()];
        let errors = [error(row.error_median), error(row.error_worst)];
        let cells = std::iter::once(row.proposal.clone()).chain(numbers).chain(errors);
        table.push(false, cells.chain([row.promotion.clone()]).collect());
    }
    table
}
