//! The co-design report: one self-contained HTML page a study.

use std::collections::BTreeMap;

use askama::Template;

use super::{MadeOf, ProposalResult, ProposalRow, ProposalRun, StudySummary, TogetherSummary};
use super::{sensitivity, tables};
use crate::error::{ReportError, finite};
use crate::figures::{self, Figure};
use crate::format::{change, count, percent};
use crate::measure::Measure;
use crate::page::{Key, Share, Shown, printable, shares, shown, words};
use crate::table::Table;
use crate::timeline::Timeline;

/// What the page of a study is made from.
#[derive(Clone, Copy, Debug)]
pub struct StudyInput<'a> {
    /// The numbers.
    pub summary: &'a StudySummary,
    /// Timelines of the base and of one proposal, where there are any.
    pub timelines: Option<BeforeAfter<'a>>,
    /// The command that makes the page again.
    pub command: &'a str,
}

/// Timelines of two runs.
#[derive(Clone, Copy, Debug)]
pub struct BeforeAfter<'a> {
    /// The proposal's name.
    pub proposal: &'a str,
    /// The base's.
    pub before: &'a Timeline,
    /// The proposal's.
    pub after: &'a Timeline,
}

/// A page that opens without a network, in light and dark, on a phone and on paper; equal input gives equal bytes.
///
/// # Errors
/// [`ReportError::NotFinite`] for a number that is none, and those of [`Timeline::check`].
pub fn study_page(input: &StudyInput<'_>) -> Result<String, ReportError> {
    finite("", input.summary)?;
    Page::new(input)?.render().map(|page| printable(&page)).map_err(ReportError::library)
}

/// The pictures of the page, for files of their own.
///
/// # Errors
/// As [`study_page`].
pub fn study_figures(input: &StudyInput<'_>) -> Result<Vec<Figure>, ReportError> {
    finite("", input.summary)?;
    let Page { intervals, binding, timelines, front, together, sweeps, tornado, .. } = Page::new(input)?;
    let of_together = together.into_iter().flat_map(|together| [together.matrix, together.shapley]);
    let of_sweeps = sweeps.into_iter().filter_map(|sweep| sweep.map);
    let several = timelines.into_iter().chain(of_together).chain(of_sweeps);
    let all = [intervals, binding, front, tornado].into_iter().flatten().chain(several);
    Ok(all.map(|shown| shown.figure).collect())
}

#[derive(Template)]
#[template(path = "study.html")]
struct Page<'a> {
    summary: &'a StudySummary,
    command: &'a str,
    headline: Headline,
    keys: Vec<Key>,
    intervals: Option<Shown>,
    ranked: Table,
    binding: Option<Shown>,
    timelines: Vec<Shown>,
    after: &'a str,
    front: Option<Shown>,
    front_table: Table,
    together: Option<TogetherPart>,
    sweeps: Vec<SweepPart>,
    tornado: Option<Shown>,
    knobs: Table,
    arithmetic: Table,
    cards: Vec<Card<'a>>,
    bases: Vec<BasisPart<'a>>,
    notes: Vec<Vec<(bool, String)>>,
}

/// The question and the shortest answer to it.
struct Headline {
    question: String,
    /// A number, and what it is of.
    answer: String,
    answer_of: String,
    lead: String,
}

struct TogetherPart {
    matrix: Shown,
    shapley: Shown,
    worths: Table,
    sets: Table,
    /// What the cheapest set is, or that there is none; empty without a target.
    target: String,
    sampled: bool,
}

struct SweepPart {
    name: String,
    words: String,
    map: Option<Shown>,
    best: Table,
}

/// A proposal with all its words.
struct Card<'a> {
    row: &'a ProposalRow,
    /// Its change, or that there is none.
    result: String,
    /// The interval, or why there is no result.
    detail: String,
    hand: String,
    /// Empty, `as expected` or `not as expected`.
    verdict: &'static str,
    decided_by: String,
}

/// What a step rests on.
struct BasisPart<'a> {
    name: &'a str,
    weakest: &'a str,
    shares: Vec<Share>,
}

