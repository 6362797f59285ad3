//! A study and a sensitivity on a terminal.

use std::fmt::Write;

use report::format::{percent, percent_signed, words};
use report::{Column, Measure, Row, Table};
use study::{ARITHMETIC, Answer, Arithmetic, PointKind, Sensitivity, TogetherAnswer};

/// Points of sweeps that are shown: the best.
const N_SWEEP: usize = 10;
/// Knobs that are shown.
const N_KNOBS: usize = 30;
/// Half of a tornado, letters.
const HALF: usize = 16;

/// The question, the base, proposals by what they save, the best points of sweeps, and proposals together.
pub(super) fn study(answer: &Answer) -> String {
    let (base, measure) = (&answer.base, measured(&answer.criterion.name));
    let mut text = String::new();
    if !answer.about.is_empty() {
        let _ = writeln!(text, "{}\n", answer.about);
    }
    let _ = writeln!(
        text,
        "base: {}, {} {}, bound by {}",
        base.name,
        measure.write(base.objective.value),
        measure.per,
        words(&base.binding)
    );
    if answer.draws > 0 {
        let _ = writeln!(
            text,
            "intervals: 5th to 95th percentile over {} draws of the profile, the same draws for base and proposal",
            answer.draws
        );
    }
    for (kind, title) in [(PointKind::Proposal, "Proposals"), (PointKind::Sweep, "Sweep")] {
        let mut rows: Vec<&study::PointRow> = answer.points.iter().filter(|row| row.kind == kind).collect();
        if rows.is_empty() {
            continue;
        }
        let failed: Vec<&study::PointRow> = rows.iter().copied().filter(|row| row.error.is_some()).collect();
        rows.sort_by(|a, b| answer.by_gain(a, b));
        let (n, n_failed) = (rows.len(), failed.len());
        rows.retain(|row| row.error.is_none());
        if kind == PointKind::Sweep {
            rows.truncate(N_SWEEP);
        }
        let shown = if kind == PointKind::Sweep && rows.len() < n {
            format!(", the {} best of {n}, {n_failed} without a result", rows.len())
        } else {
            String::new()
        };
        let _ = writeln!(text, "\n{title}{shown}\n{}", points(&rows, (base.objective.value, &measure)));
        text.push_str(&reasons(&failed, if kind == PointKind::Sweep { N_SWEEP } else { usize::MAX }));
    }
    if !answer.arithmetic.is_empty() {
        let _ = writeln!(text, "\nArithmetic of the proposals of precision\n{}\n{ARITHMETIC}", arithmetic(answer));
        for row in &answer.arithmetic {
            let _ = row.error.as_ref().map(|error| writeln!(text, "{}: {error}", row.name));
        }
    }
    if let Some(together) = &answer.together {
        let _ = writeln!(text, "\nProposals combined\n{}", shares(together, base.objective.value));
        text.push_str(&remarks(together, &measure));
    }
    if let Some(error) = &answer.together_error {
        let _ = writeln!(text, "\nProposals combined: no result, {error}");
    }
    text
}

/// How people read a number that runs are judged by; every such number has words.
fn measured(name: &str) -> Measure {
    Measure::of(name).unwrap_or_default()
}

/// Points without a result and why, up to so many.
fn reasons(failed: &[&study::PointRow], n_max: usize) -> String {
    let reason = |row: &&study::PointRow| format!("{}: {}\n", row.name, row.error.as_deref().unwrap_or_default());
    let mut text: String = failed.iter().take(n_max).map(reason).collect();
    if failed.len() > n_max {
        let _ = writeln!(text, "and {} more points without a result; `--json` has their reasons", failed.len() - n_max);
    }
    text
}

fn points(rows: &[&study::PointRow], (base, measure): (f64, &Measure)) -> Table {
    let columns = [
        ("point", false),
        (measure.column.as_str(), true),
        ("change", true),
        ("interval", true),
        ("decided", false),
        ("bound by", false),
        ("by hand", false),
        (if rows.iter().any(|row| row.kind == PointKind::Sweep) { "patch" } else { "decided by" }, false),
    ];
    let mut table = table(&columns);
    for row in rows.iter().filter(|row| row.error.is_none()) {
        let Some(difference) = &row.difference else { continue };
        let ends = difference.low.zip(difference.high);
        let interval =
            ends.map(|(low, high)| format!("{} to {}", percent_signed(low / base), percent_signed(high / base)));
        let decided = difference.decided.map(|decided| if decided { "yes" } else { "undecided" });
        let hand = row.hand_calculation.as_ref().map(|hand| {
            let agrees = if hand.agrees == Some(true) { "" } else { ", disagrees" };
            format!("{} to {}{agrees}", percent_signed(hand.low), percent_signed(hand.high))
        });
        let by = difference.decided_by.iter().map(|by| format!("{} ({})", by.estimate, percent(by.share)));
        let patch = row.patch.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
        let last = if row.kind == PointKind::Sweep { patch } else { by.take(2).collect::<Vec<_>>().join(", ") };
        push(
            &mut table,
            [
                row.name.clone(),
                measure.write(row.objective.value.unwrap_or_default()),
                percent_signed(difference.share),
                interval.unwrap_or_default(),
                decided.unwrap_or_default().to_owned(),
                row.binding.as_deref().map(words).unwrap_or_default(),
                hand.unwrap_or_default(),
                last,
            ],
        );
    }
    without_empty(table)
}