impl<'a> Page<'a> {
    fn new(input: &StudyInput<'a>) -> Result<Self, ReportError> {
        let summary = input.summary;
        let (base, measure) = (summary.base.value, &summary.measure);
        let has = !summary.proposals.is_empty();
        let timelines = match input.timelines {
            Some(BeforeAfter { proposal, before, after }) => figures::before_after(before, after, proposal)?,
            None => Vec::new(),
        };
        Ok(Self {
            summary,
            command: input.command,
            headline: headline(summary),
            keys: keys(summary),
            intervals: some_if(has, || figures::intervals(&summary.proposals, measure))?,
            ranked: tables::ranked(summary),
            binding: some_if(has, || figures::binding(summary))?,
            timelines: timelines.into_iter().map(shown).collect(),
            after: input.timelines.map_or("", |timelines| timelines.proposal),
            front: summary.front.as_ref().map(|front| figures::front(front, measure)).transpose()?.map(shown),
            front_table: summary.front.as_ref().map(|front| tables::front(front, measure)).unwrap_or_default(),
            together: summary
                .together
                .as_ref()
                .map(|together| TogetherPart::new(together, (base, measure)))
                .transpose()?,
            sweeps: sweeps(summary)?,
            tornado: summary.sensitivity.as_ref().map(figures::tornado).transpose()?.map(shown),
            knobs: summary.sensitivity.as_ref().map(sensitivity::knobs_table).unwrap_or_default(),
            arithmetic: tables::arithmetic(&summary.arithmetic),
            cards: summary.proposals.iter().map(card).collect(),
            bases: bases(summary, input.timelines.map(|timelines| timelines.proposal)),
            notes: summary.notes.iter().map(|note| words(note)).collect(),
        })
    }
}

fn some_if(is_there: bool, figure: impl FnOnce() -> Result<Figure, ReportError>) -> Result<Option<Shown>, ReportError> {
    is_there.then(figure).transpose().map(|figure| figure.map(shown))
}

fn ran(row: &ProposalRow) -> Option<&ProposalRun> {
    match &row.result {
        ProposalResult::Ran(ran) => Some(ran),
        ProposalResult::Failed(_) => None,
    }
}

fn headline(summary: &StudySummary) -> Headline {
    let (base, measure) = (&summary.base, &summary.measure);
    let written = measure.write(base.value);
    // Rows stand by what they save.
    let best = summary.proposals.iter().find_map(|row| Some((row, ran(row)?)));
    let best_point = summary.sweeps.iter().flat_map(|sweep| &sweep.best);
    let point = best_point.min_by(|a, b| a.change.total_cmp(&b.change));
    let (answer, answer_of) = match (best, point) {
        (Some((row, ran)), _) if ran.change < 0.0 => {
            let verdict = if ran.decided == Some(false) { ", undecided" } else { "" };
            (change(ran.change), format!("{} with {}{verdict}", measure.noun, row.name))
        }
        (None, Some(point)) if point.change < 0.0 => {
            (change(point.change), format!("{} at {}", measure.noun, point.name))
        }
        _ => (written.clone(), format!("{}, of the base; no proposal or sweep here makes it less", measure.per)),
    };
    let lead = format!(
        "The base is {}, {written} {}, bound most by {}. Every result is a discrete-event simulation; nothing on this page \
         was timed on a machine.",
        base.name, measure.per, base.made_of.binding
    );
    let question = if summary.about.is_empty() { summary.name.clone() } else { summary.about.clone() };
    Headline { question, answer, answer_of, lead }
}

fn keys(summary: &StudySummary) -> Vec<Key> {
    let key = |name, value, note| Key { name, value, note };
    let (base, measure) = (&summary.base, &summary.measure);
    let interval =
        base.interval.map(|[low, high]| format!("{} to {} over draws", measure.write(low), measure.write(high)));
    let mut keys = vec![key("base", measure.write(base.value), interval.unwrap_or_default())];
    let n = summary.proposals.len();
    if n > 0 {
        let results: Vec<&ProposalRun> = summary.proposals.iter().filter_map(ran).collect();
        let n_failed = n - results.len();
        let failed = if n_failed > 0 { format!("{n_failed} without a result") } else { String::new() };
        keys.push(key("proposals", n.to_string(), failed));
        if summary.draws > 0 {
            let decided = |ran: &&&ProposalRun| ran.decided == Some(true);
            let (less, others): (Vec<&ProposalRun>, Vec<&ProposalRun>) =
                results.iter().filter(decided).partition(|ran| ran.change < 0.0);
            keys.push(key(
                "surely less",
                less.len().to_string(),
                format!("{} surely not, {} undecided", others.len(), results.len() - less.len() - others.len()),
            ));
        }
        let agrees = summary.proposals.iter().filter(|row| row.hand.agrees == Some(true)).count();
        keys.push(key("as expected by hand", format!("{agrees} of {}", results.len()), String::new()));
    }
    let n_points: u64 = summary.sweeps.iter().map(|sweep| sweep.n_points).sum();
    if n_points > 0 {
        keys.push(key("points of sweeps", count(n_points), String::new()));
    }
    if summary.draws > 0 {
        keys.push(key(
            "draws",
            summary.draws.to_string(),
            "of uncertain estimates, the same for all points".to_owned(),
        ));
    }
    keys.push(key("weakest basis", base.made_of.basis.clone(), "of the estimates that bind the base".to_owned()));
    keys
}

impl TogetherPart {
    fn new(together: &TogetherSummary, (base, measure): (f64, &Measure)) -> Result<Self, ReportError> {
        let target = match (&together.cheapest, together.target) {
            (Some(set), Some(target)) => format!(
                "The cheapest set within {} is {}, at {} {}.",
                measure.write(target),
                tables::names(set),
                measure.write(set.value),
                measure.per
            ),
            (None, Some(target)) => format!("No set that was run reaches {}.", measure.write(target)),
            (_, None) => String::new(),
        };
        Ok(Self {
            matrix: shown(figures::matrix(together, base, measure)?),
            shapley: shown(figures::shapley(together, base, measure)?),
            worths: tables::worths(together, base),
            sets: tables::sets(together, (base, measure)),
            target,
            sampled: together.sampled,
        })
    }
}

fn sweeps(summary: &StudySummary) -> Result<Vec<SweepPart>, ReportError> {
    let part = |(index, sweep): (usize, &super::SweepSummary)| {
        let failed =
            if sweep.n_failed > 0 { format!(", {} without a result", count(sweep.n_failed)) } else { String::new() };
        Ok(SweepPart {
            name: sweep.name.clone(),
            words: format!("{} points{failed}.", count(sweep.n_points)),
            map: some_if(!sweep.maps.is_empty(), || figures::heat(sweep, index + 1, &summary.measure))?,
            best: tables::best(sweep, &summary.measure),
        })
    };
    summary.sweeps.iter().enumerate().map(part).collect()
}

fn card(row: &ProposalRow) -> Card<'_> {
    let hand = format!("{} to {}", change(row.hand.low), change(row.hand.high));
    let (result, detail, by) = match &row.result {
        ProposalResult::Failed(why) => ("no result".to_owned(), why.clone(), &[][..]),
        ProposalResult::Ran(ran) => {
            let interval = ran.interval.map(|[low, high]| {
                let verdict = if ran.decided == Some(false) { ", undecided" } else { "" };
                format!("{} to {}{verdict}", change(low), change(high))
            });
            (change(ran.change), interval.unwrap_or_default(), &ran.decided_by[..])
        }
    };
    let by = by.iter().map(|(estimate, share)| format!("{estimate} ({})", percent(*share)));
    let verdict = row.hand.agrees.map_or("", |agrees| if agrees { "as expected" } else { "not as expected" });
    Card { row, result, detail, hand, verdict, decided_by: by.collect::<Vec<_>>().join(", ") }
}

/// What the base rests on, and the proposal that is shown from near, or else the one that saves most.
fn bases<'a>(summary: &'a StudySummary, near: Option<&str>) -> Vec<BasisPart<'a>> {
    let part = |name: &'a str, made_of: &'a MadeOf| {
        let known: &BTreeMap<String, f64> = &made_of.basis_shares;
        BasisPart { name, weakest: &made_of.basis, shares: shares(known) }
    };
    let chosen = summary.proposals.iter().find(|row| near.is_none_or(|name| row.name == name));
    let chosen = chosen.and_then(|row| Some(part(&row.name, &ran(row)?.made_of)));
    let parts = std::iter::once(part("base", &summary.base.made_of)).chain(chosen);
    parts.filter(|part| !part.shares.is_empty()).collect()
}