/// Without draws or hand calculations their columns say nothing.
fn without_empty(mut table: Table) -> Table {
    let says = |index: usize| table.rows.iter().any(|row| row.cells.get(index).is_some_and(|cell| !cell.is_empty()));
    let kept: Vec<bool> = (0..table.columns.len()).map(says).collect();
    let mut keeps = kept.iter();
    table.columns.retain(|_| keeps.next() == Some(&true));
    for row in &mut table.rows {
        let mut keeps = kept.iter();
        row.cells.retain(|_| keeps.next() == Some(&true));
    }
    table
}

/// Speed and what sums lose, side by side.
fn arithmetic(answer: &Answer) -> Table {
    let columns = [
        ("point", false),
        ("change", true),
        ("fraction bits", true),
        ("promoted every", true),
        ("scales by", false),
        ("error, median", true),
        ("worst", true),
        ("of", false),
        ("bias, worst", true),
    ];
    let mut table = table(&columns);
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1e}"));
    for row in &answer.arithmetic {
        push(
            &mut table,
            [
                row.name.clone(),
                row.change.map_or_else(|| "-".to_owned(), percent_signed),
                row.fraction_bits.to_string(),
                row.promote.map_or_else(|| "never".to_owned(), |every| every.to_string()),
                scales_by(row),
                share(row.relative_error_median),
                share(row.relative_error_worst),
                row.worst.clone().unwrap_or_else(|| "no FP8 products".to_owned()),
                share(row.bias_worst),
            ],
        );
    }
    table
}

/// Who applies scales, and how often sums leave the tensor core for it.
fn scales_by(row: &Arithmetic) -> String {
    let scaled = row.gemms.iter().find(|gemm| gemm.scales != study::ScalesName::Tensor);
    match scaled.map(|gemm| gemm.leaves_every) {
        None => String::new(),
        Some(_) if row.scales_inside => "tensor cores".to_owned(),
        Some(every) => every.map_or_else(String::new, |every| format!("CUDA cores, every {every}")),
    }
}

fn shares(together: &TogetherAnswer, base: f64) -> Table {
    let mut table = table(&[("proposal", false), ("alone", true), ("beside others", true), ("Shapley share", true)]);
    let share = |worth: f64| percent_signed(-worth / base);
    for row in &together.shares {
        let last = row.last.value.map(share).unwrap_or_default();
        push(&mut table, [row.proposal.clone(), share(row.alone.value), last, share(row.shapley.value)]);
    }
    table
}

fn remarks(together: &TogetherAnswer, measure: &Measure) -> String {
    let mut text = String::new();
    let mut pairs: Vec<_> = together.pairs.iter().filter(|pair| pair.kind != "independent").collect();
    pairs.sort_by(|a, b| b.interaction.value.abs().total_cmp(&a.interaction.value.abs()));
    for pair in pairs.into_iter().take(N_SWEEP) {
        let size = measure.write(pair.interaction.value.abs());
        let _ = writeln!(text, "{} and {} are {}: {size} together", pair.first, pair.second, pair.kind);
    }
    match (&together.cheapest, together.target.value) {
        (Some(set), Some(target)) => {
            let names = if set.proposals.is_empty() { "nothing".to_owned() } else { set.proposals.join(" + ") };
            let _ = writeln!(
                text,
                "cheapest set within {}: {names}, {}",
                measure.write(target),
                measure.write(set.objective.value)
            );
        }
        (None, Some(target)) => {
            let _ = writeln!(text, "no set reaches {}", measure.write(target));
        }
        (_, None) => {}
    }
    if together.sampled {
        text.push_str("orders of proposals were sampled: shares are means over these\n");
    }
    text
}

/// The measure, and the knobs that move it, as a tornado: to the left a tenth more of the knob makes it less.
pub(super) fn sensitivity(found: &Sensitivity) -> String {
    let measure = measured(&found.objective.name);
    let columns = [
        ("knob", false),
        ("value", true),
        ("elasticity", true),
        ("low", true),
        ("high", true),
        ("uncertainty", true),
        ("less | more", false),
    ];
    let mut table = table(&columns);
    let most = found.knobs.iter().filter_map(|knob| knob.elasticity).fold(0.0_f64, |most, size| most.max(size.abs()));
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:+.3}"));
    for knob in found.knobs.iter().take(N_KNOBS) {
        push(
            &mut table,
            [
                knob.key.clone(),
                knob.value.trim_matches('"').to_owned(),
                number(knob.elasticity),
                number(knob.low),
                number(knob.high),
                knob.unsure.value.map(|unsure| measure.write(unsure)).unwrap_or_default(),
                tornado(knob.elasticity.unwrap_or_default(), most),
            ],
        );
    }
    let rest = found.knobs.len().saturating_sub(N_KNOBS);
    let more = if rest > 0 {
        format!("\n{rest} more parameters change it less; `--json` has them all")
    } else {
        String::new()
    };
    let Measure { noun, per, .. } = &measure;
    format!(
        "{}: {} {per}\nelasticity: relative change of the {noun} per relative change of the parameter\n\n{table}{more}\n",
        found.name,
        measure.write(found.objective.value)
    )
}

fn tornado(elasticity: f64, most: f64) -> String {
    let share = if most > 0.0 { elasticity.abs() / most } else { 0.0 };
    let bar = "█".repeat((share * HALF as f64).round() as usize);
    if elasticity < 0.0 { format!("{bar:>HALF$}|") } else { format!("{:>HALF$}|{bar}", "") }
}

fn table(columns: &[(&str, bool)]) -> Table {
    let column = |(name, numeric): &(&str, bool)| Column { name: (*name).to_owned(), numeric: *numeric };
    Table { columns: columns.iter().map(column).collect(), rows: Vec::new() }
}

fn push<const N: usize>(table: &mut Table, cells: [String; N]) {
    table.rows.push(Row { cells: cells.to_vec(), strong: false });
}
